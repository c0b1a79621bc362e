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
#include "client/verbs.h"

static int unknown_verb(const char *name)
{
        const char *nearest = verbs_nearest(name);

        fprintf(stderr, "vmreqctl: unknown verb '%.80s'", name);
        if (nearest)
                fprintf(stderr, "; did you mean '%s'?", nearest);
        fprintf(stderr, "; there are:");
        for (size_t i = 0; i < n_verbs; i++)
                fprintf(stderr, " %s", verbs[i].name);
        fputc('\n', stderr);
        return CTL_USAGE;
}

static int no_verb(void)
{
        fprintf(stderr, "vmreqctl: which verb?  There are:");
        for (size_t i = 0; i < n_verbs; i++)
                fprintf(stderr, " %s", verbs[i].name);
        fprintf(stderr, "; see 'vmreqctl --help'\n");
        return CTL_USAGE;
}

/*
 * What could not be written was not done, whatever the daemon did: scripts must not read half an
 * answer.
 */
static int close_output(int status)
{
        if (ferror(stdout) == 0 && fflush(stdout) == 0)
                return status;
        if (errno != EPIPE) /* the reader had enough, as head does: nothing to complain about */
                fprintf(stderr, "vmreqctl: cannot write the output: %s\n", strerror(errno));
        return CTL_USAGE;
}

int main(int argc, char **argv)
{
        static struct ctl ctl;
        const struct verb *verb;
        int next, status;

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
                return no_verb();
        verb = verbs_find(argv[next]);
        if (!verb)
                return unknown_verb(argv[next]);
        status = verb->run(&ctl, verb, argc - next, argv + next);
        ctl.client = vmreq_client_free(ctl.client);
        return close_output(status);
}
