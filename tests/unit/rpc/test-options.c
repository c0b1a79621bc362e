/* SPDX-License-Identifier: MIT */
/* The options map of vmreq.call and vmreq.submit over what a symbol registers. */
#include "unit/rpc/wire.h"

#include <unistd.h>

#include "base/macros.h"
#include "rpc/options.h"

static struct rpc_options options;
static char text[512];

static const struct vmreq_symbol plain = {.dest = VMREQ_DEST_ANY};

static enum proto_code read_options(const struct vmreq_symbol *symbol, bool submit, const char *map)
{
        struct wire_value value = wire_new(map);
        enum proto_code code;

        text[0] = 0;
        rpc_options_init(&options, symbol, 30000);
        code = rpc_options_read(&options, value.root, 4, submit, text, sizeof(text));
        wire_free(&value);
        return code;
}

static void test_defaults(void **state)
{
        static const struct vmreq_symbol full = {
                .dest = 2,
                .timeout_ms = 77,
                .flags = VMREQ_SYM_PRIORITY | VMREQ_SYM_POKE | VMREQ_SYM_READ_ONLY,
        };
        static const struct vmreq_symbol unlimited = {.timeout_ms = VMREQ_TIMEOUT_NONE};

        (void)state;
        rpc_options_init(&options, &plain, 1234);
        assert_int_equal(options.cpu, VMREQ_CPU_ANY);
        assert_int_equal(options.flags, 0);
        assert_int_equal(options.timeout_ms, 1234);
        assert_false(options.no_wait || options.timing);
        rpc_options_init(&options, &full, 1234);
        assert_int_equal(options.cpu, 2);
        assert_int_equal(options.flags, VMREQ_PRIORITY | VMREQ_POKE);
        assert_int_equal(options.timeout_ms, 77);
        rpc_options_init(&options, &unlimited, 1234);
        assert_int_equal(options.timeout_ms, 0);
        rpc_options_init(&options, &full, 1234);
        assert_int_equal(rpc_options_read(&options, NULL, 4, false, text, sizeof(text)), PROTO_OK);
        assert_int_equal(options.cpu, 2);
        assert_int_equal(read_options(&plain, false, "nil"), PROTO_OK);
        assert_int_equal(read_options(&plain, false, "{}"), PROTO_OK);
        assert_int_equal(read_options(&plain, false, "[]"), PROTO_INVALID_REQUEST);
        assert_has(text, "options: expected a map, got array");
        /* The caller wins over what is registered. */
        assert_int_equal(read_options(&full, false,
                                      "{'priority': false, 'poke': false, 'cpu': 'any', "
                                      "'timeout_ms': nil}"),
                         PROTO_OK);
        assert_int_equal(options.flags, 0);
        assert_int_equal(options.cpu, VMREQ_CPU_ANY);
        assert_int_equal(options.timeout_ms, 0);
}

static void test_destinations(void **state)
{
        static const struct {
                const char *map;
                uint32_t cpu;
        } good[] = {
                {"{'cpu': 0}", 0},
                {"{'cpu': 3}", 3},
                {"{'cpu': 'any'}", VMREQ_CPU_ANY},
                {"{'cpu': 'any-queue'}", VMREQ_CPU_ANY_QUEUE},
                {"{'cpu': 'all'}", VMREQ_CPU_ALL},
                {"{'cpu': 'all-reverse'}", VMREQ_CPU_ALL_REVERSE},
        };
        static const char *const bad[] = {
                "{'cpu': 4}",     "{'cpu': -1}",  "{'cpu': 4294967280}", "{'cpu': 4294967296}",
                "{'cpu': 'ALL'}", "{'cpu': '0'}", "{'cpu': ''}",         "{'cpu': nil}",
                "{'cpu': true}",  "{'cpu': [0]}", "{'cpu': 0.0}",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                assert_int_equal(read_options(&plain, false, good[i].map), PROTO_OK);
                assert_int_equal(options.cpu, good[i].cpu);
        }
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                assert_int_equal(read_options(&plain, false, bad[i]), PROTO_INVALID_REQUEST);
                assert_string_equal(text, "option \"cpu\": expected a vCPU of this VM, 0..3, or "
                                          "\"any\", \"any-queue\", \"all\", \"all-reverse\"");
        }
}

static void test_flags(void **state)
{
        (void)state;
        assert_int_equal(read_options(&plain, false, "{'priority': true, 'poke': true}"), PROTO_OK);
        assert_int_equal(options.flags, VMREQ_PRIORITY | VMREQ_POKE);
        assert_int_equal(read_options(&plain, false,
                                      "{'cpu': 'all', 'parallel': true, 'on_error': 'continue'}"),
                         PROTO_OK);
        assert_int_equal(options.flags, VMREQ_PARALLEL | VMREQ_CONTINUE);
        /* The order of the keys does not matter. */
        assert_int_equal(read_options(&plain, false,
                                      "{'on_error': 'continue', 'parallel': true, "
                                      "'cpu': 'all-reverse'}"),
                         PROTO_OK);
        assert_int_equal(read_options(&plain, false, "{'on_error': 'stop', 'parallel': false}"),
                         PROTO_OK);
        assert_int_equal(options.flags, 0);
        assert_int_equal(read_options(&plain, false, "{'parallel': true}"), PROTO_INVALID_REQUEST);
        assert_has(text, "need cpu \"all\"");
        assert_int_equal(read_options(&plain, false, "{'cpu': 1, 'on_error': 'continue'}"),
                         PROTO_INVALID_REQUEST);
        assert_int_equal(read_options(&plain, false, "{'priority': 1}"), PROTO_INVALID_REQUEST);
        assert_has(text, "option \"priority\": expected a bool");
        assert_int_equal(read_options(&plain, false, "{'poke': nil}"), PROTO_INVALID_REQUEST);
        assert_int_equal(read_options(&plain, false, "{'on_error': 'maybe'}"),
                         PROTO_INVALID_REQUEST);
        assert_has(text, "\"stop\" or \"continue\"");
        assert_int_equal(read_options(&plain, false, "{'timing': true}"), PROTO_OK);
        assert_true(options.timing);
        assert_int_equal(read_options(&plain, false, "{'timing': 'yes'}"), PROTO_INVALID_REQUEST);
}

static void test_time_limit(void **state)
{
        (void)state;
        assert_int_equal(read_options(&plain, false, "{'timeout_ms': 1}"), PROTO_OK);
        assert_int_equal(options.timeout_ms, 1);
        assert_int_equal(read_options(&plain, false, "{'timeout_ms': 0}"), PROTO_OK);
        assert_int_equal(options.timeout_ms, 0);
        assert_int_equal(read_options(&plain, false, "{'timeout_ms': nil}"), PROTO_OK);
        assert_int_equal(options.timeout_ms, 0);
        assert_int_equal(read_options(&plain, false, "{'timeout_ms': 1000000000000}"), PROTO_OK);
        assert_int_equal(options.timeout_ms, 1000000000000);
        assert_int_equal(read_options(&plain, false, "{'timeout_ms': 1000000000001}"),
                         PROTO_INVALID_REQUEST);
        assert_has(text, "milliseconds 0..10^12");
        assert_int_equal(read_options(&plain, false, "{'timeout_ms': -1}"), PROTO_INVALID_REQUEST);
        assert_int_equal(read_options(&plain, false, "{'timeout_ms': 1.5}"), PROTO_INVALID_REQUEST);
        assert_int_equal(read_options(&plain, false, "{'timeout_ms': '1'}"), PROTO_INVALID_REQUEST);
}

static void test_submit_only(void **state)
{
        (void)state;
        assert_int_equal(read_options(&plain, true, "{'no_wait': true}"), PROTO_OK);
        assert_true(options.no_wait);
        assert_int_equal(read_options(&plain, false, "{'no_wait': true}"), PROTO_INVALID_REQUEST);
        assert_has(text, "unknown option \"no_wait\"");
        assert_int_equal(read_options(&plain, true, "{'no_wait': 1}"), PROTO_INVALID_REQUEST);
}

static void test_stream_and_detach(void **state)
{
        (void)state;
        assert_int_equal(read_options(&plain, false, "{}"), PROTO_OK);
        assert_false(options.stream || options.detach || options.key);
        assert_int_equal(read_options(&plain, false, "{'stream': true, 'detach': true}"), PROTO_OK);
        assert_true(options.stream && options.detach);
        assert_int_equal(read_options(&plain, false, "{'stream': 1}"), PROTO_INVALID_REQUEST);
        assert_has(text, "option \"stream\": expected a bool");
        assert_int_equal(read_options(&plain, false, "{'detach': nil}"), PROTO_INVALID_REQUEST);
        assert_has(text, "option \"detach\": expected a bool");
        assert_int_equal(read_options(&plain, true, "{'stream': false, 'detach': true}"), PROTO_OK);
        assert_int_equal(read_options(&plain, true, "{'stream': true}"), PROTO_INVALID_REQUEST);
        assert_has(text, "vmreq.call only");
}

static void test_key(void **state)
{
        static const char *const bad[] = {"{'key': ''}", "{'key': 7}", "{'key': nil}",
                                          "{'key': ['k']}"};
        char map[300], key[140];

        (void)state;
        assert_int_equal(read_options(&plain, true, "{'key': 'k'}"), PROTO_OK);
        assert_non_null(options.key);
        assert_int_equal(options.key_len, 1);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                assert_int_equal(read_options(&plain, false, bad[i]), PROTO_INVALID_REQUEST);
                assert_has(text, "option \"key\": expected a string of 1 to 128 bytes");
        }
        for (uint32_t len = 127; len <= 129; len++) {
                memset(key, 'k', len);
                key[len] = '\0';
                (void)snprintf(map, sizeof(map), "{'key': '%s'}", key);
                assert_int_equal(read_options(&plain, false, map),
                                 len <= 128 ? PROTO_OK : PROTO_INVALID_REQUEST);
        }
}

static void test_cap(void **state)
{
        static const struct {
                uint64_t timeout_ms, capped;
        } cases[] = {{0, 500}, {1, 1}, {499, 499}, {500, 500}, {501, 500}, {1000000000000, 500}};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                options.timeout_ms = cases[i].timeout_ms;
                rpc_options_cap(&options, 0); /* none */
                assert_int_equal(options.timeout_ms, cases[i].timeout_ms);
                rpc_options_cap(&options, 500);
                assert_int_equal(options.timeout_ms, cases[i].capped);
        }
}

static void test_unknown(void **state)
{
        (void)state;
        assert_int_equal(read_options(&plain, false, "{'cpus': 1}"), PROTO_INVALID_REQUEST);
        assert_has(text, "unknown option \"cpus\"; there are cpu, priority");
        assert_int_equal(read_options(&plain, false, "{1: 1}"), PROTO_INVALID_REQUEST);
        assert_has(text, "unknown option \"\"");
        assert_int_equal(read_options(&plain, false, "{nil: nil}"), PROTO_INVALID_REQUEST);
        assert_int_equal(
                read_options(&plain, false, "{'a234567890123456789012345678901234567890': 1}"),
                PROTO_INVALID_REQUEST);
        assert_has(text, "\"a2345678901234567890123456789012\""); /* 32 bytes of it */
}

static void test_twice_the_last_counts(void **state)
{
        (void)state;
        assert_int_equal(read_options(&plain, false, "{'cpu': 1, 'cpu': 2}"), PROTO_OK);
        assert_int_equal(options.cpu, 2);
        assert_int_equal(read_options(&plain, false, "{'cpu': 9, 'cpu': 2}"),
                         PROTO_INVALID_REQUEST);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_defaults),    cmocka_unit_test(test_destinations),
                cmocka_unit_test(test_flags),       cmocka_unit_test(test_time_limit),
                cmocka_unit_test(test_submit_only), cmocka_unit_test(test_stream_and_detach),
                cmocka_unit_test(test_key),         cmocka_unit_test(test_cap),
                cmocka_unit_test(test_unknown),     cmocka_unit_test(test_twice_the_last_counts),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
