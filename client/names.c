/* SPDX-License-Identifier: MIT */
/*
 * The server's list of symbols, page by page, and what is done with it when somebody has mistyped
 * one.
 *
 * For the verbs 'symbols', 'describe' and 'call', and for completion.  Bounded: pages must bring
 * names in rising order, or they end; all together at most NAMES_MAX.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/fields.h"
#include "client/names.h"
#include "client/report.h"
#include "proto/codes.h"
#include "proto/names.h"

#define NAMES_MAX 100000

/* ---- names ----------------------------------------------------------------------------------- */

/* False if it is no name (they are printed bare), or not behind the last one. */
static bool is_next(const struct names *names, struct field_text name)
{
        const char *last;
        size_t last_len;
        int order;

        if (!proto_symbol_name_valid(name.data, name.len))
                return false;
        if (names->n == 0)
                return true;
        last = names->items[names->n - 1];
        last_len = strlen(last);
        order = memcmp(name.data, last, name.len < last_len ? name.len : last_len);
        return order > 0 || (order == 0 && name.len > last_len);
}

static int append(struct names *names, struct field_text name)
{
        if (names->n == names->cap) {
                size_t cap = names->cap ? 2 * names->cap : 64;
                void *items = realloc(names->items, cap * sizeof(*names->items));

                if (!items)
                        return -1;
                names->items = items;
                names->cap = cap;
        }
        memcpy(names->items[names->n], name.data, name.len);
        names->items[names->n][name.len] = '\0';
        names->n++;
        return 0;
}

static void put_page(struct proto_builder *params, const char *glob, const char *after)
{
        proto_put_array(params, 1);
        proto_put_map(params, (glob ? 1 : 0) + (after ? 1 : 0));
        if (glob) {
                proto_put_text(params, "glob");
                proto_put_text(params, glob);
        }
        if (after) {
                proto_put_text(params, "after");
                proto_put_text(params, after);
        }
}

/* One page; *ret_more says whether to ask for another. */
static int fetch_page(struct ctl *ctl, const char *glob, struct names *names, bool *ret_more)
{
        struct ctl_value value = CTL_VALUE_NULL;
        struct proto_builder params;
        const struct proto_value *page;
        size_t before = names->n;
        int r;

        proto_builder_init(&params, CTL_PARAMS_MAX);
        put_page(&params, glob, names->n > 0 ? names->items[names->n - 1] : NULL);
        r = ctl_call(ctl, "vmreq.symbols", &params, NULL, &value);
        proto_builder_deinit(&params);
        if (r != CTL_DONE)
                return r;
        page = value.root;
        for (uint32_t i = 0; page->type == PROTO_ARRAY && i < page->count; i++) {
                struct field_text name = field_text_of(&page->items[i]);

                if (!is_next(names, name) || names->n >= NAMES_MAX)
                        break;
                if (append(names, name) < 0) {
                        r = ctl_no_memory();
                        break;
                }
        }
        *ret_more = names->n > before && names->n < NAMES_MAX;
        ctl_value_deinit(&value);
        return r;
}

int names_fetch(struct ctl *ctl, const char *glob, struct names *names)
{
        bool more = true;
        int r = CTL_DONE;

        while (r == CTL_DONE && more)
                r = fetch_page(ctl, glob, names, &more);
        return r;
}

void names_deinit(struct names *names)
{
        free(names->items);
        *names = (struct names){0};
}

/* ---- mistyped -------------------------------------------------------------------------------- */

/* "add" for "debug.add": the last part is right, what is before it was left out. */
static bool is_last_part(const char *name, const char *word)
{
        const char *dot = strrchr(name, '.');

        return dot && strcmp(dot + 1, word) == 0;
}

/* How long "debug." is in "debug.add"; 0 without a dot. */
static size_t module_len(const char *name)
{
        const char *dot = strrchr(name, '.');

        return dot ? (size_t)(dot - name) + 1 : 0;
}

/*
 * The nearest of those of the word's own module, by their last part: what is right in front of it
 * must not make up for what is wrong behind it.  With `others`, of all the rest, by their whole
 * name.
 */
static const char *nearest_of(const struct names *names, const char *word, bool others)
{
        size_t module = module_len(word), n = 0;
        const char **parts = calloc(names->n + 1, sizeof(*parts));
        const char *nearest;

        if (!parts)
                return NULL;
        for (size_t i = 0; i < names->n; i++) {
                const char *name = names->items[i];
                bool own =
                        module > 0 && module_len(name) == module && memcmp(name, word, module) == 0;

                if (own != others)
                        parts[n++] = others ? name : name + module;
        }
        nearest = words_nearest(others ? word : word + module, parts, n);
        free((void *)parts);
        return nearest && !others ? nearest - module : nearest;
}

const char *names_nearest(const struct names *names, const char *word)
{
        const char *nearest;

        for (size_t i = 0; i < names->n; i++) {
                if (is_last_part(names->items[i], word))
                        return names->items[i];
        }
        nearest = nearest_of(names, word, false);
        if (!nearest)
                nearest = nearest_of(names, word, true);
        /* Listed, and yet not there: it has just gone, or come. */
        return nearest && strcmp(nearest, word) == 0 ? NULL : nearest;
}

static int report_unknown(struct ctl *ctl, const struct vmreq_client_answer *answer,
                          const char *symbol)
{
        struct names names = {0};
        int r;

        r = names_fetch(ctl, NULL, &names);
        if (r == CTL_DONE)
                r = report_unknown_symbol(answer, symbol, names_nearest(&names, symbol));
        names_deinit(&names);
        return r;
}

int names_describe(struct ctl *ctl, const char *symbol, struct ctl_value *ret_value)
{
        struct ctl_value value = CTL_VALUE_NULL;
        struct proto_builder params;
        uint32_t msgid;
        int r;

        proto_builder_init(&params, CTL_PARAMS_MAX);
        proto_put_array(&params, 1);
        proto_put_text(&params, symbol);
        r = ctl_submit(ctl, "vmreq.describe", &params, &msgid);
        proto_builder_deinit(&params);
        if (r == CTL_DONE)
                r = ctl_wait(ctl, msgid, &value);
        if (r == CTL_DONE && !value.answer.failed) {
                *ret_value = value;
                return CTL_DONE;
        }
        if (r == CTL_DONE && value.answer.code == PROTO_NOT_FOUND)
                r = report_unknown(ctl, &value.answer, symbol);
        else if (r == CTL_DONE)
                r = report_answer(&value.answer, symbol);
        ctl_value_deinit(&value);
        return r;
}
