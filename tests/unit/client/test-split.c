/* SPDX-License-Identifier: MIT */
/* Words of our shell: quotes, backslashes, what is left open. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/split.h"

static void expect(const char *line, size_t n, const char *const *words, char quote, bool open)
{
        struct split split;

        assert_true(split_line(&split, line, strlen(line)));
        assert_int_equal(split.n, n);
        for (size_t i = 0; i < n; i++)
                assert_string_equal(split.words[i], words[i]);
        assert_null(split.words[n]);
        assert_int_equal(split.quote, quote);
        assert_int_equal(split.open, open);
        split_deinit(&split);
        split_deinit(&split);
}

#define WORDS(...)                                                                                 \
        (const char *const[])                                                                      \
        {                                                                                          \
                __VA_ARGS__                                                                        \
        }

static void test_words(void **state)
{
        (void)state;
        expect("", 0, WORDS(""), 0, false);
        expect("  \t\n", 0, WORDS(""), 0, false);
        expect("a", 1, WORDS("a"), 0, true);
        expect(" a  b\tc ", 3, WORDS("a", "b", "c"), 0, false);
        expect("call x.y -50", 3, WORDS("call", "x.y", "-50"), 0, true);
}

static void test_quotes(void **state)
{
        (void)state;
        expect("'a b' \"c d\"", 2, WORDS("a b", "c d"), 0, true);
        expect("a'b'\"c\"d", 1, WORDS("abcd"), 0, true);
        expect("'' \"\" x", 3, WORDS("", "", "x"), 0, true);
        expect("a\\ b \\\\ \\'", 3, WORDS("a b", "\\", "'"), 0, true);
        expect("'a\\n' \"a\\n\\\"\\\\\"", 2, WORDS("a\\n", "a\\n\"\\"), 0, true);
        expect("[1, 2]", 2, WORDS("[1,", "2]"), 0, true);
        expect("'{\"k\": 1}'", 1, WORDS("{\"k\": 1}"), 0, true);
        expect("\\", 1, WORDS("\\"), 0, true);
}

static void test_left_open(void **state)
{
        (void)state;
        expect("a 'b c", 2, WORDS("a", "b c"), '\'', true);
        expect("a \"b", 2, WORDS("a", "b"), '"', true);
}

/* Whatever bytes: as many words as fit, each ends. */
static void test_any_bytes(void **state)
{
        static const char bytes[] = "a '\"\\\t\n";
        struct split split;
        char line[64];

        (void)state;
        srand(1);
        for (int i = 0; i < 20000; i++) {
                size_t len = (size_t)rand() % sizeof(line);

                for (size_t j = 0; j < len; j++)
                        line[j] = bytes[(size_t)rand() % (sizeof(bytes) - 1)];
                assert_true(split_line(&split, line, len));
                for (size_t j = 0; j < split.n; j++)
                        assert_true(strlen(split.words[j]) <= len);
                split_deinit(&split);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_quotes),
                cmocka_unit_test(test_left_open),
                cmocka_unit_test(test_any_bytes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
