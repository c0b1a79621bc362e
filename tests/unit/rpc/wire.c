/* SPDX-License-Identifier: MIT */
/* msgpack as text, for the tests of this room: see wire.h. */
#include "unit/rpc/wire.h"

#include <ctype.h>

/* ---- text → msgpack ---- */

/* A list of arguments that is walked by several functions. */
struct feed {
        va_list list;
};

static const char *skip_blank(const char *at)
{
        while (*at == ' ' || *at == ',' || *at == ':' || *at == '\n')
                at++;
        return at;
}

/* The end of the value at `at`, without writing it. */
static const char *end_of(const char *at)
{
        int depth = 0;

        at = skip_blank(at);
        do {
                if (*at == '[' || *at == '{') {
                        depth++;
                        at++;
                } else if (*at == ']' || *at == '}') {
                        depth--;
                        at++;
                } else if (*at == '\'') {
                        at = strchr(at + 1, '\'');
                        assert_non_null(at);
                        at++;
                } else if (*at) {
                        at += strcspn(at, " ,:[]{}\n");
                }
                if (depth)
                        at = skip_blank(at);
                assert_true(depth == 0 || *at);
        } while (depth > 0);
        return at;
}

static uint32_t count_values(const char *at, char close)
{
        uint32_t n = 0;

        for (at = skip_blank(at); *at != close; at = skip_blank(end_of(at))) {
                assert_true(*at != 0);
                n++;
        }
        return n;
}

static const char *put_number(struct proto_builder *builder, const char *at)
{
        char *end;
        size_t len = strcspn(at, " ,:[]{}\n");

        if (memchr(at, '.', len))
                proto_put_float(builder, strtod(at, &end));
        else if (*at == '-')
                proto_put_int(builder, strtoll(at, &end, 0));
        else
                proto_put_uint(builder, strtoull(at, &end, 0));
        assert_ptr_equal(end, at + len);
        return end;
}

static void put_conversion(struct proto_builder *builder, char what, struct feed *feed)
{
        const void *data;
        size_t len;

        switch (what) {
        case 'd':
                proto_put_int(builder, va_arg(feed->list, int64_t));
                break;
        case 'u':
                proto_put_uint(builder, va_arg(feed->list, uint64_t));
                break;
        case 'f':
                proto_put_float(builder, va_arg(feed->list, double));
                break;
        case 's':
                proto_put_text(builder, va_arg(feed->list, const char *));
                break;
        case 'S':
        case 'b':
        case 'r':
                data = va_arg(feed->list, const void *);
                len = va_arg(feed->list, size_t);
                if (what == 'S')
                        proto_put_str(builder, data, len);
                else if (what == 'b')
                        proto_put_bin(builder, data, len);
                else
                        proto_put_raw(builder, data, len);
                break;
        default:
                fail_msg("no conversion %%%c", what);
        }
}

static const char *put_value(struct proto_builder *builder, const char *at, struct feed *feed);

static const char *put_container(struct proto_builder *builder, const char *at, struct feed *feed)
{
        char close = *at == '[' ? ']' : '}';
        uint32_t n = count_values(at + 1, close);

        if (*at == '[') {
                proto_put_array(builder, n);
        } else {
                assert_int_equal(n % 2, 0);
                proto_put_map(builder, n / 2);
        }
        for (at = skip_blank(at + 1); *at != close; at = skip_blank(at))
                at = put_value(builder, at, feed);
        return at + 1;
}

static const char *put_word(struct proto_builder *builder, const char *at)
{
        size_t len = strcspn(at, " ,:[]{}\n");

        if (len == 3 && memcmp(at, "nil", 3) == 0)
                proto_put_nil(builder);
        else if (len == 4 && memcmp(at, "true", 4) == 0)
                proto_put_bool(builder, true);
        else if (len == 5 && memcmp(at, "false", 5) == 0)
                proto_put_bool(builder, false);
        else
                fail_msg("no value: %s", at);
        return at + len;
}

static const char *put_value(struct proto_builder *builder, const char *at, struct feed *feed)
{
        const char *end;

        at = skip_blank(at);
        switch (*at) {
        case '[':
        case '{':
                return put_container(builder, at, feed);
        case '\'':
                end = strchr(at + 1, '\'');
                assert_non_null(end);
                proto_put_str(builder, at + 1, (size_t)(end - at - 1));
                return end + 1;
        case '%':
                put_conversion(builder, at[1], feed);
                return at + 2;
        default:
                return isdigit((unsigned char)*at) || *at == '-' ? put_number(builder, at)
                                                                 : put_word(builder, at);
        }
}

void wire_vput(struct proto_builder *builder, const char *text, va_list args)
{
        struct feed feed;
        const char *end;

        va_copy(feed.list, args);
        end = put_value(builder, text, &feed);
        va_end(feed.list);
        assert_int_equal(*skip_blank(end), 0);
        assert_int_equal(builder->error, PROTO_BUILDER_OK);
}

void wire_put(struct proto_builder *builder, const char *text, ...)
{
        va_list args;

        va_start(args, text);
        wire_vput(builder, text, args);
        va_end(args);
}

/* ---- msgpack → text ---- */

struct page {
        char *text;
        size_t size, used;
};

static void show(struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void show(struct page *page, const char *format, ...)
{
        va_list args;
        int n;

        if (page->used + 1 >= page->size)
                return;
        va_start(args, format);
        n = vsnprintf(page->text + page->used, page->size - page->used, format, args);
        va_end(args);
        page->used += n > 0 ? (size_t)n : 0;
}

#define SHOWN_MAX 2200u

static void show_bytes(struct page *page, const struct proto_value *value)
{
        if (value->count > SHOWN_MAX) {
                show(page, "'%.8s…'(%u)", value->data, value->count);
        } else if (value->type == PROTO_STR) {
                show(page, "'%.*s'", (int)value->count, value->data);
        } else {
                show(page, value->type == PROTO_EXT ? "x%d'" : "h'", value->ext_type);
                for (uint32_t i = 0; i < value->count; i++)
                        show(page, "%02x", (unsigned char)value->data[i]);
                show(page, "'");
        }
}

static bool is_whole(double f)
{
        return f > -1e15 && f < 1e15 && f == (double)(int64_t)f;
}

static void show_value(struct page *page, const struct proto_value *value)
{
        uint32_t n = value->type == PROTO_MAP ? 2 * value->count : value->count;

        switch ((enum proto_type)value->type) {
        case PROTO_NIL:
                show(page, "nil");
                break;
        case PROTO_BOOL:
                show(page, value->b ? "true" : "false");
                break;
        case PROTO_UINT:
                show(page, "%llu", (unsigned long long)value->u);
                break;
        case PROTO_INT:
                show(page, "%lld", (long long)value->i);
                break;
        case PROTO_FLOAT:
                show(page, "%.15g%s", value->f, is_whole(value->f) ? ".0" : "");
                break;
        case PROTO_ARRAY:
        case PROTO_MAP:
                show(page, value->type == PROTO_MAP ? "{" : "[");
                for (uint32_t i = 0; i < n && page->used < page->size; i++) {
                        show(page, "%s",
                             i == 0                              ? ""
                             : value->type == PROTO_MAP && i % 2 ? ":"
                                                                 : ",");
                        show_value(page, &value->items[i]);
                }
                show(page, value->type == PROTO_MAP ? "}" : "]");
                break;
        default:
                show_bytes(page, value);
                break;
        }
}

void wire_show(const struct proto_value *value, char *text, size_t size)
{
        struct page page = {.text = text, .size = size};

        text[0] = 0;
        show_value(&page, value);
}

/* ---- values ---- */

void wire_decode(struct wire_value *value, const void *data, size_t len)
{
        struct proto_frame frame;
        size_t values = len;

        proto_frame_init(&frame, PROTO_FRAME_BYTES_MAX);
        if (proto_frame_scan(&frame, data, len) == PROTO_FRAME_DONE)
                values = frame.values;
        assert_int_equal(proto_frame_skip(data, len, 0), len);
        value->arena = PROTO_ARENA_NULL;
        assert_int_equal(proto_value_decode(&value->arena, data, len, values, &value->root),
                         PROTO_VALUE_OK);
}

struct wire_value wire_new(const char *text, ...)
{
        struct wire_value value;
        va_list args;

        proto_builder_init(&value.bytes, PROTO_FRAME_BYTES_MAX);
        va_start(args, text);
        wire_vput(&value.bytes, text, args);
        va_end(args);
        wire_decode(&value, value.bytes.data, value.bytes.len);
        return value;
}

void wire_free(struct wire_value *value)
{
        proto_arena_deinit(&value->arena);
        proto_builder_deinit(&value->bytes);
}

void assert_wire_bytes(const void *data, size_t len, const char *expected)
{
        struct wire_value value;
        static char text[1 << 16];

        wire_decode(&value, data, len);
        wire_show(value.root, text, sizeof(text));
        proto_arena_deinit(&value.arena);
        assert_string_equal(text, expected);
}
