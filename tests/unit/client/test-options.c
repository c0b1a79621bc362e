/* SPDX-License-Identifier: MIT */
/* Command lines, good and bad; where options end; what is said about mistakes. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/options.h"
#include "client/verbs.h"

#define WORDS_MAX 12

struct line {
        char text[256];
        char *argv[WORDS_MAX + 1];
        int argc;
};

/* Splits at blanks. */
static void line_split(struct line *line, const char *text)
{
        snprintf(line->text, sizeof(line->text), "%s", text);
        line->argc = 0;
        for (char *word = strtok(line->text, " "); word; word = strtok(NULL, " "))
                line->argv[line->argc++] = word;
        line->argv[line->argc] = NULL;
}

/* What is on stderr between the two. */
static int saved_stderr, captured;

static void capture_begin(void)
{
        char path[] = "/tmp/vmreq-options-XXXXXX";

        captured = mkstemp(path);
        assert_true(captured >= 0);
        unlink(path);
        fflush(stderr);
        saved_stderr = dup(2);
        dup2(captured, 2);
}

static void capture_end(char *ret_text, size_t size)
{
        ssize_t n;

        fflush(stderr);
        dup2(saved_stderr, 2);
        close(saved_stderr);
        n = pread(captured, ret_text, size - 1, 0);
        close(captured);
        assert_true(n >= 0);
        ret_text[n] = '\0';
}

static void test_global(void **state)
{
        struct options options;
        struct line line;
        int next;

        (void)state;
        line_split(&line, "vmreqctl -s /x/y --json=pretty --timeout 500ms call -x");
        assert_true(options_parse(line.argc, line.argv, &options, &next));
        assert_string_equal(options.socket, "/x/y");
        assert_null(options.machine);
        assert_int_equal(options.json, OPTIONS_JSON_PRETTY);
        assert_true(options.has_timeout);
        assert_int_equal(options.timeout_ms, 500);
        assert_string_equal(line.argv[next], "call");

        line_split(&line, "vmreqctl --machine=vm1 --json --timeout=0 -h -V");
        assert_true(options_parse(line.argc, line.argv, &options, &next));
        assert_string_equal(options.machine, "vm1");
        assert_int_equal(options.json, OPTIONS_JSON_SHORT);
        assert_true(options.has_timeout);
        assert_int_equal(options.timeout_ms, 0);
        assert_true(options.help && options.version);
        assert_int_equal(next, line.argc);

        line_split(&line, "vmreqctl -Mvm1 --json=short --json=pretty -- -odd");
        assert_true(options_parse(line.argc, line.argv, &options, &next));
        assert_string_equal(options.machine, "vm1");
        assert_int_equal(options.json, OPTIONS_JSON_PRETTY);
        assert_false(options.has_timeout);
        assert_string_equal(line.argv[next], "-odd");

        line_split(&line, "vmreqctl");
        assert_true(options_parse(line.argc, line.argv, &options, &next));
        assert_int_equal(options.json, OPTIONS_TEXT);
        assert_int_equal(next, 1);
}

/* The rows of 'call', as the verb has them, and of a verb whose operands never begin with a dash.
 */
static bool parse(const char *name, struct line *line, struct options *global,
                  struct verb_options *options, int *next)
{
        const struct verb *verb = verbs_find(name);

        assert_non_null(verb);
        return options_parse_verb(line->argc, line->argv, verb->rows, verb->strict, global, options,
                                  next);
}

static void test_call(void **state)
{
        struct options global = {0};
        struct verb_options options;
        struct line line;
        int next;

        (void)state;
        line_split(&line, "call --cpu 3 --priority --poke --no-wait debug.add -50 --cpu");
        assert_true(parse("call", &line, &global, &options, &next));
        assert_true(options.cpu.set && options.priority && options.poke && options.no_wait);
        assert_null(options.cpu.value.name);
        assert_int_equal(options.cpu.value.number, 3);
        assert_string_equal(line.argv[next], "debug.add");
        assert_int_equal(line.argc - next, 3);

        line_split(&line, "call --cpu=all-reverse --on-error continue --key=k --timing x.y");
        assert_true(parse("call", &line, &global, &options, &next));
        assert_string_equal(options.cpu.value.name, "all-reverse");
        assert_string_equal(options.on_error, "continue");
        assert_string_equal(options.key, "k");
        assert_true(options.timing);
        assert_false(options.priority || options.poke || options.no_wait || global.help);

        line_split(&line, "call --help");
        assert_true(parse("call", &line, &global, &options, &next));
        assert_true(global.help);
}

/* Global options behind the verb, on top of those in front of it. */
static void test_global_behind(void **state)
{
        struct options global = {.socket = "/a", .json = OPTIONS_JSON_SHORT};
        struct verb_options options;
        struct line line;
        int next;

        (void)state;
        line_split(&line, "call --timeout 1 --json=pretty -s /b x.y --json");
        assert_true(parse("call", &line, &global, &options, &next));
        assert_string_equal(global.socket, "/b");
        assert_int_equal(global.json, OPTIONS_JSON_PRETTY);
        assert_int_equal(global.timeout_ms, 1000);
        assert_int_equal(line.argc - next, 2);

        line_split(&line, "ps --limit 0x10 --timeout 2s --uid=0 --state queued");
        assert_true(parse("ps", &line, &global, &options, &next));
        assert_true(options.limit.set && options.limit.value == 16);
        assert_true(options.uid.set && options.uid.value == 0);
        assert_string_equal(options.state, "queued");
        assert_int_equal(global.timeout_ms, 2000);

        global = (struct options){0};
        line_split(&line, "symbols x* --json");
        assert_true(parse("symbols", &line, &global, &options, &next));
        assert_int_equal(global.json, OPTIONS_JSON_SHORT);
        assert_int_equal(line.argc - next, 1);
        assert_string_equal(line.argv[next], "x*");
}

static void expect_mistake(const char *command, const char *said)
{
        struct verb_options own;
        struct options options = {0};
        struct line line;
        char text[1024];
        bool good;
        int next;

        line_split(&line, command);
        capture_begin();
        if (strcmp(line.argv[0], "vmreqctl") == 0)
                good = options_parse(line.argc, line.argv, &options, &next);
        else
                good = parse(line.argv[0], &line, &options, &own, &next);
        capture_end(text, sizeof(text));
        if (good || !strstr(text, said) || strncmp(text, "vmreqctl: ", 10) != 0)
                fail_msg("%s: %s", command, text);
        /* One line. */
        assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void test_mistakes(void **state)
{
        (void)state;
        expect_mistake("vmreqctl --jsom ping", "did you mean --json?");
        expect_mistake("vmreqctl --jsom=pretty ping", "did you mean --json?");
        expect_mistake("vmreqctl --zzz ping",
                       "there are: --socket --machine --host --json --timeout --help --version");
        expect_mistake("vmreqctl -x ping", "unknown option -x");
        expect_mistake("vmreqctl -s", "--socket needs a value");
        expect_mistake("vmreqctl --timeout", "--timeout needs a value");
        expect_mistake("vmreqctl --help=x", "--help takes no value");
        expect_mistake("vmreqctl --json=x", "expected pretty or short");
        expect_mistake("vmreqctl --timeout 1x", "--timeout 1x: expected");
        expect_mistake("vmreqctl --timeout -1", "--timeout -1: expected");
        expect_mistake("vmreqctl -s a -M b", "exclude");
        expect_mistake("call --cpu x", "call: --cpu x: expected a number");
        expect_mistake("call --cpu -1", "--cpu -1: expected a number");
        expect_mistake("call --cpu", "--cpu needs a value");
        expect_mistake("call --on-error go x.y", "--on-error go: expected stop continue");
        expect_mistake("call -s a -M b x.y", "exclude");
        expect_mistake("call --nowait x.y", "did you mean --no-wait?");
        expect_mistake("call -50", "unknown option -5");
        expect_mistake("ping --cpu 1", "ping: unknown option '--cpu'");
        expect_mistake("ps --limit many", "--limit many: expected a number");
        expect_mistake("ps --uid -1", "--uid -1: expected a number");
        expect_mistake("ping -x", "there are: --socket");
}

/* Every row can be read: its kind fits its field, its words fit its kind. */
static void test_rows(void **state)
{
        (void)state;
        for (size_t i = 0; i < n_verbs; i++) {
                for (const struct option_row *row = verbs[i].rows; row && row->name; row++) {
                        assert_true(row->offset < sizeof(struct verb_options));
                        assert_int_equal(row->kind == OPTION_FLAG, row->value == NULL);
                        assert_true(row->kind != OPTION_CHOICE || row->values);
                        assert_non_null(row->help);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_global),        cmocka_unit_test(test_call),
                cmocka_unit_test(test_global_behind), cmocka_unit_test(test_mistakes),
                cmocka_unit_test(test_rows),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
