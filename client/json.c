/* SPDX-License-Identifier: MIT */
/*
 * The door to jansson's values: render.c prints what ctl_json_from_value makes, args.c sends what
 * ctl_json_put reads.  Results are lossless where JSON allows, and unmistakable where it does not
 * (json.h has the list).  Trees from the server have passed PROTO_DEPTH_MAX, so recursion is
 * bounded; trees from the command line are bounded by `depth_max`.
 */

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/json.h"
#include "client/render.h"
#include "client/words.h"
#include "proto/builder.h"
#include "proto/value.h"

int ctl_json_digits(double value)
{
        char text[40];

        for (int digits = 15; digits < 17; digits++) {
                (void)snprintf(text, sizeof(text), "%.*g", digits, value);
                if (strtod(text, NULL) == value)
                        return digits;
        }
        return 17;
}

/* ---- to JSON --------------------------------------------------------------------------------- */

static json_t *from_hex(const char *data, size_t len)
{
        static const char digits[] = "0123456789abcdef";
        char *text = malloc(2 * len + 1);
        json_t *json;

        if (!text)
                return NULL;
        for (size_t i = 0; i < len; i++) {
                text[2 * i] = digits[(unsigned char)data[i] >> 4];
                text[2 * i + 1] = digits[(unsigned char)data[i] & 15];
        }
        json = json_stringn_nocheck(text, 2 * len);
        free(text);
        return json;
}

static json_t *from_bytes(const struct proto_value *value)
{
        json_t *json = json_object();

        /* set_new checks and drops both references itself. */
        if (value->type == PROTO_EXT &&
            json_object_set_new(json, "$ext", json_integer(value->ext_type)) < 0) {
                json_decref(json);
                return NULL;
        }
        if (json_object_set_new(json, "$bytes", from_hex(value->data, value->count)) < 0) {
                json_decref(json);
                return NULL;
        }
        return json;
}

/*
 * jansson refuses what is no UTF-8; so does it when memory is short, and then from_bytes fails as
 * well.
 */
static json_t *from_str(const struct proto_value *value)
{
        json_t *json = json_stringn(value->data, value->count);

        return json ? json : from_bytes(value);
}

static json_t *from_uint(uint64_t value)
{
        char text[24];

        if (value <= INT64_MAX)
                return json_integer((json_int_t)value);
        (void)snprintf(text, sizeof(text), "%" PRIu64, value);
        return json_string(text);
}

static json_t *from_float(double value, int *ret_digits)
{
        int digits;

        if (isnan(value))
                return json_string("nan");
        if (isinf(value))
                return json_string(value < 0 ? "-inf" : "inf");
        digits = ctl_json_digits(value);
        if (digits > *ret_digits)
                *ret_digits = digits;
        return json_real(value);
}

static json_t *from_array(const struct proto_value *value, int *ret_digits)
{
        json_t *json = json_array();

        for (uint32_t i = 0; i < value->count; i++) {
                if (json_array_append_new(json, ctl_json_from_value(&value->items[i], ret_digits)) <
                    0) {
                        json_decref(json);
                        return NULL;
                }
        }
        return json;
}

/* Sets an entry; `value` is consumed. */
static int set_entry(json_t *json, const struct proto_value *key, json_t *value)
{
        char *text = NULL;
        size_t len = 0;
        FILE *out;
        int r;

        if (key->type == PROTO_STR &&
            json_object_setn_new(json, key->data, key->count, json_incref(value)) == 0) {
                json_decref(value);
                return 0;
        }
        out = open_memstream(&text, &len);
        if (!out) {
                json_decref(value);
                return -1;
        }
        render_inline(out, key);
        r = fclose(out);
        if (r == 0)
                r = json_object_setn_new(json, text, len, value);
        else
                json_decref(value);
        free(text);
        return r;
}

static json_t *from_map(const struct proto_value *value, int *ret_digits)
{
        json_t *json = json_object(), *entry;

        for (uint32_t i = 0; i < value->count; i++) {
                entry = ctl_json_from_value(&value->items[2 * i + 1], ret_digits);
                if (!json || !entry || set_entry(json, &value->items[2 * i], entry) < 0) {
                        if (!json)
                                json_decref(entry);
                        json_decref(json);
                        return NULL;
                }
        }
        return json;
}

json_t *ctl_json_from_value(const struct proto_value *value, int *ret_digits)
{
        switch (value->type) {
        case PROTO_NIL:
                return json_null();
        case PROTO_BOOL:
                return json_boolean(value->b);
        case PROTO_UINT:
                return from_uint(value->u);
        case PROTO_INT:
                return json_integer(value->i);
        case PROTO_FLOAT:
                return from_float(value->f, ret_digits);
        case PROTO_STR:
                return from_str(value);
        case PROTO_ARRAY:
                return from_array(value, ret_digits);
        case PROTO_MAP:
                return from_map(value, ret_digits);
        default:
                return from_bytes(value);
        }
}

/* ---- from JSON ------------------------------------------------------------------------------- */

int ctl_json_put_hex(struct proto_builder *out, const char *text, size_t len)
{
        uint8_t *bytes = malloc(len / 2 + 1);
        int r = 0;

        if (!bytes) {
                out->error = PROTO_BUILDER_E_MEMORY;
                return 0;
        }
        if (len % 2 != 0)
                r = -1;
        for (size_t i = 0; r == 0 && i < len / 2; i++) {
                int high = words_digit(text[2 * i]), low = words_digit(text[2 * i + 1]);

                if (high < 0 || low < 0)
                        r = -1;
                else
                        bytes[i] = (uint8_t)(high << 4 | low);
        }
        if (r == 0)
                proto_put_bin(out, bytes, len / 2);
        free(bytes);
        return r;
}

static int put_object(struct proto_builder *out, const json_t *json, unsigned depth_max)
{
        const json_t *bytes = json_object_get(json, "$bytes");
        void *at;

        if (bytes && json_object_size(json) == 1 && json_is_string(bytes))
                return ctl_json_put_hex(out, json_string_value(bytes), json_string_length(bytes));
        if (depth_max == 0)
                return -1;
        proto_put_map(out, (uint32_t)json_object_size(json));
        /* jansson's iterator wants a pointer that is not const, and changes nothing. */
        for (at = json_object_iter((json_t *)(uintptr_t)json); at;
             at = json_object_iter_next((json_t *)(uintptr_t)json, at)) {
                proto_put_str(out, json_object_iter_key(at), json_object_iter_key_len(at));
                if (ctl_json_put(out, json_object_iter_value(at), depth_max - 1) < 0)
                        return -1;
        }
        return 0;
}

static int put_array(struct proto_builder *out, const json_t *json, unsigned depth_max)
{
        if (depth_max == 0)
                return -1;
        proto_put_array(out, (uint32_t)json_array_size(json));
        for (size_t i = 0; i < json_array_size(json); i++) {
                if (ctl_json_put(out, json_array_get(json, i), depth_max - 1) < 0)
                        return -1;
        }
        return 0;
}

int ctl_json_put(struct proto_builder *out, const json_t *json, unsigned depth_max)
{
        switch (json_typeof(json)) {
        case JSON_OBJECT:
                return put_object(out, json, depth_max);
        case JSON_ARRAY:
                return put_array(out, json, depth_max);
        case JSON_STRING:
                proto_put_str(out, json_string_value(json), json_string_length(json));
                return 0;
        case JSON_INTEGER:
                proto_put_int(out, json_integer_value(json));
                return 0;
        case JSON_REAL:
                proto_put_float(out, json_real_value(json));
                return 0;
        case JSON_NULL:
                proto_put_nil(out);
                return 0;
        default:
                proto_put_bool(out, json_is_true(json));
                return 0;
        }
}
