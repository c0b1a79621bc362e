/* SPDX-License-Identifier: MIT */
#include "client/fields.h"

const struct proto_value *field_get(const struct proto_value *map, const char *key)
{
        const struct proto_value *value;

        if (!map || map->type != PROTO_MAP)
                return NULL;
        value = proto_value_map_get(map, key);
        return value && value->type != PROTO_NIL ? value : NULL;
}

struct field_text field_text_of(const struct proto_value *value)
{
        if (!value || (value->type != PROTO_STR && value->type != PROTO_BIN) || value->count == 0)
                return (struct field_text){"", 0};
        return (struct field_text){value->data, value->count};
}

struct field_text field_text(const struct proto_value *map, const char *key)
{
        return field_text_of(field_get(map, key));
}

bool field_uint(const struct proto_value *map, const char *key, uint64_t *ret_value)
{
        const struct proto_value *value = field_get(map, key);

        if (!value || value->type != PROTO_UINT)
                return false;
        *ret_value = value->u;
        return true;
}

bool field_int(const struct proto_value *map, const char *key, int64_t *ret_value)
{
        const struct proto_value *value = field_get(map, key);

        if (value && value->type == PROTO_UINT && value->u <= INT64_MAX)
                *ret_value = (int64_t)value->u;
        else if (value && value->type == PROTO_INT)
                *ret_value = value->i;
        else
                return false;
        return true;
}

bool field_true(const struct proto_value *map, const char *key)
{
        const struct proto_value *value = field_get(map, key);

        return value && value->type == PROTO_BOOL && value->b;
}

const struct proto_value *field_array(const struct proto_value *map, const char *key)
{
        const struct proto_value *value = field_get(map, key);

        return value && value->type == PROTO_ARRAY ? value : NULL;
}
