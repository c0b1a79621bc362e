/* SPDX-License-Identifier: MIT */
/*
 * getopt_long, with messages of our own: which option, of which verb, what was probably meant, and
 * what there is. Called by main for the global options and by the verbs for theirs, one after the
 * other; getopt's state is reset by optind = 0 each time.
 */

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "client/options.h"

/* Values of long options without a letter. */
enum {
        OPT_JSON = 256,
        OPT_TIMEOUT,
        OPT_CPU,
        OPT_PRIORITY,
        OPT_POKE,
        OPT_NO_WAIT,
};

#define NAMES_MAX 16

static const struct option global_options[] = {
        {"socket", required_argument, NULL, 's'},
        {"machine", required_argument, NULL, 'M'},
        {"json", optional_argument, NULL, OPT_JSON},
        {"timeout", required_argument, NULL, OPT_TIMEOUT},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
};

static const struct option call_options[] = {
        {"cpu", required_argument, NULL, OPT_CPU},
        {"priority", no_argument, NULL, OPT_PRIORITY},
        {"poke", no_argument, NULL, OPT_POKE},
        {"no-wait", no_argument, NULL, OPT_NO_WAIT},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
};

static const struct option plain_options[] = {
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
};

static const char *name_of(const struct option *options, int value)
{
        for (; options->name; options++) {
                if (options->val == value)
                        return options->name;
        }
        return NULL;
}

/* Ends the line with what there is, and, for a global option behind the verb, where it belongs. */
static void report_choice(const struct option *options, const char *verb, const char *name)
{
        const char *names[NAMES_MAX];
        const char *nearest;
        size_t n = 0;

        for (const struct option *o = options; o->name && n < NAMES_MAX; o++)
                names[n++] = o->name;
        nearest = name ? words_nearest(name, names, n) : NULL;
        if (nearest)
                fprintf(stderr, "; did you mean --%s?", nearest);
        for (const struct option *o = global_options; verb && name && o->name; o++) {
                if (options != global_options && strcmp(o->name, name) == 0)
                        fprintf(stderr, "; --%s goes before '%s'", name, verb);
        }
        fprintf(stderr, "; there are:");
        for (size_t i = 0; i < n; i++)
                fprintf(stderr, " --%s", names[i]);
        fputc('\n', stderr);
}

static void report_unknown(char **argv, const struct option *options, const char *verb)
{
        const char *word = argv[optind - 1], *known = name_of(options, optopt);
        char name[32] = "";

        fprintf(stderr, "vmreqctl: ");
        if (verb)
                fprintf(stderr, "%s: ", verb);
        if (optopt != 0 && known) {
                fprintf(stderr, "option --%s takes no value\n", known);
                return;
        }
        if (optopt != 0) {
                fprintf(stderr, "unknown option -%c", optopt);
                report_choice(options, verb, NULL);
                return;
        }
        if (strncmp(word, "--", 2) == 0)
                (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(word + 2, "="), word + 2);
        fprintf(stderr, "unknown option '%.80s'", word);
        report_choice(options, verb, name);
}

/* The next option's value; -1 behind the last; '?' after having reported a mistake. */
static int next_option(int argc, char **argv, const char *letters, const struct option *options,
                       const char *verb)
{
        int value;

        opterr = 0;
        value = getopt_long(argc, argv, letters, options, NULL);
        if (value == ':') {
                const char *name = name_of(options, optopt);

                fprintf(stderr, "vmreqctl: option --%s needs a value\n", name ? name : "?");
                return '?';
        }
        if (value == '?')
                report_unknown(argv, options, verb);
        return value;
}

static bool set_json(struct options *options, const char *word)
{
        if (!word || strcmp(word, "short") == 0) {
                options->json = OPTIONS_JSON_SHORT;
                return true;
        }
        if (strcmp(word, "pretty") == 0) {
                options->json = OPTIONS_JSON_PRETTY;
                return true;
        }
        fprintf(stderr, "vmreqctl: --json=%.40s: expected pretty or short\n", word);
        return false;
}

static bool set_timeout(struct options *options, const char *word)
{
        if (words_time(word, &options->timeout_ms)) {
                options->has_timeout = true;
                return true;
        }
        fprintf(stderr,
                "vmreqctl: --timeout %.40s: expected seconds, or a number with us, ms, s, min or "
                "h, at most 596 h; 0 is none\n",
                word);
        return false;
}

static bool set_global(struct options *options, int value)
{
        switch (value) {
        case 's':
                options->socket = optarg;
                return true;
        case 'M':
                options->machine = optarg;
                return true;
        case OPT_JSON:
                return set_json(options, optarg);
        case OPT_TIMEOUT:
                return set_timeout(options, optarg);
        case 'h':
                options->help = true;
                return true;
        case 'V':
                options->version = true;
                return true;
        default:
                return false;
        }
}

bool options_parse(int argc, char **argv, struct options *ret_options, int *ret_next)
{
        int value;

        *ret_options = (struct options){0};
        optind = 0;
        while ((value = next_option(argc, argv, "+:s:M:hV", global_options, NULL)) != -1) {
                if (!set_global(ret_options, value))
                        return false;
        }
        if (ret_options->socket && ret_options->machine) {
                fprintf(stderr, "vmreqctl: -s and -M exclude each other\n");
                return false;
        }
        *ret_next = optind;
        return true;
}

static bool set_call(struct options_call *options, int value)
{
        switch (value) {
        case OPT_CPU:
                options->has_cpu = words_cpu(optarg, &options->cpu);
                if (!options->has_cpu)
                        fprintf(stderr,
                                "vmreqctl: call: --cpu %.40s: expected " WORDS_CPU_NAMES "\n",
                                optarg);
                return options->has_cpu;
        case OPT_PRIORITY:
                options->priority = true;
                return true;
        case OPT_POKE:
                options->poke = true;
                return true;
        case OPT_NO_WAIT:
                options->no_wait = true;
                return true;
        case 'h':
                options->help = true;
                return true;
        case 'V':
                options->version = true;
                return true;
        default:
                return false;
        }
}

bool options_parse_call(int argc, char **argv, struct options_call *ret_options, int *ret_next)
{
        int value;

        *ret_options = (struct options_call){0};
        optind = 0;
        while ((value = next_option(argc, argv, "+:hV", call_options, argv[0])) != -1) {
                if (!set_call(ret_options, value))
                        return false;
        }
        *ret_next = optind;
        return true;
}

bool options_parse_plain(int argc, char **argv, struct options_plain *ret_options, int *ret_next)
{
        int value;

        *ret_options = (struct options_plain){0};
        optind = 0;
        while ((value = next_option(argc, argv, "+:hV", plain_options, argv[0])) != -1) {
                if (value == '?')
                        return false;
                ret_options->help |= value == 'h';
                ret_options->version |= value == 'V';
        }
        *ret_next = optind;
        return true;
}
