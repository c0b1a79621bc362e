/* SPDX-License-Identifier: MIT */
/*
 * 'vmreqctl wait', 'cancel' and 'release': requests by their number.  Numbers of other processes'
 * requests are of use when those were detached, as 'submit' does, or when the caller has the right
 * to cancel others' requests.
 */

#include <inttypes.h>
#include <stdio.h>

#include "client/ctl.h"
#include "client/report.h"
#include "client/rows.h"
#include "client/running.h"
#include "client/verbs.h"

static int print_result(const struct ctl *ctl, const struct proto_value *result)
{
        int r = CTL_DONE;

        if (ctl->options.json == OPTIONS_TEXT && rows_are(result))
                rows_render(stdout, result);
        else
                r = ctl_print(ctl, result);
        return r == CTL_DONE && rows_are(result) ? rows_exit(result) : r;
}

int verb_wait(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        bool limited = ctl->options.has_timeout && ctl->options.timeout_ms > 0;
        struct ctl_value value = CTL_VALUE_NULL;
        struct running running = {.detached = true};
        char name[40];
        uint64_t id;
        int r;

        (void)options;
        (void)argc;
        if (!verbs_read_id("wait", argv[0], &id))
                return CTL_USAGE;
        ctl_set_patience(ctl, 0);
        r = ctl_connect(ctl);
        if (r != CTL_DONE)
                return r;
        r = vmreq_client_submit_wait(
                ctl->client, id, limited ? ctl->options.timeout_ms : UINT64_MAX, &running.msgid);
        if (r != 0)
                return report_client(ctl, r);
        if (!limited)
                ctl_set_endless(ctl);
        (void)snprintf(name, sizeof(name), "request %" PRIu64, id);
        running.symbol = name;
        r = running_wait(ctl, &running, &value);
        if (r != CTL_DONE)
                return r;
        r = value.answer.failed ? report_answer(&value.answer, NULL)
                                : print_result(ctl, value.root);
        ctl_value_deinit(&value);
        return r;
}

/* Sends one of the methods on a number and takes its reply, which has not failed. */
static int ask(struct ctl *ctl, uint64_t id,
               int (*submit)(vmreq_client *client, uint64_t id, uint32_t *ret_msgid),
               struct ctl_value *ret_value)
{
        uint32_t msgid;
        int r;

        ctl_set_patience(ctl, 0);
        r = ctl_connect(ctl);
        if (r != CTL_DONE)
                return r;
        r = submit(ctl->client, id, &msgid);
        if (r != 0)
                return report_client(ctl, r);
        r = ctl_wait(ctl, msgid, ret_value);
        if (r == CTL_DONE && ret_value->answer.failed) {
                r = report_answer(&ret_value->answer, NULL);
                ctl_value_deinit(ret_value);
        }
        return r;
}

int verb_cancel(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        struct ctl_value value = CTL_VALUE_NULL;
        uint64_t id;
        int r;

        (void)options;
        (void)argc;
        if (!verbs_read_id("cancel", argv[0], &id))
                return CTL_USAGE;
        r = ask(ctl, id, vmreq_client_submit_cancel_request, &value);
        if (r != CTL_DONE)
                return r;
        r = ctl_print(ctl, value.root);
        switch (vmreq_client_answer_verdict(&value.answer)) {
        case VMREQ_CLIENT_REMOVED:
        case VMREQ_CLIENT_ASKED:
                break;
        default:
                r = CTL_REFUSED; /* nothing was cancelled */
                break;
        }
        ctl_value_deinit(&value);
        return r;
}

int verb_release(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        struct ctl_value value = CTL_VALUE_NULL;
        uint64_t id;
        int r;

        (void)options;
        (void)argc;
        if (!verbs_read_id("release", argv[0], &id))
                return CTL_USAGE;
        r = ask(ctl, id, vmreq_client_submit_release, &value);
        if (r == CTL_DONE)
                r = ctl_print(ctl, value.root);
        ctl_value_deinit(&value);
        return r;
}
