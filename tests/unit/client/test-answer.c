/* SPDX-License-Identifier: MIT */
/* The error styles, and errors that are in none of them. */

#include "client/answer.h"
#include "proto/value.h"
#include "unit/client/peer.h"

/* Makes an answer of [1, 7, error, nil]. */
static void read_error(const char *error, size_t len, struct vmreq_client_answer *ret)
{
        struct proto_arena arena = PROTO_ARENA_NULL;
        struct proto_builder builder;
        struct proto_frame frame;

        proto_builder_init(&builder, 4096);
        proto_put_response(&builder, 7);
        proto_put_raw(&builder, error, len);
        proto_put_nil(&builder);
        proto_frame_init(&frame, 4096);
        assert_int_equal(proto_frame_scan(&frame, builder.data, builder.len), PROTO_FRAME_DONE);
        assert_int_equal(client_answer_init(ret, &arena, &frame, builder.data), 0);
        proto_builder_deinit(&builder);
        proto_arena_deinit(&arena);
        assert_int_equal(ret->failed, 1);
        assert_int_equal(ret->msgid, 7);
}

static void put_string(struct proto_builder *builder, const char *text)
{
        proto_put_text(builder, text);
}

static void expect_text(const char *text, const char *name, const char *message, uint32_t code,
                        uint32_t ran)
{
        /* As a plain string, and as the second half of a pair. */
        for (int pair = 0; pair < 2; pair++) {
                struct vmreq_client_answer answer;
                struct proto_builder builder;

                proto_builder_init(&builder, 4096);
                if (pair) {
                        proto_put_array(&builder, 2);
                        proto_put_uint(&builder, 1);
                }
                put_string(&builder, text);
                read_error((const char *)builder.data, builder.len, &answer);
                proto_builder_deinit(&builder);
                assert_string_equal(answer.name, name);
                assert_string_equal(answer.message, message);
                assert_int_equal(answer.code, code);
                assert_int_equal(answer.ran, ran);
                assert_int_equal(answer.value_len, 1);
                assert_int_equal(answer.value[0], 0xc0);
                vmreq_client_answer_deinit(&answer);
        }
}

static void test_text(void **state)
{
        (void)state;
        expect_text("NOT_FOUND: no symbol x.y (ran: no)", "NOT_FOUND", "no symbol x.y", 1, 0);
        expect_text("FAILED: -5 (ran: yes)", "FAILED", "-5", 10, 1);
        expect_text("KILLED: gone (ran: maybe)", "KILLED", "gone", 7, 2);
        expect_text("BUSY: it (really) is", "BUSY", "it (really) is", 4, 2);
        expect_text("BUSY: (ran: no)", "BUSY", "(ran: no)", 4, 2);
        expect_text("BUSY:  (ran: no)", "BUSY", "", 4, 0);
        expect_text("(ran: no)", "", "(ran: no)", 0, 2);
        expect_text(" (ran: no)", "", "", 0, 0);
        expect_text(")", "", ")", 0, 2);
        expect_text("(ran:)", "", "(ran:)", 0, 2);
        expect_text("x (ran:)", "", "x (ran:)", 0, 2);
        expect_text("x (ran: )", "", "x", 0, 2);
        expect_text("ODD: new one", "ODD", "new one", 0, 2);
        expect_text("Traceback: x", "", "Traceback: x", 0, 2);
        expect_text("", "", "", 0, 2);
        expect_text("BUSY:", "", "BUSY:", 0, 2);
}

static void test_map(void **state)
{
        static const char error[] = "\x85\xa4name\xa7TIMEOUT\xa4"
                                    "code\x05\xa7message\xa4slow\xa3ran\xa2no"
                                    "\xa4"
                                    "data\x82\xa1s\xa6queued\xa1"
                                    "f\xca\x3f\xc0\x00\x00";
        struct vmreq_client_answer answer;

        (void)state;
        read_error(error, sizeof(error) - 1, &answer);
        assert_string_equal(answer.name, "TIMEOUT");
        assert_string_equal(answer.message, "slow");
        assert_int_equal(answer.code, 5);
        assert_int_equal(answer.ran, VMREQ_CLIENT_RAN_NO);
        assert_int_equal(answer.value_len, 1 + 2 + 7 + 2 + 9);
        assert_memory_equal(answer.value,
                            "\x82\xa1s\xa6queued\xa1"
                            "f\xcb\x3f\xf8",
                            15);
        vmreq_client_answer_deinit(&answer);
        assert_null(answer.memory);
}

/* Never success, never a crash, whatever it is. */
static void test_other(void **state)
{
        static const struct {
                const char *bytes;
                size_t len;
        } cases[] = {
                {"\x01", 1},
                {"\xc2", 1},
                {"\x90", 1},
                {"\x91\xa1x", 3},
                {"\x92\x01\x02", 3},
                {"\x80", 1},
                {"\x81\xa4name\x01", 7},
                {"\x82\xa4name\xc0\xa7message\x90", 16},
                {"\xcb\x7f\xf8\0\0\0\0\0\0", 9},
                {"\xd4\x01\x02", 3},
                {"\xa0", 1},
                {"\x81\x01\x02", 3},
                {"\xc4\x03"
                 "A: ",
                 5},
                {"\xa3"
                 "A\0b",
                 4},
                {"\x81\xa4name\xd9\x22xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 42},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct vmreq_client_answer answer;

                read_error(cases[i].bytes, cases[i].len, &answer);
                assert_int_equal(answer.code, 0);
                assert_int_equal(answer.ran, VMREQ_CLIENT_RAN_MAYBE);
                assert_true(strlen(answer.name) <= 32);
                assert_true(answer.value_len >= 1);
                vmreq_client_answer_deinit(&answer);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_text),
                cmocka_unit_test(test_map),
                cmocka_unit_test(test_other),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
