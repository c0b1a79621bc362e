/* SPDX-License-Identifier: MIT */
/*
 * The reference that 'vmreqctl describe --markdown' prints, a section for each symbol.
 *
 * Text is the modules' and comes from the server: what Markdown or HTML would take for markup is
 * escaped, and control bytes are made visible, so that neither a terminal nor a renderer is driven
 * by it.  Names and values go into code spans, whose fence is longer than any run of backticks in
 * them.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/fields.h"
#include "client/markdown.h"
#include "client/render.h"
#include "client/words.h"

void markdown_begin(FILE *out)
{
        (void)fputs("# Symbols\n", out);
}

/* Prose, in one line: `[`, `<` … lose their meaning. */
static void put_prose(FILE *out, const char *data, size_t len)
{
        for (size_t i = 0, n; i < len; i += n) {
                n = 0;
                while (i + n < len && !strchr("\\`*_[]<>#|&", data[i + n]))
                        n++;
                if (n > 0) {
                        render_clean(out, data + i, n, true);
                        continue;
                }
                n = 1;
                if (data[i] == '\0')
                        render_clean(out, data + i, 1, true);
                else
                        (void)fprintf(out, "\\%c", data[i]);
        }
}

/* The longest run of backticks. */
static int longest_run(const char *text)
{
        int longest = 0, run = 0;

        for (; *text != '\0'; text++) {
                run = *text == '`' ? run + 1 : 0;
                if (run > longest)
                        longest = run;
        }
        return longest;
}

static void put_fence(FILE *out, int n)
{
        for (int i = 0; i <= n; i++)
                (void)fputc('`', out);
}

/* A code span; within a table a bar needs its backslash even there. */
static void put_span(FILE *out, const char *text)
{
        int run = longest_run(text);

        put_fence(out, run);
        if (run > 0)
                (void)fputc(' ', out);
        for (; *text != '\0'; text++) {
                if (*text == '|')
                        (void)fputc('\\', out);
                (void)fputc(*text, out);
        }
        if (run > 0)
                (void)fputc(' ', out);
        put_fence(out, run);
}

/* What `put` writes, as a code span. */
static void put_code(FILE *out, const struct proto_value *value,
                     void (*put)(FILE *out, const struct proto_value *value))
{
        char *text = NULL;
        size_t len = 0;
        FILE *memory = open_memstream(&text, &len);

        if (!memory)
                return;
        put(memory, value);
        if (fclose(memory) == 0)
                put_span(out, text);
        free(text);
}

static void put_signature(FILE *out, const struct proto_value *description)
{
        struct field_text text = field_text(description, "signature");

        if (text.len == 0)
                text = field_text(description, "name");
        render_clean(out, text.data, text.len, true);
}

/* Paragraphs stay paragraphs; an indented line is code as it is. */
static void put_doc(FILE *out, struct field_text doc)
{
        while (doc.len > 0) {
                const char *end = memchr(doc.data, '\n', doc.len);
                size_t n = end ? (size_t)(end - doc.data) : doc.len;

                put_prose(out, doc.data, n);
                (void)fputc('\n', out);
                doc.data += n + (end != NULL);
                doc.len -= n + (end != NULL);
        }
}

static void put_range(FILE *out, const struct proto_value *param)
{
        const struct proto_value *min = field_get(param, "min"), *max = field_get(param, "max");

        if (min)
                render_inline(out, min);
        if (min || max)
                (void)fputs("..", out);
        if (max)
                render_inline(out, max);
}

static void put_text_value(FILE *out, const struct proto_value *value)
{
        struct field_text text = field_text_of(value);

        render_clean(out, text.data, text.len, true);
}

static void put_param(FILE *out, const struct proto_value *param)
{
        const struct proto_value *fallback = field_get(param, "default");
        struct field_text doc = field_text(param, "doc");

        (void)fputs("| ", out);
        put_code(out, field_get(param, "name"), put_text_value);
        (void)fputs(" | ", out);
        put_code(out, field_get(param, "type"), put_text_value);
        (void)fputs(" | ", out);
        if (fallback)
                put_code(out, fallback, render_element);
        else if (field_true(param, "optional"))
                (void)fputs("optional", out);
        (void)fputs(" | ", out);
        if (field_get(param, "min") || field_get(param, "max"))
                put_code(out, param, put_range);
        (void)fputs(" | ", out);
        put_prose(out, doc.data, doc.len);
        if (field_true(param, "sensitive"))
                (void)fputs(doc.len > 0 ? " (sensitive)" : "(sensitive)", out);
        (void)fputs(" |\n", out);
}

static void put_params(FILE *out, const struct proto_value *params)
{
        (void)fputs("\n| argument | type | default | range | |\n|---|---|---|---|---|\n", out);
        for (uint32_t i = 0; i < params->count; i++)
                put_param(out, &params->items[i]);
}

static void put_property(FILE *out, const char *label, const struct proto_value *value)
{
        if (!value)
                return;
        (void)fprintf(out, "- %s: ", label);
        put_code(out, value, render_inline);
        (void)fputc('\n', out);
}

static void put_limit(FILE *out, const struct proto_value *description)
{
        uint64_t timeout_ms;
        char limit[32];

        if (!field_uint(description, "timeout_ms", &timeout_ms) || timeout_ms == 0)
                return;
        words_duration(timeout_ms, limit, sizeof(limit));
        (void)fprintf(out, "- time limit: %s\n", limit);
}

void markdown_symbol(FILE *out, const struct proto_value *description)
{
        const struct proto_value *params = field_array(description, "params");
        const struct proto_value *flags = field_array(description, "flags");

        (void)fputs("\n## ", out);
        put_code(out, description, put_signature);
        (void)fputs("\n\n", out);
        put_doc(out, field_text(description, "doc"));
        if (params && params->count > 0)
                put_params(out, params);
        (void)fputc('\n', out);
        put_property(out, "result", field_get(description, "result"));
        put_property(out, "flags", flags && flags->count > 0 ? flags : NULL);
        put_property(out, "cpu", field_get(description, "cpu"));
        put_limit(out, description);
        put_property(out, "module", field_get(description, "module"));
        put_property(out, "since", field_get(description, "since"));
        put_property(out, "deprecated", field_get(description, "deprecated"));
}
