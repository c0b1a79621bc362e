/* SPDX-License-Identifier: MIT */
/*
 * getopt_long over the rows of two tables, the verb's and the global one, with messages of our own:
 * which option, of which verb, what was probably meant, and what there is.
 *
 * Called by main for the options in front of the verb and by verbs.c for those behind it, one after
 * the other; getopt's state is reset by optind = 0 each time.  A row says where its value goes, so
 * that an option is one line of a table, its help and its completion included.
 */

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "client/options.h"

#define ROWS_MAX 32
#define FIRST    256 /* getopt's value of row 0; below are letters */

#define AT(field) offsetof(struct options, field)

const struct option_row options_global[] = {
        {"socket", 's', OPTION_TEXT, AT(socket), "SOCKET", NULL, "the daemon's socket"},
        {"machine", 'M', OPTION_TEXT, AT(machine), "NAME", NULL, "the VM whose socket to use"},
        {"host", 'H', OPTION_TEXT, AT(host), "[USER@]HOST", NULL, "on another host, over ssh"},
        {"json", 0, OPTION_JSON, 0, "HOW", "short pretty",
         "print JSON: short (one line) or pretty"},
        {"timeout", 0, OPTION_TIME, 0, "T", NULL,
         "seconds, or with a unit: 500ms, 1.5s, 2min; 0 is no limit"},
        {"help", 'h', OPTION_FLAG, AT(help), NULL, NULL, "show this"},
        {"version", 'V', OPTION_FLAG, AT(version), NULL, NULL, "show the version"},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
};

/* One run of getopt. */
struct parser {
        const char *verb;                        /* NULL: in front of it */
        const struct option_row *rows[ROWS_MAX]; /* the verb's, then the global ones */
        size_t n_rows, n_own;                    /* n_own of them are the verb's */
        struct option longs[ROWS_MAX + 1];
        char letters[2 * ROWS_MAX + 3];
        struct options *options;
        struct verb_options *own;
};

/* ---- help ------------------------------------------------------------------------------------ */

void options_print_help(const struct option_row *rows)
{
        char left[48];

        for (; rows && rows->name; rows++) {
                const char *before = rows->kind == OPTION_JSON ? "[=" : "=";

                (void)snprintf(left, sizeof(left), "%c%c%c --%s%s%s%s", rows->letter ? '-' : ' ',
                               rows->letter ? rows->letter : ' ', rows->letter ? ',' : ' ',
                               rows->name, rows->value ? before : "",
                               rows->value ? rows->value : "",
                               rows->kind == OPTION_JSON ? "]" : "");
                printf("  %-24s %s\n", left, rows->help);
        }
}

/* ---- mistakes -------------------------------------------------------------------------------- */

static void report_begin(const struct parser *parser)
{
        fprintf(stderr, "vmreqctl: ");
        if (parser->verb)
                fprintf(stderr, "%s: ", parser->verb);
}

/* Ends the line with what was probably meant and with what there is. */
static void report_choice(const struct parser *parser, const char *name)
{
        const char *names[ROWS_MAX];
        const char *nearest;

        for (size_t i = 0; i < parser->n_rows; i++)
                names[i] = parser->rows[i]->name;
        nearest = name ? words_nearest(name, names, parser->n_rows) : NULL;
        if (nearest)
                fprintf(stderr, "; did you mean --%s?", nearest);
        fprintf(stderr, "; there are:");
        for (size_t i = 0; i < parser->n_rows; i++)
                fprintf(stderr, " --%s", names[i]);
        fputc('\n', stderr);
}

static const struct option_row *row_of(const struct parser *parser, int value)
{
        for (size_t i = 0; i < parser->n_rows; i++) {
                if (value == FIRST + (int)i || (value != 0 && parser->rows[i]->letter == value))
                        return parser->rows[i];
        }
        return NULL;
}

static void report_unknown(const struct parser *parser, char **argv)
{
        const struct option_row *known = row_of(parser, optopt);
        const char *word = argv[optind - 1];
        char name[32] = "";

        report_begin(parser);
        if (known) {
                fprintf(stderr, "option --%s takes no value\n", known->name);
                return;
        }
        if (optopt != 0) {
                fprintf(stderr, "unknown option -%c", optopt);
                report_choice(parser, NULL);
                return;
        }
        if (strncmp(word, "--", 2) == 0)
                (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(word + 2, "="), word + 2);
        fprintf(stderr, "unknown option '%.80s'", word);
        report_choice(parser, name);
}

static bool report_value(const struct parser *parser, const struct option_row *row,
                         const char *word, const char *expected)
{
        report_begin(parser);
        fprintf(stderr, "--%s %.40s: expected %s\n", row->name, word, expected);
        return false;
}

/* ---- values ---------------------------------------------------------------------------------- */

static bool set_json(const struct parser *parser, const struct option_row *row, const char *word)
{
        if (word && strcmp(word, "short") != 0 && strcmp(word, "pretty") != 0)
                return report_value(parser, row, word, "pretty or short");
        parser->options->json = word && *word == 'p' ? OPTIONS_JSON_PRETTY : OPTIONS_JSON_SHORT;
        return true;
}

static bool set_time(const struct parser *parser, const struct option_row *row, const char *word)
{
        parser->options->has_timeout = words_time(word, &parser->options->timeout_ms);
        return parser->options->has_timeout ||
               report_value(parser, row, word,
                            "seconds, or a number with us, ms, s, min or h, at most 596 h; 0 is "
                            "none");
}

/* Is `word` one of the blank-separated `values`? */
static bool is_one_of(const char *word, const char *values)
{
        size_t len = strlen(word), n;

        for (; *values != '\0'; values += n + (values[n] != '\0')) {
                n = strcspn(values, " ");
                if (n == len && memcmp(values, word, n) == 0)
                        return true;
        }
        return false;
}

static bool set_choice(const struct parser *parser, const struct option_row *row, void *field,
                       const char *word)
{
        if (!is_one_of(word, row->values))
                return report_value(parser, row, word, row->values);
        *(const char **)field = word;
        return true;
}

static bool set_number(const struct parser *parser, const struct option_row *row, void *field,
                       const char *word)
{
        struct options_number *number = field;
        struct words_integer integer;

        if (!words_integer(word, &integer) || integer.negative)
                return report_value(parser, row, word, "a number");
        *number = (struct options_number){true, integer.magnitude};
        return true;
}

static bool set_cpu(const struct parser *parser, const struct option_row *row, void *field,
                    const char *word)
{
        struct options_cpu *cpu = field;

        cpu->set = words_cpu(word, &cpu->value);
        return cpu->set || report_value(parser, row, word, WORDS_CPU_NAMES);
}

static bool set_value(const struct parser *parser, const struct option_row *row, bool own,
                      const char *word)
{
        void *field = (char *)(own ? (void *)parser->own : (void *)parser->options) + row->offset;

        switch ((enum option_kind)row->kind) {
        case OPTION_FLAG:
                *(bool *)field = true;
                return true;
        case OPTION_TEXT:
                *(const char **)field = word;
                return true;
        case OPTION_CHOICE:
                return set_choice(parser, row, field, word);
        case OPTION_NUMBER:
                return set_number(parser, row, field, word);
        case OPTION_CPU:
                return set_cpu(parser, row, field, word);
        case OPTION_TIME:
                return set_time(parser, row, word);
        case OPTION_JSON:
                return set_json(parser, row, word);
        }
        return false;
}

/* ---- parsing --------------------------------------------------------------------------------- */

static void add_rows(struct parser *parser, const struct option_row *rows)
{
        size_t at = strlen(parser->letters);

        for (; rows && rows->name && parser->n_rows < ROWS_MAX; rows++) {
                size_t i = parser->n_rows++;

                parser->rows[i] = rows;
                parser->longs[i] = (struct option){
                        .name = rows->name,
                        .has_arg = !rows->value                ? no_argument
                                   : rows->kind == OPTION_JSON ? optional_argument
                                                               : required_argument,
                        .val = FIRST + (int)i,
                };
                if (rows->letter)
                        parser->letters[at++] = rows->letter;
                if (rows->letter && rows->value)
                        parser->letters[at++] = ':';
        }
}

/* All options; false after having reported a mistake. */
static bool parse(struct parser *parser, int argc, char **argv, int *ret_next)
{
        int value;

        optind = 0;
        opterr = 0;
        while ((value = getopt_long(argc, argv, parser->letters, parser->longs, NULL)) != -1) {
                const struct option_row *row = row_of(parser, value == ':' ? optopt : value);
                size_t i = 0;

                if (value == '?') {
                        report_unknown(parser, argv);
                        return false;
                }
                if (value == ':') {
                        report_begin(parser);
                        fprintf(stderr, "option --%s needs a value\n", row ? row->name : "?");
                        return false;
                }
                while (i < parser->n_rows && parser->rows[i] != row)
                        i++;
                if (!row || !set_value(parser, row, i < parser->n_own, optarg))
                        return false;
        }
        *ret_next = optind;
        return true;
}

static bool check_global(const struct options *options)
{
        if (!options->socket || !options->machine)
                return true;
        fprintf(stderr, "vmreqctl: -s and -M exclude each other\n");
        return false;
}

bool options_parse(int argc, char **argv, struct options *ret_options, int *ret_next)
{
        struct parser parser = {.letters = "+:", .options = ret_options};

        *ret_options = (struct options){0};
        add_rows(&parser, options_global);
        return parse(&parser, argc, argv, ret_next) && check_global(ret_options);
}

bool options_parse_verb(int argc, char **argv, const struct option_row *rows, bool strict,
                        struct options *options, struct verb_options *ret_options, int *ret_next)
{
        struct parser parser = {
                .verb = argv[0],
                .letters = "+:",
                .options = options,
                .own = ret_options,
        };

        *ret_options = (struct verb_options){0};
        if (!strict)
                (void)strcpy(parser.letters, ":");
        add_rows(&parser, rows);
        parser.n_own = parser.n_rows;
        add_rows(&parser, options_global);
        return parse(&parser, argc, argv, ret_next) && check_global(options);
}
