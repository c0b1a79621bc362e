/* SPDX-License-Identifier: MIT */
/*
 * Is a declaration one that can be called?
 *
 * Runs once per symbol, when a module registers it, on the thread that loads the module.
 * Everything behind it relies on what is established here and checks none of it again:
 *
 *   1. names are names, and none of a symbol's parameters has another's;
 *   2. every parameter has a type that an argument can have, and at most VMREQ_ARGS_MAX of them
 *      exist;
 *   3. required parameters come before optional ones, so that positions mean the same with and
 *      without;
 *   4. a fallback has its parameter's type and lies in its range, so that it needs no check at a
 *      call;
 *   5. a word function declares words only, and a result that the engine can take from a register.
 *
 * A module is trusted not to lie about its pointers; it is not trusted to be free of mistakes, and
 * the text of a refusal is written for its author.
 */
#include "symbols/signature.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "symbols/name.h"

/* A module that was built when the structure ended with `ctx`: members that come later are read
 * only if its `size` covers them. */
#define SYMBOL_SIZE_MIN (offsetof(struct vmreq_symbol, ctx) + sizeof(void *))

#define PARAM_FLAGS (VMREQ_PARAM_OPTIONAL | VMREQ_PARAM_RANGE | VMREQ_PARAM_SENSITIVE)
#define SYMBOL_FLAGS                                                                               \
        (VMREQ_SYM_READ_ONLY | VMREQ_SYM_IDEMPOTENT | VMREQ_SYM_CANCELLABLE |                      \
         VMREQ_SYM_CONFIDENTIAL | VMREQ_SYM_PRIORITY | VMREQ_SYM_POKE | VMREQ_SYM_CHANGES_STATE |  \
         VMREQ_SYM_STREAMING)

struct check {
        const struct vmreq_symbol *symbol;
        char *text;
        size_t size;
};

/* Always false, so that a check can end in it. */
static bool __attribute__((format(printf, 2, 3)))
refuse(const struct check *check, const char *format, ...)
{
        va_list args;
        int n;

        n = snprintf(check->text, check->size, "%s: ", check->symbol->name);
        if (n < 0 || (size_t)n >= check->size)
                return false;
        va_start(args, format);
        (void)vsnprintf(check->text + n, check->size - (size_t)n, format, args); /* cut is fine */
        va_end(args);
        return false;
}

static bool is_length_type(uint32_t type)
{
        return type == VMREQ_T_STR || type == VMREQ_T_BYTES;
}

static bool check_range_unsigned(const struct check *check, const struct vmreq_param *param,
                                 uint64_t bound)
{
        uint64_t min = (uint64_t)param->min, max = (uint64_t)param->max;

        if (min > max || max > bound)
                return refuse(check,
                              "parameter %s: range %" PRIu64 "..%" PRIu64
                              " is empty or exceeds 0..%" PRIu64,
                              param->name, min, max, bound);
        return true;
}

static bool check_range(const struct check *check, const struct vmreq_param *param)
{
        int64_t min;
        uint64_t max;

        if (!(param->flags & VMREQ_PARAM_RANGE))
                return true;
        if (is_length_type(param->type))
                return check_range_unsigned(check, param, UINT32_MAX);
        sym_type_bounds(param->type, &min, &max);
        if (sym_type_is_unsigned(param->type))
                return check_range_unsigned(check, param, max);
        if (!sym_type_is_signed(param->type))
                return refuse(check, "parameter %s: a range is for integers, str and bytes, not %s",
                              param->name, sym_type_to_string(param->type));
        if (param->min > param->max || param->min < min || param->max > (int64_t)max)
                return refuse(check,
                              "parameter %s: range %" PRIi64 "..%" PRIi64
                              " is empty or exceeds %" PRIi64 "..%" PRIu64,
                              param->name, param->min, param->max, min, max);
        return true;
}

/* The bounds that a fallback has to keep: the range's, else the type's. */
static bool fallback_in_range(const struct vmreq_param *param)
{
        const struct vmreq_value *value = &param->fallback;
        bool range = param->flags & VMREQ_PARAM_RANGE;
        int64_t min;
        uint64_t max;

        sym_type_bounds(param->type, &min, &max);
        if (sym_type_is_signed(param->type))
                return value->i >= (range ? param->min : min) &&
                       value->i <= (range ? param->max : (int64_t)max);
        if (sym_type_is_unsigned(param->type) || param->type == VMREQ_T_BOOL)
                return value->u >= (range ? (uint64_t)param->min : 0) &&
                       value->u <= (range ? (uint64_t)param->max : max);
        if (is_length_type(param->type) && range)
                return value->len >= (uint64_t)param->min && value->len <= (uint64_t)param->max;
        return true;
}

static bool check_fallback_data(const struct check *check, const struct vmreq_param *param)
{
        const struct vmreq_value *value = &param->fallback;

        switch (param->type) {
        case VMREQ_T_STR:
                if (!value->data || value->data[value->len] != '\0')
                        return refuse(check,
                                      "parameter %s: fallback must be text with a NUL behind it",
                                      param->name);
                return true;
        case VMREQ_T_BYTES:
                if (!value->data && value->len > 0)
                        return refuse(check, "parameter %s: fallback has no data", param->name);
                return true;
        case VMREQ_T_ANY:
        case VMREQ_T_ARRAY:
        case VMREQ_T_MAP:
                if (!value->data || value->len == 0)
                        return refuse(check, "parameter %s: fallback must be one msgpack value",
                                      param->name);
                return true;
        default:
                return true;
        }
}

static bool check_fallback(const struct check *check, const struct vmreq_param *param)
{
        if (!(param->flags & VMREQ_PARAM_OPTIONAL))
                return true;
        if (param->fallback.type != param->type)
                return refuse(check, "parameter %s: fallback has type %s, expected %s", param->name,
                              sym_type_to_string(param->fallback.type),
                              sym_type_to_string(param->type));
        if (!fallback_in_range(param))
                return refuse(check, "parameter %s: fallback is out of range", param->name);
        return check_fallback_data(check, param);
}

static bool check_param_name(const struct check *check, uint32_t index)
{
        const char *name = check->symbol->params[index].name;

        if (!sym_name_is_param(name, sym_name_len(name)))
                return refuse(check,
                              "parameter %" PRIu32
                              ": name must be [a-z][a-z0-9_]*, at most %d bytes",
                              index, SYM_NAME_BYTES_MAX);
        for (uint32_t i = 0; i < index; i++)
                if (strcmp(check->symbol->params[i].name, name) == 0)
                        return refuse(check, "parameter %s: there are two of that name", name);
        return true;
}

static bool check_param(const struct check *check, uint32_t index)
{
        const struct vmreq_param *param = &check->symbol->params[index];

        if (!check_param_name(check, index))
                return false;
        if (param->type >= _VMREQ_T_N || param->type == VMREQ_T_NIL ||
            param->type == VMREQ_T_STATUS)
                return refuse(check,
                              "parameter %s: type %" PRIu32
                              " (%s) is none that an argument can have",
                              param->name, param->type, sym_type_to_string(param->type));
        if (param->flags & ~PARAM_FLAGS)
                return refuse(check, "parameter %s: unknown flags 0x%" PRIx32, param->name,
                              param->flags & ~PARAM_FLAGS);
        if (!param->doc)
                return refuse(check, "parameter %s: no doc", param->name);
        if (index > 0 && !(param->flags & VMREQ_PARAM_OPTIONAL) &&
            (check->symbol->params[index - 1].flags & VMREQ_PARAM_OPTIONAL))
                return refuse(check, "parameter %s: required, but comes after an optional one",
                              param->name);
        return check_range(check, param) && check_fallback(check, param);
}

static bool check_params(const struct check *check)
{
        const struct vmreq_symbol *symbol = check->symbol;

        if (symbol->n_params > VMREQ_ARGS_MAX)
                return refuse(check, "%" PRIu32 " parameters, expected at most %u",
                              symbol->n_params, VMREQ_ARGS_MAX);
        if (symbol->n_params > 0 && !symbol->params)
                return refuse(check, "%" PRIu32 " parameters, but none given", symbol->n_params);
        for (uint32_t i = 0; i < symbol->n_params; i++)
                if (!check_param(check, i))
                        return false;
        return true;
}

/* The engine carries a word function's arguments in integer registers and nothing else. */
static bool check_words(const struct check *check)
{
        const struct vmreq_symbol *symbol = check->symbol;
        enum vmreq_kind kind;

        for (uint32_t i = 0; i < symbol->n_params; i++)
                if (!sym_type_is_word(symbol->params[i].type))
                        return refuse(check, "parameter %s: a word function cannot take %s",
                                      symbol->params[i].name,
                                      sym_type_to_string(symbol->params[i].type));
        if (!sym_kind_of_result(symbol->result, &kind))
                return refuse(check, "a word function cannot return %s",
                              sym_type_to_string(symbol->result));
        return true;
}

static bool check_name(const struct check *check)
{
        const struct vmreq_symbol *symbol = check->symbol;

        if (sym_name_is_symbol(symbol->name, sym_name_len(symbol->name)))
                return true;
        /* The name itself is what is wrong, and may be no text at all: it is not repeated. */
        (void)snprintf(check->text, check->size,
                       "a symbol's name must be [a-z][a-z0-9_]*(.[a-z0-9_]+)+, at most %d bytes",
                       SYM_NAME_BYTES_MAX);
        return false;
}

static bool check_head(const struct check *check)
{
        const struct vmreq_symbol *symbol = check->symbol;
        uint32_t unknown = symbol->flags & ~SYMBOL_FLAGS;

        if (unknown)
                return refuse(check, "unknown flags 0x%" PRIx32, unknown);
        if ((symbol->flags & VMREQ_SYM_READ_ONLY) && (symbol->flags & VMREQ_SYM_CHANGES_STATE))
                return refuse(check, "cannot be read-only and change the state");
        if (!symbol->doc)
                return refuse(check, "no doc");
        if (symbol->result >= _VMREQ_T_N)
                return refuse(check, "unknown result type %" PRIu32, symbol->result);
        if (symbol->dest >= VMREQ_CPUS_MAX &&
            (symbol->dest < VMREQ_DEST_ANY || symbol->dest > VMREQ_DEST_ALL_REVERSE))
                return refuse(check, "unknown destination 0x%" PRIx32, symbol->dest);
        if (!symbol->words == !symbol->function)
                return refuse(check, "expected exactly one of words and function");
        if ((symbol->flags & VMREQ_SYM_STREAMING) &&
            (symbol->words || symbol->result == VMREQ_T_NIL || symbol->result == VMREQ_T_STATUS))
                return refuse(check,
                              "a streaming symbol needs a function, and a type for its chunks");
        if (sym_signature_timeout_max(symbol) &&
            symbol->timeout_ms > sym_signature_timeout_max(symbol))
                return refuse(check, "default time limit of %" PRIu32 " ms, over its own cap",
                              symbol->timeout_ms);
        return true;
}

uint32_t sym_signature_timeout_max(const struct vmreq_symbol *symbol)
{
        const size_t end =
                offsetof(struct vmreq_symbol, timeout_max_ms) + sizeof(symbol->timeout_max_ms);

        return symbol->size >= end ? symbol->timeout_max_ms : 0;
}

bool sym_signature_check(const struct vmreq_symbol *symbol, char *reterr_text, size_t size)
{
        struct check check = {.symbol = symbol, .text = reterr_text, .size = size};

        if (!symbol || symbol->size < SYMBOL_SIZE_MIN) {
                (void)snprintf(reterr_text, size,
                               "a symbol of %" PRIu32 " bytes, expected at least %zu",
                               symbol ? symbol->size : 0, SYMBOL_SIZE_MIN);
                return false;
        }
        if (!check_name(&check) || !check_head(&check) || !check_params(&check))
                return false;
        return !symbol->words || check_words(&check);
}
