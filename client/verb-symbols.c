/* SPDX-License-Identifier: MIT */
/*
 * 'vmreqctl symbols' and 'vmreqctl describe'.
 *
 * A listing is two steps: names, page by page, then one vmreq.describe per name, up to WINDOW of
 * them in flight so that a long list costs few round trips.  Both are bounded: pages must bring
 * names in rising order, or they end; all together at most NAMES_MAX.  A symbol that vanishes
 * between the steps (its module was unloaded) is left out.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl.h"
#include "client/describe.h"
#include "client/fields.h"
#include "client/report.h"
#include "client/verbs.h"
#include "proto/codes.h"
#include "proto/limits.h"

#define NAMES_MAX  100000
#define WINDOW     64 /* describes in flight; picked, untuned */
#define COLUMN_MAX 56 /* where documentation begins at the latest */

struct listing {
        char (*names)[PROTO_NAME_BYTES_MAX + 1];
        size_t n, cap;
};

static int out_of_memory(void)
{
        fprintf(stderr, "vmreqctl: out of memory\n");
        return CTL_FAILED;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* False if it is no name, or not behind the last one. */
static bool is_next(const struct listing *listing, struct field_text name)
{
        const char *last;
        size_t last_len;
        int order;

        if (name.len == 0 || name.len > PROTO_NAME_BYTES_MAX)
                return false;
        if (listing->n == 0)
                return true;
        last = listing->names[listing->n - 1];
        last_len = strlen(last);
        order = memcmp(name.data, last, name.len < last_len ? name.len : last_len);
        return order > 0 || (order == 0 && name.len > last_len);
}

static int append(struct listing *listing, struct field_text name)
{
        if (listing->n == listing->cap) {
                size_t cap = listing->cap ? 2 * listing->cap : 64;
                void *names = realloc(listing->names, cap * sizeof(*listing->names));

                if (!names)
                        return -1;
                listing->names = names;
                listing->cap = cap;
        }
        memcpy(listing->names[listing->n], name.data, name.len);
        listing->names[listing->n][name.len] = '\0';
        listing->n++;
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
static int fetch_page(struct ctl *ctl, const char *glob, struct listing *listing, bool *ret_more)
{
        struct ctl_value value = CTL_VALUE_NULL;
        struct proto_builder params;
        const struct proto_value *page;
        size_t before = listing->n;
        int r;

        proto_builder_init(&params, CTL_PARAMS_MAX);
        put_page(&params, glob, listing->n > 0 ? listing->names[listing->n - 1] : NULL);
        r = ctl_call(ctl, "vmreq.symbols", &params, NULL, &value);
        proto_builder_deinit(&params);
        if (r != CTL_DONE)
                return r;
        page = value.root;
        for (uint32_t i = 0; page->type == PROTO_ARRAY && i < page->count; i++) {
                struct field_text name = field_text_of(&page->items[i]);

                if (!is_next(listing, name) || listing->n >= NAMES_MAX)
                        break;
                if (append(listing, name) < 0) {
                        r = out_of_memory();
                        break;
                }
        }
        *ret_more = listing->n > before && listing->n < NAMES_MAX;
        ctl_value_deinit(&value);
        return r;
}

static int fetch_names(struct ctl *ctl, const char *glob, struct listing *listing)
{
        bool more = true;
        int r = CTL_DONE;

        while (r == CTL_DONE && more)
                r = fetch_page(ctl, glob, listing, &more);
        return r;
}

/* ---- descriptions ---------------------------------------------------------------------------- */

static int submit_describe(struct ctl *ctl, const char *name, uint32_t *ret_msgid)
{
        struct proto_builder params;
        int r;

        proto_builder_init(&params, CTL_PARAMS_MAX);
        proto_put_array(&params, 1);
        proto_put_text(&params, name);
        r = ctl_submit(ctl, "vmreq.describe", &params, ret_msgid);
        proto_builder_deinit(&params);
        return r;
}

/* Fills `values`, one per name; those of vanished symbols stay empty. */
static int fetch_descriptions(struct ctl *ctl, const struct listing *listing,
                              struct ctl_value *values)
{
        uint32_t msgids[WINDOW];
        size_t sent = 0;
        int r = CTL_DONE;

        for (size_t i = 0; r == CTL_DONE && i < listing->n; i++) {
                for (; r == CTL_DONE && sent < listing->n && sent < i + WINDOW; sent++)
                        r = submit_describe(ctl, listing->names[sent], &msgids[sent % WINDOW]);
                if (r == CTL_DONE)
                        r = ctl_wait(ctl, msgids[i % WINDOW], &values[i]);
                if (r != CTL_DONE || !values[i].answer.failed)
                        continue;
                if (values[i].answer.code != PROTO_NOT_FOUND)
                        r = report_answer(&values[i].answer, listing->names[i]);
                ctl_value_deinit(&values[i]);
        }
        return r;
}

static void print_lines(const struct ctl_value *values, size_t n)
{
        size_t column = 0;

        for (size_t i = 0; i < n; i++) {
                size_t width = values[i].root ? describe_width(values[i].root) + 2 : 0;

                if (width > column && width <= COLUMN_MAX)
                        column = width;
        }
        for (size_t i = 0; i < n; i++) {
                if (values[i].root)
                        describe_render_line(stdout, values[i].root, column);
        }
}

/* An array of descriptions. */
static int print_array(const struct ctl *ctl, const struct ctl_value *values, size_t n)
{
        struct proto_value *items = calloc(n + 1, sizeof(*items));
        struct proto_value array = {.type = PROTO_ARRAY, .items = items};
        int r;

        if (!items)
                return out_of_memory();
        for (size_t i = 0; i < n; i++) {
                if (values[i].root)
                        items[array.count++] = *values[i].root;
        }
        r = ctl_print(ctl, &array);
        free(items);
        return r;
}

static int list(struct ctl *ctl, const struct listing *listing)
{
        struct ctl_value *values = calloc(listing->n + 1, sizeof(*values));
        int r;

        if (!values)
                return out_of_memory();
        r = fetch_descriptions(ctl, listing, values);
        if (r == CTL_DONE && ctl->options.json == OPTIONS_TEXT)
                print_lines(values, listing->n);
        else if (r == CTL_DONE)
                r = print_array(ctl, values, listing->n);
        for (size_t i = 0; i < listing->n; i++)
                ctl_value_deinit(&values[i]);
        free(values);
        return r;
}

int verb_symbols(struct ctl *ctl, const struct verb *verb, int argc, char **argv)
{
        struct listing listing = {0};
        int next, r;

        r = verbs_begin(verb, argc, argv, (struct verbs_operands){0, 1}, &next);
        if (r != VERBS_GO_ON)
                return r;
        ctl_set_patience(ctl, 0);
        r = ctl_connect(ctl);
        if (r == CTL_DONE)
                r = fetch_names(ctl, argv[next], &listing);
        if (r == CTL_DONE)
                r = list(ctl, &listing);
        if (r == CTL_DONE && listing.n == 0)
                fprintf(stderr, "vmreqctl: no symbol%s%s that you may call\n",
                        argv[next] ? " matches " : "", argv[next] ? argv[next] : "");
        free(listing.names);
        return r;
}

int verb_describe(struct ctl *ctl, const struct verb *verb, int argc, char **argv)
{
        struct ctl_value value = CTL_VALUE_NULL;
        struct proto_builder params;
        int next, r;

        r = verbs_begin(verb, argc, argv, (struct verbs_operands){1, 1}, &next);
        if (r != VERBS_GO_ON)
                return r;
        ctl_set_patience(ctl, 0);
        r = ctl_connect(ctl);
        if (r != CTL_DONE)
                return r;
        proto_builder_init(&params, CTL_PARAMS_MAX);
        proto_put_array(&params, 1);
        proto_put_text(&params, argv[next]);
        r = ctl_call(ctl, "vmreq.describe", &params, NULL, &value);
        proto_builder_deinit(&params);
        if (r == CTL_DONE && ctl->options.json == OPTIONS_TEXT)
                describe_render(stdout, value.root);
        else if (r == CTL_DONE)
                r = ctl_print(ctl, value.root);
        ctl_value_deinit(&value);
        return r;
}
