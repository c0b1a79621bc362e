/* SPDX-License-Identifier: MIT */
#include "rpc/result-type.h"

#include "proto/frame.h"
#include "symbols/signature.h"

/* Integers, and the text of an x64: the value itself is needed. */
static bool scalar_has_type(uint32_t type, const struct proto_value *value)
{
        int64_t min;
        uint64_t max;

        sym_type_bounds(type, &min, &max);
        if (type == VMREQ_T_X64)
                return value->type == PROTO_STR && value->count > 2 && value->data[0] == '0' &&
                       value->data[1] == 'x';
        if (value->type == PROTO_UINT)
                return value->u <= max; /* of a signed type: never negative as uint64_t */
        return value->type == PROTO_INT && sym_type_is_signed(type) && value->i >= min;
}

static bool decode_scalar(uint32_t type, const uint8_t *data, size_t len)
{
        struct proto_arena arena = PROTO_ARENA_NULL;
        const struct proto_value *value;
        bool ok = proto_value_decode(&arena, data, len, 1, &value) == PROTO_VALUE_OK &&
                  scalar_has_type(type, value);

        proto_arena_deinit(&arena);
        return ok;
}

bool rpc_result_has_type(uint32_t type, const uint8_t *data, size_t len)
{
        enum proto_type is = proto_frame_type(data, len, 0);

        switch (type) {
        case VMREQ_T_NIL:
        case VMREQ_T_STATUS: /* its status is the result; a value beside it would be lost */
                return len == 0 || is == PROTO_NIL;
        case VMREQ_T_BOOL:
                return is == PROTO_BOOL;
        case VMREQ_T_F64:
                return is == PROTO_FLOAT;
        case VMREQ_T_STR:
                return is == PROTO_STR;
        case VMREQ_T_BYTES:
                return is == PROTO_BIN;
        case VMREQ_T_ANY:
                return is != _PROTO_TYPE_N;
        case VMREQ_T_ARRAY:
                return is == PROTO_ARRAY;
        case VMREQ_T_MAP:
                return is == PROTO_MAP;
        default:
                return (is == PROTO_UINT || is == PROTO_STR) && decode_scalar(type, data, len);
        }
}
