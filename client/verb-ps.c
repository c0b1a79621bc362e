/* SPDX-License-Identifier: MIT */
/*
 * 'vmreqctl ps' and 'why': what is queued and runs, and what a request waits for.  Both are
 * answered without an EMT.  A listing comes in pages; a server that gives the same cursor twice, or
 * pages without end, is stopped at PAGES_MAX.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/ctl.h"
#include "client/fields.h"
#include "client/records.h"
#include "client/render.h"
#include "client/verbs.h"

#define PAGE      1000
#define PAGES_MAX 100

/* ---- ps -------------------------------------------------------------------------------------- */

/* Pages as they came: what is printed points into them. */
struct pages {
        struct ctl_value *values;
        size_t n;
        uint64_t more; /* behind the last of them */
};

static void put_cpu(struct proto_builder *params, const struct words_cpu *cpu)
{
        proto_put_text(params, "cpu");
        if (cpu->name)
                proto_put_text(params, cpu->name);
        else
                proto_put_uint(params, cpu->number);
}

static void put_filter(struct proto_builder *params, const struct verb_options *options)
{
        proto_put_text(params, "filter");
        proto_put_map(params, (options->symbol != NULL) + (options->state != NULL) +
                                      (uint32_t)options->uid.set + options->cpu.set);
        if (options->symbol) {
                proto_put_text(params, "symbol");
                proto_put_text(params, options->symbol);
        }
        if (options->state) {
                proto_put_text(params, "state");
                proto_put_text(params, options->state);
        }
        if (options->uid.set) {
                proto_put_text(params, "uid");
                proto_put_uint(params, options->uid.value);
        }
        if (options->cpu.set)
                put_cpu(params, &options->cpu.value);
}

static void put_params(struct proto_builder *params, const struct verb_options *options,
                       const struct proto_value *after)
{
        bool filter = options->symbol || options->state || options->uid.set || options->cpu.set;
        bool limit = options->all || options->limit.set;

        proto_put_array(params, 1);
        proto_put_map(params, (uint32_t)limit + (after != NULL) + filter);
        if (limit) {
                proto_put_text(params, "limit");
                proto_put_uint(params, options->all ? PAGE : options->limit.value);
        }
        if (after) {
                proto_put_text(params, "after");
                proto_put_value(params, after);
        }
        if (filter)
                put_filter(params, options);
}

static int fetch_page(struct ctl *ctl, const struct verb_options *options,
                      const struct proto_value *after, struct ctl_value *ret_value)
{
        struct proto_builder params;
        int r;

        proto_builder_init(&params, CTL_PARAMS_MAX);
        put_params(&params, options, after);
        r = ctl_call(ctl, "vmreq.ps", &params, NULL, ret_value);
        proto_builder_deinit(&params);
        return r;
}

static int fetch_pages(struct ctl *ctl, const struct verb_options *options, struct pages *pages)
{
        const struct proto_value *next = NULL;
        int r = CTL_DONE;

        pages->values = calloc(PAGES_MAX, sizeof(*pages->values));
        if (!pages->values)
                return ctl_no_memory();
        do {
                struct ctl_value *page = &pages->values[pages->n];

                r = fetch_page(ctl, options, next, page);
                if (r != CTL_DONE)
                        break;
                pages->n++;
                pages->more = 0;
                (void)field_uint(page->root, "more", &pages->more);
                next = field_get(page->root, "next");
        } while (options->all && next && pages->n < PAGES_MAX);
        return r;
}

static int print_pages(const struct ctl *ctl, const struct pages *pages)
{
        struct proto_value array = {.type = PROTO_ARRAY}, *items;
        const struct proto_value *records;
        size_t n = 0;
        int r = CTL_DONE;

        for (size_t i = 0; i < pages->n; i++) {
                records = field_array(pages->values[i].root, "requests");
                n += records ? records->count : 0;
        }
        items = calloc(n + 1, sizeof(*items));
        if (!items)
                return ctl_no_memory();
        array.items = items;
        for (size_t i = 0; i < pages->n; i++) {
                records = field_array(pages->values[i].root, "requests");
                for (uint32_t j = 0; records && j < records->count; j++)
                        items[array.count++] = records->items[j];
        }
        if (ctl->options.json != OPTIONS_TEXT)
                r = ctl_print(ctl, &array);
        else if (array.count > 0)
                records_render(stdout, &array);
        if (pages->more > 0 && ctl->options.json == OPTIONS_TEXT)
                printf("%" PRIu64 " more; --all shows them\n", pages->more);
        free(items);
        return r;
}

int verb_ps(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        struct pages pages = {0};
        int r;

        (void)argc;
        (void)argv;
        if (options->all && options->limit.set) {
                fprintf(stderr, "vmreqctl: ps: --all and --limit exclude each other\n");
                return CTL_USAGE;
        }
        if (options->limit.set && (options->limit.value == 0 || options->limit.value > PAGE)) {
                fprintf(stderr,
                        "vmreqctl: ps: --limit %" PRIu64 ": expected 1 to %d; --all shows "
                        "all\n",
                        options->limit.value, PAGE);
                return CTL_USAGE;
        }
        ctl_set_patience(ctl, 0);
        r = ctl_connect(ctl);
        if (r == CTL_DONE)
                r = fetch_pages(ctl, options, &pages);
        if (r == CTL_DONE)
                r = print_pages(ctl, &pages);
        for (size_t i = 0; i < pages.n; i++)
                ctl_value_deinit(&pages.values[i]);
        free(pages.values);
        return r;
}

/* ---- why ------------------------------------------------------------------------------------- */

static void render_why(const struct proto_value *why)
{
        const struct proto_value *running = field_array(why, "running");
        struct field_text text = field_text(why, "text");
        uint64_t n;

        records_render_line(stdout, why);
        (void)fputc('\n', stdout);
        if (text.len > 0) {
                render_clean(stdout, text.data, text.len, true);
                (void)fputc('\n', stdout);
        } else if (field_uint(why, "ahead", &n)) {
                printf("at most %" PRIu64 " ahead of it\n", n);
        }
        if (field_uint(why, "dead", &n) && n > 0)
                printf("%" PRIu64 " cancelled or expired ones still hold a place there\n", n);
        for (uint32_t i = 0; running && i < running->count; i++) {
                (void)fputs("  ", stdout);
                records_render_line(stdout, &running->items[i]);
                (void)fputc('\n', stdout);
        }
}

int verb_why(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        struct ctl_value value = CTL_VALUE_NULL;
        struct proto_builder params;
        uint64_t id;
        int r;

        (void)options;
        (void)argc;
        if (!verbs_read_id("why", argv[0], &id))
                return CTL_USAGE;
        ctl_set_patience(ctl, 0);
        r = ctl_connect(ctl);
        if (r != CTL_DONE)
                return r;
        proto_builder_init(&params, CTL_PARAMS_MAX);
        proto_put_array(&params, 1);
        proto_put_uint(&params, id);
        r = ctl_call(ctl, "vmreq.why", &params, NULL, &value);
        proto_builder_deinit(&params);
        if (r == CTL_DONE && ctl->options.json == OPTIONS_TEXT)
                render_why(value.root);
        else if (r == CTL_DONE)
                r = ctl_print(ctl, value.root);
        ctl_value_deinit(&value);
        return r;
}
