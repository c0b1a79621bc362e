/* SPDX-License-Identifier: MIT */
/*
 * The verbs' common ground: one connection, one moment to give up, answers decoded.
 *
 * Called by the verbs.  Each wait ends at ctl.deadline_ns at the latest, which is 2 s behind the
 * moment by which the daemon itself would have answered: a daemon that is merely slow says so in
 * its own words, and one that is stopped or stuck cannot hold us.  Behind an ssh, making the
 * connection has a limit of its own: somebody may have to type a password.
 */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/ctl.h"
#include "client/render.h"
#include "client/report.h"
#include "client/sockets.h"
#include "proto/frame.h"

#define GRACE_MS      2000
#define REMOTE_MS     120000 /* to have a connection over ssh; picked */
#define NS_PER_MS     UINT64_C(1000000)
#define FRAME_ROOM    1024 /* beyond its params */
#define ARRAY_OF_ONE  0x91
#define ANSWERS_BYTES ((size_t)64 << 20) /* held, of streams that come faster than they print */

uint64_t ctl_now(void)
{
        struct timespec now = {0, 0};

        (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail on Linux */
        return (uint64_t)now.tv_sec * 1000 * NS_PER_MS + (uint64_t)now.tv_nsec;
}

uint64_t ctl_left(const struct ctl *ctl)
{
        uint64_t now;

        if (ctl->deadline_ns == UINT64_MAX)
                return VMREQ_CLIENT_FOREVER;
        now = ctl_now();
        return now >= ctl->deadline_ns ? 0 : ctl->deadline_ns - now;
}

int ctl_poll_ms(uint64_t left_ns)
{
        uint64_t ms = left_ns / NS_PER_MS + (left_ns % NS_PER_MS != 0);

        if (left_ns == UINT64_MAX)
                return -1;
        return ms > INT_MAX ? INT_MAX : (int)ms;
}

void ctl_set_endless(struct ctl *ctl)
{
        ctl->patience_ms = 0;
        ctl->deadline_ns = UINT64_MAX;
}

void ctl_set_limit(struct ctl *ctl, uint64_t ms)
{
        ctl->patience_ms = ms;
        ctl->deadline_ns = ctl_now() + ms * NS_PER_MS;
}

void ctl_set_patience(struct ctl *ctl, uint64_t limit_ms)
{
        uint64_t effective_ms = ctl->options.has_timeout ? ctl->options.timeout_ms : limit_ms;

        if (ctl->options.has_timeout && effective_ms == 0) {
                ctl_set_endless(ctl);
                return;
        }
        ctl_set_limit(ctl, effective_ms + GRACE_MS);
}

int ctl_no_memory(void)
{
        fprintf(stderr, "vmreqctl: out of memory\n");
        return CTL_FAILED;
}

/* ---- the connection -------------------------------------------------------------------------- */

static int find_socket(struct ctl *ctl)
{
        struct sockets_places places = sockets_places();
        enum sockets_result found;
        char text[768];

        found = sockets_find(&places, ctl->options.socket, ctl->options.machine, ctl->socket,
                             sizeof(ctl->socket), text, sizeof(text));
        if (found == SOCKETS_OK)
                return CTL_DONE;
        fprintf(stderr, "vmreqctl: ");
        render_clean(stderr, text, strlen(text), true);
        fputc('\n', stderr);
        return found == SOCKETS_E_NONE ? CTL_LOST : CTL_USAGE;
}

static int connect_local(struct ctl *ctl, const struct vmreq_client_config *config)
{
        char text[512];
        int r = find_socket(ctl);

        if (r != CTL_DONE)
                return r;
        r = vmreq_client_connect(ctl->socket, config, &ctl->client, text, sizeof(text));
        return r == 0 ? CTL_DONE : report_connect(ctl, r, text);
}

static int connect_remote(struct ctl *ctl, struct vmreq_client_config *config)
{
        char text[512];
        int fd, r;

        r = remote_open(&ctl->remote, &ctl->options, &fd);
        if (r != CTL_DONE)
                return r;
        (void)snprintf(ctl->socket, sizeof(ctl->socket), "%s", ctl->options.host);
        if (!ctl->options.has_timeout)
                config->connect_ns = REMOTE_MS * NS_PER_MS;
        r = vmreq_client_adopt(fd, config, &ctl->client, text, sizeof(text));
        if (r == 0 && ctl->deadline_ns != UINT64_MAX)
                ctl_set_limit(ctl, ctl->patience_ms); /* what connecting took is not the verb's */
        if (r == 0)
                return CTL_DONE;
        remote_close(&ctl->remote);
        return report_connect(ctl, r, text);
}

int ctl_connect(struct ctl *ctl)
{
        struct vmreq_client_config config = VMREQ_CLIENT_CONFIG_INIT;

        if (ctl->client && vmreq_client_reason(ctl->client)[0] == '\0')
                return CTL_DONE;
        if (ctl->client) {
                fprintf(stderr, "vmreqctl: the connection was lost; this is a new one\n");
                ctl_disconnect(ctl);
        }
        config.name = "vmreqctl";
        config.version = VMREQ_VERSION;
        config.connect_ns = ctl_left(ctl);
        if (config.connect_ns == 0)
                config.connect_ns = 1; /* 0 would mean the library's default */
        config.frame_bytes_max = CTL_PARAMS_MAX + FRAME_ROOM;
        config.answer_bytes_max = ANSWERS_BYTES;
        config.flags = VMREQ_CLIENT_TAKE_STREAMS | VMREQ_CLIENT_TAKE_EVENTS;
        return ctl->options.host ? connect_remote(ctl, &config) : connect_local(ctl, &config);
}

void ctl_disconnect(struct ctl *ctl)
{
        ctl->client = vmreq_client_free(ctl->client);
        remote_close(&ctl->remote);
}

/* ---- calls ----------------------------------------------------------------------------------- */

int ctl_submit(struct ctl *ctl, const char *method, const struct proto_builder *params,
               uint32_t *ret_msgid)
{
        int r;

        if (params->error == PROTO_BUILDER_E_BUDGET)
                return report_client(ctl, VMREQ_CLIENT_E_TOO_LARGE);
        if (params->error != PROTO_BUILDER_OK)
                return ctl_no_memory();
        r = vmreq_client_submit(ctl->client, method, params->data, params->len, ret_msgid);
        return r == 0 ? CTL_DONE : report_client(ctl, r);
}

/*
 * The scanner and the decoder know whole frames, whose outermost value is an array: so the result
 * becomes the only element of one.
 */
bool ctl_decode(struct ctl_value *value)
{
        const struct vmreq_client_answer *answer = &value->answer;
        const struct proto_value *root;
        struct proto_frame frame;
        size_t len = answer->value_len + 1;

        value->bytes = malloc(len);
        if (!value->bytes)
                return false;
        value->bytes[0] = ARRAY_OF_ONE;
        memcpy(value->bytes + 1, answer->value, answer->value_len);
        proto_frame_init(&frame, len);
        if (proto_frame_scan(&frame, value->bytes, len) != PROTO_FRAME_DONE ||
            proto_value_decode(&value->arena, value->bytes, len, frame.values, &root) !=
                    PROTO_VALUE_OK)
                return false;
        value->root = &root->items[0];
        return true;
}

int ctl_wait(struct ctl *ctl, uint32_t msgid, struct ctl_value *ret_value)
{
        struct ctl_value value = CTL_VALUE_NULL;
        int r;

        r = vmreq_client_finish(ctl->client, msgid, ctl_left(ctl), &value.answer);
        if (r != 0)
                return report_client(ctl, r);
        if (!ctl_decode(&value)) {
                ctl_value_deinit(&value);
                return ctl_no_memory();
        }
        *ret_value = value;
        return CTL_DONE;
}

int ctl_call(struct ctl *ctl, const char *method, const struct proto_builder *params,
             const char *symbol, struct ctl_value *ret_value)
{
        uint32_t msgid;
        int r;

        r = ctl_submit(ctl, method, params, &msgid);
        if (r == CTL_DONE)
                r = ctl_wait(ctl, msgid, ret_value);
        if (r == CTL_DONE && ret_value->answer.failed) {
                r = report_answer(&ret_value->answer, symbol);
                ctl_value_deinit(ret_value);
        }
        return r;
}

int ctl_call_plain(struct ctl *ctl, const char *method, struct ctl_value *ret_value)
{
        struct proto_builder params;
        int r;

        proto_builder_init(&params, CTL_PARAMS_MAX);
        proto_put_array(&params, 0);
        r = ctl_call(ctl, method, &params, NULL, ret_value);
        proto_builder_deinit(&params);
        return r;
}

void ctl_value_deinit(struct ctl_value *value)
{
        vmreq_client_answer_deinit(&value->answer);
        free(value->bytes);
        value->bytes = NULL;
        proto_arena_deinit(&value->arena);
        value->root = NULL;
}

/* ---- printing -------------------------------------------------------------------------------- */

int ctl_print(const struct ctl *ctl, const struct proto_value *value)
{
        if (ctl->options.json == OPTIONS_TEXT) {
                render_text(stdout, value);
                return CTL_DONE;
        }
        if (render_json(stdout, value, ctl->options.json == OPTIONS_JSON_PRETTY) == 0)
                return CTL_DONE;
        return ctl_no_memory();
}

int ctl_print_entry(const struct ctl *ctl, const char *key, const struct proto_value *value)
{
        struct proto_value pair[2] = {
                {.type = PROTO_STR, .count = (uint32_t)strlen(key), .data = key}, *value};
        struct proto_value map = {.type = PROTO_MAP, .count = 1, .items = pair};

        if (ctl->options.json == OPTIONS_TEXT) {
                render_text(stdout, value);
                return CTL_DONE;
        }
        return render_json(stdout, &map, false) == 0 ? CTL_DONE : ctl_no_memory();
}
