/* SPDX-License-Identifier: MIT */
/* Which declarations are refused, and what their author reads. */
#include "unit/symbols/fixture.h"

#include "symbols/name.h"
#include "symbols/signature.h"

static char why[256];

static void accepts(const struct vmreq_symbol *symbol)
{
        why[0] = '\0';
        if (!sym_signature_check(symbol, why, sizeof(why)))
                fail_msg("refused: %s", why);
}

/* Refused, the text begins with the symbol's name and has `part`, at any size of the buffer. */
static void refuses(const struct vmreq_symbol *symbol, const char *part)
{
        char cut[256];

        assert_false(sym_signature_check(symbol, why, sizeof(why)));
        assert_memory_equal(why, "a.b: ", 5);
        assert_has(why, part);
        assert_null(strchr(why, '\n'));
        for (size_t size = 0; size < 40; size++) {
                memset(cut, '#', sizeof(cut));
                assert_false(sym_signature_check(symbol, cut, size));
                assert_int_equal(cut[size], '#');
        }
}

static void heads(void **state)
{
        struct vmreq_symbol good = CALLBACK("a.b"), symbol;

        (void)state;
        accepts(&good);
        symbol = good;
        symbol.flags = 0x80000000u;
        refuses(&symbol, "unknown flags 0x80000000");
        symbol = good;
        symbol.flags = VMREQ_SYM_READ_ONLY | VMREQ_SYM_CHANGES_STATE;
        refuses(&symbol, "read-only");
        symbol = good;
        symbol.doc = NULL;
        refuses(&symbol, "no doc");
        symbol = good;
        symbol.result = _VMREQ_T_N;
        refuses(&symbol, "result type");
        symbol = good;
        symbol.words = words_nothing;
        refuses(&symbol, "exactly one");
        symbol.words = NULL;
        symbol.function = NULL;
        refuses(&symbol, "exactly one");
        symbol = good;
        symbol.size += 64; /* from a later header */
        accepts(&symbol);
}

static void generators(void **state)
{
        struct vmreq_symbol symbol = CALLBACK("a.b");

        (void)state;
        symbol.flags = VMREQ_SYM_STREAMING;
        symbol.result = VMREQ_T_STR;
        accepts(&symbol);
        symbol.result = VMREQ_T_NIL;
        refuses(&symbol, "a type for its chunks");
        symbol.result = VMREQ_T_STATUS;
        refuses(&symbol, "a type for its chunks");
        symbol.result = VMREQ_T_I64;
        symbol.function = NULL;
        symbol.words = words_nothing;
        refuses(&symbol, "needs a function");
}

static void time_limits(void **state)
{
        struct vmreq_symbol symbol = CALLBACK("a.b");

        (void)state;
        symbol.timeout_ms = 100;
        symbol.timeout_max_ms = 100;
        accepts(&symbol);
        assert_int_equal(sym_signature_timeout_max(&symbol), 100);
        symbol.timeout_max_ms = 99;
        refuses(&symbol, "over its own cap");
        /* From a header that did not have it: the bytes behind are not looked at. */
        symbol.size = offsetof(struct vmreq_symbol, timeout_max_ms);
        accepts(&symbol);
        assert_int_equal(sym_signature_timeout_max(&symbol), 0);
}

static void destinations(void **state)
{
        static const uint32_t good[] = {0,
                                        1,
                                        VMREQ_CPUS_MAX - 1,
                                        VMREQ_DEST_ANY,
                                        VMREQ_DEST_ANY_QUEUE,
                                        VMREQ_DEST_ALL,
                                        VMREQ_DEST_ALL_REVERSE};
        static const uint32_t bad[] = {VMREQ_CPUS_MAX, VMREQ_DEST_ANY - 1,
                                       VMREQ_DEST_ALL_REVERSE + 1, UINT32_MAX};
        struct vmreq_symbol symbol = CALLBACK("a.b");

        (void)state;
        for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
                symbol.dest = good[i];
                accepts(&symbol);
        }
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                symbol.dest = bad[i];
                refuses(&symbol, "destination");
        }
}

static void names_and_sizes(void **state)
{
        struct vmreq_symbol symbol = CALLBACK("a");

        (void)state;
        assert_false(sym_signature_check(&symbol, why, sizeof(why)));
        assert_has(why, "symbol's name must be");
        symbol.name = NULL;
        assert_false(sym_signature_check(&symbol, why, sizeof(why)));
        symbol.name = "a.\xff";
        assert_false(sym_signature_check(&symbol, why, sizeof(why)));
        assert_null(strchr(why, '\xff'));
        symbol.name = "a.b";
        symbol.size = offsetof(struct vmreq_symbol, ctx) + sizeof(void *) - 1;
        assert_false(sym_signature_check(&symbol, why, sizeof(why)));
        assert_has(why, "bytes, expected at least");
        assert_false(sym_signature_check(NULL, why, sizeof(why)));
}

/* A symbol with these parameters. */
static struct vmreq_symbol with(const struct vmreq_param *params, uint32_t n_params)
{
        struct vmreq_symbol symbol = CALLBACK("a.b");

        symbol.params = params;
        symbol.n_params = n_params;
        return symbol;
}

static void refuses_param(struct vmreq_param param, const char *part)
{
        struct vmreq_symbol symbol = with(&param, 1);

        refuses(&symbol, part);
        assert_has(why, "parameter");
}

static void accepts_param(struct vmreq_param param)
{
        struct vmreq_symbol symbol = with(&param, 1);

        accepts(&symbol);
}

static void params(void **state)
{
        const struct vmreq_param good = {.name = "p", .type = VMREQ_T_I32, .doc = ""};
        struct vmreq_param param;

        (void)state;
        accepts_param(good);
        for (uint32_t type = VMREQ_T_BOOL; type < _VMREQ_T_N; type++) {
                param = good;
                param.type = type;
                accepts_param(param);
        }
        param = good;
        param.type = VMREQ_T_NIL;
        refuses_param(param, "p: type 0 (nil)");
        param.type = VMREQ_T_STATUS;
        refuses_param(param, "status");
        param.type = _VMREQ_T_N;
        refuses_param(param, "?");
        param = good;
        param.name = NULL;
        refuses_param(param, "parameter 0: name");
        param.name = "P";
        refuses_param(param, "parameter 0: name");
        param = good;
        param.doc = NULL;
        refuses_param(param, "p: no doc");
        param = good;
        param.flags = 0x8;
        refuses_param(param, "p: unknown flags 0x8");
}

static void param_lists(void **state)
{
        struct vmreq_param many[VMREQ_ARGS_MAX + 1];
        char names[VMREQ_ARGS_MAX + 1][8];
        struct vmreq_symbol symbol;

        (void)state;
        for (uint32_t i = 0; i <= VMREQ_ARGS_MAX; i++) {
                (void)snprintf(names[i], sizeof(names[i]), "p%u", i);
                many[i] = (struct vmreq_param){.name = names[i], .type = VMREQ_T_U8, .doc = ""};
        }
        symbol = with(many, VMREQ_ARGS_MAX);
        accepts(&symbol);
        symbol.n_params++;
        refuses(&symbol, "16 parameters, expected at most 15");
        symbol.n_params = 3;
        many[2].name = "p0";
        refuses(&symbol, "parameter p0: there are two");
        many[2].name = "p2";
        many[1].flags = VMREQ_PARAM_OPTIONAL;
        many[1].fallback.type = VMREQ_T_U8;
        refuses(&symbol, "parameter p2: required");
        many[2].flags = VMREQ_PARAM_OPTIONAL;
        many[2].fallback.type = VMREQ_T_U8;
        accepts(&symbol);
        symbol.params = NULL;
        refuses(&symbol, "none given");
}

static struct vmreq_param ranged(uint32_t type, int64_t min, int64_t max)
{
        return (struct vmreq_param){.name = "p",
                                    .type = type,
                                    .flags = VMREQ_PARAM_RANGE,
                                    .doc = "",
                                    .min = min,
                                    .max = max};
}

static void ranges(void **state)
{
        (void)state;
        accepts_param(ranged(VMREQ_T_I8, -128, 127));
        refuses_param(ranged(VMREQ_T_I8, -129, 0), "range");
        refuses_param(ranged(VMREQ_T_I8, 0, 128), "range");
        refuses_param(ranged(VMREQ_T_I64, 1, 0), "range 1..0 is empty");
        accepts_param(ranged(VMREQ_T_I64, INT64_MIN, INT64_MAX));
        accepts_param(ranged(VMREQ_T_U64, 0, (int64_t)UINT64_MAX));
        refuses_param(ranged(VMREQ_T_U64, (int64_t)UINT64_MAX, 0), "range 18446744073709551615..0");
        refuses_param(ranged(VMREQ_T_U8, 0, 256), "range 0..256");
        refuses_param(ranged(VMREQ_T_U8, -1, 1), "range");
        accepts_param(ranged(VMREQ_T_STR, 0, UINT32_MAX));
        refuses_param(ranged(VMREQ_T_BYTES, 0, (int64_t)UINT32_MAX + 1), "range");
        refuses_param(ranged(VMREQ_T_STR, -1, 5), "range");
        refuses_param(ranged(VMREQ_T_BOOL, 0, 1), "not bool");
        refuses_param(ranged(VMREQ_T_F64, 0, 1), "not f64");
        refuses_param(ranged(VMREQ_T_ANY, 0, 1), "not any");
}

static struct vmreq_param optional(uint32_t type, struct vmreq_value fallback)
{
        struct vmreq_param param = {.name = "p",
                                    .type = type,
                                    .flags = VMREQ_PARAM_OPTIONAL,
                                    .doc = "",
                                    .fallback = fallback};

        param.fallback.type = type;
        return param;
}

static void fallbacks(void **state)
{
        struct vmreq_param param;

        (void)state;
        accepts_param(optional(VMREQ_T_I8, (struct vmreq_value){.i = -128}));
        refuses_param(optional(VMREQ_T_I8, (struct vmreq_value){.i = -129}), "out of range");
        refuses_param(optional(VMREQ_T_U16, (struct vmreq_value){.u = 65536}), "out of range");
        accepts_param(optional(VMREQ_T_BOOL, (struct vmreq_value){.u = 1}));
        refuses_param(optional(VMREQ_T_BOOL, (struct vmreq_value){.u = 2}), "out of range");
        accepts_param(optional(VMREQ_T_F64, (struct vmreq_value){.f = -0.5}));
        accepts_param(optional(VMREQ_T_X64, (struct vmreq_value){.u = UINT64_MAX}));
        accepts_param(optional(VMREQ_T_STR, (struct vmreq_value){.data = ""}));
        refuses_param(optional(VMREQ_T_STR, (struct vmreq_value){.data = NULL}), "NUL");
        refuses_param(optional(VMREQ_T_STR, (struct vmreq_value){.len = 2, .data = "abc"}), "NUL");
        accepts_param(optional(VMREQ_T_BYTES, (struct vmreq_value){.data = NULL}));
        refuses_param(optional(VMREQ_T_BYTES, (struct vmreq_value){.len = 1}), "no data");
        accepts_param(optional(VMREQ_T_ANY, (struct vmreq_value){.len = 1, .data = "\xc0"}));
        refuses_param(optional(VMREQ_T_ANY, (struct vmreq_value){.data = "\xc0"}), "msgpack");
        refuses_param(optional(VMREQ_T_MAP, (struct vmreq_value){.len = 1}), "msgpack");
        param = optional(VMREQ_T_I32, (struct vmreq_value){.i = 0});
        param.fallback.type = VMREQ_T_I64;
        refuses_param(param, "fallback has type i64, expected i32");
}

static void fallbacks_in_ranges(void **state)
{
        struct vmreq_param param = optional(VMREQ_T_I32, (struct vmreq_value){.i = 5});

        (void)state;
        param.flags |= VMREQ_PARAM_RANGE;
        param.min = 5;
        param.max = 5;
        accepts_param(param);
        param.fallback.i = 4;
        refuses_param(param, "out of range");
        param = optional(VMREQ_T_STR, (struct vmreq_value){.len = 2, .data = "ab"});
        param.flags |= VMREQ_PARAM_RANGE;
        param.max = 1;
        refuses_param(param, "out of range");
        param.max = 2;
        accepts_param(param);
}

static void word_functions(void **state)
{
        struct vmreq_param param = {.name = "p", .type = VMREQ_T_X64, .doc = ""};
        struct vmreq_symbol symbol = with(&param, 1);

        (void)state;
        symbol.function = NULL;
        symbol.words = words_nothing;
        symbol.result = VMREQ_T_X64;
        accepts(&symbol);
        for (uint32_t type = VMREQ_T_F64; type < _VMREQ_T_N; type++) {
                param.type = type;
                refuses(&symbol, "parameter p: a word function cannot take");
        }
        param.type = VMREQ_T_I8;
        symbol.result = VMREQ_T_I8;
        refuses(&symbol, "cannot return i8");
        symbol.result = VMREQ_T_STR;
        refuses(&symbol, "cannot return str");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(heads),           cmocka_unit_test(destinations),
                cmocka_unit_test(names_and_sizes), cmocka_unit_test(params),
                cmocka_unit_test(param_lists),     cmocka_unit_test(ranges),
                cmocka_unit_test(fallbacks),       cmocka_unit_test(fallbacks_in_ranges),
                cmocka_unit_test(word_functions),  cmocka_unit_test(generators),
                cmocka_unit_test(time_limits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
