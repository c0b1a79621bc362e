/* SPDX-License-Identifier: MIT */
/*
 * The methods of vmreqd's that programs use most, with their parameters put together for the
 * caller: calls with options, requests, cancels.  Everything goes through vmreq_client_submit; only
 * what its own arguments make impossible is refused here, the rest is the server's to say.
 */

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "client/client-internal.h"
#include "proto/builder.h"
#include "proto/frame.h"

static const struct {
        uint32_t flag;
        const char *name;
        bool value;
} flag_options[] = {
        {VMREQ_CLIENT_PRIORITY, "priority", true}, {VMREQ_CLIENT_POKE, "poke", true},
        {VMREQ_CLIENT_PARALLEL, "parallel", true}, {VMREQ_CLIENT_STREAM, "stream", true},
        {VMREQ_CLIENT_NO_STREAM, "stream", false}, {VMREQ_CLIENT_DETACH, "detach", true},
        {VMREQ_CLIENT_NO_WAIT, "no_wait", true},   {VMREQ_CLIENT_TIMING, "timing", true},
};
#define N_FLAG_OPTIONS (sizeof(flag_options) / sizeof(flag_options[0]))
#define FLAGS_ALL      0x1ffu

static bool options_valid(const struct vmreq_client_options *options)
{
        const uint32_t both = VMREQ_CLIENT_STREAM | VMREQ_CLIENT_NO_STREAM;

        return options->size == sizeof(*options) && (options->flags & ~FLAGS_ALL) == 0 &&
               (options->flags & both) != both && options->cpu >= VMREQ_CLIENT_CPU_ALL_REVERSE &&
               options->timeout_ms >= -1;
}

static void put_cpu(struct proto_builder *out, int32_t cpu)
{
        static const char *const names[] = {
                [-VMREQ_CLIENT_CPU_ANY] = "any",
                [-VMREQ_CLIENT_CPU_ANY_QUEUE] = "any-queue",
                [-VMREQ_CLIENT_CPU_ALL] = "all",
                [-VMREQ_CLIENT_CPU_ALL_REVERSE] = "all-reverse",
        };

        proto_put_text(out, "cpu");
        if (cpu >= 0)
                proto_put_int(out, cpu);
        else
                proto_put_text(out, names[-cpu]);
}

static uint32_t count_options(const struct vmreq_client_options *options)
{
        uint32_t n = 0;

        for (size_t i = 0; i < N_FLAG_OPTIONS; i++)
                n += (options->flags & flag_options[i].flag) != 0;
        n += options->cpu != VMREQ_CLIENT_CPU_REGISTERED;
        n += (options->flags & VMREQ_CLIENT_CONTINUE) != 0;
        n += options->timeout_ms >= 0;
        n += options->key != NULL;
        return n;
}

static void put_options(struct proto_builder *out, const struct vmreq_client_options *options)
{
        proto_put_map(out, count_options(options));
        if (options->cpu != VMREQ_CLIENT_CPU_REGISTERED)
                put_cpu(out, options->cpu);
        for (size_t i = 0; i < N_FLAG_OPTIONS; i++) {
                if (options->flags & flag_options[i].flag) {
                        proto_put_text(out, flag_options[i].name);
                        proto_put_bool(out, flag_options[i].value);
                }
        }
        if (options->flags & VMREQ_CLIENT_CONTINUE) {
                proto_put_text(out, "on_error");
                proto_put_text(out, "continue");
        }
        if (options->timeout_ms >= 0) {
                proto_put_text(out, "timeout_ms");
                proto_put_int(out, options->timeout_ms);
        }
        if (options->key) {
                proto_put_text(out, "key");
                proto_put_text(out, options->key);
        }
}

/* The params are in `out`; it is freed. */
static int submit(vmreq_client *client, const char *method, struct proto_builder *out,
                  uint32_t *ret_msgid)
{
        int r;

        if (out->error == PROTO_BUILDER_OK)
                r = vmreq_client_submit(client, method, out->data, out->len, ret_msgid);
        else
                r = out->error == PROTO_BUILDER_E_BUDGET ? VMREQ_CLIENT_E_TOO_LARGE : -ENOMEM;
        proto_builder_deinit(out);
        return r;
}

static int submit_symbol(vmreq_client *client, const char *method, const char *symbol,
                         const void *args, size_t args_len,
                         const struct vmreq_client_options *options, uint32_t *ret_msgid)
{
        static const struct vmreq_client_options none = VMREQ_CLIENT_OPTIONS_INIT;
        struct proto_builder out;

        if (!options)
                options = &none;
        /* One value, and not more: what follows would be taken for the options. */
        if (!options_valid(options) || args_len == 0 || args_len > PROTO_FRAME_BYTES_MAX ||
            proto_frame_skip(args, args_len, 0) != args_len)
                return -EINVAL;
        proto_builder_init(&out, client->config.frame_bytes_max);
        proto_put_array(&out, 3);
        proto_put_text(&out, symbol);
        proto_put_raw(&out, args, args_len);
        put_options(&out, options);
        return submit(client, method, &out, ret_msgid);
}

int vmreq_client_submit_call(vmreq_client *client, const char *symbol, const void *args,
                             size_t args_len, const struct vmreq_client_options *options,
                             uint32_t *ret_msgid)
{
        return submit_symbol(client, "vmreq.call", symbol, args, args_len, options, ret_msgid);
}

int vmreq_client_submit_request(vmreq_client *client, const char *symbol, const void *args,
                                size_t args_len, const struct vmreq_client_options *options,
                                uint32_t *ret_msgid)
{
        return submit_symbol(client, "vmreq.submit", symbol, args, args_len, options, ret_msgid);
}

/* A method whose params are one or two numbers. */
static int submit_numbers(vmreq_client *client, const char *method, const uint64_t *numbers,
                          uint32_t n, uint32_t *ret_msgid)
{
        struct proto_builder out;

        proto_builder_init(&out, client->config.frame_bytes_max);
        proto_put_array(&out, n);
        for (uint32_t i = 0; i < n; i++)
                proto_put_uint(&out, numbers[i]);
        return submit(client, method, &out, ret_msgid);
}

int vmreq_client_submit_wait(vmreq_client *client, uint64_t id, uint64_t limit_ms,
                             uint32_t *ret_msgid)
{
        const uint64_t numbers[] = {id, limit_ms};

        return submit_numbers(client, "vmreq.wait", numbers, limit_ms == UINT64_MAX ? 1 : 2,
                              ret_msgid);
}

int vmreq_client_submit_release(vmreq_client *client, uint64_t id, uint32_t *ret_msgid)
{
        return submit_numbers(client, "vmreq.release", &id, 1, ret_msgid);
}

int vmreq_client_submit_cancel_request(vmreq_client *client, uint64_t id, uint32_t *ret_msgid)
{
        return submit_numbers(client, "vmreq.cancel", &id, 1, ret_msgid);
}

int vmreq_client_submit_cancel(vmreq_client *client, uint32_t msgid, uint32_t *ret_msgid)
{
        struct proto_builder out;

        proto_builder_init(&out, client->config.frame_bytes_max);
        proto_put_array(&out, 1);
        proto_put_map(&out, 1);
        proto_put_text(&out, "msgid");
        proto_put_uint(&out, msgid);
        return submit(client, "vmreq.cancel", &out, ret_msgid);
}

/* ---- reading what they answer ---------------------------------------------------------------- */

int vmreq_client_answer_verdict(const struct vmreq_client_answer *answer)
{
        static const struct {
                const char *bytes; /* msgpack's short str */
                int verdict;
        } words[] = {
                {"\xa7removed", VMREQ_CLIENT_REMOVED},
                {"\xa5"
                 "asked",
                 VMREQ_CLIENT_ASKED},
                {"\xa7running", VMREQ_CLIENT_RUNNING},
                {"\xa8"
                 "finished",
                 VMREQ_CLIENT_FINISHED},
        };

        for (size_t i = 0; !answer->failed && i < sizeof(words) / sizeof(words[0]); i++) {
                if (answer->value_len == strlen(words[i].bytes) &&
                    memcmp(answer->value, words[i].bytes, answer->value_len) == 0)
                        return words[i].verdict;
        }
        return VMREQ_CLIENT_UNKNOWN;
}
