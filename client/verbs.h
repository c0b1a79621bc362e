/* SPDX-License-Identifier: MIT */
#pragma once
/* What vmreqctl can be asked to do. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/options.h"

struct ctl;

struct verb {
        const char *name;
        const char *operands;          /* for the usage line */
        const char *summary;           /* NULL: for other programs, not listed */
        const struct option_row *rows; /* NULL: no options of its own */
        int min, max;                  /* operands; max -1: any number */
        bool strict; /* options end at the first operand, which may begin with '-' */
        /* argv: the operands, NULL behind them.  Returns an exit status; has reported any failure.
         */
        int (*run)(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
        const char *notes; /* more help; NULL: none */
};

/* All of them, in the order in which --help shows them. */
extern const struct verb verbs[];
extern const size_t n_verbs;

/* NULL if there is none of that name. */
const struct verb *verbs_find(const char *name);

/*
 * One line on stderr that there is no such verb, what was probably meant, and what there is.
 * Returns CTL_USAGE.
 */
int verbs_unknown(const char *name);

/* "--help" and "--version" of one verb, or, with NULL, of the whole; on stdout. */
void verbs_print_help(const struct verb *verb);
void verbs_print_version(void);

/*
 * Reads the verb's options, counts its operands, runs it.  argv[0] is the verb.  Returns an exit
 * status.  What is global among the options stays in ctl->options.
 */
int verbs_run(struct ctl *ctl, const struct verb *verb, int argc, char **argv);

/* For verbs: the number of a request.  False: `word` is none; it is said where to find one. */
bool verbs_read_id(const char *verb, const char *word, uint64_t *ret_id);

/* The verbs, in the files that are called as they are. */
int verb_call(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
int verb_submit(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
int verb_wait(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
int verb_cancel(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
int verb_release(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
int verb_symbols(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
int verb_describe(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
int verb_list(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
int verb_status(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
int verb_ps(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
int verb_why(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
int verb_stats(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
int verb_watch(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
int verb_wait_state(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
int verb_console(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
int verb_dump(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
int verb_bench(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
int verb_ping(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
int verb_load(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
int verb_unload(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
int verb_modules(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
int verb_shell(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
int verb_stdio(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
int verb_help(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
int verb_complete(struct ctl *ctl, const struct verb_options *options, int argc, char **argv);
