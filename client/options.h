/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The command line's options: tables of rows, from which parsing, help and completion are made.
 * Global options stand before or behind the verb, a verb's behind it.  Of verbs whose operands may
 * begin with a dash, options end at the first operand; of the others they may stand anywhere.
 * Mistakes are reported here, in one line on stderr.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/words.h"

enum options_json {
        OPTIONS_TEXT,
        OPTIONS_JSON_SHORT,
        OPTIONS_JSON_PRETTY,
};

/* For all verbs. */
struct options {
        const char *socket, *machine, *host;
        enum options_json json;
        bool has_timeout;
        uint64_t timeout_ms; /* 0: none */
        bool help, version;
};

struct options_number {
        bool set;
        uint64_t value;
};

struct options_cpu {
        bool set;
        struct words_cpu value;
};

/* All options of all verbs; a verb has those that are in its table. */
struct verb_options {
        struct options_cpu cpu;
        bool priority, poke, no_wait, parallel, stream, no_stream, detach, timing;
        const char *on_error, *key;
        struct options_number limit, uid, count, clients, depth, seconds, calls;
        const char *symbol, *state, *escape;
        bool all, openmetrics, markdown, hang_up, stay, no_suspend, histogram;
};

enum option_kind {
        OPTION_FLAG,   /* bool */
        OPTION_TEXT,   /* const char * */
        OPTION_CHOICE, /* const char *, one of `values` */
        OPTION_NUMBER, /* struct options_number */
        OPTION_CPU,    /* struct options_cpu */
        OPTION_TIME,   /* has_timeout, timeout_ms of struct options */
        OPTION_JSON,   /* json of struct options; its value may be left out */
};

struct option_row {
        const char *name;  /* the long one; NULL ends a table */
        char letter;       /* the short one; 0: none */
        uint8_t kind;      /* enum option_kind */
        uint16_t offset;   /* of its field in struct verb_options, or, in options_global, options */
        const char *value; /* what its value is called in the help; NULL: takes none */
        const char *values; /* words that it can be, separated by blanks; NULL: anything */
        const char *help;
};

extern const struct option_row options_global[];

/* "--cpu=N            the vCPU, or …": one line for each row, on stdout. */
void options_print_help(const struct option_row *rows);

/*
 * The global options in front of the verb.  True, with *ret_next the index of the first word that
 * is no option; false after having reported.
 */
bool options_parse(int argc, char **argv, struct options *ret_options, int *ret_next);

/*
 * Those behind the verb, argv[0].  `rows` may be NULL.  With `strict` they end at the first
 * operand; else argv is put into order, operands last.  What is global is set in `options` on top
 * of what is there.
 */
bool options_parse_verb(int argc, char **argv, const struct option_row *rows, bool strict,
                        struct options *options, struct verb_options *ret_options, int *ret_next);
