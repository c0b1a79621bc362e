/* SPDX-License-Identifier: MIT */
/*
 * The verbs' common ground: one connection, one moment to give up, answers decoded.
 *
 * Called by the verbs, once per process.  Each wait ends at ctl.deadline_ns at the latest, which is
 * 2 s behind the moment by which the daemon itself would have answered: a daemon that is merely
 * slow says so in its own words, and one that is stopped or stuck cannot hold us.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/ctl.h"
#include "client/render.h"
#include "client/report.h"
#include "client/sockets.h"
#include "proto/frame.h"

#define GRACE_MS     2000
#define NS_PER_MS    UINT64_C(1000000)
#define FRAME_ROOM   1024 /* beyond its params */
#define ARRAY_OF_ONE 0x91

uint64_t ctl_now(void)
{
        struct timespec now = {0, 0};

        (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail on Linux */
        return (uint64_t)now.tv_sec * 1000 * NS_PER_MS + (uint64_t)now.tv_nsec;
}

uint64_t ctl_left(const struct ctl *ctl)
{
        uint64_t now = ctl_now();

        if (ctl->deadline_ns == UINT64_MAX)
                return VMREQ_CLIENT_FOREVER;
        return now >= ctl->deadline_ns ? 0 : ctl->deadline_ns - now;
}

void ctl_set_patience(struct ctl *ctl, uint64_t limit_ms)
{
        if (ctl->options.has_timeout)
                limit_ms = ctl->options.timeout_ms;
        if (ctl->options.has_timeout && limit_ms == 0) {
                ctl->patience_ms = 0;
                ctl->deadline_ns = UINT64_MAX;
                return;
        }
        ctl->patience_ms = limit_ms + GRACE_MS;
        ctl->deadline_ns = ctl_now() + ctl->patience_ms * NS_PER_MS;
}

int ctl_connect(struct ctl *ctl)
{
        struct vmreq_client_config config = VMREQ_CLIENT_CONFIG_INIT;
        struct sockets_places places = sockets_places();
        enum sockets_result found;
        char text[768];
        int r;

        found = sockets_find(&places, ctl->options.socket, ctl->options.machine, ctl->socket,
                             sizeof(ctl->socket), text, sizeof(text));
        if (found != SOCKETS_OK) {
                fprintf(stderr, "vmreqctl: ");
                render_clean(stderr, text, strlen(text), true);
                fputc('\n', stderr);
                return found == SOCKETS_E_NONE ? CTL_LOST : CTL_USAGE;
        }
        config.name = "vmreqctl";
        config.version = VMREQ_VERSION;
        config.connect_ns = ctl_left(ctl);
        if (config.connect_ns == 0)
                config.connect_ns = 1; /* 0 would mean the library's default */
        config.frame_bytes_max = CTL_PARAMS_MAX + FRAME_ROOM;
        r = vmreq_client_connect(ctl->socket, &config, &ctl->client, text, sizeof(text));
        return r == 0 ? CTL_DONE : report_connect(ctl, r, text);
}

int ctl_submit(struct ctl *ctl, const char *method, const struct proto_builder *params,
               uint32_t *ret_msgid)
{
        int r;

        if (params->error == PROTO_BUILDER_E_BUDGET)
                return report_client(ctl, VMREQ_CLIENT_E_TOO_LARGE);
        if (params->error != PROTO_BUILDER_OK) {
                fprintf(stderr, "vmreqctl: out of memory\n");
                return CTL_FAILED;
        }
        r = vmreq_client_submit(ctl->client, method, params->data, params->len, ret_msgid);
        return r == 0 ? CTL_DONE : report_client(ctl, r);
}

/*
 * The scanner and the decoder know whole frames, whose outermost value is an array: so the result
 * becomes the only element of one.
 */
static int decode(struct ctl_value *value)
{
        const struct vmreq_client_answer *answer = &value->answer;
        const struct proto_value *root;
        struct proto_frame frame;
        size_t len = answer->value_len + 1;

        value->bytes = malloc(len);
        if (!value->bytes)
                return -1;
        value->bytes[0] = ARRAY_OF_ONE;
        memcpy(value->bytes + 1, answer->value, answer->value_len);
        proto_frame_init(&frame, len);
        if (proto_frame_scan(&frame, value->bytes, len) != PROTO_FRAME_DONE ||
            proto_value_decode(&value->arena, value->bytes, len, frame.values, &root) !=
                    PROTO_VALUE_OK)
                return -1;
        value->root = &root->items[0];
        return 0;
}

int ctl_wait(struct ctl *ctl, uint32_t msgid, struct ctl_value *ret_value)
{
        struct ctl_value value = CTL_VALUE_NULL;
        int r;

        r = vmreq_client_wait(ctl->client, msgid, ctl_left(ctl), &value.answer);
        if (r != 0)
                return report_client(ctl, r);
        if (decode(&value) < 0) {
                ctl_value_deinit(&value);
                fprintf(stderr, "vmreqctl: out of memory\n");
                return CTL_FAILED;
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

void ctl_value_deinit(struct ctl_value *value)
{
        vmreq_client_answer_deinit(&value->answer);
        free(value->bytes);
        value->bytes = NULL;
        proto_arena_deinit(&value->arena);
        value->root = NULL;
}

int ctl_print(const struct ctl *ctl, const struct proto_value *value)
{
        if (ctl->options.json == OPTIONS_TEXT) {
                render_text(stdout, value);
                return CTL_DONE;
        }
        if (render_json(stdout, value, ctl->options.json == OPTIONS_JSON_PRETTY) == 0)
                return CTL_DONE;
        fprintf(stderr, "vmreqctl: out of memory\n");
        return CTL_FAILED;
}
