/* SPDX-License-Identifier: MIT */
/* Maps of numbers: each form that msgpack has for them, what is refused, and bytes that are cut. */
#include "modules/map-reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct pair {
        char key[40];
        uint64_t value;
};

/* Reads all; how many, or -1 with what was wrong. */
static int read_map(const void *data, size_t len, struct pair *pairs, int max, const char **wrong)
{
        struct map_reader reader;
        void *copy = malloc(len ? len : 1);
        const char *key;
        size_t key_len;
        int n = 0;

        assert_non_null(copy);
        memcpy(copy, data, len); /* to the byte, for sanitizers */
        *wrong = "not a map";
        if (!map_reader_init(&reader, copy, len)) {
                free(copy);
                return -1;
        }
        while (n < max && map_reader_next(&reader, &key, &key_len, &pairs[n].value, wrong)) {
                assert_true(key_len < sizeof(pairs[n].key));
                memcpy(pairs[n].key, key, key_len);
                pairs[n].key[key_len] = '\0';
                n++;
        }
        free(copy);
        return *wrong ? -1 : n;
}

#define READ(bytes) read_map(bytes, sizeof(bytes) - 1, pairs, 8, &wrong)

static void test_numbers(void **state)
{
        static const struct {
                const char *bytes;
                size_t len;
                uint64_t value;
        } rows[] = {
#define ROW(text, value) {text, sizeof(text) - 1, value}
                ROW("\x00", 0),
                ROW("\x7f", 127),
                ROW("\xcc\xff", 255),
                ROW("\xcd\x12\x34", 0x1234),
                ROW("\xce\x12\x34\x56\x78", 0x12345678),
                ROW("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", UINT64_MAX),
                ROW("\xd0\x7f", 127),
                ROW("\xd1\x7f\xff", 32767),
                ROW("\xd2\x7f\xff\xff\xff", 0x7fffffff),
                ROW("\xd3\x7f\xff\xff\xff\xff\xff\xff\xff", INT64_MAX),
                ROW("\xa1"
                    "0",
                    0),
                ROW("\xa4"
                    "0x2a",
                    42),
                ROW("\xa2"
                    "42",
                    42),
                ROW("\xd9\x12"
                    "0XFFFFFFFFffffffff",
                    UINT64_MAX),
                ROW("\xb4"
                    "18446744073709551615",
                    UINT64_MAX),
#undef ROW
        };
        struct pair pairs[8];
        const char *wrong;
        char bytes[64];

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                memcpy(bytes, "\x81\xa3rip", 5);
                memcpy(bytes + 5, rows[i].bytes, rows[i].len);
                assert_int_equal(read_map(bytes, 5 + rows[i].len, pairs, 8, &wrong), 1);
                assert_string_equal(pairs[0].key, "rip");
                assert_true(pairs[0].value == rows[i].value);
                for (size_t cut = 0; cut < 5 + rows[i].len; cut++)
                        assert_int_equal(read_map(bytes, cut, pairs, 8, &wrong), -1);
        }
}

static void test_maps(void **state)
{
        struct pair pairs[8];
        const char *wrong;

        (void)state;
        assert_int_equal(READ("\x80"), 0);
        assert_int_equal(READ("\xde\x00\x02\xa1"
                              "a\x01\xd9\x01"
                              "b\x02"),
                         2);
        assert_string_equal(pairs[1].key, "b");
        assert_true(pairs[1].value == 2);
        assert_int_equal(READ("\xdf\x00\x00\x00\x01\xda\x00\x01"
                              "c\x03"),
                         1);
        assert_int_equal(READ("\xdf\x00\x00\x00\x01\xdb\x00\x00\x00\x01"
                              "c\x03"),
                         1);
        /* More pairs than bytes. */
        assert_int_equal(READ("\xdf\xff\xff\xff\xff\xa1"
                              "a\x01"),
                         -1);
}

static void test_refused(void **state)
{
        static const struct {
                const char *bytes;
                size_t len;
                const char *says;
        } rows[] = {
#define ROW(text, says) {text, sizeof(text) - 1, says}
                ROW("\x90", "not a map"),
                ROW("\xc0", "not a map"),
                ROW("\x81\x01\x01", "names"),
                ROW("\x81\xc4\x01"
                    "a\x01",
                    "names"),
                ROW("\x81\xa1"
                    "a\xff",
                    "numbers"), /* -1 */
                ROW("\x81\xa1"
                    "a\xd0\x80",
                    "numbers"),
                ROW("\x81\xa1"
                    "a\xc0",
                    "numbers"),
                ROW("\x81\xa1"
                    "a\xcb\x00\x00\x00\x00\x00\x00\x00\x00",
                    "numbers"),
                ROW("\x81\xa1"
                    "a\xa0",
                    "numbers"),
                ROW("\x81\xa1"
                    "a\xa2"
                    "0x",
                    "numbers"),
                ROW("\x81\xa1"
                    "a\xa2"
                    "-1",
                    "numbers"),
                ROW("\x81\xa1"
                    "a\xa2"
                    " 1",
                    "numbers"),
                ROW("\x81\xa1"
                    "a\xa3"
                    "12g",
                    "numbers"),
                ROW("\x81\xa1"
                    "a\xb5"
                    "184467440737095516150",
                    "numbers"),
                ROW("\x81\xa1"
                    "a\xb3"
                    "0x10000000000000000",
                    "numbers"),
#undef ROW
        };
        struct pair pairs[8];
        const char *wrong;

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                if (read_map(rows[i].bytes, rows[i].len, pairs, 8, &wrong) != -1)
                        fail_msg("row %zu was taken", i);
                assert_non_null(strstr(wrong, rows[i].says));
        }
}

/* Any bytes at all: an answer, and no byte beyond them is looked at. */
static void test_any(void **state)
{
        struct pair pairs[8];
        const char *wrong;
        uint32_t random = 1;
        uint8_t bytes[24];

        (void)state;
        for (int i = 0; i < 200000; i++) {
                size_t len = (size_t)i % sizeof(bytes);

                for (size_t k = 0; k < len; k++) {
                        random = random * 1664525u + 1013904223u;
                        bytes[k] = (uint8_t)(random >> 24);
                }
                if (len)
                        bytes[0] = (uint8_t)(0x80 | (bytes[0] & 3));
                (void)read_map(bytes, len, pairs, 8, &wrong);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_numbers),
                cmocka_unit_test(test_maps),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_any),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
