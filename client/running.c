/* SPDX-License-Identifier: MIT */
/*
 * From verb-call.c, when a call has been accepted, until its reply is there.
 *
 * The first Ctrl-C sends vmreq.cancel and says what the verdict is; the call then ends with its own
 * reply, like any other.  The second one leaves, and with it goes the connection: the daemon
 * cancels what is still queued and asks what runs to stop.  A call that is detached is not
 * cancelled: the first Ctrl-C leaves it.  For a verb that holds signals (await_hold) the first one
 * does both.
 */

#include <inttypes.h>
#include <stdio.h>

#include "client/await.h"
#include "client/fields.h"
#include "client/report.h"
#include "client/rows.h"
#include "client/running.h"
#include "client/terminal.h"
#include "client/words.h"
#include "proto/builder.h"

#define TICK_NS UINT64_C(1000000000)

/* The state of one wait. */
struct wait {
        struct ctl *ctl;
        struct running *running;
        struct await await;
        uint64_t began_ns;
        bool cancelling;
        uint32_t cancel; /* the message id of vmreq.cancel */
};

/* ---- what comes before the reply ------------------------------------------------------------- */

static void note_row(struct running *running, const struct proto_value *row)
{
        uint64_t cpu;

        running->n_rows++;
        if (field_uint(row, "cpu", &cpu) && cpu < RUNNING_ROWS_MAX)
                running->rows[cpu] = true;
}

static int show_piece(struct wait *wait, struct ctl_value *value)
{
        bool row = value->answer.kind == VMREQ_CLIENT_ROW;
        int r = CTL_DONE;

        if (row || !wait->running->on_chunk)
                terminal_progress(NULL);
        if (row)
                note_row(wait->running, value->root);
        else
                wait->running->n_chunks++;
        if (!row && wait->running->on_chunk)
                return wait->running->on_chunk(wait->running->arg, value->root);
        if (row && wait->ctl->options.json == OPTIONS_TEXT)
                rows_render_one(stdout, value->root);
        else
                r = ctl_print_entry(wait->ctl, row ? "row" : "chunk", value->root);
        if (r == CTL_DONE && !terminal_flush())
                r = CTL_USAGE; /* nobody reads; main says why */
        return r;
}

/* ---- Ctrl-C ---------------------------------------------------------------------------------- */

static void report_verdict(const struct vmreq_client_answer *answer)
{
        static const char *const words[] = {
                [VMREQ_CLIENT_UNKNOWN] = "it cannot be cancelled any more",
                [VMREQ_CLIENT_REMOVED] = "removed: it never runs",
                [VMREQ_CLIENT_ASKED] = "asked: it runs, and was asked to end; Ctrl-C again leaves",
                [VMREQ_CLIENT_RUNNING] = "running: it cannot be interrupted; Ctrl-C again leaves",
                [VMREQ_CLIENT_FINISHED] = "finished: it was over before",
        };

        terminal_progress(NULL);
        if (answer->failed)
                (void)report_answer(answer, NULL);
        else
                fprintf(stderr, "vmreqctl: cancel: %s\n",
                        words[vmreq_client_answer_verdict(answer)]);
}

/* CTL_DONE: go on waiting. */
static int interrupt(struct wait *wait)
{
        int r;

        terminal_progress(NULL);
        if (wait->ctl->held) { /* somebody is in a hurry to put things in order */
                if (vmreq_client_submit_cancel(wait->ctl->client, wait->running->msgid,
                                               &wait->cancel) == 0)
                        (void)vmreq_client_forget(wait->ctl->client, wait->cancel);
                return await_leave(&wait->await);
        }
        if (wait->running->detached || wait->cancelling) {
                fprintf(stderr, "vmreqctl: left; %s\n",
                        wait->running->detached ? "the call goes on, 'vmreqctl ps' shows it"
                                                : "what became of the call is not known");
                return await_leave(&wait->await);
        }
        wait->cancelling = true;
        r = vmreq_client_submit_cancel(wait->ctl->client, wait->running->msgid, &wait->cancel);
        return r == 0 ? CTL_DONE : report_client(wait->ctl, r);
}

static void tick(const struct wait *wait)
{
        uint64_t ms = (ctl_now() - wait->began_ns) / 1000000;
        char text[160], duration[32];

        words_duration(ms, duration, sizeof(duration));
        (void)snprintf(text, sizeof(text), "%.64s: %s%s", wait->running->symbol, duration,
                       wait->cancelling ? ", cancelling; Ctrl-C leaves" : "; Ctrl-C cancels");
        terminal_progress(text);
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* Takes one answer; *ret_done when it is the reply, which is then in ret_value. */
static int take(struct wait *wait, struct ctl_value *value, bool *ret_done)
{
        const struct vmreq_client_answer *answer = &value->answer;
        bool mine = answer->msgid == wait->running->msgid;
        int r = CTL_DONE;

        if (wait->cancelling && answer->kind == VMREQ_CLIENT_REPLY &&
            answer->msgid == wait->cancel && !mine) {
                report_verdict(answer);
        } else if (mine) {
                if (!ctl_decode(value))
                        r = ctl_no_memory();
                else if (answer->kind == VMREQ_CLIENT_REPLY)
                        *ret_done = true;
                else
                        r = show_piece(wait, value);
        }
        if (!*ret_done)
                ctl_value_deinit(value);
        return r;
}

static int loop(struct wait *wait, struct ctl_value *ret_value)
{
        int error = 0, r = CTL_DONE;
        bool done = false;

        while (r == CTL_DONE && !done) {
                struct ctl_value value = CTL_VALUE_NULL;

                switch (await_next(&wait->await, TICK_NS, &value.answer, &error)) {
                case AWAIT_ANSWER:
                        r = take(wait, &value, &done);
                        if (done)
                                *ret_value = value;
                        break;
                case AWAIT_INTERRUPT:
                        r = interrupt(wait);
                        break;
                case AWAIT_TICK:
                        tick(wait);
                        break;
                case AWAIT_DEADLINE:
                        terminal_progress(NULL);
                        r = report_client(wait->ctl, VMREQ_CLIENT_E_TIMEOUT);
                        break;
                case AWAIT_ERROR:
                        terminal_progress(NULL);
                        r = report_client(wait->ctl, error);
                        break;
                }
        }
        terminal_progress(NULL);
        return r;
}

/* The verdict may come behind the reply; in a shell it must not be left for the next verb. */
static void take_verdict(struct wait *wait)
{
        struct vmreq_client_answer answer;

        if (!wait->cancelling ||
            vmreq_client_finish(wait->ctl->client, wait->cancel, ctl_left(wait->ctl), &answer) != 0)
                return;
        report_verdict(&answer);
        vmreq_client_answer_deinit(&answer);
}

int running_wait(struct ctl *ctl, struct running *running, struct ctl_value *ret_value)
{
        struct wait wait = {.ctl = ctl, .running = running, .began_ns = ctl_now()};
        int r;

        await_begin(&wait.await, ctl);
        r = loop(&wait, ret_value);
        if (r == CTL_DONE)
                take_verdict(&wait);
        else
                (void)vmreq_client_forget(ctl->client, running->msgid); /* may be lost */
        await_end(&wait.await);
        return r;
}
