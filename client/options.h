/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The command line's options.  Global ones end at the verb, a verb's at its first operand, so that
 * what follows may begin with a dash.  Mistakes are reported here, in one line on stderr.
 */

#include <stdbool.h>
#include <stdint.h>

#include "client/words.h"

struct option;

enum options_json {
        OPTIONS_TEXT,
        OPTIONS_JSON_SHORT,
        OPTIONS_JSON_PRETTY,
};

struct options {
        const char *socket, *machine;
        enum options_json json;
        bool has_timeout;
        uint64_t timeout_ms; /* 0: none */
        bool help, version;
};

struct options_call {
        bool has_cpu;
        struct words_cpu cpu;
        bool priority, poke, no_wait;
        bool help, version;
};

struct options_plain {
        bool help, version;
};

/*
 * Each: true, with *ret_next the index of the first word that is no option; false after having
 * reported.
 */
bool options_parse(int argc, char **argv, struct options *ret_options, int *ret_next);
/* argv[0] is the verb. */
bool options_parse_call(int argc, char **argv, struct options_call *ret_options, int *ret_next);
/* A verb that only knows --help and --version. */
bool options_parse_plain(int argc, char **argv, struct options_plain *ret_options, int *ret_next);
