/* SPDX-License-Identifier: MIT */
/*
 * Arguments: every type against every kind of wire value, numbers at their borders, positional and
 * named, optional and nil, long ones, and what happens without memory.
 */
#include "unit/rpc/wire.h"

#include <float.h>
#include <unistd.h>

#include "base/macros.h"
#include "lib/fail-at.h"
#include "rpc/marshal.h"
#include "symbols/signature.h"

/* ---- symbols in few words ---- */

static int32_t function(void *ctx, const struct vmreq_value *args, uint32_t argc,
                        struct vmreq_writer *reply)
{
        (void)ctx, (void)args, (void)argc, (void)reply;
        return 0;
}

static void words(void)
{
}

struct fixture {
        struct vmreq_symbol def;
        struct sym_symbol symbol;
        struct rpc_args args;
        enum proto_code code;
        char text[1024];
        struct wire_value wire;
};

static void symbol_new(struct fixture *f, const struct vmreq_param *params, uint32_t n,
                       bool is_words)
{
        char text[256];

        memset(f, 0, sizeof(*f));
        f->def = (struct vmreq_symbol){
                .size = sizeof(f->def),
                .name = "m.f",
                .doc = "-",
                .params = params,
                .n_params = n,
                .result = VMREQ_T_NIL,
                .dest = VMREQ_DEST_ANY,
        };
        if (is_words)
                f->def.words = words;
        else
                f->def.function = function;
        if (!sym_signature_check(&f->def, text, sizeof(text)))
                fail_msg("%s", text);
        f->symbol = (struct sym_symbol){.def = &f->def, .words = is_words};
        for (uint32_t i = 0; i < n; i++)
                f->symbol.n_required += !(params[i].flags & VMREQ_PARAM_OPTIONAL);
}

/* Marshals the written arguments, with some bytes in front of them as in a frame. */
static void marshal(struct fixture *f, const char *args, ...)
{
        static const char before[] = "frame:";
        struct proto_builder frame;
        va_list list;

        rpc_args_deinit(&f->args);
        wire_free(&f->wire);
        memset(&f->args, 0xa5, sizeof(f->args));
        f->text[0] = 0;
        proto_builder_init(&f->wire.bytes, PROTO_FRAME_BYTES_MAX);
        va_start(list, args);
        wire_vput(&f->wire.bytes, args, list);
        va_end(list);
        wire_decode(&f->wire, f->wire.bytes.data, f->wire.bytes.len);
        proto_builder_init(&frame, PROTO_FRAME_BYTES_MAX);
        proto_put_raw(&frame, before, strlen(before));
        proto_put_raw(&frame, f->wire.bytes.data, f->wire.bytes.len);
        f->code = rpc_marshal_args(&f->symbol, f->wire.root, frame.data, frame.len, strlen(before),
                                   &f->args, f->text, sizeof(f->text));
        memset(frame.data, 0xee, frame.len); /* the arguments must not point there */
        proto_builder_deinit(&frame);
}

static void fixture_free(struct fixture *f)
{
        rpc_args_deinit(&f->args);
        rpc_args_deinit(&f->args); /* idempotent */
        wire_free(&f->wire);
}

#define assert_refused(f, part)                                                                    \
        do {                                                                                       \
                if ((f)->code != PROTO_INVALID_ARGUMENT)                                           \
                        fail_msg("code %d, not refused: %s", (f)->code, part);                     \
                assert_has((f)->text, part);                                                       \
                assert_null(strchr((f)->text, '\n'));                                              \
        } while (0)

#define assert_taken(f)                                                                            \
        do {                                                                                       \
                if ((f)->code != PROTO_OK)                                                         \
                        fail_msg("refused: %s", (f)->text);                                        \
        } while (0)

/* ---- every type × every kind of value ---- */

static const char *const kinds[] = {
        "[nil]",    "[true]",   "[7]",  "[-7]",  "[1.5]",
        "['0x1f']", "['text']", "[%b]", "[[1]]", "[{'k': 1}]",
};

/* Which of `kinds` a type takes: one letter each. */
static const struct {
        uint32_t type;
        const char *takes; /* '+' taken, '-' refused */
} matrix[] = {
        /*                nil bool 7 -7 1.5 '0x' 'text' bin [1] map */
        {VMREQ_T_BOOL, "-+--------"},  {VMREQ_T_I8, "--++------"},  {VMREQ_T_I16, "--++------"},
        {VMREQ_T_I32, "--++------"},   {VMREQ_T_I64, "--++------"}, {VMREQ_T_U8, "--+-------"},
        {VMREQ_T_U16, "--+-------"},   {VMREQ_T_U32, "--+-------"}, {VMREQ_T_U64, "--+-------"},
        {VMREQ_T_X64, "--+--+----"},   {VMREQ_T_F64, "--+++-----"}, {VMREQ_T_STR, "-----+++--"},
        {VMREQ_T_BYTES, "-----+++--"}, {VMREQ_T_ANY, "++++++++++"}, {VMREQ_T_ARRAY, "--------+-"},
        {VMREQ_T_MAP, "---------+"},
};

static void test_matrix(void **state)
{
        (void)state;
        for (size_t t = 0; t < ARRAY_SIZE(matrix); t++) {
                /* A second parameter, so that a map is never a map of named arguments. */
                struct vmreq_param params[] = {
                        {.name = "p", .type = matrix[t].type, .doc = "-"},
                };

                for (int is_words = 0; is_words < 2; is_words++) {
                        struct fixture f;

                        if (is_words && !sym_type_is_word(matrix[t].type))
                                continue;
                        symbol_new(&f, params, 1, is_words);
                        for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
                                bool takes = matrix[t].takes[k] == '+';

                                marshal(&f, kinds[k], "\x01\x02", (size_t)2);
                                if ((f.code == PROTO_OK) != takes)
                                        fail_msg("%s %s: %s", sym_type_to_string(matrix[t].type),
                                                 kinds[k], f.text);
                                if (!takes)
                                        assert_has(f.text, "m.f: ");
                        }
                        fixture_free(&f);
                }
        }
}

/* ---- numbers ---- */

static void test_borders(void **state)
{
        static const struct {
                uint32_t type;
                const char *min, *below, *max, *above, *range;
        } rows[] = {
                {VMREQ_T_I8, "[-128]", "[-129]", "[127]", "[128]", "-128..127"},
                {VMREQ_T_I16, "[-32768]", "[-32769]", "[32767]", "[32768]", "-32768..32767"},
                {VMREQ_T_I32, "[-2147483648]", "[-2147483649]", "[2147483647]", "[2147483648]",
                 "-2147483648..2147483647"},
                {VMREQ_T_I64, "[-9223372036854775808]", NULL, "[9223372036854775807]",
                 "[9223372036854775808]", "-9223372036854775808..9223372036854775807"},
                {VMREQ_T_U8, "[0]", "[-1]", "[255]", "[256]", "0..255"},
                {VMREQ_T_U16, "[0]", "[-1]", "[65535]", "[65536]", "0..65535"},
                {VMREQ_T_U32, "[0]", "[-1]", "[4294967295]", "[4294967296]", "0..4294967295"},
                {VMREQ_T_U64, "[0]", "[-1]", "[18446744073709551615]", NULL,
                 "0..18446744073709551615"},
                {VMREQ_T_X64, "[0]", "[-1]", "['0xffffffffffffffff']", NULL,
                 "0..18446744073709551615"},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct vmreq_param params[] = {{.name = "p", .type = rows[i].type, .doc = "-"}};

                for (int is_words = 0; is_words < 2; is_words++) {
                        int64_t min;
                        uint64_t max;
                        struct fixture f;

                        sym_type_bounds(rows[i].type, &min, &max);
                        symbol_new(&f, params, 1, is_words);
                        marshal(&f, rows[i].min);
                        assert_taken(&f);
                        assert_int_equal(is_words ? f.args.word[0] : f.args.value[0].u, min);
                        marshal(&f, rows[i].max);
                        assert_taken(&f);
                        assert_int_equal(is_words ? f.args.word[0] : f.args.value[0].u, max);
                        if (rows[i].below) {
                                marshal(&f, rows[i].below);
                                assert_refused(&f, rows[i].range);
                        }
                        if (rows[i].above) {
                                marshal(&f, rows[i].above);
                                assert_refused(&f, rows[i].range);
                        }
                        fixture_free(&f);
                }
        }
}

static void test_declared_ranges(void **state)
{
        static const struct vmreq_param params[] = {
                {.name = "s",
                 .type = VMREQ_T_I16,
                 .doc = "-",
                 .flags = VMREQ_PARAM_RANGE,
                 .min = -5,
                 .max = 9},
                {.name = "u",
                 .type = VMREQ_T_U64,
                 .doc = "-",
                 .flags = VMREQ_PARAM_RANGE,
                 .min = 2,
                 .max = (int64_t)0xfffffffffffffff0},
                {.name = "t",
                 .type = VMREQ_T_STR,
                 .doc = "-",
                 .flags = VMREQ_PARAM_RANGE,
                 .min = 1,
                 .max = 3},
                {.name = "b",
                 .type = VMREQ_T_BYTES,
                 .doc = "-",
                 .flags = VMREQ_PARAM_RANGE,
                 .min = 0,
                 .max = 2},
        };
        struct fixture f;

        (void)state;
        symbol_new(&f, params, 4, false);
        marshal(&f, "[-5, 2, 'a', '']");
        assert_taken(&f);
        marshal(&f, "[9, 18446744073709551600, 'abc', 'xy']");
        assert_taken(&f);
        assert_int_equal(f.args.value[0].i, 9);
        assert_int_equal(f.args.value[1].u, 0xfffffffffffffff0);
        marshal(&f, "[-6, 2, 'a', '']");
        assert_refused(&f, "argument 1 \"s\": out of range for i16, expected -5..9");
        marshal(&f, "[10, 2, 'a', '']");
        assert_refused(&f, "-5..9");
        marshal(&f, "[0, 1, 'a', '']");
        assert_refused(&f,
                       "argument 2 \"u\": out of range for u64, expected 2..18446744073709551600");
        marshal(&f, "[0, 18446744073709551601, 'a', '']");
        assert_refused(&f, "\"u\"");
        marshal(&f, "[0, 2, '', '']");
        assert_refused(&f, "argument 3 \"t\": out of range for str, expected 1..3");
        marshal(&f, "[0, 2, 'abcd', '']");
        assert_refused(&f, "1..3");
        marshal(&f, "[0, 2, 'a', 'abc']");
        assert_refused(&f, "0..2");
        fixture_free(&f);
}

static void test_x64(void **state)
{
        static const struct vmreq_param params[] = {{.name = "p", .type = VMREQ_T_X64, .doc = "-"}};
        static const struct {
                const char *text;
                uint64_t value;
        } good[] = {
                {"0x0", 0},
                {"0X1F", 0x1f},
                {"0xdeadBEEF", 0xdeadbeef},
                {"0x0000000000000001", 1},
                {"0xffffffffffffffff", UINT64_MAX},
        };
        static const char *const bad[] = {
                "",
                "0",
                "x1",
                "0x",
                "1f",
                "0x1g",
                "0x 1",
                "0x-1",
                "0x1 ",
                " 0x1",
                "0x10000000000000000",
                "0x00000000000000001",
                "00x1",
                "0x1\n",
        };
        struct fixture f;

        (void)state;
        symbol_new(&f, params, 1, true);
        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                marshal(&f, "[%s]", good[i].text);
                assert_taken(&f);
                assert_int_equal(f.args.word[0], good[i].value);
                marshal(&f, "[%b]", good[i].text, strlen(good[i].text));
                assert_taken(&f);
        }
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                marshal(&f, "[%s]", bad[i]);
                assert_refused(&f, "expected x64, a string \"0x…\" or an integer, got str");
        }
        marshal(&f, "[%S]", "0x1\0002", (size_t)5);
        assert_refused(&f, "x64");
        fixture_free(&f);
}

static void test_float(void **state)
{
        static const struct vmreq_param params[] = {{.name = "p", .type = VMREQ_T_F64, .doc = "-"}};
        static const uint8_t float32[] = {0x91, 0xca, 0x3f, 0xc0, 0, 0};
        struct fixture f;

        (void)state;
        symbol_new(&f, params, 1, false);
        marshal(&f, "[-7]");
        assert_taken(&f);
        assert_true(f.args.value[0].f == -7.0);
        marshal(&f, "[18446744073709551615]");
        assert_true(f.args.value[0].f == 18446744073709551616.0);
        marshal(&f, "[%f]", DBL_MAX);
        assert_true(f.args.value[0].f == DBL_MAX);
        marshal(&f, "%r", float32, sizeof(float32));
        assert_taken(&f);
        assert_true(f.args.value[0].f == 1.5);
        fixture_free(&f);
}

/* ---- positional and named ---- */

static const struct vmreq_param three[] = {
        {.name = "a", .type = VMREQ_T_I64, .doc = "-"},
        {.name = "b",
         .type = VMREQ_T_STR,
         .doc = "-",
         .flags = VMREQ_PARAM_OPTIONAL,
         .fallback = {.type = VMREQ_T_STR, .data = "fall", .len = 4}},
        {.name = "c",
         .type = VMREQ_T_BOOL,
         .doc = "-",
         .flags = VMREQ_PARAM_OPTIONAL,
         .fallback = {.type = VMREQ_T_BOOL, .u = 1}},
};

static void assert_three(const struct fixture *f, int64_t a, const char *b, uint64_t flag)
{
        assert_taken(f);
        assert_int_equal(f->args.n, 3);
        assert_int_equal(f->args.value[0].i, a);
        assert_int_equal(f->args.value[1].len, strlen(b));
        assert_string_equal(f->args.value[1].data, b); /* with its NUL */
        assert_int_equal(f->args.value[2].u, flag);
        for (uint32_t i = 0; i < 3; i++)
                assert_int_equal(f->args.value[i].type, f->def.params[i].type);
}

static void test_positional(void **state)
{
        struct fixture f;

        (void)state;
        symbol_new(&f, three, 3, false);
        marshal(&f, "[1, 'x', false]");
        assert_three(&f, 1, "x", 0);
        marshal(&f, "[2, 'x']");
        assert_three(&f, 2, "x", 1);
        marshal(&f, "[3]");
        assert_three(&f, 3, "fall", 1);
        marshal(&f, "[4, nil, nil]");
        assert_three(&f, 4, "fall", 1);
        marshal(&f, "[5, nil, false]");
        assert_three(&f, 5, "fall", 0);
        marshal(&f, "[]");
        assert_refused(&f, "m.f takes 1 to 3 arguments, got 0: m.f(");
        marshal(&f, "[1, 'x', true, 4]");
        assert_refused(&f, "got 4");
        marshal(&f, "[nil]");
        assert_refused(&f, "argument 1 \"a\": expected i64, got nil");
        marshal(&f, "[1, 2]");
        assert_refused(&f, "argument 2 \"b\": expected str, got integer");
        fixture_free(&f);
}

static void test_named(void **state)
{
        struct fixture f;

        (void)state;
        symbol_new(&f, three, 3, false);
        marshal(&f, "[{'c': false, 'a': 1, 'b': 'x'}]");
        assert_three(&f, 1, "x", 0);
        marshal(&f, "{'c': false, 'a': 1, 'b': 'x'}"); /* vmreq.call's form */
        assert_three(&f, 1, "x", 0);
        marshal(&f, "[{%b: 6}]", "a", (size_t)1); /* a name as bin */
        assert_three(&f, 6, "fall", 1);
        marshal(&f, "[{'a': 7, 'b': nil}]");
        assert_three(&f, 7, "fall", 1);
        marshal(&f, "[{'b': 'x'}]");
        assert_refused(&f, "argument 1 \"a\": expected i64, got nothing");
        marshal(&f, "{}");
        assert_refused(&f, "\"a\"");
        marshal(&f, "[{'a': 1, 'd': 2}]");
        assert_refused(&f, "there is no argument \"d\"");
        marshal(&f, "[{'a': 1, 'a': 2}]");
        assert_refused(&f, "twice the argument \"a\"");
        marshal(&f, "[{'a': 1, 3: 2}]");
        assert_refused(&f, "there is no argument \"\"");
        marshal(&f, "[{'a': nil}]");
        assert_refused(&f, "expected i64, got nil");
        marshal(&f, "[{'a': 1, %S: 2}]", "a\0b", (size_t)3);
        assert_refused(&f, "there is no argument");
        marshal(&f, "[{'a': 1}, {}]"); /* two: positional */
        assert_refused(&f, "argument 1 \"a\": expected i64, got map");
        fixture_free(&f);
}

static void test_no_params(void **state)
{
        struct fixture f;

        (void)state;
        symbol_new(&f, NULL, 0, true);
        marshal(&f, "[]");
        assert_taken(&f);
        assert_int_equal(f.args.n, 0);
        marshal(&f, "[{}]");
        assert_taken(&f);
        marshal(&f, "{}");
        assert_taken(&f);
        marshal(&f, "[1]");
        assert_refused(&f, "m.f takes 0 arguments, got 1");
        marshal(&f, "[{'x': 1}]");
        assert_refused(&f, "there is no argument \"x\"");
        fixture_free(&f);
}

static void test_words_fall_back(void **state)
{
        static const struct vmreq_param params[] = {
                {.name = "a",
                 .type = VMREQ_T_I32,
                 .doc = "-",
                 .flags = VMREQ_PARAM_OPTIONAL,
                 .fallback = {.type = VMREQ_T_I32, .i = -3}},
                {.name = "b",
                 .type = VMREQ_T_U64,
                 .doc = "-",
                 .flags = VMREQ_PARAM_OPTIONAL,
                 .fallback = {.type = VMREQ_T_U64, .u = UINT64_MAX}},
        };
        struct fixture f;

        (void)state;
        symbol_new(&f, params, 2, true);
        marshal(&f, "[]");
        assert_taken(&f);
        assert_true(f.args.words);
        assert_int_equal(f.args.word[0], (uint64_t)-3);
        assert_int_equal(f.args.word[1], UINT64_MAX);
        marshal(&f, "[{'b': 1}]");
        assert_int_equal(f.args.word[0], (uint64_t)-3);
        assert_int_equal(f.args.word[1], 1);
        fixture_free(&f);
}

/* ---- values that stay encoded ---- */

static const struct vmreq_param encoded[] = {
        {.name = "x", .type = VMREQ_T_ANY, .doc = "-"},
        {.name = "y", .type = VMREQ_T_ARRAY, .doc = "-"},
        {.name = "z",
         .type = VMREQ_T_MAP,
         .doc = "-",
         .flags = VMREQ_PARAM_OPTIONAL,
         .fallback = {.type = VMREQ_T_MAP, .data = "\x80", .len = 1}},
};

static void assert_encoded(const struct fixture *f, const char *x, const char *y, const char *z)
{
        assert_taken(f);
        assert_wire_bytes(f->args.value[0].data, f->args.value[0].len, x);
        assert_wire_bytes(f->args.value[1].data, f->args.value[1].len, y);
        assert_wire_bytes(f->args.value[2].data, f->args.value[2].len, z);
}

static void test_encoded(void **state)
{
        struct fixture f;

        (void)state;
        symbol_new(&f, encoded, 3, false);
        marshal(&f, "[{'k': [1, 'x']}, [2, [3]], {'m': nil}]");
        assert_encoded(&f, "{'k':[1,'x']}", "[2,[3]]", "{'m':nil}");
        marshal(&f, "{'z': {'q': 1}, 'y': [], 'x': nil}");
        assert_encoded(&f, "nil", "[]", "{'q':1}");
        marshal(&f, "['s', [%b]]", "\x01", (size_t)1);
        assert_encoded(&f, "'s'", "[h'01']", "{}");
        marshal(&f, "[1, 2]");
        assert_refused(&f, "argument 2 \"y\": expected an array, got integer");
        marshal(&f, "[1, [], []]");
        assert_refused(&f, "argument 3 \"z\": expected a map, got array");
        fixture_free(&f);
}

/* A map alone is the argument, if the first parameter takes it. */
static void test_a_map_for_any(void **state)
{
        struct fixture f;

        (void)state;
        symbol_new(&f, encoded, 1, false);
        marshal(&f, "[{'x': 1}]");
        assert_taken(&f);
        assert_wire_bytes(f.args.value[0].data, f.args.value[0].len, "{'x':1}");
        marshal(&f, "{'x': 1}"); /* named in any case */
        assert_taken(&f);
        assert_wire_bytes(f.args.value[0].data, f.args.value[0].len, "1");
        fixture_free(&f);
}

/* nil is a value of `any`, also of an optional one. */
static void test_nil_for_any(void **state)
{
        static const struct vmreq_param params[] = {
                {.name = "x",
                 .type = VMREQ_T_ANY,
                 .doc = "-",
                 .flags = VMREQ_PARAM_OPTIONAL,
                 .fallback = {.type = VMREQ_T_ANY, .data = "\x07", .len = 1}},
        };
        struct fixture f;

        (void)state;
        symbol_new(&f, params, 1, false);
        marshal(&f, "[nil]");
        assert_wire_bytes(f.args.value[0].data, f.args.value[0].len, "nil");
        marshal(&f, "[]");
        assert_wire_bytes(f.args.value[0].data, f.args.value[0].len, "7");
        fixture_free(&f);
}

/* ---- long ones ---- */

static void test_long_arguments(void **state)
{
        static const struct vmreq_param params[] = {
                {.name = "a", .type = VMREQ_T_STR, .doc = "-"},
                {.name = "b", .type = VMREQ_T_BYTES, .doc = "-"},
        };
        static char bytes[300];
        struct fixture f;

        (void)state;
        memset(bytes, 'q', sizeof(bytes));
        symbol_new(&f, params, 2, false);
        /* Each takes a NUL: 126 bytes and 2 of these just fit inside. */
        for (size_t len = 0; len < sizeof(bytes); len++) {
                marshal(&f, "[%S, %b]", bytes, len, bytes, (size_t)0);
                assert_taken(&f);
                assert_int_equal(f.args.bytes == f.args.inline_bytes,
                                 len + 2 <= RPC_ARGS_INLINE_BYTES);
                assert_int_equal(f.args.n_bytes, len + 2 <= RPC_ARGS_INLINE_BYTES ? 0 : len + 2);
                assert_int_equal(f.args.value[0].len, len);
                assert_memory_equal(f.args.value[0].data, bytes, len);
                assert_int_equal(f.args.value[0].data[len], 0);
                assert_int_equal(f.args.value[1].data[0], 0);
        }
        fixture_free(&f);
}

static void test_no_memory(void **state)
{
        static char bytes[300];
        static const struct vmreq_param params[] = {{.name = "a", .type = VMREQ_T_STR, .doc = "-"}};
        struct proto_builder frame;
        struct wire_value wire;
        struct fixture f;

        (void)state;
        memset(bytes, 'q', sizeof(bytes));
        symbol_new(&f, params, 1, false);
        wire = wire_new("[%S]", bytes, sizeof(bytes));
        frame = wire.bytes;
        fail_at = 1;
        assert_int_equal(rpc_marshal_args(&f.symbol, wire.root, frame.data, frame.len, 0, &f.args,
                                          f.text, sizeof(f.text)),
                         PROTO_INTERNAL);
        assert_int_equal(fail_at, 0);
        assert_has(f.text, "memory");
        wire_free(&wire);
        fixture_free(&f);
}

static void test_text_is_cut_not_overrun(void **state)
{
        static char name[4000];
        struct wire_value wire;
        struct fixture f;
        char text[40];

        (void)state;
        memset(name, 'n', sizeof(name));
        symbol_new(&f, three, 3, false);
        wire = wire_new("[{'a': 1, %S: 2}]", name, sizeof(name));
        memset(text, 'T', sizeof(text));
        assert_int_equal(rpc_marshal_args(&f.symbol, wire.root, wire.bytes.data, wire.bytes.len, 0,
                                          &f.args, text, sizeof(text) - 1),
                         PROTO_INVALID_ARGUMENT);
        assert_int_equal(text[sizeof(text) - 1], 'T');
        wire_free(&wire);
        fixture_free(&f);
}

/* ---- results of word functions ---- */

static void test_results(void **state)
{
        static const struct {
                uint32_t result;
                uint64_t word;
                const char *shown;
        } rows[] = {
                {VMREQ_T_NIL, 5, "nil"},
                {VMREQ_T_STATUS, 5, "nil"},
                {VMREQ_T_BOOL, 0, "false"},
                {VMREQ_T_BOOL, 1, "true"},
                {VMREQ_T_I32, (uint64_t)-1, "-1"},
                {VMREQ_T_I64, (uint64_t)INT64_MIN, "-9223372036854775808"},
                {VMREQ_T_I64, INT64_MAX, "9223372036854775807"},
                {VMREQ_T_U32, 4294967295u, "4294967295"},
                {VMREQ_T_U64, UINT64_MAX, "18446744073709551615"},
                {VMREQ_T_X64, 0, "'0x0'"},
                {VMREQ_T_X64, UINT64_MAX, "'0xffffffffffffffff'"},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct vmreq_symbol symbol = {.result = rows[i].result};
                struct proto_builder out;

                proto_builder_init(&out, 1024);
                rpc_marshal_word(&out, &symbol, rows[i].word);
                assert_wire_builder(&out, rows[i].shown);
                proto_builder_deinit(&out);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_matrix),
                cmocka_unit_test(test_borders),
                cmocka_unit_test(test_declared_ranges),
                cmocka_unit_test(test_x64),
                cmocka_unit_test(test_float),
                cmocka_unit_test(test_positional),
                cmocka_unit_test(test_named),
                cmocka_unit_test(test_no_params),
                cmocka_unit_test(test_words_fall_back),
                cmocka_unit_test(test_encoded),
                cmocka_unit_test(test_a_map_for_any),
                cmocka_unit_test(test_nil_for_any),
                cmocka_unit_test(test_long_arguments),
                cmocka_unit_test(test_no_memory),
                cmocka_unit_test(test_text_is_cut_not_overrun),
                cmocka_unit_test(test_results),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("marshal", tests, NULL, NULL);
}
