/* SPDX-License-Identifier: MIT */
/*
 * The last step of vmreqctl: values → what the reader sees.  Called by the verbs with stdout, by
 * report.c with stderr, by json.c for map keys.  Recursion is bounded by PROTO_DEPTH_MAX, which
 * every decoded tree has passed.  Write errors stick to the stream; main looks at them once, at the
 * end.
 */

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/json.h"
#include "client/render.h"
#include "proto/value.h"

#define KEY_WIDTH_MAX 32 /* a longer key does not push everybody's values to the right */

/* ---- text that is safe to print -------------------------------------------------------------- */

/*
 * The length of the UTF-8 sequence at `data` whose character may go to a terminal; 0 if there is
 * none.
 */
static size_t printable(const unsigned char *data, size_t len)
{
        static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        uint32_t c = data[0];
        size_t n;

        if (c < 0x80)
                return c >= 0x20 && c != 0x7f;
        if (c >= 0xc2 && c <= 0xdf)
                n = 2;
        else if (c >= 0xe0 && c <= 0xef)
                n = 3;
        else if (c >= 0xf0 && c <= 0xf4)
                n = 4;
        else
                return 0;
        if (n > len)
                return 0;
        c &= 0x7fu >> n;
        for (size_t i = 1; i < n; i++) {
                if ((data[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (data[i] & 0x3f);
        }
        /*
         * Overlong, surrogates, out of range; C1 controls, which terminals obey; and bidirectional
         * overrides, which make a line read as another one.
         */
        if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) || c < 0xa0 ||
            (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069))
                return 0;
        return n;
}

/* Writes one character or escaped byte, returns how many bytes of the input it was. */
static size_t clean_one(FILE *out, const unsigned char *data, size_t len, bool one_line)
{
        size_t n = printable(data, len);

        if (n > 0)
                (void)fwrite(data, 1, n, out);
        else if (!one_line && (*data == '\n' || *data == '\t'))
                (void)fputc(*data, out);
        else if (*data == '\n')
                (void)fputs("\\n", out);
        else if (*data == '\t')
                (void)fputs("\\t", out);
        else
                (void)fprintf(out, "\\x%02x", *data);
        return n > 0 ? n : 1;
}

void render_clean(FILE *out, const char *data, size_t len, bool one_line)
{
        for (size_t i = 0; i < len;)
                i += clean_one(out, (const unsigned char *)data + i, len - i, one_line);
}

void render_behind(FILE *out, const char *before, struct field_text text)
{
        if (text.len == 0)
                return;
        (void)fputs(before, out);
        render_clean(out, text.data, text.len, true);
}

size_t render_width(const char *data, size_t len)
{
        size_t width = 0;

        for (size_t i = 0; i < len; width++) {
                size_t n = printable((const unsigned char *)data + i, len - i);

                if (n == 0)
                        width += data[i] == '\n' || data[i] == '\t' ? 1 : 3;
                i += n > 0 ? n : 1;
        }
        return width;
}

/* ---- scalars --------------------------------------------------------------------------------- */

static void put_hex(FILE *out, const char *data, size_t len)
{
        static const char digits[] = "0123456789abcdef";
        char text[512];
        size_t n = 0;

        for (size_t i = 0; i < len; i++) {
                text[n++] = digits[(unsigned char)data[i] >> 4];
                text[n++] = digits[(unsigned char)data[i] & 15];
                if (n == sizeof(text) || i + 1 == len) {
                        (void)fwrite(text, 1, n, out);
                        n = 0;
                }
        }
}

/* The shortest digits that read back as the same number. */
static void put_float(FILE *out, double value)
{
        char text[40];

        (void)snprintf(text, sizeof(text), "%.*g", ctl_json_digits(value), value);
        (void)fputs(text, out);
        if (isfinite(value) && strcspn(text, ".e") == strlen(text))
                (void)fputs(".0", out); /* so that 1.0 does not read as an integer */
}

/* In a list, text needs quotes when it would read as something else. */
static bool needs_quotes(const char *data, size_t len)
{
        if (len == 0 || strchr("0123456789+-.", data[0]) || data[0] == ' ' || data[len - 1] == ' ')
                return true;
        for (size_t i = 0; i < len; i++) {
                if (strchr(",:[]{}\"'\\", data[i]) || (unsigned char)data[i] < 0x20)
                        return true;
        }
        return (len == 3 && memcmp(data, "nil", 3) == 0) ||
               (len == 4 && memcmp(data, "true", 4) == 0) ||
               (len == 5 && memcmp(data, "false", 5) == 0);
}

static void put_quoted(FILE *out, const char *data, size_t len)
{
        (void)fputc('"', out);
        for (size_t i = 0; i < len;) {
                if (data[i] == '"' || data[i] == '\\')
                        (void)fputc('\\', out);
                i += clean_one(out, (const unsigned char *)data + i, len - i, true);
        }
        (void)fputc('"', out);
}

static void put_ext(FILE *out, const struct proto_value *value)
{
        (void)fprintf(out, "ext(%d) ", value->ext_type);
        put_hex(out, value->data, value->count);
}

static void put_scalar(FILE *out, const struct proto_value *value)
{
        switch (value->type) {
        case PROTO_NIL:
                (void)fputs("nil", out);
                break;
        case PROTO_BOOL:
                (void)fputs(value->b ? "true" : "false", out);
                break;
        case PROTO_UINT:
                (void)fprintf(out, "%" PRIu64, value->u);
                break;
        case PROTO_INT:
                (void)fprintf(out, "%" PRId64, value->i);
                break;
        case PROTO_FLOAT:
                put_float(out, value->f);
                break;
        case PROTO_STR:
                render_clean(out, value->data, value->count, true);
                break;
        case PROTO_BIN:
                put_hex(out, value->data, value->count);
                break;
        default:
                put_ext(out, value);
                break;
        }
}

/* ---- containers ------------------------------------------------------------------------------ */

static bool is_container(const struct proto_value *value)
{
        return value->type == PROTO_ARRAY || value->type == PROTO_MAP;
}

void render_element(FILE *out, const struct proto_value *value)
{
        if (value->type == PROTO_STR && needs_quotes(value->data, value->count))
                put_quoted(out, value->data, value->count);
        else
                render_inline(out, value);
}

void render_inline(FILE *out, const struct proto_value *value)
{
        bool map = value->type == PROTO_MAP;

        if (!is_container(value)) {
                put_scalar(out, value);
                return;
        }
        (void)fputc(map ? '{' : '[', out);
        for (uint32_t i = 0; i < value->count; i++) {
                if (i > 0)
                        (void)fputs(", ", out);
                render_element(out, &value->items[map ? 2 * i : i]);
                if (map) {
                        (void)fputs(": ", out);
                        render_element(out, &value->items[2 * i + 1]);
                }
        }
        (void)fputc(map ? '}' : ']', out);
}

static size_t key_width(const struct proto_value *key)
{
        return key->type == PROTO_STR ? render_width(key->data, key->count) : 0;
}

/* True for what goes below its key instead of behind it. */
static bool is_block(const struct proto_value *value)
{
        if (value->type == PROTO_MAP)
                return value->count > 0;
        if (value->type != PROTO_ARRAY)
                return false;
        for (uint32_t i = 0; i < value->count; i++) {
                if (is_container(&value->items[i]))
                        return true;
        }
        return false;
}

static void put_block(FILE *out, const struct proto_value *value, int indent);

static void put_entry(FILE *out, const struct proto_value *entry, int indent, size_t width)
{
        size_t w = key_width(&entry[0]);

        (void)fprintf(out, "%*s", indent, "");
        render_inline(out, &entry[0]);
        (void)fputc(':', out);
        if (is_block(&entry[1])) {
                (void)fputc('\n', out);
                put_block(out, &entry[1], indent + 2);
                return;
        }
        (void)fprintf(out, "%*s", 1 + (int)(w < width ? width - w : 0), "");
        render_inline(out, &entry[1]);
        (void)fputc('\n', out);
}

static void put_map(FILE *out, const struct proto_value *map, int indent)
{
        size_t width = 0;

        for (uint32_t i = 0; i < map->count; i++) {
                size_t w = key_width(&map->items[2 * i]);

                if (!is_block(&map->items[2 * i + 1]) && w > width && w <= KEY_WIDTH_MAX)
                        width = w;
        }
        for (uint32_t i = 0; i < map->count; i++)
                put_entry(out, &map->items[2 * i], indent, width);
}

static void put_block(FILE *out, const struct proto_value *value, int indent)
{
        if (value->type == PROTO_MAP) {
                put_map(out, value, indent);
                return;
        }
        for (uint32_t i = 0; i < value->count; i++) {
                (void)fprintf(out, "%*s", indent, "");
                render_inline(out, &value->items[i]);
                (void)fputc('\n', out);
        }
}

void render_text(FILE *out, const struct proto_value *value)
{
        if (value->type == PROTO_NIL)
                return;
        if (is_container(value) && value->count > 0) {
                put_block(out, value, 0);
                return;
        }
        if (value->type == PROTO_STR)
                render_clean(out, value->data, value->count, false);
        else
                render_inline(out, value);
        (void)fputc('\n', out);
}

/*
 * For a terminal: ASCII, because bytes above 127 can be control characters too, and without the one
 * control character that JSON allows as it is.
 */
static int dump_to_terminal(FILE *out, const json_t *json, size_t flags)
{
        char *text = json_dumps(json, flags | JSON_ENSURE_ASCII);

        if (!text)
                return -1;
        for (const char *at = text; *at != '\0'; at++) {
                if (*at == 0x7f)
                        (void)fputs("\\u007F", out);
                else
                        (void)fputc(*at, out);
        }
        free(text);
        return 0;
}

int render_json(FILE *out, const struct proto_value *value, bool pretty)
{
        int digits = 0, r;
        json_t *json = ctl_json_from_value(value, &digits);
        size_t flags = JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits);

        if (!json)
                return -ENOMEM;
        flags |= pretty ? JSON_INDENT(2) : JSON_COMPACT;
        if (fileno(out) >= 0 && isatty(fileno(out)))
                r = dump_to_terminal(out, json, flags);
        else
                r = json_dumpf(json, out, flags);
        json_decref(json);
        (void)fputc('\n', out);
        return r < 0 && !ferror(out) ? -ENOMEM : 0;
}
