/* SPDX-License-Identifier: MIT */
/*
 * Descriptions of symbols, printed by the verbs 'symbols' and 'describe'.  The maps come from the
 * server; what is missing is left out.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/describe.h"
#include "client/fields.h"
#include "client/render.h"
#include "client/words.h"

#define LABEL_WIDTH 12

static void put_clean(FILE *out, struct field_text text)
{
        render_clean(out, text.data, text.len, true);
}

static struct field_text signature_of(const struct proto_value *description)
{
        struct field_text signature = field_text(description, "signature");

        return signature.len > 0 ? signature : field_text(description, "name");
}

static struct field_text first_line(struct field_text text)
{
        const char *end = text.len > 0 ? memchr(text.data, '\n', text.len) : NULL;

        if (end)
                text.len = (size_t)(end - text.data);
        return text;
}

size_t describe_width(const struct proto_value *description)
{
        struct field_text signature = signature_of(description);

        return render_width(signature.data, signature.len);
}

void describe_render_line(FILE *out, const struct proto_value *description, size_t column)
{
        struct field_text doc = first_line(field_text(description, "doc"));
        size_t width = describe_width(description);

        put_clean(out, signature_of(description));
        if (doc.len > 0) {
                (void)fprintf(out, "%*s", (int)(width < column ? column - width : 2), "");
                put_clean(out, doc);
        }
        (void)fputc('\n', out);
}

/* The documentation, indented. */
static void put_doc(FILE *out, struct field_text doc)
{
        while (doc.len > 0) {
                struct field_text line = first_line(doc);

                if (line.len > 0) {
                        (void)fputs("    ", out);
                        put_clean(out, line);
                }
                (void)fputc('\n', out);
                if (line.len == doc.len)
                        break;
                doc.data += line.len + 1;
                doc.len -= line.len + 1;
        }
}

static void put_range(FILE *out, const struct proto_value *param)
{
        const struct proto_value *min = field_get(param, "min"), *max = field_get(param, "max");

        if (!min && !max)
                return;
        (void)fputs(", ", out);
        if (min)
                render_inline(out, min);
        (void)fputs("..", out);
        if (max)
                render_inline(out, max);
}

static void put_param(FILE *out, const struct proto_value *param, int width)
{
        struct field_text name = field_text(param, "name"),
                          doc = first_line(field_text(param, "doc"));
        const struct proto_value *fallback = field_get(param, "default");

        (void)fputs("    ", out);
        put_clean(out, name);
        (void)fprintf(out, "%*s", width - (int)render_width(name.data, name.len) + 2, "");
        put_clean(out, field_text(param, "type"));
        if (field_true(param, "optional"))
                (void)fputs(", optional", out);
        if (fallback) {
                (void)fputs(", default ", out);
                render_element(out, fallback);
        }
        put_range(out, param);
        if (field_true(param, "sensitive"))
                (void)fputs(", sensitive", out);
        if (doc.len > 0) {
                (void)fputs(": ", out);
                put_clean(out, doc);
        }
        (void)fputc('\n', out);
}

static void put_params(FILE *out, const struct proto_value *params)
{
        int width = 0;

        for (uint32_t i = 0; i < params->count; i++) {
                struct field_text name = field_text(&params->items[i], "name");
                size_t w = render_width(name.data, name.len);

                if ((int)w > width && w < 64)
                        width = (int)w;
        }
        (void)fputs("\narguments\n", out);
        for (uint32_t i = 0; i < params->count; i++)
                put_param(out, &params->items[i], width);
}

static void put_label(FILE *out, const char *label)
{
        (void)fprintf(out, "%-*s", LABEL_WIDTH, label);
}

static void put_field(FILE *out, const char *label, const struct proto_value *value)
{
        if (!value)
                return;
        put_label(out, label);
        render_inline(out, value);
        (void)fputc('\n', out);
}

static void put_flags(FILE *out, const struct proto_value *flags)
{
        if (!flags || flags->count == 0)
                return;
        put_label(out, "flags");
        for (uint32_t i = 0; i < flags->count; i++) {
                if (i > 0)
                        (void)fputs(", ", out);
                render_inline(out, &flags->items[i]);
        }
        (void)fputc('\n', out);
}

void describe_render(FILE *out, const struct proto_value *description)
{
        const struct proto_value *params = field_array(description, "params");
        uint64_t timeout_ms;
        char limit[32];

        put_clean(out, signature_of(description));
        (void)fputc('\n', out);
        put_doc(out, field_text(description, "doc"));
        if (params && params->count > 0)
                put_params(out, params);
        (void)fputc('\n', out);
        put_field(out, "result", field_get(description, "result"));
        put_flags(out, field_array(description, "flags"));
        put_field(out, "cpu", field_get(description, "cpu"));
        if (field_uint(description, "timeout_ms", &timeout_ms) && timeout_ms > 0) {
                words_duration(timeout_ms, limit, sizeof(limit));
                put_label(out, "time limit");
                (void)fprintf(out, "%s\n", limit);
        }
        put_field(out, "module", field_get(description, "module"));
        put_field(out, "since", field_get(description, "since"));
        put_field(out, "deprecated", field_get(description, "deprecated"));
}
