/* SPDX-License-Identifier: MIT */
/* UTF-8, and what is made of what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/text.h"

static void check_clean(const char *text, const char *expected)
{
        char copy[64];

        (void)snprintf(copy, sizeof(copy), "%s", text);
        proto_text_clean(copy);
        assert_string_equal(copy, expected);
}

static void test_text_is_left_alone(void **state)
{
        (void)state;
        check_clean("", "");
        check_clean("plain \t text", "plain \t text");
        check_clean("\xc2\x80\xdf\xbf", "\xc2\x80\xdf\xbf");
        check_clean("\xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf",
                    "\xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf");
        check_clean("\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf", "\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf");
}

static void test_each_byte_of_none(void **state)
{
        (void)state;
        check_clean("a\x80z", "a?z");
        check_clean("\xff\xfe", "??");
        check_clean("\xc3", "?");
        check_clean("\xc3(", "?(");
        check_clean("\xe2\x82", "??");
        check_clean("\xe2\x82z", "??z");
        check_clean("\xf0\x9f\x98", "???");
        check_clean("\xc0\xaf", "??");            /* overlong */
        check_clean("\xe0\x9f\xbf", "???");       /* overlong */
        check_clean("\xf0\x8f\xbf\xbf", "????");  /* overlong */
        check_clean("\xed\xa0\x80", "???");       /* a surrogate */
        check_clean("\xf4\x90\x80\x80", "????");  /* beyond U+10FFFF */
        check_clean("\xf5\x80\x80\x80", "????");  /* beyond any */
        check_clean("\xc3\xc3\xa4", "?\xc3\xa4"); /* one torn, one whole */
}

/* Against the ranges of the numbers that the bytes stand for. */
static void test_all_of_three_bytes(void **state)
{
        char text[3];

        (void)state;
        for (unsigned i = 0; i < 0x1000000u; i += (i & 0x3f) == 0x3f ? 0x41 : 1) {
                unsigned a = i >> 16, b = i >> 8 & 0xff, c = i & 0xff;
                unsigned number = (a & 15) << 12 | (b & 63) << 6 | (c & 63);
                int shaped = (a & 0xf0) == 0xe0 && (b & 0xc0) == 0x80 && (c & 0xc0) == 0x80;

                text[0] = (char)a;
                text[1] = (char)b;
                text[2] = (char)c;
                if ((a & 0xf0) == 0xe0)
                        assert_int_equal(proto_utf8_char(text, 3),
                                         shaped && number >= 0x800 &&
                                                         (number < 0xd800 || number > 0xdfff)
                                                 ? 3
                                                 : 0);
        }
}

static void test_no_byte_too_far(void **state)
{
        (void)state;
        assert_int_equal(proto_utf8_char("\xc3\xa4", 0), 0);
        assert_int_equal(proto_utf8_char("\xc3\xa4", 1), 0);
        assert_int_equal(proto_utf8_char("\xc3\xa4", 2), 2);
        assert_int_equal(proto_utf8_char("\xf0\x90\x80\x80", 3), 0);
        assert_int_equal(proto_utf8_char("", 1), 1); /* NUL is a character */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_text_is_left_alone),
                cmocka_unit_test(test_each_byte_of_none),
                cmocka_unit_test(test_all_of_three_bytes),
                cmocka_unit_test(test_no_byte_too_far),
        };

        return cmocka_run_group_tests_name("proto/text", tests, NULL, NULL);
}
