/* SPDX-License-Identifier: MIT */
#pragma once
/* What vmreqctl can be asked to do. */

#include <stddef.h>

struct ctl;

struct verb {
        const char *name;
        const char *operands; /* for the usage line */
        const char *summary;
        /* argv[0] is the verb.  Returns an exit status; has reported any failure. */
        int (*run)(struct ctl *ctl, const struct verb *verb, int argc, char **argv);
};

/* All of them, in the order in which --help shows them. */
extern const struct verb verbs[];
extern const size_t n_verbs;

/* NULL if there is none of that name. */
const struct verb *verbs_find(const char *name);
/* The name that was probably meant; NULL if none is near. */
const char *verbs_nearest(const char *name);

/* "--help" and "--version" of one verb, or, with NULL, of the whole; on stdout. */
void verbs_print_help(const struct verb *verb);
void verbs_print_version(void);

/* The verb in verb-call.c. */
int verb_call(struct ctl *ctl, const struct verb *verb, int argc, char **argv);
/* Those in verb-symbols.c. */
int verb_symbols(struct ctl *ctl, const struct verb *verb, int argc, char **argv);
int verb_describe(struct ctl *ctl, const struct verb *verb, int argc, char **argv);

/* One line on stderr about a verb's usage.  Returns CTL_USAGE. */
int verbs_usage(const struct verb *verb, const char *complaint);

/* How many operands a verb takes. */
struct verbs_operands {
        int min, max;
};

/*
 * The beginning of a verb without options of its own: reads --help and --version, counts operands.
 * VERBS_GO_ON, with *ret_next the index of the first operand; else the exit status.
 */
#define VERBS_GO_ON (-1)
int verbs_begin(const struct verb *verb, int argc, char **argv, struct verbs_operands operands,
                int *ret_next);
