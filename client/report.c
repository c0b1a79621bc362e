/* SPDX-License-Identifier: MIT */
/*
 * The one place that turns failures into words and exit statuses.  Every line begins with
 * "vmreqctl: " and, where the protocol has a name for the failure, that name; it ends in what to do
 * about it, where something can be done.  Text from the server is cleaned before it gets near a
 * terminal.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/ctl.h"
#include "client/render.h"
#include "client/report.h"
#include "proto/codes.h"

int report_exit_of_code(uint32_t code)
{
        switch ((enum proto_code)code) {
        case PROTO_NOT_FOUND:
        case PROTO_INVALID_ARGUMENT:
        case PROTO_INVALID_REQUEST:
        case PROTO_BUSY:
        case PROTO_VM_STATE:
        case PROTO_TOO_LARGE:
        case PROTO_UNSUPPORTED:
                return CTL_REFUSED;
        case PROTO_TIMEOUT:
                return CTL_TIMEOUT;
        case PROTO_CANCELLED:
        case PROTO_KILLED:
                return CTL_CANCELLED;
        default:
                return CTL_FAILED;
        }
}

static void put_hint(uint32_t code, const char *symbol, const char *nearest)
{
        switch ((enum proto_code)code) {
        case PROTO_NOT_FOUND:
                if (nearest)
                        fprintf(stderr, "; did you mean '%.64s'?", nearest);
                else if (symbol)
                        fprintf(stderr, "; try 'vmreqctl symbols'");
                break;
        case PROTO_INVALID_ARGUMENT:
                if (symbol)
                        fprintf(stderr, "; see 'vmreqctl describe %.64s'", symbol);
                break;
        case PROTO_BUSY:
                fprintf(stderr, "; try again later; 'vmreqctl ps' shows what is under way");
                break;
        case PROTO_TIMEOUT:
                fprintf(stderr, "; 'vmreqctl ps' shows what runs, --timeout gives it longer");
                break;
        case PROTO_VM_STATE:
                fprintf(stderr, "; see 'vmreqctl status'");
                break;
        case PROTO_INTERNAL:
                fprintf(stderr, "; see the daemon's journal");
                break;
        default:
                break;
        }
}

static int report(const struct vmreq_client_answer *answer, const char *symbol, const char *nearest)
{
        static const char *const ran[] = {
                [VMREQ_CLIENT_RAN_NO] = "no",
                [VMREQ_CLIENT_RAN_YES] = "yes",
                [VMREQ_CLIENT_RAN_MAYBE] = "maybe",
        };
        int status = report_exit_of_code(answer->code);

        fprintf(stderr, "vmreqctl: ");
        render_clean(stderr, answer->name[0] != '\0' ? answer->name : "ERROR",
                     answer->name[0] != '\0' ? strlen(answer->name) : 5, true);
        fprintf(stderr, ": ");
        render_clean(stderr, answer->message, strlen(answer->message), true);
        /*
         * A refusal means that nothing ran; elsewhere it matters to whoever thinks of trying again.
         */
        if (status != CTL_REFUSED || answer->ran != VMREQ_CLIENT_RAN_NO)
                fprintf(stderr, " (ran: %s)", ran[answer->ran]);
        put_hint(answer->code, symbol, nearest);
        fputc('\n', stderr);
        return status;
}

int report_answer(const struct vmreq_client_answer *answer, const char *symbol)
{
        return report(answer, symbol, NULL);
}

int report_unknown_symbol(const struct vmreq_client_answer *answer, const char *symbol,
                          const char *nearest)
{
        return report(answer, symbol, nearest);
}

int report_argument(const char *text, const char *symbol)
{
        fprintf(stderr, "vmreqctl: INVALID_ARGUMENT: ");
        render_clean(stderr, text, strlen(text), true);
        put_hint(PROTO_INVALID_ARGUMENT, symbol, NULL);
        fputc('\n', stderr);
        return CTL_REFUSED;
}

static void put_socket(const struct ctl *ctl)
{
        render_clean(stderr, ctl->socket, strlen(ctl->socket), true);
}

static const char *ran_of(const struct ctl *ctl)
{
        return ctl->calling ? " (ran: maybe)" : "";
}

static int report_timeout(const struct ctl *ctl)
{
        char limit[32];

        words_duration(ctl->patience_ms, limit, sizeof(limit));
        fprintf(stderr, "vmreqctl: TIMEOUT: no answer within %s from ", limit);
        put_socket(ctl);
        fprintf(stderr, "%s; is the daemon stopped, or its host overloaded?\n", ran_of(ctl));
        return CTL_TIMEOUT;
}

int report_client(const struct ctl *ctl, int result)
{
        switch (result) {
        case VMREQ_CLIENT_E_TIMEOUT:
                return report_timeout(ctl);
        case VMREQ_CLIENT_E_BUSY:
                fprintf(stderr, "vmreqctl: ");
                put_socket(ctl);
                fprintf(stderr, ": the server sends faster than it is asked%s\n", ran_of(ctl));
                return CTL_LOST;
        case VMREQ_CLIENT_E_TOO_LARGE:
                fprintf(stderr, "vmreqctl: TOO_LARGE: the arguments exceed a frame's %u bytes\n",
                        CTL_PARAMS_MAX);
                return CTL_REFUSED;
        case VMREQ_CLIENT_E_LOST:
        case VMREQ_CLIENT_E_PROTOCOL:
                fprintf(stderr, "vmreqctl: ");
                put_socket(ctl);
                fprintf(stderr, ": ");
                render_clean(stderr, vmreq_client_reason(ctl->client),
                             strlen(vmreq_client_reason(ctl->client)), true);
                fprintf(stderr, "%s\n", ran_of(ctl));
                return CTL_LOST;
        default:
                fprintf(stderr, "vmreqctl: %s\n",
                        result < 0 ? strerror(-result) : vmreq_client_outcome_name(result));
                return CTL_FAILED;
        }
}

int report_connect(const struct ctl *ctl, int result, const char *text)
{
        const char *hint = "";

        if (result == VMREQ_CLIENT_E_TIMEOUT)
                return report_timeout(ctl);
        if (ctl->options.host)
                hint = "; is vmreqd running there, and vmreqctl installed?";
        else if (result == -ENOENT || result == -ECONNREFUSED)
                hint = "; is vmreqd running?";
        else if (result == -EACCES || result == -EPERM)
                hint = "; root and the members of group vmreq may connect";
        fprintf(stderr, "vmreqctl: cannot connect to ");
        put_socket(ctl);
        fprintf(stderr, ": ");
        render_clean(stderr, text, strlen(text), true);
        fprintf(stderr, "%s\n", hint);
        return CTL_LOST;
}
