/* SPDX-License-Identifier: MIT */
/*
 * The three shapes of a msgpack-RPC message.  Reading is tolerant where real clients differ (a
 * method name as bin, params as nil) and strict in the rest: exactly 4 elements in a request and a
 * response, 3 in a notification.
 */
#include "proto/message.h"

#include <string.h>

#include "proto/builder.h"

/* What params of nil are read as: several libraries send it for a call without arguments. */
static const struct proto_value no_params = {.type = PROTO_ARRAY};

static enum proto_message_result parse_msgid(const struct proto_value *value, uint32_t *ret_msgid)
{
        if (value->type != PROTO_UINT || value->u > UINT32_MAX)
                return PROTO_MESSAGE_E_MSGID;
        *ret_msgid = (uint32_t)value->u;
        return PROTO_MESSAGE_OK;
}

/* The last two elements of a request and of a notification. */
static enum proto_message_result parse_call(const struct proto_value *elements,
                                            struct proto_message *message)
{
        const struct proto_value *method = &elements[0], *params = &elements[1];

        /* pynvim sends method names as bin. */
        if (method->type != PROTO_STR && method->type != PROTO_BIN)
                return PROTO_MESSAGE_E_METHOD;
        if (params->type != PROTO_ARRAY && params->type != PROTO_NIL)
                return PROTO_MESSAGE_E_PARAMS;
        message->method = method->data;
        message->method_len = method->count;
        message->params = params->type == PROTO_ARRAY ? params : &no_params;
        return PROTO_MESSAGE_OK;
}

static enum proto_message_result parse_elements(const struct proto_value *root,
                                                struct proto_message *message)
{
        const struct proto_value *elements = root->items;
        enum proto_message_result r;

        if (elements[0].type != PROTO_UINT || elements[0].u > PROTO_NOTIFY)
                return PROTO_MESSAGE_E_TYPE;
        message->type = (enum proto_message_type)elements[0].u;
        if (root->count != (message->type == PROTO_NOTIFY ? 3 : 4))
                return PROTO_MESSAGE_E_ARITY;
        if (message->type == PROTO_NOTIFY)
                return parse_call(elements + 1, message);

        r = parse_msgid(&elements[1], &message->msgid);
        if (r != PROTO_MESSAGE_OK)
                return r;
        if (message->type == PROTO_REQUEST)
                return parse_call(elements + 2, message);
        message->error = &elements[2];
        message->result = &elements[3];
        return PROTO_MESSAGE_OK;
}

enum proto_message_result proto_message_parse(const struct proto_value *root,
                                              struct proto_message *ret_message)
{
        struct proto_message message = {0};
        enum proto_message_result r;

        if (root->type != PROTO_ARRAY || root->count == 0)
                return PROTO_MESSAGE_E_ARITY;
        r = parse_elements(root, &message);
        if (r == PROTO_MESSAGE_OK)
                *ret_message = message;
        return r;
}

const char *proto_message_result_to_string(enum proto_message_result result)
{
        switch (result) {
        case PROTO_MESSAGE_OK:
                return "well-formed";
        case PROTO_MESSAGE_E_TYPE:
                return "the first element is not 0 (request), 1 (response) or 2 (notification)";
        case PROTO_MESSAGE_E_ARITY:
                return "wrong number of elements: expected [0, msgid, method, params], "
                       "[1, msgid, error, result] or [2, method, params]";
        case PROTO_MESSAGE_E_MSGID:
                return "the msgid is not an integer from 0 to 4294967295";
        case PROTO_MESSAGE_E_METHOD:
                return "the method is not a string";
        case PROTO_MESSAGE_E_PARAMS:
                return "the params are neither an array nor nil";
        }
        return "malformed message";
}

void proto_put_request(struct proto_builder *builder, uint32_t msgid, const char *method,
                       size_t method_len, uint32_t n_params)
{
        proto_put_array(builder, 4);
        proto_put_uint(builder, PROTO_REQUEST);
        proto_put_uint(builder, msgid);
        proto_put_str(builder, method, method_len);
        proto_put_array(builder, n_params);
}

void proto_put_notify(struct proto_builder *builder, const char *method, uint32_t n_params)
{
        proto_put_array(builder, 3);
        proto_put_uint(builder, PROTO_NOTIFY);
        proto_put_str(builder, method, strlen(method));
        proto_put_array(builder, n_params);
}

void proto_put_response(struct proto_builder *builder, uint32_t msgid)
{
        proto_put_array(builder, 4);
        proto_put_uint(builder, PROTO_RESPONSE);
        proto_put_uint(builder, msgid);
}
