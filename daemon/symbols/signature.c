/* SPDX-License-Identifier: MIT */
/*
 * What types are, and how a signature reads.
 *
 * Pure functions over a symbol's declaration: no state, any thread.  The registry has had the
 * declaration checked (signature-check.c) before anybody formats it for describe or for an error's
 * text; marshalling asks for types and bounds on every call.
 *
 * Text that comes from a module's strings is shown as ASCII with escapes: it goes into logs and
 * onto the wire, where a stray byte would make a message unreadable as UTF-8 for strict clients.
 */
#include "symbols/signature.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct type_info {
        const char *name;
        bool word;
        bool is_signed, is_unsigned;
        int64_t min;
        uint64_t max;
};

static const struct type_info types[] = {
        [VMREQ_T_NIL] = {.name = "nil"},
        [VMREQ_T_STATUS] = {.name = "status"},
        [VMREQ_T_BOOL] = {.name = "bool", .word = true, .max = 1},
        [VMREQ_T_I8] =
                {.name = "i8", .word = true, .is_signed = true, .min = INT8_MIN, .max = INT8_MAX},
        [VMREQ_T_I16] = {.name = "i16",
                         .word = true,
                         .is_signed = true,
                         .min = INT16_MIN,
                         .max = INT16_MAX},
        [VMREQ_T_I32] = {.name = "i32",
                         .word = true,
                         .is_signed = true,
                         .min = INT32_MIN,
                         .max = INT32_MAX},
        [VMREQ_T_I64] = {.name = "i64",
                         .word = true,
                         .is_signed = true,
                         .min = INT64_MIN,
                         .max = INT64_MAX},
        [VMREQ_T_U8] = {.name = "u8", .word = true, .is_unsigned = true, .max = UINT8_MAX},
        [VMREQ_T_U16] = {.name = "u16", .word = true, .is_unsigned = true, .max = UINT16_MAX},
        [VMREQ_T_U32] = {.name = "u32", .word = true, .is_unsigned = true, .max = UINT32_MAX},
        [VMREQ_T_U64] = {.name = "u64", .word = true, .is_unsigned = true, .max = UINT64_MAX},
        [VMREQ_T_X64] = {.name = "x64", .word = true, .is_unsigned = true, .max = UINT64_MAX},
        [VMREQ_T_F64] = {.name = "f64"},
        [VMREQ_T_STR] = {.name = "str"},
        [VMREQ_T_BYTES] = {.name = "bytes"},
        [VMREQ_T_ANY] = {.name = "any"},
        [VMREQ_T_ARRAY] = {.name = "array"},
        [VMREQ_T_MAP] = {.name = "map"},
};
static_assert(sizeof(types) / sizeof(types[0]) == _VMREQ_T_N, "a row per type");

static const struct type_info *type_info(uint32_t type)
{
        static const struct type_info unknown = {.name = "?"};

        return type < _VMREQ_T_N ? &types[type] : &unknown;
}

const char *sym_type_to_string(uint32_t type)
{
        return type_info(type)->name;
}

bool sym_type_is_word(uint32_t type)
{
        return type_info(type)->word;
}

bool sym_type_is_signed(uint32_t type)
{
        return type_info(type)->is_signed;
}

bool sym_type_is_unsigned(uint32_t type)
{
        return type_info(type)->is_unsigned;
}

void sym_type_bounds(uint32_t type, int64_t *ret_min, uint64_t *ret_max)
{
        *ret_min = type_info(type)->min;
        *ret_max = type_info(type)->max;
}

bool sym_kind_of_result(uint32_t result, enum vmreq_kind *ret_kind)
{
        switch (result) {
        case VMREQ_T_NIL:
                *ret_kind = VMREQ_FN_VOID;
                return true;
        case VMREQ_T_STATUS:
                *ret_kind = VMREQ_FN_STATUS;
                return true;
        case VMREQ_T_BOOL:
                *ret_kind = VMREQ_FN_BOOL;
                return true;
        case VMREQ_T_I32:
                *ret_kind = VMREQ_FN_I32;
                return true;
        case VMREQ_T_U32:
                *ret_kind = VMREQ_FN_U32;
                return true;
        case VMREQ_T_I64:
                *ret_kind = VMREQ_FN_I64;
                return true;
        case VMREQ_T_U64:
        case VMREQ_T_X64:
                *ret_kind = VMREQ_FN_U64;
                return true;
        default:
                return false;
        }
}

/* A bounded text that grows at its end; what does not fit is cut. */
struct text {
        char *at;
        size_t left; /* with room for the NUL; 0 once full */
};

static void __attribute__((format(printf, 2, 3)))
text_add(struct text *text, const char *format, ...)
{
        va_list args;
        int n;

        if (text->left == 0)
                return;
        va_start(args, format);
        n = vsnprintf(text->at, text->left, format, args);
        va_end(args);
        if (n < 0)
                return;
        if ((size_t)n >= text->left) {
                text->left = 0;
                return;
        }
        text->at += n;
        text->left -= (size_t)n;
}

static void text_add_quoted(struct text *text, const char *data, size_t len)
{
        text_add(text, "\"");
        for (size_t i = 0; i < len && text->left > 0; i++) {
                unsigned char c = (unsigned char)data[i];

                if (c == '"' || c == '\\')
                        text_add(text, "\\%c", c);
                else if (c < 0x20 || c >= 0x7f)
                        text_add(text, "\\x%02x", c);
                else
                        text_add(text, "%c", c);
        }
        text_add(text, "\"");
}

/* The three encodings that read better than a byte count; 0xc0, 0x90 and 0x80 are msgpack's nil
 * and empties. */
static void text_add_encoded(struct text *text, const struct vmreq_value *value)
{
        if (value->len == 1 && (unsigned char)value->data[0] == 0xc0)
                text_add(text, "nil");
        else if (value->len == 1 && (unsigned char)value->data[0] == 0x90)
                text_add(text, "[]");
        else if (value->len == 1 && (unsigned char)value->data[0] == 0x80)
                text_add(text, "{}");
        else
                text_add(text, "<%" PRIu32 " bytes>", value->len);
}

static void text_add_value(struct text *text, const struct vmreq_value *value)
{
        if (value->type == VMREQ_T_BOOL)
                text_add(text, "%s", value->u ? "true" : "false");
        else if (value->type == VMREQ_T_X64)
                text_add(text, "0x%" PRIx64, value->u);
        else if (sym_type_is_signed(value->type))
                text_add(text, "%" PRIi64, value->i);
        else if (sym_type_is_unsigned(value->type))
                text_add(text, "%" PRIu64, value->u);
        else if (value->type == VMREQ_T_F64)
                text_add(text, "%g", value->f);
        else if (value->type == VMREQ_T_STR)
                text_add_quoted(text, value->data, value->len);
        else if (value->type == VMREQ_T_BYTES)
                text_add(text, "<%" PRIu32 " bytes>", value->len);
        else
                text_add_encoded(text, value);
}

void sym_signature_format(const struct vmreq_symbol *symbol, char *ret_text, size_t size)
{
        struct text text = {.at = ret_text, .left = size};

        text_add(&text, "%s(", symbol->name);
        for (uint32_t i = 0; i < symbol->n_params; i++) {
                const struct vmreq_param *param = &symbol->params[i];

                text_add(&text, "%s%s: %s", i > 0 ? ", " : "", param->name,
                         sym_type_to_string(param->type));
                if (param->flags & VMREQ_PARAM_OPTIONAL) {
                        text_add(&text, " = ");
                        text_add_value(&text, &param->fallback);
                }
        }
        text_add(&text, ") -> %s%s", symbol->flags & VMREQ_SYM_STREAMING ? "stream of " : "",
                 sym_type_to_string(symbol->result));
}
