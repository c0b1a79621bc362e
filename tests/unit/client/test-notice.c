/* SPDX-License-Identifier: MIT */
/* Each kind of notification, whole and mutilated: what is not as it should be is none of them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "client/notice.h"
#include "proto/frame.h"
#include "proto/value.h"

#define ALL         (VMREQ_CLIENT_TAKE_STREAMS | VMREQ_CLIENT_TAKE_COMPLETED | VMREQ_CLIENT_TAKE_EVENTS)
#define BYTES(text) text, sizeof(text) - 1

static int take(const char *bytes, size_t len, uint32_t flags, struct vmreq_client_answer *ret)
{
        struct proto_arena arena = PROTO_ARENA_NULL;
        struct proto_frame frame;
        int r;

        proto_frame_init(&frame, 4096);
        assert_int_equal(proto_frame_scan(&frame, (const uint8_t *)bytes, len), PROTO_FRAME_DONE);
        assert_int_equal(frame.pos, len);
        r = client_notice_init(ret, &arena, &frame, (const uint8_t *)bytes, flags);
        proto_arena_deinit(&arena);
        return r;
}

static void test_chunk(void **state)
{
        struct vmreq_client_answer answer;

        (void)state;
        assert_int_equal(
                take(BYTES("\x93\x02\xabvmreq.chunk\x93\xce\x00\x01\x00\x00\xcd\x01\x02\xa2hi"),
                     ALL, &answer),
                1);
        assert_int_equal(answer.kind, VMREQ_CLIENT_CHUNK);
        assert_int_equal(answer.msgid, 0x10000);
        assert_int_equal(answer.id, 0x102);
        assert_int_equal(answer.value_len, 3);
        assert_memory_equal(answer.value, "\xa2hi", 3);
        vmreq_client_answer_deinit(&answer);
}

static void test_row(void **state)
{
        struct vmreq_client_answer answer;

        (void)state;
        assert_int_equal(take(BYTES("\x93\x02\xa9vmreq.row\x92\x07\x81\xa3"
                                    "cpu\x01"),
                              ALL, &answer),
                         1);
        assert_int_equal(answer.kind, VMREQ_CLIENT_ROW);
        assert_int_equal(answer.msgid, 7);
        assert_memory_equal(answer.value,
                            "\x81\xa3"
                            "cpu\x01",
                            answer.value_len);
        vmreq_client_answer_deinit(&answer);
}

static void test_completed(void **state)
{
        struct vmreq_client_answer answer;

        (void)state;
        assert_int_equal(
                take(BYTES("\x93\x02\xafvmreq.completed\x93\xcf\x01\x02\x03\x04\x05\x06\x07\x08\xc0\x2a"),
                     ALL, &answer),
                1);
        assert_int_equal(answer.kind, VMREQ_CLIENT_COMPLETED);
        assert_true(answer.id == 0x0102030405060708);
        assert_int_equal(answer.failed, 0);
        assert_int_equal(answer.value_len, 1);
        vmreq_client_answer_deinit(&answer);

        assert_int_equal(take(BYTES("\x93\x02\xafvmreq.completed\x93\x05\x83\xa4name\xa6"
                                    "FAILED\xa7message"
                                    "\xa3why\xa3ran\xa3yes\xc0"),
                              ALL, &answer),
                         1);
        assert_int_equal(answer.id, 5);
        assert_int_equal(answer.failed, 1);
        assert_string_equal(answer.name, "FAILED");
        assert_string_equal(answer.message, "why");
        assert_int_equal(answer.ran, VMREQ_CLIENT_RAN_YES);
        vmreq_client_answer_deinit(&answer);
}

static void test_event(void **state)
{
        struct vmreq_client_answer answer;

        (void)state;
        assert_int_equal(take(BYTES("\x93\x02\xabvmreq.event\x92\xa8vm.state\x80"), ALL, &answer),
                         1);
        assert_int_equal(answer.kind, VMREQ_CLIENT_EVENT);
        assert_string_equal(answer.name, "vm.state");
        assert_memory_equal(answer.value, "\x80", 1);
        vmreq_client_answer_deinit(&answer);
        /* bin for str, and a NUL inside, which must not hide what follows it */
        assert_int_equal(take(BYTES("\x93\x02\xc4\x0bvmreq.event\x92\xc4\x03"
                                    "a\0b\xc0"),
                              ALL, &answer),
                         1);
        assert_string_equal(answer.name, "a?b");
        vmreq_client_answer_deinit(&answer);
}

static void test_only_what_is_wanted(void **state)
{
        struct vmreq_client_answer answer;

        (void)state;
        assert_int_equal(take(BYTES("\x93\x02\xabvmreq.event\x92\xa1x\x80"),
                              ALL & ~VMREQ_CLIENT_TAKE_EVENTS, &answer),
                         0);
        assert_int_equal(take(BYTES("\x93\x02\xa9vmreq.row\x92\x07\x80"),
                              ALL & ~VMREQ_CLIENT_TAKE_STREAMS, &answer),
                         0);
        assert_int_equal(take(BYTES("\x93\x02\xafvmreq.completed\x93\x05\xc0\xc0"),
                              ALL & ~VMREQ_CLIENT_TAKE_COMPLETED, &answer),
                         0);
}

static void test_mutilated(void **state)
{
        static const struct {
                const char *bytes;
                size_t len;
        } cases[] = {
                {BYTES("\x93\x02\xa9vmreq.nop\x90")},
                {BYTES("\x93\x02\x07\x90")},
                {BYTES("\x93\x02\xabvmreq.chunk\xc0")},
                {BYTES("\x93\x02\xabvmreq.chunk\x90")},
                {BYTES("\x93\x02\xabvmreq.chunk\x92\x01\x00")},
                {BYTES("\x93\x02\xabvmreq.chunk\x94\x01\x00\xc0\xc0")},
                {BYTES("\x93\x02\xabvmreq.chunk\x93\xff\x00\xc0")},
                {BYTES("\x93\x02\xabvmreq.chunk\x93\xcf\x00\x00\x00\x01\x00\x00\x00\x00\x00\xc0")},
                {BYTES("\x93\x02\xabvmreq.chunk\x93\x01\xa1"
                       "0\xc0")},
                {BYTES("\x93\x02\xa9vmreq.row\x81\x07\x80")}, /* a map of as many values */
                {BYTES("\x93\x02\xa9vmreq.row\x92\xc0\x80")},
                {BYTES("\x93\x02\xabvmreq.event\x92\x05\x80")},
                {BYTES("\x93\x02\xafvmreq.completed\x93\xd0\x05\xc0\xc0")},
        };
        struct vmreq_client_answer answer;

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                assert_int_equal(take(cases[i].bytes, cases[i].len, ALL, &answer), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_chunk),
                cmocka_unit_test(test_row),
                cmocka_unit_test(test_completed),
                cmocka_unit_test(test_event),
                cmocka_unit_test(test_only_what_is_wanted),
                cmocka_unit_test(test_mutilated),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
