/* SPDX-License-Identifier: MIT */
/*
 * From a scanned frame to a message and back: proto/value.c and proto/message.c against msgpack-c's
 * object API, which decodes the same bytes by other code; proto/builder.c by encoding the tree
 * again, which must give the same tree, and from there the same bytes.
 *
 * Input: 1 byte for the lies told to the decoder, 1 byte a budget, then the frame.
 */
#include <math.h>
#include <string.h>

#include <msgpack.h>

#include "fuzz.h"
#include "proto/builder.h"
#include "proto/codes.h"
#include "proto/frame.h"
#include "proto/message.h"
#include "proto/names.h"
#include "proto/value.h"

#define FRAME_MAX (1u << 20)

/* ---- against msgpack-c ---- */

static void check_bytes(const struct proto_value *value, const char *data, uint32_t len)
{
        FUZZ_CHECK(value->count == len && value->data);
        FUZZ_CHECK(len == 0 || memcmp(value->data, data, len) == 0);
}

static void check_object(const struct proto_value *value, const msgpack_object *object)
{
        switch (object->type) {
        case MSGPACK_OBJECT_NIL:
                FUZZ_CHECK(value->type == PROTO_NIL);
                break;
        case MSGPACK_OBJECT_BOOLEAN:
                FUZZ_CHECK(value->type == PROTO_BOOL && value->b == object->via.boolean);
                break;
        case MSGPACK_OBJECT_POSITIVE_INTEGER:
                FUZZ_CHECK(value->type == PROTO_UINT && value->u == object->via.u64);
                break;
        case MSGPACK_OBJECT_NEGATIVE_INTEGER:
                FUZZ_CHECK(value->type == PROTO_INT && value->i == object->via.i64);
                break;
        case MSGPACK_OBJECT_FLOAT32:
        case MSGPACK_OBJECT_FLOAT64:
                FUZZ_CHECK(value->type == PROTO_FLOAT);
                FUZZ_CHECK(value->f == object->via.f64 ||
                           (isnan(value->f) && isnan(object->via.f64)));
                break;
        case MSGPACK_OBJECT_STR:
                FUZZ_CHECK(value->type == PROTO_STR);
                check_bytes(value, object->via.str.ptr, object->via.str.size);
                break;
        case MSGPACK_OBJECT_BIN:
                FUZZ_CHECK(value->type == PROTO_BIN);
                check_bytes(value, object->via.bin.ptr, object->via.bin.size);
                break;
        case MSGPACK_OBJECT_EXT:
                FUZZ_CHECK(value->type == PROTO_EXT && value->ext_type == object->via.ext.type);
                check_bytes(value, object->via.ext.ptr, object->via.ext.size);
                break;
        case MSGPACK_OBJECT_ARRAY:
                FUZZ_CHECK(value->type == PROTO_ARRAY && value->count == object->via.array.size);
                for (uint32_t i = 0; i < value->count; i++)
                        check_object(&value->items[i], &object->via.array.ptr[i]);
                break;
        case MSGPACK_OBJECT_MAP:
                FUZZ_CHECK(value->type == PROTO_MAP && value->count == object->via.map.size);
                for (uint32_t i = 0; i < value->count; i++) {
                        check_object(&value->items[2 * i], &object->via.map.ptr[i].key);
                        check_object(&value->items[2 * i + 1], &object->via.map.ptr[i].val);
                }
                break;
        }
}

static void check_msgpack(const struct proto_value *root, const uint8_t *data, size_t len)
{
        msgpack_unpacked unpacked;
        size_t end = 0;

        msgpack_unpacked_init(&unpacked);
        FUZZ_CHECK(msgpack_unpack_next(&unpacked, (const char *)data, len, &end) ==
                   MSGPACK_UNPACK_SUCCESS);
        check_object(root, &unpacked.data);
        msgpack_unpacked_destroy(&unpacked);
}

/* ---- again ---- */

static void check_equal(const struct proto_value *a, const struct proto_value *b)
{
        size_t n = a->type == PROTO_MAP ? 2 * (size_t)a->count : a->count;

        FUZZ_CHECK(a->type == b->type && a->count == b->count && a->ext_type == b->ext_type);
        FUZZ_CHECK(strcmp(proto_value_type_to_string(a), "unknown") != 0);
        switch ((enum proto_type)a->type) {
        case PROTO_STR:
        case PROTO_BIN:
        case PROTO_EXT:
                check_bytes(a, b->data, b->count);
                break;
        case PROTO_ARRAY:
        case PROTO_MAP:
                for (size_t i = 0; i < n; i++)
                        check_equal(&a->items[i], &b->items[i]);
                break;
        case PROTO_FLOAT:
                FUZZ_CHECK(a->f == b->f || (isnan(a->f) && isnan(b->f)));
                break;
        default:
                FUZZ_CHECK(a->u == b->u);
                break;
        }
}

static size_t count_of(const struct proto_value *value)
{
        size_t n = value->type == PROTO_MAP ? 2 * (size_t)value->count : value->count, sum = 1;

        if (value->type == PROTO_ARRAY || value->type == PROTO_MAP)
                for (size_t i = 0; i < n; i++)
                        sum += count_of(&value->items[i]);
        return sum;
}

/* Scans and decodes what the builder made; it must be one whole frame of as many values. */
static const struct proto_value *decode_again(struct proto_arena *arena,
                                              const struct proto_builder *builder, size_t values)
{
        const struct proto_value *root;
        struct proto_frame frame;

        FUZZ_CHECK(builder->error == PROTO_BUILDER_OK);
        proto_frame_init(&frame, PROTO_FRAME_BYTES_MAX);
        FUZZ_CHECK(proto_frame_scan(&frame, builder->data, builder->len) == PROTO_FRAME_DONE);
        FUZZ_CHECK(frame.pos == builder->len && frame.values == values);
        FUZZ_CHECK(proto_value_decode(arena, builder->data, builder->len, values, &root) ==
                   PROTO_VALUE_OK);
        return root;
}

static void check_encoded(const struct proto_value *root, size_t values, uint8_t budget)
{
        struct proto_arena arena = PROTO_ARENA_NULL;
        struct proto_builder first, second;
        const struct proto_value *again;

        proto_builder_init(&first, PROTO_FRAME_BYTES_MAX);
        proto_put_value(&first, root);
        again = decode_again(&arena, &first, values);
        check_equal(root, again);

        /* A second time: first over a budget, then with just enough. */
        proto_builder_init(&second, first.len - 1 - budget % first.len);
        proto_put_value(&second, again);
        FUZZ_CHECK(second.error == PROTO_BUILDER_E_BUDGET && second.len <= second.bytes_max);
        proto_builder_rollback(&second, 0);
        second.bytes_max = first.len;
        proto_put_value(&second, again);
        FUZZ_CHECK(second.error == PROTO_BUILDER_OK && second.len == first.len &&
                   memcmp(second.data, first.data, first.len) == 0);

        proto_arena_trim(&arena, budget);
        FUZZ_CHECK(arena.cap <= budget || arena.cap <= values || arena.cap <= 64);
        proto_arena_deinit(&arena);
        proto_builder_deinit(&first);
        proto_builder_deinit(&second);
}

/* ---- the message ---- */

static enum proto_message_result expected_message(const struct proto_value *root)
{
        const struct proto_value *e = root->items;

        if (root->count == 0)
                return PROTO_MESSAGE_E_ARITY;
        if (e[0].type != PROTO_UINT || e[0].u > 2)
                return PROTO_MESSAGE_E_TYPE;
        if (root->count != (e[0].u == 2 ? 3 : 4))
                return PROTO_MESSAGE_E_ARITY;
        if (e[0].u != 2 && (e[1].type != PROTO_UINT || e[1].u >> 32))
                return PROTO_MESSAGE_E_MSGID;
        if (e[0].u == 1)
                return PROTO_MESSAGE_OK;
        e += e[0].u == 2 ? 1 : 2;
        if (e[0].type != PROTO_STR && e[0].type != PROTO_BIN)
                return PROTO_MESSAGE_E_METHOD;
        if (e[1].type != PROTO_ARRAY && e[1].type != PROTO_NIL)
                return PROTO_MESSAGE_E_PARAMS;
        return PROTO_MESSAGE_OK;
}

/* [a-z][a-z0-9_]*(\.[a-z0-9_]+)+, by hand. */
static bool is_symbol_name(const char *name, size_t len)
{
        size_t dots = 0;

        if (len == 0 || len > PROTO_NAME_BYTES_MAX || name[0] < 'a' || name[0] > 'z')
                return false;
        for (size_t i = 0; i < len; i++) {
                char c = name[i];

                if (c == '.' && (i + 1 == len || name[i + 1] == '.'))
                        return false;
                dots += c == '.';
                if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_' && c != '.')
                        return false;
        }
        return dots > 0;
}

static bool is_letter_or_digit(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* [A-Za-z0-9][A-Za-z0-9_.-]{0,63}, not ending in ".sock". */
static bool is_vm_name(const char *name)
{
        size_t len = strlen(name);

        if (len == 0 || len > PROTO_VM_NAME_BYTES_MAX || !is_letter_or_digit(name[0]) ||
            (len >= 5 && strcmp(name + len - 5, ".sock") == 0))
                return false;
        for (size_t i = 0; i < len; i++)
                if (!is_letter_or_digit(name[i]) && !strchr("_.-", name[i]))
                        return false;
        return true;
}

/* Whole characters, each of a first byte and as many others as that says. */
static bool is_utf8(const char *text, size_t len)
{
        for (size_t i = 0; i < len; i++) {
                unsigned char c = (unsigned char)text[i];
                size_t more = c < 0x80 ? 0 : c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;

                if ((c & 0xc0) == 0x80 || c >= 0xf8 || more > len - 1 - i)
                        return false;
                for (; more > 0; more--)
                        if (((unsigned char)text[++i] & 0xc0) != 0x80)
                                return false;
        }
        return true;
}

/* What proto_put_format has left of a text: its first 4095 bytes, less a torn character. */
static void check_cut(const char *text, size_t n, const uint8_t *cut, size_t len)
{
        FUZZ_CHECK(len <= 4095 && len > 4095 - 4 && memcmp(cut, text, len) == 0);
        if (is_utf8(text, n))
                FUZZ_CHECK(is_utf8(text, len));
}

/* The method's bytes as text: put as such, and through a format that has to cut them. */
static void check_texts(const char *name, size_t len)
{
        struct proto_builder builder;
        char text[4 * 4096 + 1];
        size_t n = 0, first;
        uint8_t *data;

        while (len > 0 && n + len < sizeof(text) - 1 && !memchr(name, 0, len)) {
                memcpy(text + n, name, len);
                n += len;
        }
        text[n < len ? n : len] = 0;
        FUZZ_CHECK(proto_vm_name_valid(text) == is_vm_name(text));
        if (n > len)
                text[len] = name[0];
        text[n] = 0;

        proto_builder_init(&builder, 3 * sizeof(text));
        proto_put_text(&builder, NULL);
        proto_put_text(&builder, text);
        FUZZ_CHECK(builder.data[0] == 0xc0 && memcmp(builder.data + builder.len - n, text, n) == 0);
        first = builder.len;
        proto_put_format(&builder, "%s", text);
        FUZZ_CHECK(proto_frame_skip(builder.data, builder.len, first) == builder.len);
        if (n < 4096)
                FUZZ_CHECK(builder.len - first == first - 1);
        else
                check_cut(text, n, builder.data + first + 3, builder.len - first - 3);
        data = proto_builder_take(&builder, &first);
        FUZZ_CHECK(data && first > n && builder.len == 0 && !builder.data);
        free(data);
        proto_builder_deinit(&builder);
}

static void check_name(const char *name, size_t len)
{
        static const char letters[] = "vmreq.";
        enum proto_code code = proto_code_from_string(name, len);
        bool reserved = (len >= 6 && memcmp(name, letters, 6) == 0) ||
                        (len >= 5 && memcmp(name, "nvim_", 5) == 0);

        FUZZ_CHECK(proto_symbol_name_valid(name, len) == is_symbol_name(name, len));
        FUZZ_CHECK(proto_symbol_name_reserved(name, len) == reserved);
        check_texts(name, len);
        if (code != PROTO_OK)
                FUZZ_CHECK(strlen(proto_code_to_string(code)) == len &&
                           memcmp(proto_code_to_string(code), name, len) == 0);
}

/* Writes the message anew from its parts: the same tree. */
static void check_rewritten(const struct proto_message *message, const struct proto_value *root)
{
        const struct proto_value *params = message->params, *again;
        struct proto_arena arena = PROTO_ARENA_NULL;
        struct proto_builder builder;
        size_t values = message->type == PROTO_REQUEST ? 4 : 3;
        char name[256];

        if (message->type == PROTO_NOTIFY && (message->method_len >= sizeof(name) ||
                                              memchr(message->method, 0, message->method_len)))
                return; /* proto_put_notify takes a text */

        proto_builder_init(&builder, PROTO_FRAME_BYTES_MAX);
        if (message->type == PROTO_RESPONSE) {
                proto_put_response(&builder, message->msgid);
                proto_put_value(&builder, message->error);
                proto_put_value(&builder, message->result);
        } else if (message->type == PROTO_REQUEST) {
                proto_put_request(&builder, message->msgid, message->method, message->method_len,
                                  params->count);
        } else {
                memcpy(name, message->method, message->method_len);
                name[message->method_len] = 0;
                proto_put_notify(&builder, name, params->count);
        }
        for (uint32_t i = 0; message->type != PROTO_RESPONSE && i < params->count; i++)
                proto_put_value(&builder, &params->items[i]);
        values += message->type == PROTO_RESPONSE
                          ? count_of(message->error) + count_of(message->result)
                          : count_of(params);
        again = decode_again(&arena, &builder, values);
        for (uint32_t i = 0; i < root->count; i++) {
                if (&root->items[i] == params || message->type == PROTO_RESPONSE)
                        check_equal(&root->items[i], &again->items[i]);
        }
        proto_arena_deinit(&arena);
        proto_builder_deinit(&builder);
}

static void check_message(const struct proto_value *root)
{
        enum proto_message_result result, expected = expected_message(root);
        struct proto_message message;
        const struct proto_value *method;

        result = proto_message_parse(root, &message);
        FUZZ_CHECK(result == expected);
        FUZZ_CHECK(proto_message_result_to_string(result)[0]);
        if (result != PROTO_MESSAGE_OK)
                return;
        FUZZ_CHECK(message.type == root->items[0].u);
        if (message.type != PROTO_NOTIFY)
                FUZZ_CHECK(message.msgid == root->items[1].u);
        if (message.type != PROTO_RESPONSE) {
                method = &root->items[message.type == PROTO_REQUEST ? 2 : 1];
                FUZZ_CHECK(message.method_len == method->count && message.method == method->data);
                FUZZ_CHECK(message.params->type == PROTO_ARRAY);
                check_name(message.method, message.method_len);
        }
        check_rewritten(&message, root);
}

/* Looks each text key of each map up again: the first of that name is found. */
static void check_maps(const struct proto_value *value)
{
        size_t n = value->type == PROTO_MAP ? 2 * (size_t)value->count : value->count;
        char key[64];

        if (value->type != PROTO_MAP)
                FUZZ_CHECK(!proto_value_map_get(value, "key"));
        if (value->type != PROTO_MAP && value->type != PROTO_ARRAY)
                return;
        for (size_t i = 0; i < n; i++)
                check_maps(&value->items[i]);
        for (size_t i = 0; value->type == PROTO_MAP && i < n && i < 32; i += 2) {
                const struct proto_value *k = &value->items[i], *found;

                if ((k->type != PROTO_STR && k->type != PROTO_BIN) || k->count >= sizeof(key) ||
                    memchr(k->data, 0, k->count))
                        continue;
                memcpy(key, k->data, k->count);
                key[k->count] = 0;
                FUZZ_CHECK(proto_value_is_text(k, key));
                found = proto_value_map_get(value, key);
                FUZZ_CHECK(found && found <= k + 1 && proto_value_is_text(found - 1, key));
        }
}

/* Who calls with other figures than the scan's gets an error or the same tree, never a wild read.
 */
static void check_lies(const uint8_t *data, size_t len, size_t values, uint8_t lie)
{
        struct proto_arena arena = PROTO_ARENA_NULL;
        const struct proto_value *root;
        size_t cut = 1 + lie % len;
        uint8_t *exact;

        (void)proto_value_decode(&arena, data, len, lie, &root);
        FUZZ_CHECK(proto_value_decode(&arena, data, len, values - 1, &root) != PROTO_VALUE_OK);
        if (values < len &&
            proto_value_decode(&arena, data, len, values + 1, &root) == PROTO_VALUE_OK)
                FUZZ_CHECK(count_of(root) == values);
        if (cut < len) {
                exact = malloc(cut);
                FUZZ_CHECK(exact);
                memcpy(exact, data, cut);
                FUZZ_CHECK(proto_value_decode(&arena, exact, cut, values, &root) != PROTO_VALUE_OK);
                free(exact);
        }
        proto_arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        static struct proto_arena arena; /* as a connection's: kept from frame to frame */
        struct fuzz_input input = {data, len};
        uint8_t lie = fuzz_byte(&input), budget = fuzz_byte(&input);
        const struct proto_value *root;
        struct proto_frame frame;

        proto_frame_init(&frame, FRAME_MAX);
        if (proto_frame_scan(&frame, input.data, input.len) != PROTO_FRAME_DONE) {
                /* Not for decoding; but nothing may come of it. */
                if (input.len)
                        (void)proto_value_decode(&arena, input.data, input.len, 1 + lie, &root);
                return 0;
        }
        FUZZ_CHECK(proto_value_decode(&arena, input.data, frame.pos, frame.values, &root) ==
                   PROTO_VALUE_OK);
        FUZZ_CHECK(arena.used == frame.values && count_of(root) == frame.values);
        check_msgpack(root, input.data, frame.pos);
        check_message(root);
        check_maps(root);
        check_encoded(root, frame.values, budget);
        check_lies(input.data, frame.pos, frame.values, lie);
        return 0;
}
