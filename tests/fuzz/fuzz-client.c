/* SPDX-License-Identifier: MIT */
/*
 * libvmreqclient against a server that says anything at any time, in pieces: calls, requests and
 * cancels, the blocking functions and the pollable ones, chunks, rows, completions, events, and new
 * connections.  Input: 4 bytes of settings, then steps, each of one byte with what it needs behind
 * it: the library's (bit 4 set) and the server's.
 *
 * What must come out, and in which order, stands in hostile-model.c.  Beside that:
 *
 *   - a function returns only what its declaration says, and LOST or PROTOCOL only if the server
 *     gave reason to;
 *   - a wait ends at its limit, and not before it;
 *   - what was accepted arrives at the server, whole, once, and in order;
 *   - at the end of a connection all that had come can be taken, and nothing is in flight.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "hostile.h"

#define STEPS_MAX 200u
#define NS_PER_MS 1000000ull

/* How much later than asked a wait may end: by poll's rounding, and by one thing that the server
 * does meanwhile. */
#define LATE_NS (20 * NS_PER_MS)

/* ---- what may be returned ---- */

/* The connection is gone, or has to go. */
static void check_outcome(struct hostile *h, int r)
{
        FUZZ_CHECK(r >= 0 && r <= VMREQ_CLIENT_E_NOTHING);
        if (r == VMREQ_CLIENT_E_LOST)
                FUZZ_CHECK(h->has_ended || h->gave_up);
        if (r == VMREQ_CLIENT_E_PROTOCOL)
                FUZZ_CHECK(h->is_broken || h->gave_up); /* as before a reconnect that was BUSY */
        if (r == VMREQ_CLIENT_E_LOST || r == VMREQ_CLIENT_E_PROTOCOL)
                FUZZ_CHECK(h->client && strcmp(vmreq_client_outcome_name(r), "UNKNOWN") != 0);
}

static void check_wait(uint64_t began, uint64_t wait_ns, int r)
{
        uint64_t passed = fuzz_now() - began;

        if (r == VMREQ_CLIENT_E_TIMEOUT)
                FUZZ_CHECK(passed >= wait_ns);
        FUZZ_CHECK(wait_ns == VMREQ_CLIENT_FOREVER || passed <= wait_ns + LATE_NS);
}

/* ---- answers ---- */

static uint64_t draw_wait(struct hostile *h)
{
        static const uint64_t ms[] = {0, 0, 1, 7, 100, 5000};
        uint8_t which = fuzz_byte(&h->input) % 7;

        return which == 6 ? VMREQ_CLIENT_FOREVER : ms[which] * NS_PER_MS;
}

static void take(struct hostile *h, struct vmreq_client_answer *answer, bool by_wait)
{
        hostile_taken(h, answer, by_wait);
        vmreq_client_answer_deinit(answer);
        FUZZ_CHECK(!answer->memory && !answer->value);
        vmreq_client_answer_deinit(answer);
}

/* True: an answer was taken. */
static bool take_next(struct hostile *h, uint64_t wait_ns)
{
        struct vmreq_client_answer answer;
        uint64_t began = fuzz_now();
        int r = vmreq_client_next(h->client, wait_ns, &answer);

        check_wait(began, wait_ns, r);
        check_outcome(h, r);
        if (r == 0)
                take(h, &answer, false);
        else if (r == VMREQ_CLIENT_E_NOTHING)
                FUZZ_CHECK(hostile_n_open(h) == 0 &&
                           !(h->flags & (VMREQ_CLIENT_TAKE_COMPLETED | VMREQ_CLIENT_TAKE_EVENTS)));
        else if (r == VMREQ_CLIENT_E_LOST || r == VMREQ_CLIENT_E_PROTOCOL)
                FUZZ_CHECK(h->gave_up || h->is_loose || !hostile_owes(h));
        else
                FUZZ_CHECK(r == VMREQ_CLIENT_E_TIMEOUT);
        return r == 0;
}

/* Some call's id, or none's. */
static uint32_t draw_call(struct hostile *h)
{
        uint8_t which = fuzz_byte(&h->input);

        if (h->n_calls == 0 || which == 255)
                return 0xfffe0000u | which;
        return h->calls[h->n_calls - 1 - which % h->n_calls].msgid;
}

static bool is_open(struct hostile *h, uint32_t msgid)
{
        const struct hostile_call *call = hostile_find(h, msgid);

        return call && !call->is_greeting && call->fate == HOSTILE_PENDING;
}

static void wait_for(struct hostile *h, uint32_t msgid, uint64_t wait_ns, bool finishes)
{
        struct vmreq_client_answer answer;
        bool open = is_open(h, msgid);
        uint64_t began = fuzz_now();
        int r;

        if (finishes)
                r = vmreq_client_finish(h->client, msgid, wait_ns, &answer);
        else
                r = vmreq_client_wait(h->client, msgid, wait_ns, &answer);
        check_wait(began, wait_ns, r);
        check_outcome(h, r);
        FUZZ_CHECK(r != VMREQ_CLIENT_E_NOTHING && (r != VMREQ_CLIENT_E_UNKNOWN) == open);
        if (r == 0)
                take(h, &answer, true);
        else if (open && finishes)
                hostile_forget(h, msgid);
}

static void call_blocking(struct hostile *h, const char *method, const struct fuzz_input *params,
                          uint64_t wait_ns)
{
        struct vmreq_client_answer answer;
        uint32_t msgid;
        int r = vmreq_client_submit(h->client, method, params->data, params->len, &msgid);

        check_outcome(h, r < 0 ? 0 : r);
        if (r)
                return;
        hostile_accepted(h, method, msgid, false, params);
        r = vmreq_client_finish(h->client, msgid, wait_ns, &answer);
        check_outcome(h, r);
        if (r == 0)
                take(h, &answer, true);
        else
                hostile_forget(h, msgid);
}

static void forget(struct hostile *h, uint32_t msgid)
{
        bool open = is_open(h, msgid);
        int r = vmreq_client_forget(h->client, msgid);

        FUZZ_CHECK(r == (open ? 0 : VMREQ_CLIENT_E_UNKNOWN));
        if (open)
                hostile_forget(h, msgid);
}

static void process(struct hostile *h)
{
        short events = vmreq_client_events(h->client);
        int r = vmreq_client_process(h->client);

        FUZZ_CHECK(!(events & ~(POLLIN | POLLOUT)));
        check_outcome(h, r);
        if (r)
                FUZZ_CHECK(vmreq_client_events(h->client) == 0 &&
                           vmreq_client_reason(h->client)[0] &&
                           vmreq_client_process(h->client) == r);
}

/* ---- calls ---- */

/* The next value of the input; where there is none, an empty array. */
static struct fuzz_input take_params(struct hostile *h)
{
        size_t n = proto_frame_skip(h->input.data, h->input.len, 0);

        if (n == 0)
                return (struct fuzz_input){(const uint8_t *)"\x90", 1};
        return fuzz_take(&h->input, n);
}

static void check_submit(struct hostile *h, int r)
{
        FUZZ_CHECK(r != -ENOMEM && r != VMREQ_CLIENT_E_TIMEOUT && r != VMREQ_CLIENT_E_UNKNOWN &&
                   r != VMREQ_CLIENT_E_NOTHING);
        if (r > 0)
                check_outcome(h, r);
}

static const char *draw_method(struct hostile *h)
{
        static const char *const methods[] = {
                "debug.add",
                "vmreq.call",
                "x",
                "",
                "vmreq.subscribe",
                "a23456789.b23456789.c23456789.d23456789.e23456789.f23456789.g23",
                "a23456789.b23456789.c23456789.d23456789.e23456789.f23456789.g23456",
        };

        return methods[fuzz_byte(&h->input) % (sizeof(methods) / sizeof(methods[0]))];
}

static void submit(struct hostile *h)
{
        const char *method = draw_method(h);
        struct fuzz_input params = take_params(h);
        uint32_t msgid;
        int r = vmreq_client_submit(h->client, method, params.data, params.len, &msgid);

        check_submit(h, r);
        if (r == 0)
                hostile_accepted(h, method, msgid, false, &params);
}

static void notify(struct hostile *h)
{
        const char *method = draw_method(h);
        struct fuzz_input params = take_params(h);
        int r = vmreq_client_notify(h->client, method, params.data, params.len);

        check_submit(h, r);
        if (r == 0)
                hostile_accepted(h, method, 0, true, &params);
}

static void submit_symbol(struct hostile *h, bool as_request)
{
        struct vmreq_client_options options = VMREQ_CLIENT_OPTIONS_INIT;
        uint8_t cpu = fuzz_byte(&h->input), timeout = fuzz_byte(&h->input);
        struct fuzz_input args;
        uint32_t msgid;
        int r;

        options.flags = (uint32_t)fuzz_number(&h->input, 2) & 0x3ff;
        options.cpu = (int32_t)(int8_t)cpu;
        options.timeout_ms = (int64_t)timeout - 2;
        options.key = timeout & 0x40 ? "key" : NULL;
        args = take_params(h);
        if (as_request)
                r = vmreq_client_submit_request(h->client, "debug.add", args.data, args.len,
                                                cpu == 77 ? NULL : &options, &msgid);
        else
                r = vmreq_client_submit_call(h->client, "debug.add", args.data, args.len,
                                             cpu == 77 ? NULL : &options, &msgid);
        check_submit(h, r);
        if (r == 0)
                hostile_accepted(h, as_request ? "vmreq.submit" : "vmreq.call", msgid, false, NULL);
}

static void submit_number(struct hostile *h)
{
        uint8_t which = fuzz_byte(&h->input) % 5;
        uint64_t id = fuzz_byte(&h->input);
        const char *method = "vmreq.cancel";
        uint32_t msgid;
        int r;

        if (which == 0)
                r = vmreq_client_submit_cancel(h->client, draw_call(h), &msgid);
        else if (which == 1)
                r = vmreq_client_submit_cancel_request(h->client, id, &msgid);
        else if (which == 2)
                r = vmreq_client_submit_release(h->client, id, &msgid);
        else
                r = vmreq_client_submit_wait(h->client, id, which == 3 ? UINT64_MAX : id, &msgid);
        method = which == 2 ? "vmreq.release" : which > 2 ? "vmreq.wait" : method;
        check_submit(h, r);
        if (r == 0)
                hostile_accepted(h, method, msgid, false, NULL);
}

/* ---- connections ---- */

static struct vmreq_client_config draw_config(struct hostile *h)
{
        static const size_t frames[] = {1024, 1500, 4096, 0}, answers[] = {1024, 2000, 0, 0};
        static const uint32_t calls[] = {1, 3, 60, 0};
        struct vmreq_client_config config = VMREQ_CLIENT_CONFIG_INIT;
        uint8_t sizes = fuzz_byte(&h->input), flags = fuzz_byte(&h->input),
                texts = fuzz_byte(&h->input);

        config.frame_bytes_max = frames[sizes & 3];
        config.answer_bytes_max = answers[sizes >> 2 & 3];
        config.calls_max = calls[sizes >> 4 & 3];
        config.output_bytes_max = sizes & 0x40 ? config.frame_bytes_max : 0;
        config.flags = flags & 15;
        config.connect_ns = flags & 0x10 ? 100 * NS_PER_MS : 0;
        config.name = texts & 1 ? "fuzz" : NULL;
        config.version = texts & 2 ? "1" : NULL;
        h->frame_bytes_max = config.frame_bytes_max ? config.frame_bytes_max : 8u << 20;
        h->flags = config.flags;
        h->listen_fd = texts & 4 ? 0 : -1; /* 0: wherever the server listens */
        return config;
}

/* What connecting may say; it is over then. */
static void check_connect(struct hostile *h, int r, const char *text)
{
        size_t len;

        FUZZ_CHECK(r >= 0 && r != VMREQ_CLIENT_E_NOTHING && r != VMREQ_CLIENT_E_UNKNOWN &&
                   r != VMREQ_CLIENT_E_TOO_LARGE);
        FUZZ_CHECK((r == 0) == (text[0] == 0));
        if (r == VMREQ_CLIENT_E_LOST)
                FUZZ_CHECK(h->has_ended);
        if (r == VMREQ_CLIENT_E_PROTOCOL)
                FUZZ_CHECK(h->is_broken);
        if (r == 0)
                FUZZ_CHECK((vmreq_client_greeting(h->client, &len) != NULL) ==
                           !(h->flags & VMREQ_CLIENT_NO_HELLO));
}

/* What cannot be connected at all. */
static void connect_nowhere(struct hostile *h, struct vmreq_client_config config, uint8_t how)
{
        static const char long_path[] =
                "/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789"
                "/0123456789/0123456789/0123456789/0123456789";
        static const char *const paths[] = {"", "/nonexistent/vmreq.sock", long_path, "/dev/null"};
        char text[8] = "";
        int r;

        if (how & 4)
                config.frame_bytes_max = 1;
        r = vmreq_client_connect(paths[how & 3], &config, &h->client, text, sizeof(text));
        FUZZ_CHECK(r < 0 && text[0] && !h->client);
        if (how & 4)
                FUZZ_CHECK(vmreq_client_adopt(hostile_pair(h), &config, &h->client, NULL, 0) ==
                           -EINVAL);
        else
                FUZZ_CHECK(vmreq_client_adopt(-1, &config, &h->client, NULL, 0) == -EBADF);
        FUZZ_CHECK(!h->client);
}

static void connect_first(struct hostile *h, const struct vmreq_client_config *config,
                          uint8_t settings)
{
        char text[128] = "";
        uint64_t began = fuzz_now();
        int r;

        if (settings & 0x80) {
                connect_nowhere(h, *config, settings);
                return;
        }
        h->greeting_due = !(config->flags & VMREQ_CLIENT_NO_HELLO);
        if (h->listen_fd >= 0)
                r = vmreq_client_connect(hostile_path(), config, &h->client, text, sizeof(text));
        else
                r = vmreq_client_adopt(hostile_pair(h), config, &h->client, text, sizeof(text));
        check_wait(began, config->connect_ns ? config->connect_ns : 5000 * NS_PER_MS, r);
        check_connect(h, r, text);
}

/* Another connection: to the path, or with a descriptor of ours. */
static void reconnect(struct hostile *h)
{
        bool to_path = h->listen_fd >= 0 && (fuzz_byte(&h->input) & 1);
        char text[128] = "";
        int fd, r;

        hostile_read(h); /* what the server has got is known from here on */
        if (h->listen_fd < 0)
                FUZZ_CHECK(vmreq_client_reconnect(h->client, -1, text, sizeof(text)) == -EINVAL);
        if (h->fd >= 0)
                (void)close(h->fd);
        h->fd = -1;
        hostile_relink(h, !(h->flags & VMREQ_CLIENT_NO_HELLO));
        fd = to_path ? -1 : hostile_pair(h);
        r = vmreq_client_reconnect(h->client, fd, text, sizeof(text));
        if (r == VMREQ_CLIENT_E_BUSY || r == VMREQ_CLIENT_E_TIMEOUT ||
            r == VMREQ_CLIENT_E_REFUSED || r == VMREQ_CLIENT_E_LOST)
                hostile_end(h);
        check_connect(h, r, text);
        h->gave_up = r != 0;
        if (r)
                hostile_excuse(h);
}

/* ---- the whole ---- */

static void step(struct hostile *h, uint8_t op)
{
        struct fuzz_input params;
        const char *method;
        uint32_t msgid;

        switch (op & 15) {
        case 0:
        case 1:
                submit(h);
                break;
        case 2:
        case 3:
                submit_symbol(h, op & 1);
                break;
        case 4:
                submit_number(h);
                break;
        case 5:
                notify(h);
                break;
        case 6:
                method = draw_method(h);
                params = take_params(h);
                call_blocking(h, method, &params, draw_wait(h));
                break;
        case 7:
        case 8:
                process(h);
                break;
        case 9:
        case 10:
                (void)take_next(h, draw_wait(h));
                break;
        case 11:
        case 12:
                msgid = draw_call(h);
                wait_for(h, msgid, draw_wait(h), op & 1);
                break;
        case 13:
                forget(h, draw_call(h));
                break;
        case 14:
                reconnect(h);
                break;
        default: /* all that is there */
                while (take_next(h, 0))
                        ;
                break;
        }
}

/* The server ends it; whatever had come can still be taken. */
static void end(struct hostile *h)
{
        hostile_end(h);
        for (unsigned i = 0; take_next(h, VMREQ_CLIENT_FOREVER); i++)
                FUZZ_CHECK(i < HOSTILE_ITEMS_MAX + HOSTILE_CALLS_MAX);
        FUZZ_CHECK(vmreq_client_fd(h->client) >= 0);
        FUZZ_CHECK(vmreq_client_strays(h->client) < UINT64_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        static struct hostile hostile;
        struct hostile *h = &hostile;
        struct vmreq_client_config config;

        memset(h, 0, offsetof(struct hostile, calls));
        h->input = (struct fuzz_input){data, len};
        h->fd = -1;
        config = draw_config(h);
        hostile_set_present(h);
        connect_first(h, &config, fuzz_byte(&h->input));
        for (unsigned i = 0; h->client && i < STEPS_MAX && h->input.len > 0; i++) {
                uint8_t op = fuzz_byte(&h->input);

                if (op & 0x10)
                        step(h, op);
                else
                        hostile_serve(h, op);
        }
        if (h->client)
                end(h);
        h->client = vmreq_client_free(h->client);
        hostile_close(h);
        hostile_set_present(NULL);
        hostile_model_deinit(h);
        proto_builder_deinit(&h->out);
        proto_builder_deinit(&h->in);
        return 0;
}
