/* SPDX-License-Identifier: MIT */
/* Types, and how a signature reads. */
#include "unit/symbols/fixture.h"

#include "symbols/signature.h"

static void type_names(void **state)
{
        (void)state;
        assert_string_equal(sym_type_to_string(VMREQ_T_NIL), "nil");
        assert_string_equal(sym_type_to_string(VMREQ_T_STATUS), "status");
        assert_string_equal(sym_type_to_string(VMREQ_T_X64), "x64");
        assert_string_equal(sym_type_to_string(VMREQ_T_MAP), "map");
        assert_string_equal(sym_type_to_string(_VMREQ_T_N), "?");
        assert_string_equal(sym_type_to_string(UINT32_MAX), "?");
}

/* Each type is a word or not, and an integer of one kind at most. */
static void type_classes(void **state)
{
        (void)state;
        for (uint32_t type = 0; type < _VMREQ_T_N + 2; type++) {
                bool word = type >= VMREQ_T_BOOL && type <= VMREQ_T_X64;

                assert_int_equal(sym_type_is_word(type), word);
                assert_int_equal(sym_type_is_signed(type),
                                 type >= VMREQ_T_I8 && type <= VMREQ_T_I64);
                assert_int_equal(sym_type_is_unsigned(type),
                                 type >= VMREQ_T_U8 && type <= VMREQ_T_X64);
        }
}

static void assert_bounds(uint32_t type, int64_t min, uint64_t max)
{
        int64_t got_min;
        uint64_t got_max;

        sym_type_bounds(type, &got_min, &got_max);
        assert_true(got_min == min && got_max == max);
}

static void type_bounds(void **state)
{
        (void)state;
        assert_bounds(VMREQ_T_I8, -128, 127);
        assert_bounds(VMREQ_T_I16, -32768, 32767);
        assert_bounds(VMREQ_T_I32, INT32_MIN, INT32_MAX);
        assert_bounds(VMREQ_T_I64, INT64_MIN, INT64_MAX);
        assert_bounds(VMREQ_T_U8, 0, 255);
        assert_bounds(VMREQ_T_U16, 0, 65535);
        assert_bounds(VMREQ_T_U32, 0, UINT32_MAX);
        assert_bounds(VMREQ_T_U64, 0, UINT64_MAX);
        assert_bounds(VMREQ_T_X64, 0, UINT64_MAX);
        assert_bounds(VMREQ_T_BOOL, 0, 1);
        assert_bounds(VMREQ_T_STR, 0, 0);
}

static void result_kinds(void **state)
{
        static const struct {
                uint32_t result;
                enum vmreq_kind kind;
        } can[] = {
                {VMREQ_T_NIL, VMREQ_FN_VOID},  {VMREQ_T_STATUS, VMREQ_FN_STATUS},
                {VMREQ_T_BOOL, VMREQ_FN_BOOL}, {VMREQ_T_I32, VMREQ_FN_I32},
                {VMREQ_T_U32, VMREQ_FN_U32},   {VMREQ_T_I64, VMREQ_FN_I64},
                {VMREQ_T_U64, VMREQ_FN_U64},   {VMREQ_T_X64, VMREQ_FN_U64},
        };
        static const uint32_t cannot[] = {VMREQ_T_I8,    VMREQ_T_I16, VMREQ_T_U8,    VMREQ_T_U16,
                                          VMREQ_T_F64,   VMREQ_T_STR, VMREQ_T_BYTES, VMREQ_T_ANY,
                                          VMREQ_T_ARRAY, VMREQ_T_MAP, _VMREQ_T_N};
        enum vmreq_kind kind;

        (void)state;
        for (size_t i = 0; i < sizeof(can) / sizeof(can[0]); i++) {
                assert_true(sym_kind_of_result(can[i].result, &kind));
                assert_int_equal(kind, can[i].kind);
        }
        for (size_t i = 0; i < sizeof(cannot) / sizeof(cannot[0]); i++)
                assert_false(sym_kind_of_result(cannot[i], &kind));
}

#define OPTIONAL(param, kind, ...)                                                                 \
        {                                                                                          \
                .name = (param), .type = (kind), .flags = VMREQ_PARAM_OPTIONAL, .doc = "",         \
                .fallback = {.type = (kind), __VA_ARGS__},                                         \
        }

static const struct vmreq_param all_params[] = {
        {.name = "r", .type = VMREQ_T_I32, .doc = ""},
        OPTIONAL("b", VMREQ_T_BOOL, .u = 1),
        OPTIONAL("i", VMREQ_T_I64, .i = -5),
        OPTIONAL("u", VMREQ_T_U8, .u = 7),
        OPTIONAL("x", VMREQ_T_X64, .u = 0xffff800000000000),
        OPTIONAL("f", VMREQ_T_F64, .f = 1.5),
        OPTIONAL("s", VMREQ_T_STR, .len = 7, .data = "a\"\\\n\xc3\xa4z"),
        OPTIONAL("y", VMREQ_T_BYTES, .len = 2, .data = "\x01\x02"),
        OPTIONAL("n", VMREQ_T_ANY, .len = 1, .data = "\xc0"),
        OPTIONAL("a", VMREQ_T_ARRAY, .len = 1, .data = "\x90"),
        OPTIONAL("m", VMREQ_T_MAP, .len = 1, .data = "\x80"),
        OPTIONAL("v", VMREQ_T_ANY, .len = 2, .data = "\x91\x01"),
};

static void formats_all(void **state)
{
        struct vmreq_symbol symbol = CALLBACK("debug.all");
        char text[512], why[128];

        (void)state;
        symbol.params = all_params;
        symbol.n_params = sizeof(all_params) / sizeof(all_params[0]);
        symbol.result = VMREQ_T_MAP;
        assert_true(sym_signature_check(&symbol, why, sizeof(why)));
        sym_signature_format(&symbol, text, sizeof(text));
        assert_string_equal(text,
                            "debug.all(r: i32, b: bool = true, i: i64 = -5, u: u8 = 7, "
                            "x: x64 = 0xffff800000000000, f: f64 = 1.5, "
                            "s: str = \"a\\\"\\\\\\x0a\\xc3\\xa4z\", y: bytes = <2 bytes>, "
                            "n: any = nil, a: array = [], m: map = {}, v: any = <2 bytes>) -> map");
}

/* Cut at every size: never beyond it, always a prefix, always ended. */
static void formats_cut(void **state)
{
        struct vmreq_symbol symbol = CALLBACK("debug.all");
        char whole[512], text[512];
        size_t len;

        (void)state;
        symbol.params = all_params;
        symbol.n_params = sizeof(all_params) / sizeof(all_params[0]);
        sym_signature_format(&symbol, whole, sizeof(whole));
        len = strlen(whole);
        for (size_t size = 1; size <= len + 1; size++) {
                memset(text, '#', sizeof(text));
                sym_signature_format(&symbol, text, size);
                assert_true(strlen(text) < size);
                assert_memory_equal(text, whole, strlen(text));
                assert_int_equal(text[size], '#');
        }
        assert_string_equal(text, whole);
        text[0] = '#';
        sym_signature_format(&symbol, text, 0);
        assert_int_equal(text[0], '#');
}

static void formats_none(void **state)
{
        struct vmreq_symbol symbol = WORDS("a.b");
        char text[64];

        (void)state;
        sym_signature_format(&symbol, text, sizeof(text));
        assert_string_equal(text, "a.b() -> nil");
        symbol.flags = VMREQ_SYM_STREAMING;
        symbol.result = VMREQ_T_STR;
        sym_signature_format(&symbol, text, sizeof(text));
        assert_string_equal(text, "a.b() -> stream of str");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(type_names),   cmocka_unit_test(type_classes),
                cmocka_unit_test(type_bounds),  cmocka_unit_test(result_kinds),
                cmocka_unit_test(formats_all),  cmocka_unit_test(formats_cut),
                cmocka_unit_test(formats_none),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
