/* SPDX-License-Identifier: MIT */
/*
 * The five kinds of wire values against the types of a signature.  A value is taken or refused,
 * never bent: text is no number, a number out of range is refused and not cut, nil stands only for
 * an optional argument. Tolerances are those that real clients need: a float for which an integer
 * was sent, str and bin for each other, x64 as a "0x…" string or as an integer.
 *
 * Strings and bytes are copied, because the frame is gone when the EMT runs; a NUL stands behind
 * each.
 */
#include "rpc/marshal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "proto/frame.h"
#include "rpc/writer.h"
#include "symbols/signature.h"

void rpc_args_init(struct rpc_args *args)
{
        args->n = 0;
        args->n_bytes = 0;
        args->bytes = args->inline_bytes;
}

void rpc_args_deinit(struct rpc_args *args)
{
        if (args->bytes != args->inline_bytes)
                free(args->bytes);
        args->bytes = NULL;
        args->n = 0;
}

/* One argument as it came: the decoded node, and its encoded extent. */
struct source {
        const struct proto_value *value; /* NULL: not given */
        size_t begin, end;
};

struct job {
        const struct vmreq_symbol *def;
        struct source source[PROTO_ARITY_MAX];
        const uint8_t *frame;
        size_t frame_len;
        char *text;
        size_t size;
};

static bool refuse(struct job *job, uint32_t i, const char *expected)
{
        const struct proto_value *value = job->source[i].value;

        (void)snprintf(job->text, job->size, "%s: argument %u \"%s\": expected %s, got %s",
                       job->def->name, i + 1, job->def->params[i].name, expected,
                       value ? proto_value_type_to_string(value) : "nothing");
        return false;
}

static bool refuse_range(struct job *job, uint32_t i, bool is_signed, int64_t min, uint64_t max)
{
        const struct vmreq_param *param = &job->def->params[i];

        if (is_signed)
                (void)snprintf(job->text, job->size,
                               "%s: argument %u \"%s\": out of range for %s, expected %lld..%lld",
                               job->def->name, i + 1, param->name, sym_type_to_string(param->type),
                               (long long)min, (long long)(int64_t)max);
        else
                (void)snprintf(job->text, job->size,
                               "%s: argument %u \"%s\": out of range for %s, expected %llu..%llu",
                               job->def->name, i + 1, param->name, sym_type_to_string(param->type),
                               (unsigned long long)min, (unsigned long long)max);
        return false;
}

static bool is_text(const struct proto_value *value)
{
        return value->type == PROTO_STR || value->type == PROTO_BIN;
}

/* "0x" and 1..16 hex digits. */
static bool parse_x64(const struct proto_value *value, uint64_t *ret)
{
        uint64_t x = 0;

        if (!is_text(value) || value->count < 3 || value->count > 18 || value->data[0] != '0' ||
            (value->data[1] | 0x20) != 'x')
                return false;
        for (uint32_t i = 2; i < value->count; i++) {
                char c = value->data[i], lower = (char)(c | 0x20);

                if (c >= '0' && c <= '9')
                        x = x << 4 | (uint64_t)(c - '0');
                else if (lower >= 'a' && lower <= 'f')
                        x = x << 4 | (uint64_t)(lower - 'a' + 10);
                else
                        return false;
        }
        *ret = x;
        return true;
}

static bool get_signed(struct job *job, uint32_t i, uint64_t *ret)
{
        const struct vmreq_param *param = &job->def->params[i];
        const struct proto_value *value = job->source[i].value;
        int64_t min, x;
        uint64_t type_max;
        int64_t max;

        sym_type_bounds(param->type, &min, &type_max);
        max = (int64_t)type_max;
        if (param->flags & VMREQ_PARAM_RANGE) {
                min = MAX(min, param->min);
                max = MIN(max, param->max);
        }
        if (value->type != PROTO_INT && value->type != PROTO_UINT)
                return refuse(job, i, sym_type_to_string(param->type));
        if (value->type == PROTO_UINT && value->u > INT64_MAX)
                return refuse_range(job, i, true, min, (uint64_t)max);
        x = value->type == PROTO_UINT ? (int64_t)value->u : value->i;
        if (x < min || x > max)
                return refuse_range(job, i, true, min, (uint64_t)max);
        *ret = (uint64_t)x;
        return true;
}

static bool get_unsigned(struct job *job, uint32_t i, uint64_t *ret)
{
        const struct vmreq_param *param = &job->def->params[i];
        const struct proto_value *value = job->source[i].value;
        int64_t zero;
        uint64_t min = 0, max, x;

        sym_type_bounds(param->type, &zero, &max);
        if (param->flags & VMREQ_PARAM_RANGE) {
                min = (uint64_t)param->min;
                max = MIN(max, (uint64_t)param->max);
        }
        if (value->type == PROTO_UINT)
                x = value->u;
        else if (value->type == PROTO_INT)
                return refuse_range(job, i, false, (int64_t)min, max);
        else if (param->type != VMREQ_T_X64 || !parse_x64(value, &x))
                return refuse(job, i,
                              param->type == VMREQ_T_X64 ? "x64, a string \"0x…\" or an integer"
                                                         : sym_type_to_string(param->type));
        if (x < min || x > max)
                return refuse_range(job, i, false, (int64_t)min, max);
        *ret = x;
        return true;
}

static bool get_float(struct job *job, uint32_t i, double *ret)
{
        const struct proto_value *value = job->source[i].value;

        if (value->type == PROTO_FLOAT)
                *ret = value->f;
        else if (value->type == PROTO_UINT)
                *ret = (double)value->u;
        else if (value->type == PROTO_INT)
                *ret = (double)value->i;
        else
                return refuse(job, i, "f64");
        return true;
}

/* The bytes of a STR or BYTES parameter, or the encoded extent of an ANY, ARRAY or MAP; NULL data
 * otherwise. */
static bool get_bytes(struct job *job, uint32_t i, const uint8_t **ret_data, size_t *ret_len)
{
        const struct vmreq_param *param = &job->def->params[i];
        const struct source *source = &job->source[i];
        const struct proto_value *value = source->value;

        switch (param->type) {
        case VMREQ_T_STR:
        case VMREQ_T_BYTES:
                if (!is_text(value))
                        return refuse(job, i, sym_type_to_string(param->type));
                if ((param->flags & VMREQ_PARAM_RANGE) &&
                    (value->count < (uint64_t)param->min || value->count > (uint64_t)param->max))
                        return refuse_range(job, i, false, param->min, (uint64_t)param->max);
                *ret_data = (const uint8_t *)value->data;
                *ret_len = value->count;
                return true;
        case VMREQ_T_ARRAY:
                if (value->type != PROTO_ARRAY)
                        return refuse(job, i, "an array");
                break;
        case VMREQ_T_MAP:
                if (value->type != PROTO_MAP)
                        return refuse(job, i, "a map");
                break;
        default:
                break;
        }
        *ret_data = job->frame + source->begin;
        *ret_len = source->end - source->begin;
        return true;
}

static bool takes_bytes(uint32_t type)
{
        return type == VMREQ_T_STR || type == VMREQ_T_BYTES || type == VMREQ_T_ANY ||
               type == VMREQ_T_ARRAY || type == VMREQ_T_MAP;
}

static bool is_given(const struct job *job, uint32_t i)
{
        const struct proto_value *value = job->source[i].value;

        if (!value)
                return false;
        /* nil stands for a missing optional argument, unless nil is a value of the type. */
        return value->type != PROTO_NIL || job->def->params[i].type == VMREQ_T_ANY ||
               !(job->def->params[i].flags & VMREQ_PARAM_OPTIONAL);
}

static bool get_word(struct job *job, uint32_t i, uint64_t *ret)
{
        uint32_t type = job->def->params[i].type;

        if (type == VMREQ_T_BOOL) {
                if (job->source[i].value->type != PROTO_BOOL)
                        return refuse(job, i, "bool");
                *ret = job->source[i].value->b;
                return true;
        }
        return sym_type_is_signed(type) ? get_signed(job, i, ret) : get_unsigned(job, i, ret);
}

static uint64_t word_of(const struct vmreq_value *value)
{
        return sym_type_is_signed(value->type) ? (uint64_t)value->i : value->u;
}

static bool marshal_words(struct job *job, struct rpc_args *args)
{
        for (uint32_t i = 0; i < job->def->n_params; i++) {
                if (!is_given(job, i))
                        args->word[i] = word_of(&job->def->params[i].fallback);
                else if (!get_word(job, i, &args->word[i]))
                        return false;
        }
        return true;
}

static bool marshal_value(struct job *job, uint32_t i, struct vmreq_value *ret, size_t *bytes)
{
        const struct vmreq_param *param = &job->def->params[i];
        const uint8_t *data = NULL;
        size_t len = 0;

        if (!is_given(job, i)) {
                *ret = param->fallback;
                ret->type = param->type;
                return true;
        }
        *ret = (struct vmreq_value){.type = param->type};
        if (param->type == VMREQ_T_F64)
                return get_float(job, i, &ret->f);
        if (!takes_bytes(param->type))
                return get_word(job, i, &ret->u);
        if (!get_bytes(job, i, &data, &len))
                return false;
        ret->data = (const char *)data; /* into the frame, until copy_bytes */
        ret->len = (uint32_t)len;
        *bytes += len + 1;
        return true;
}

/* Moves what points into the frame to memory of the call's own. */
static bool copy_bytes(struct job *job, struct rpc_args *args, size_t bytes)
{
        uint8_t *to;

        if (bytes > sizeof(args->inline_bytes)) {
                args->bytes = malloc(bytes);
                if (!args->bytes) {
                        args->bytes = args->inline_bytes;
                        return false;
                }
                args->n_bytes = bytes;
        }
        to = args->bytes;
        for (uint32_t i = 0; i < args->n; i++) {
                struct vmreq_value *value = &args->value[i];

                if (!takes_bytes(value->type) || !is_given(job, i))
                        continue;
                memcpy(to, value->data, value->len);
                to[value->len] = 0;
                value->data = (const char *)to;
                to += value->len + 1;
        }
        return true;
}

/* ---- which argument is which ---- */

static bool source_positional(struct job *job, const struct sym_symbol *symbol,
                              const struct proto_value *array, size_t offset)
{
        uint32_t n_required = symbol->n_required, count;
        size_t at;

        if (array->count > job->def->n_params || array->count < n_required) {
                char signature[256];

                sym_signature_format(job->def, signature, sizeof(signature));
                if (n_required == job->def->n_params)
                        (void)snprintf(job->text, job->size, "%s takes %u argument%s, got %u: %s",
                                       job->def->name, n_required, n_required == 1 ? "" : "s",
                                       array->count, signature);
                else
                        (void)snprintf(job->text, job->size,
                                       "%s takes %u to %u arguments, got %u: %s", job->def->name,
                                       n_required, job->def->n_params, array->count, signature);
                return false;
        }
        if (symbol->words) { /* which are read from the nodes alone */
                for (uint32_t i = 0; i < array->count; i++)
                        job->source[i].value = &array->items[i];
                return true;
        }
        at = proto_frame_enter(job->frame, job->frame_len, offset, &count);
        for (uint32_t i = 0; i < array->count; i++) {
                size_t end = proto_frame_skip(job->frame, job->frame_len, at);

                job->source[i] = (struct source){&array->items[i], at, end};
                at = end;
        }
        return true;
}

static uint32_t param_find(const struct vmreq_symbol *def, const struct proto_value *key)
{
        for (uint32_t i = 0; i < def->n_params; i++)
                if (proto_value_is_text(key, def->params[i].name))
                        return i;
        return UINT32_MAX;
}

static bool source_named(struct job *job, const struct proto_value *map, size_t offset)
{
        uint32_t count;
        size_t at = proto_frame_enter(job->frame, job->frame_len, offset, &count);

        for (uint32_t k = 0; k < map->count; k++) {
                const struct proto_value *key = &map->items[2 * k];
                uint32_t i = param_find(job->def, key);
                size_t begin = proto_frame_skip(job->frame, job->frame_len, at);
                size_t end = proto_frame_skip(job->frame, job->frame_len, begin);

                if (i == UINT32_MAX || job->source[i].value) {
                        (void)snprintf(job->text, job->size, "%s: %s argument \"%.*s\"",
                                       job->def->name,
                                       i == UINT32_MAX ? "there is no" : "twice the",
                                       is_text(key) ? (int)MIN(key->count, 64u) : 0,
                                       is_text(key) ? key->data : "");
                        return false;
                }
                job->source[i] = (struct source){key + 1, begin, end};
                at = end;
        }
        for (uint32_t i = 0; i < job->def->n_params; i++)
                if (!job->source[i].value && !(job->def->params[i].flags & VMREQ_PARAM_OPTIONAL))
                        return refuse(job, i, sym_type_to_string(job->def->params[i].type));
        return true;
}

/* An array with one map of named arguments, unless the first parameter takes that map itself. */
static bool is_named(const struct vmreq_symbol *def, const struct proto_value *array)
{
        return array->count == 1 && array->items[0].type == PROTO_MAP &&
               !(def->n_params > 0 &&
                 (def->params[0].type == VMREQ_T_ANY || def->params[0].type == VMREQ_T_MAP));
}

static bool find_sources(struct job *job, const struct sym_symbol *symbol,
                         const struct proto_value *args, size_t offset)
{
        uint32_t count;

        if (args->type == PROTO_MAP)
                return source_named(job, args, offset);
        if (is_named(job->def, args))
                return source_named(job, &args->items[0],
                                    proto_frame_enter(job->frame, job->frame_len, offset, &count));
        return source_positional(job, symbol, args, offset);
}

enum proto_code rpc_marshal_args(const struct sym_symbol *symbol, const struct proto_value *args,
                                 const uint8_t *frame, size_t frame_len, size_t offset,
                                 struct rpc_args *ret_args, char *reterr_text, size_t size)
{
        struct job job;
        size_t bytes = 0;

        /* Not by an initialiser: that would clear 15 sources for the sake of two. */
        job.def = symbol->def;
        job.frame = frame;
        job.frame_len = frame_len;
        job.text = reterr_text;
        job.size = size;
        for (uint32_t i = 0; i < symbol->def->n_params; i++)
                job.source[i].value = NULL;
        rpc_args_init(ret_args);
        ret_args->n = symbol->def->n_params;
        ret_args->words = symbol->words;
        if (!find_sources(&job, symbol, args, offset))
                return PROTO_INVALID_ARGUMENT;
        if (symbol->words)
                return marshal_words(&job, ret_args) ? PROTO_OK : PROTO_INVALID_ARGUMENT;
        for (uint32_t i = 0; i < ret_args->n; i++)
                if (!marshal_value(&job, i, &ret_args->value[i], &bytes))
                        return PROTO_INVALID_ARGUMENT;
        if (!copy_bytes(&job, ret_args, bytes)) {
                (void)snprintf(reterr_text, size, "out of memory");
                return PROTO_INTERNAL;
        }
        return PROTO_OK;
}

void rpc_marshal_word(struct proto_builder *builder, const struct vmreq_symbol *symbol,
                      uint64_t value)
{
        switch (symbol->result) {
        case VMREQ_T_BOOL:
                proto_put_bool(builder, value != 0);
                break;
        case VMREQ_T_X64:
                rpc_put_x64(builder, value);
                break;
        default:
                if (sym_type_is_signed(symbol->result))
                        proto_put_int(builder, (int64_t)value);
                else if (sym_type_is_unsigned(symbol->result))
                        proto_put_uint(builder, value);
                else
                        proto_put_nil(builder);
        }
}
