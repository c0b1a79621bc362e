/* SPDX-License-Identifier: MIT */
/*
 * 'vmreqctl symbols' and 'vmreqctl describe'.
 *
 * A listing is two steps: names (names.c), then one vmreq.describe per name, up to WINDOW of them
 * in flight so that a long list costs few round trips.  A symbol that vanishes between the steps
 * (its module was unloaded) is left out.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl.h"
#include "client/describe.h"
#include "client/markdown.h"
#include "client/names.h"
#include "client/report.h"
#include "client/verbs.h"
#include "proto/codes.h"

#define WINDOW     64 /* describes in flight; picked, untuned */
#define COLUMN_MAX 56 /* where documentation begins at the latest */

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
static int fetch_descriptions(struct ctl *ctl, const struct names *names, struct ctl_value *values)
{
        uint32_t msgids[WINDOW];
        size_t sent = 0;
        int r = CTL_DONE;

        for (size_t i = 0; r == CTL_DONE && i < names->n; i++) {
                for (; r == CTL_DONE && sent < names->n && sent < i + WINDOW; sent++)
                        r = submit_describe(ctl, names->items[sent], &msgids[sent % WINDOW]);
                if (r == CTL_DONE)
                        r = ctl_wait(ctl, msgids[i % WINDOW], &values[i]);
                if (r != CTL_DONE || !values[i].answer.failed)
                        continue;
                if (values[i].answer.code != PROTO_NOT_FOUND)
                        r = report_answer(&values[i].answer, names->items[i]);
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
                return ctl_no_memory();
        for (size_t i = 0; i < n; i++) {
                if (values[i].root)
                        items[array.count++] = *values[i].root;
        }
        r = ctl_print(ctl, &array);
        free(items);
        return r;
}

/* What is done with the descriptions of all symbols that match. */
typedef int (*printer)(const struct ctl *ctl, const struct ctl_value *values, size_t n);

static int print_list(const struct ctl *ctl, const struct ctl_value *values, size_t n)
{
        if (ctl->options.json != OPTIONS_TEXT)
                return print_array(ctl, values, n);
        print_lines(values, n);
        return CTL_DONE;
}

static int print_reference(const struct ctl *ctl, const struct ctl_value *values, size_t n)
{
        if (ctl->options.json != OPTIONS_TEXT)
                return print_array(ctl, values, n);
        markdown_begin(stdout);
        for (size_t i = 0; i < n; i++) {
                if (values[i].root)
                        markdown_symbol(stdout, values[i].root);
        }
        return CTL_DONE;
}

static int with_descriptions(struct ctl *ctl, const struct names *names, printer print)
{
        struct ctl_value *values = calloc(names->n + 1, sizeof(*values));
        int r;

        if (!values)
                return ctl_no_memory();
        r = fetch_descriptions(ctl, names, values);
        if (r == CTL_DONE)
                r = print(ctl, values, names->n);
        for (size_t i = 0; i < names->n; i++)
                ctl_value_deinit(&values[i]);
        free(values);
        return r;
}

static int list(struct ctl *ctl, const char *glob, printer print)
{
        struct names names = {0};
        int r;

        ctl_set_patience(ctl, 0);
        r = ctl_connect(ctl);
        if (r == CTL_DONE)
                r = names_fetch(ctl, glob, &names);
        if (r == CTL_DONE)
                r = with_descriptions(ctl, &names, print);
        if (r == CTL_DONE && names.n == 0)
                fprintf(stderr, "vmreqctl: no symbol%s%s that you may call\n",
                        glob ? " matches " : "", glob ? glob : "");
        names_deinit(&names);
        return r;
}

int verb_symbols(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        (void)options;
        (void)argc;
        return list(ctl, argv[0], print_list);
}

int verb_describe(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        struct ctl_value value = CTL_VALUE_NULL;
        int r;

        if (options->markdown)
                return list(ctl, argv[0], print_reference);
        if (argc == 0) {
                fprintf(stderr, "vmreqctl: describe: which symbol? ('vmreqctl symbols' lists them; "
                                "--markdown describes them all)\n");
                return CTL_USAGE;
        }
        ctl_set_patience(ctl, 0);
        r = ctl_connect(ctl);
        if (r == CTL_DONE)
                r = names_describe(ctl, argv[0], &value);
        if (r == CTL_DONE && ctl->options.json == OPTIONS_TEXT)
                describe_render(stdout, value.root);
        else if (r == CTL_DONE)
                r = ctl_print(ctl, value.root);
        ctl_value_deinit(&value);
        return r;
}
