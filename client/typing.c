/* SPDX-License-Identifier: MIT */
/*
 * Called by verb-console.c, in one thread.
 *
 * The guest's serial port holds little, and nobody is told when there is room again; so what was
 * not taken is tried again after a while, which doubles up to BACKOFF_MAX_MS as long as nothing is
 * taken.  BUSY is treated alike: the daemon says that a bound is reached, and that nothing was
 * done.
 *
 * All else ends what was typed: whether it arrived is not known, or it never will.
 */
#include "client/typing.h"

#include <string.h>

#include "client/report.h"
#include "proto/codes.h"

#define SYMBOL         "console.write"
#define BACKOFF_MIN_MS 10u
#define BACKOFF_MAX_MS 640u
#define NS_PER_MS      UINT64_C(1000000)

size_t typing_room(const struct typing *typing)
{
        return TYPING_BYTES - typing->len;
}

size_t typing_put(struct typing *typing, const uint8_t *bytes, size_t n)
{
        size_t room = typing_room(typing);

        n = n < room ? n : room;
        memcpy(typing->bytes + typing->len, bytes, n);
        typing->len += n;
        return n;
}

int typing_send(struct typing *typing, struct ctl *ctl, uint64_t now_ns)
{
        struct proto_builder args;
        int r;

        if (typing->sent > 0 || typing->len == 0 || now_ns < typing->next_ns)
                return CTL_DONE;
        proto_builder_init(&args, TYPING_BYTES + 64);
        proto_put_array(&args, 1);
        proto_put_bin(&args, typing->bytes, typing->len);
        if (args.error != PROTO_BUILDER_OK) {
                proto_builder_deinit(&args);
                return ctl_no_memory();
        }
        r = vmreq_client_submit_call(ctl->client, SYMBOL, args.data, args.len, NULL,
                                     &typing->msgid);
        proto_builder_deinit(&args);
        if (r != 0)
                return report_client(ctl, r);
        typing->sent = typing->len;
        return CTL_DONE;
}

static void back_off(struct typing *typing, uint64_t now_ns)
{
        uint64_t ms = typing->backoff_ms * 2;

        ms = ms < BACKOFF_MIN_MS ? BACKOFF_MIN_MS : ms;
        typing->backoff_ms = ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
        typing->next_ns = now_ns + typing->backoff_ms * NS_PER_MS;
}

static void took(struct typing *typing, size_t n, size_t sent, uint64_t now_ns)
{
        typing->len -= n;
        memmove(typing->bytes, typing->bytes + n, typing->len);
        typing->next_ns = 0;
        if (n > 0)
                typing->backoff_ms = 0;
        if (n < sent)
                back_off(typing, now_ns);
}

int typing_replied(struct typing *typing, const struct vmreq_client_answer *answer, uint64_t now_ns)
{
        size_t sent = typing->sent;
        uint64_t n;

        typing->sent = 0;
        if (answer->failed && answer->code == PROTO_BUSY) {
                back_off(typing, now_ns);
                return CTL_DONE;
        }
        if (answer->failed) {
                typing->len = 0;
                return report_answer(answer, SYMBOL);
        }
        if (vmreq_client_answer_uint(answer, &n) != 0 || n > sent)
                n = sent; /* it does not say: so all of it */
        took(typing, (size_t)n, sent, now_ns);
        return CTL_DONE;
}

uint64_t typing_due(const struct typing *typing)
{
        return typing->sent > 0 || typing->len == 0 ? UINT64_MAX : typing->next_ns;
}
