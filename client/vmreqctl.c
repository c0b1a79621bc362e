/* SPDX-License-Identifier: MIT */
/*
 * vmreqctl: vmreqd from a shell.  Options, a verb, an exit status; the verbs are in verbs.c and
 * verb-*.c.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "client/ctl.h"
#include "client/options.h"
#include "client/terminal.h"
#include "client/verbs.h"
#include "proto/descriptors.h"

/*
 * What could not be written was not done, whatever the daemon did: scripts must not read half an
 * answer.
 */
static int close_output(int status)
{
        int error;

        if (terminal_flush())
                return status;
        error = terminal_error();
        if (error == EPIPE) /* the reader had enough, as head does: nothing to complain about */
                return CTL_USAGE;
        fprintf(stderr, "vmreqctl: cannot write the output%s%s\n", error ? ": " : "",
                error ? strerror(error) : "");
        return CTL_USAGE;
}

int main(int argc, char **argv)
{
        static struct ctl ctl;
        const struct verb *verb;
        int next, status;

        if (!proto_descriptors_reserve())
                return CTL_USAGE;       /* and nowhere to say so */
        (void)signal(SIGPIPE, SIG_IGN); /* a write says so instead */
        if (!options_parse(argc, argv, &ctl.options, &next))
                return CTL_USAGE;
        if (ctl.options.help || ctl.options.version) {
                if (ctl.options.help)
                        verbs_print_help(NULL);
                else
                        verbs_print_version();
                return close_output(CTL_DONE);
        }
        if (next >= argc)
                return verbs_unknown(NULL);
        verb = verbs_find(argv[next]);
        if (!verb)
                return verbs_unknown(argv[next]);
        terminal_init();
        status = verbs_run(&ctl, verb, argc - next, argv + next);
        ctl_disconnect(&ctl);
        return close_output(status);
}
