/* SPDX-License-Identifier: MIT */
/*
 * Messages: the three shapes, what real clients send instead, each refusal, and the heads that we
 * write.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/builder.h"
#include "proto/frame.h"
#include "proto/limits.h"
#include "proto/message.h"

#define BYTES(s) s, sizeof(s) - 1
#define E_TYPE   PROTO_MESSAGE_E_TYPE
#define E_ARITY  PROTO_MESSAGE_E_ARITY
#define E_MSGID  PROTO_MESSAGE_E_MSGID
#define E_METHOD PROTO_MESSAGE_E_METHOD
#define E_PARAMS PROTO_MESSAGE_E_PARAMS

static struct proto_arena arena;

static enum proto_message_result parse(const void *bytes, size_t len, struct proto_message *message)
{
        const struct proto_value *root;
        size_t values = len; /* never too few */

        assert_int_equal(proto_value_decode(&arena, bytes, len, values, &root), PROTO_VALUE_OK);
        return proto_message_parse(root, message);
}

static void test_request(void **state)
{
        static const struct {
                const char *bytes;
                size_t len;
                uint32_t msgid, n_params;
        } rows[] = {
                {BYTES("\x94\x00\x07\xa3"
                       "a.b\x92\x28\x02"),
                 7, 2},
                {BYTES("\x94\x00\x07\xc4\x03"
                       "a.b\x90"),
                 7, 0}, /* pynvim: bin */
                {BYTES("\x94\x00\x00\xa3"
                       "a.b\xc0"),
                 0, 0}, /* params nil */
                {BYTES("\x94\x00\xce\xff\xff\xff\xff\xa3"
                       "a.b\x91\xc0"),
                 UINT32_MAX, 1},
                {BYTES("\x94\xd0\x00\xd2\x00\x00\x00\x07\xd9\x03"
                       "a.b\xdc\x00\x00"),
                 7, 0},
                {BYTES("\xdd\x00\x00\x00\x04\x00\xcf\x00\x00\x00\x00\x00\x00\x00\x07"
                       "\xa3"
                       "a.b\x90"),
                 7, 0},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                struct proto_message message;

                print_message("row %zu\n", i);
                assert_int_equal(parse(rows[i].bytes, rows[i].len, &message), PROTO_MESSAGE_OK);
                assert_int_equal(message.type, PROTO_REQUEST);
                assert_int_equal(message.msgid, rows[i].msgid);
                assert_int_equal(message.method_len, 3);
                assert_memory_equal(message.method, "a.b", 3);
                assert_int_equal(message.params->type, PROTO_ARRAY);
                assert_int_equal(message.params->count, rows[i].n_params);
                assert_null(message.error);
                assert_null(message.result);
        }
}

static void test_notify(void **state)
{
        struct proto_message message;

        (void)state;
        assert_int_equal(parse(BYTES("\x93\x02\xa3"
                                     "a.b\x91\x05"),
                               &message),
                         PROTO_MESSAGE_OK);
        assert_int_equal(message.type, PROTO_NOTIFY);
        assert_int_equal(message.params->items[0].u, 5);
        assert_int_equal(parse(BYTES("\x93\x02\xc4\x00\xc0"), &message), PROTO_MESSAGE_OK);
        assert_int_equal(message.method_len, 0); /* an empty method is a name nobody has, no more */
        assert_int_equal(message.params->type, PROTO_ARRAY);
        assert_int_equal(message.params->count, 0);
}

static void test_response(void **state)
{
        struct proto_message message;

        (void)state;
        assert_int_equal(parse(BYTES("\x94\x01\x07\xc0\x2a"), &message), PROTO_MESSAGE_OK);
        assert_int_equal(message.type, PROTO_RESPONSE);
        assert_int_equal(message.msgid, 7);
        assert_int_equal(message.error->type, PROTO_NIL);
        assert_int_equal(message.result->u, 42);
        assert_null(message.method);
        assert_null(message.params);
        assert_int_equal(parse(BYTES("\x94\x01\x07\xa1x\xc0"), &message), PROTO_MESSAGE_OK);
        assert_int_equal(message.error->type, PROTO_STR);
}

static void test_refused(void **state)
{
        static const struct {
                const char *bytes;
                size_t len;
                enum proto_message_result result;
        } rows[] = {
                {BYTES("\x05"), E_ARITY},
                {BYTES("\x81\x00\x01"), E_ARITY},
                {BYTES("\x90"), E_ARITY},
                {BYTES("\x91\x00"), E_ARITY},
                {BYTES("\x93\x00\x07\xa1x"), E_ARITY},
                {BYTES("\x95\x00\x07\xa1x\x90\xc0"), E_ARITY}, /* a fifth element */
                {BYTES("\x93\x01\x07\xc0"), E_ARITY},
                {BYTES("\x94\x02\xa1x\x90\x90"), E_ARITY},
                {BYTES("\x92\x02\xa1x"), E_ARITY},
                {BYTES("\x94\x03\x07\xa1x\x90"), E_TYPE},
                {BYTES("\x94\xff\x07\xa1x\x90"), E_TYPE},
                {BYTES("\x94\xc0\x07\xa1x\x90"), E_TYPE},
                {BYTES("\x94\xc2\x07\xa1x\x90"), E_TYPE},
                {BYTES("\x94\xa1"
                       "0\x07\xa1x\x90"),
                 E_TYPE},
                {BYTES("\x94\xca\x00\x00\x00\x00\x07\xa1x\x90"), E_TYPE},
                {BYTES("\x94\xcf\x01\x00\x00\x00\x00\x00\x00\x00\x07\xa1x\x90"), E_TYPE},
                {BYTES("\x94\x00\xff\xa1x\x90"), E_MSGID},
                {BYTES("\x94\x00\xc0\xa1x\x90"), E_MSGID},
                {BYTES("\x94\x00\xa1"
                       "7\xa1x\x90"),
                 E_MSGID},
                {BYTES("\x94\x00\xca\x00\x00\x00\x00\xa1x\x90"), E_MSGID},
                {BYTES("\x94\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xa1x\x90"), E_MSGID},
                {BYTES("\x94\x01\x90\xc0\xc0"), E_MSGID},
                {BYTES("\x94\x00\x07\x05\x90"), E_METHOD},
                {BYTES("\x94\x00\x07\xc0\x90"), E_METHOD},
                {BYTES("\x94\x00\x07\x91\xa1x\x90"), E_METHOD},
                {BYTES("\x94\x00\x07\xd4\x01x\x90"), E_METHOD},
                {BYTES("\x93\x02\x07\x90"), E_METHOD},
                {BYTES("\x94\x00\x07\xa1x\x80"), E_PARAMS},
                {BYTES("\x94\x00\x07\xa1x\x05"), E_PARAMS},
                {BYTES("\x94\x00\x07\xa1x\xc2"), E_PARAMS},
                {BYTES("\x93\x02\xa1x\xa0"), E_PARAMS},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                struct proto_message message, before;

                print_message("row %zu\n", i);
                memset(&message, 0x5a, sizeof(message));
                memset(&before, 0x5a, sizeof(before));
                assert_int_equal(parse(rows[i].bytes, rows[i].len, &message), rows[i].result);
                assert_memory_equal(&message, &before, sizeof(message)); /* set on success only */
        }
}

static void test_texts(void **state)
{
        (void)state;
        for (int a = PROTO_MESSAGE_OK; a <= E_PARAMS; a++) {
                const char *text = proto_message_result_to_string((enum proto_message_result)a);

                assert_true(strlen(text) > 0);
                for (int b = PROTO_MESSAGE_OK; b < a; b++)
                        assert_string_not_equal(
                                text, proto_message_result_to_string((enum proto_message_result)b));
        }
        assert_non_null(proto_message_result_to_string((enum proto_message_result)99));
}

static void assert_bytes(struct proto_builder *builder, const char *bytes, size_t len)
{
        assert_int_equal(builder->error, PROTO_BUILDER_OK);
        assert_int_equal(builder->len, len);
        assert_memory_equal(builder->data, bytes, len);
}

static void test_heads(void **state)
{
        struct proto_builder builder;

        (void)state;
        proto_builder_init(&builder, 1000);
        proto_put_request(&builder, UINT32_MAX, "a.bXX", 3, 2);
        assert_bytes(&builder, BYTES("\x94\x00\xce\xff\xff\xff\xff\xa3"
                                     "a.b\x92"));
        proto_builder_reset(&builder);
        proto_put_notify(&builder, "vmreq.chunk", 3);
        assert_bytes(&builder, BYTES("\x93\x02\xab"
                                     "vmreq.chunk\x93"));
        proto_builder_reset(&builder);
        proto_put_response(&builder, 7);
        assert_bytes(&builder, BYTES("\x94\x01\x07"));
        proto_builder_deinit(&builder);
}

/* What the heads write, with values behind them, scans, decodes and parses to the same message. */
static void test_round_trip(void **state)
{
        static const uint32_t msgids[] = {0, 1, 127, 128, 255, 256, 65535, 65536, UINT32_MAX};

        (void)state;
        for (size_t i = 0; i < sizeof(msgids) / sizeof(msgids[0]); i++) {
                struct proto_builder builder;
                struct proto_frame frame;
                struct proto_message message;
                size_t request;

                proto_builder_init(&builder, 1000);
                proto_put_request(&builder, msgids[i], "debug.add", 9, 1);
                proto_put_int(&builder, -5);
                request = builder.len;
                proto_put_response(&builder, msgids[i]);
                proto_put_text(&builder, "BUSY: x");
                proto_put_nil(&builder);

                proto_frame_init(&frame, PROTO_FRAME_BYTES_DEFAULT);
                assert_int_equal(proto_frame_scan(&frame, builder.data, builder.len),
                                 PROTO_FRAME_DONE);
                assert_int_equal(frame.pos, request);
                assert_true(frame.has_type && frame.has_msgid);
                assert_int_equal(frame.msgid, msgids[i]);
                assert_int_equal(parse(builder.data, request, &message), PROTO_MESSAGE_OK);
                assert_int_equal(message.type, PROTO_REQUEST);
                assert_int_equal(message.msgid, msgids[i]);
                assert_int_equal(message.params->items[0].i, -5);

                assert_int_equal(parse(builder.data + request, builder.len - request, &message),
                                 PROTO_MESSAGE_OK);
                assert_int_equal(message.type, PROTO_RESPONSE);
                assert_int_equal(message.msgid, msgids[i]);
                assert_true(proto_value_is_text(message.error, "BUSY: x"));
                proto_builder_deinit(&builder);
        }
}

static int teardown(void **state)
{
        (void)state;
        proto_arena_deinit(&arena);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_request),    cmocka_unit_test(test_notify),
                cmocka_unit_test(test_response),   cmocka_unit_test(test_refused),
                cmocka_unit_test(test_texts),      cmocka_unit_test(test_heads),
                cmocka_unit_test(test_round_trip),
        };

        return cmocka_run_group_tests(tests, NULL, teardown);
}
