/* SPDX-License-Identifier: MIT */
/*
 * The call itself: every number of words, every width and sign, and every kind of result.  The
 * callees are real C functions of these types, so the compiler's idea of the ABI is what is tested.
 */
#include "lib/engine.h"

#include <inttypes.h>
#include <stdio.h>

static vmreq_vm id;

static int setup(void **state)
{
        (void)state;
        id = engine_new(1);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        engine_end(id);
        return 0;
}

/* ---- parameters ---- */

/* What the callee found, each extended by its own type. */
static uint64_t seen[VMREQ_ARGS_MAX];
static uint32_t n_seen, n_runs;

static int32_t note(uint32_t n, const uint64_t *values)
{
        n_seen = n;
        n_runs++;
        if (n)
                memcpy(seen, values, n * sizeof(*values));
        return 0;
}

#define P1(T)  T a1
#define P2(T)  P1(T), T a2
#define P3(T)  P2(T), T a3
#define P4(T)  P3(T), T a4
#define P5(T)  P4(T), T a5
#define P6(T)  P5(T), T a6
#define P7(T)  P6(T), T a7
#define P8(T)  P7(T), T a8
#define P9(T)  P8(T), T a9
#define P10(T) P9(T), T a10
#define P11(T) P10(T), T a11
#define P12(T) P11(T), T a12
#define P13(T) P12(T), T a13
#define P14(T) P13(T), T a14
#define P15(T) P14(T), T a15

#define V1  (uint64_t) a1
#define V2  V1, (uint64_t)a2
#define V3  V2, (uint64_t)a3
#define V4  V3, (uint64_t)a4
#define V5  V4, (uint64_t)a5
#define V6  V5, (uint64_t)a6
#define V7  V6, (uint64_t)a7
#define V8  V7, (uint64_t)a8
#define V9  V8, (uint64_t)a9
#define V10 V9, (uint64_t)a10
#define V11 V10, (uint64_t)a11
#define V12 V11, (uint64_t)a12
#define V13 V12, (uint64_t)a13
#define V14 V13, (uint64_t)a14
#define V15 V14, (uint64_t)a15

#define DEFINE(T, name, n)                                                                         \
        static int32_t name##_##n(P##n(T))                                                         \
        {                                                                                          \
                uint64_t values[] = {V##n};                                                        \
                return note(n, values);                                                            \
        }

#define DEFINE_ALL(T, name)                                                                        \
        DEFINE(T, name, 1)                                                                         \
        DEFINE(T, name, 2)                                                                         \
        DEFINE(T, name, 3)                                                                         \
        DEFINE(T, name, 4)                                                                         \
        DEFINE(T, name, 5)                                                                         \
        DEFINE(T, name, 6)                                                                         \
        DEFINE(T, name, 7)                                                                         \
        DEFINE(T, name, 8)                                                                         \
        DEFINE(T, name, 9)                                                                         \
        DEFINE(T, name, 10)                                                                        \
        DEFINE(T, name, 11)                                                                        \
        DEFINE(T, name, 12)                                                                        \
        DEFINE(T, name, 13)                                                                        \
        DEFINE(T, name, 14)                                                                        \
        DEFINE(T, name, 15)                                                                        \
        static uint64_t extend_##name(uint64_t x)                                                  \
        {                                                                                          \
                return VMREQ_W((T)x);                                                              \
        }

static int32_t none_0(void)
{
        return note(0, NULL);
}

DEFINE_ALL(uint64_t, u64)
DEFINE_ALL(int64_t, i64)
DEFINE_ALL(uint32_t, u32)
DEFINE_ALL(int32_t, i32)
DEFINE_ALL(uint16_t, u16)
DEFINE_ALL(int16_t, i16)
DEFINE_ALL(uint8_t, u8)
DEFINE_ALL(int8_t, i8)
DEFINE_ALL(_Bool, bool_)
DEFINE_ALL(uintptr_t, ptr)

#define ROW(name)                                                                                  \
        {                                                                                          \
#name, extend_##name,                                                              \
                {                                                                                  \
                        (vmreq_fn) none_0, (vmreq_fn)name##_1, (vmreq_fn)name##_2,                 \
                                (vmreq_fn)name##_3, (vmreq_fn)name##_4, (vmreq_fn)name##_5,        \
                                (vmreq_fn)name##_6, (vmreq_fn)name##_7, (vmreq_fn)name##_8,        \
                                (vmreq_fn)name##_9, (vmreq_fn)name##_10, (vmreq_fn)name##_11,      \
                                (vmreq_fn)name##_12, (vmreq_fn)name##_13, (vmreq_fn)name##_14,     \
                                (vmreq_fn)name##_15                                                \
                }                                                                                  \
        }

static const struct {
        const char *name;
        uint64_t (*extend)(uint64_t x);
        vmreq_fn fns[VMREQ_ARGS_MAX + 1];
} types[] = {ROW(u64), ROW(i64), ROW(u32), ROW(i32),   ROW(u16),
             ROW(i16), ROW(u8),  ROW(i8),  ROW(bool_), ROW(ptr)};

/* xorshift64*: enough for words that differ in every byte. */
static uint64_t next_random(uint64_t *x)
{
        *x ^= *x >> 12;
        *x ^= *x << 25;
        *x ^= *x >> 27;
        return *x * 0x2545f4914f6cdd1d;
}

static void check_words(size_t type, uint32_t argc, const uint64_t *words)
{
        struct vmreq_spec spec = VMREQ_SPEC_INIT;
        struct vmreq_row row;
        uint32_t runs = n_runs;

        spec.kind = VMREQ_FN_STATUS;
        spec.fn = types[type].fns[argc];
        spec.args = words;
        spec.argc = argc;
        row = engine_finish(engine_submit(id, &spec));
        assert_int_equal(row.fate, VMREQ_FATE_DONE);
        assert_int_equal(row.status, 0);
        assert_int_equal(n_runs, runs + 1);
        assert_int_equal(n_seen, argc);
        for (uint32_t i = 0; i < argc; i++)
                if (seen[i] != words[i])
                        fail_msg("%s, word %" PRIu32 " of %" PRIu32 ": %" PRIx64 " != %" PRIx64,
                                 types[type].name, i + 1, argc, seen[i], words[i]);
}

static void test_words(void **state)
{
        static const uint64_t corners[] = {0,          1,          UINT64_MAX, 0x7f,
                                           0x80,       0x7fff,     0x8000,     INT32_MAX,
                                           0x80000000, UINT32_MAX, INT64_MAX,  1ull << 63};
        uint64_t random = 0x9e3779b97f4a7c15, words[VMREQ_ARGS_MAX];

        (void)state;
        for (size_t type = 0; type < ARRAY_SIZE(types); type++) {
                for (uint32_t argc = 0; argc <= VMREQ_ARGS_MAX; argc++) {
                        for (uint32_t i = 0; i < argc; i++)
                                words[i] = types[type].extend(next_random(&random));
                        check_words(type, argc, words);
                        for (uint32_t i = 0; i < argc; i++)
                                words[i] = types[type].extend(
                                        corners[(i + argc) % ARRAY_SIZE(corners)]);
                        check_words(type, argc, words);
                }
        }
}

static int32_t mixed(int8_t a, uint64_t b, _Bool c, int16_t d, uint32_t e, const char *f, uint8_t g,
                     int64_t h, uint16_t i, int32_t j)
{
        uint64_t values[] = {VMREQ_W(a),   b, c,          VMREQ_W(d), e,
                             (uintptr_t)f, g, VMREQ_W(h), i,          VMREQ_W(j)};

        return note(ARRAY_SIZE(values), values);
}

static void test_mixed(void **state)
{
        static const char text[] = "text";
        uint64_t words[] = {VMREQ_W((int8_t)-128),
                            UINT64_MAX - 5,
                            VMREQ_W(true),
                            VMREQ_W((int16_t)-2),
                            VMREQ_W(0x89abcdefu),
                            VMREQ_W((uintptr_t)text),
                            VMREQ_W((uint8_t)0xff),
                            VMREQ_W(INT64_MIN),
                            VMREQ_W((uint16_t)0xfffe),
                            VMREQ_W(-7)};
        struct vmreq_spec spec = VMREQ_SPEC_INIT;

        (void)state;
        spec.kind = VMREQ_FN_STATUS;
        spec.fn = (vmreq_fn)mixed;
        spec.args = words;
        spec.argc = ARRAY_SIZE(words);
        (void)engine_finish(engine_submit(id, &spec));
        assert_memory_equal(seen, words, sizeof(words));
}

/* ---- results ---- */

static void ret_void(uint64_t x)
{
        seen[0] = x;
}

static int32_t ret_i32(uint64_t x)
{
        return (int32_t)x;
}

static uint32_t ret_u32(uint64_t x)
{
        return (uint32_t)x;
}

static int64_t ret_i64(uint64_t x)
{
        return (int64_t)x;
}

static uint64_t ret_u64(uint64_t x)
{
        return x;
}

static _Bool ret_bool(uint64_t x)
{
        return x & 1;
}

static void test_results(void **state)
{
        static const struct {
                enum vmreq_kind kind;
                vmreq_fn fn;
                uint64_t arg;
                int32_t status;
                uint64_t value;
        } rows[] = {
                {VMREQ_FN_VOID, (vmreq_fn)ret_void, 5, 0, 0},
                {VMREQ_FN_STATUS, (vmreq_fn)ret_i32, 0, 0, 0},
                {VMREQ_FN_STATUS, (vmreq_fn)ret_i32, 7, 7, 0},
                {VMREQ_FN_STATUS, (vmreq_fn)ret_i32, UINT64_MAX, -1, 0},
                {VMREQ_FN_STATUS, (vmreq_fn)ret_i32, 0x80000000, INT32_MIN, 0},
                {VMREQ_FN_BOOL, (vmreq_fn)ret_bool, 1, 0, 1},
                {VMREQ_FN_BOOL, (vmreq_fn)ret_bool, 2, 0, 0},
                {VMREQ_FN_BOOL, (vmreq_fn)ret_bool, UINT64_MAX, 0, 1},
                {VMREQ_FN_I32, (vmreq_fn)ret_i32, 5, 0, 5},
                /* A negative result is a value here, not a failure. */
                {VMREQ_FN_I32, (vmreq_fn)ret_i32, (uint64_t)-48, 0, (uint64_t)-48},
                {VMREQ_FN_I32, (vmreq_fn)ret_i32, 0x80000000, 0, 0xffffffff80000000},
                {VMREQ_FN_U32, (vmreq_fn)ret_u32, 0x80000000, 0, 0x80000000},
                {VMREQ_FN_U32, (vmreq_fn)ret_u32, UINT64_MAX, 0, UINT32_MAX},
                /* A wider function than was declared: what is above is cut off. */
                {VMREQ_FN_U32, (vmreq_fn)ret_u64, 0x1234567887654321, 0, 0x87654321},
                {VMREQ_FN_I32, (vmreq_fn)ret_u64, 0x1234567887654321, 0, 0xffffffff87654321},
                {VMREQ_FN_STATUS, (vmreq_fn)ret_u64, 0x1234567800000003, 3, 0},
                {VMREQ_FN_BOOL, (vmreq_fn)ret_u64, 0x1234567887654300, 0, 0},
                {VMREQ_FN_I64, (vmreq_fn)ret_i64, (uint64_t)INT64_MIN, 0, (uint64_t)INT64_MIN},
                {VMREQ_FN_I64, (vmreq_fn)ret_i64, (uint64_t)-1, 0, UINT64_MAX},
                {VMREQ_FN_U64, (vmreq_fn)ret_u64, UINT64_MAX, 0, UINT64_MAX},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct vmreq_spec spec = VMREQ_SPEC_INIT;
                struct vmreq_row row;

                spec.kind = rows[i].kind;
                spec.fn = rows[i].fn;
                spec.args = &rows[i].arg;
                spec.argc = 1;
                row = engine_finish(engine_submit(id, &spec));
                assert_int_equal(row.fate, VMREQ_FATE_DONE);
                assert_int_equal(row.status, rows[i].status);
                assert_int_equal(row.value, rows[i].value);
                /* The flag takes the result away, whatever the kind. */
                spec.flags = VMREQ_VOID;
                row = engine_finish(engine_submit(id, &spec));
                assert_int_equal(row.fate, VMREQ_FATE_DONE);
                assert_int_equal(row.status, 0);
                assert_int_equal(row.value, 0);
        }
}

/* ---- callbacks ---- */

static int user;

static int32_t check_callback(void *ctx, const uint64_t *args, uint32_t argc,
                              struct vmreq_reply *reply)
{
        CHECK(reply->value == 0 && reply->cpu == 0 && reply->user == &user);
        CHECK(argc <= VMREQ_ARGS_MAX);
        memcpy(seen, args, argc * sizeof(*args));
        n_seen = argc;
        reply->value = *(const uint64_t *)ctx;
        return -11;
}

static void test_callback(void **state)
{
        uint64_t ctx = 0xdeadbeefcafe, words[VMREQ_ARGS_MAX];
        struct vmreq_spec spec = engine_spec(0, 0, check_callback, &ctx);
        struct vmreq_row row;

        (void)state;
        for (uint32_t i = 0; i < VMREQ_ARGS_MAX; i++)
                words[i] = ~(uint64_t)i;
        spec.user = &user;
        spec.args = words;
        for (spec.argc = 0; spec.argc <= VMREQ_ARGS_MAX; spec.argc++) {
                memset(seen, 0, sizeof(seen));
                row = engine_finish(engine_submit(id, &spec));
                assert_int_equal(row.status, -11);
                assert_int_equal(row.value, ctx);
                assert_int_equal(n_seen, spec.argc);
                assert_memory_equal(seen, words, spec.argc * sizeof(*words));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_words, setup, teardown),
                cmocka_unit_test_setup_teardown(test_mixed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_results, setup, teardown),
                cmocka_unit_test_setup_teardown(test_callback, setup, teardown),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
