/* SPDX-License-Identifier: MIT */
/*
 * The verbs that ask one question and print its answer: 'status', 'ping', 'modules', and 'load' and
 * 'unload', which are as short.
 */

#include <inttypes.h>
#include <stdio.h>

#include "client/ctl.h"
#include "client/fields.h"
#include "client/grid.h"
#include "client/render.h"
#include "client/status.h"
#include "client/verbs.h"

/* Asks, and prints by `render`, or as JSON. */
static int ask(struct ctl *ctl, const char *method,
               void (*render)(FILE *out, const struct proto_value *value))
{
        struct ctl_value value = CTL_VALUE_NULL;
        int r;

        ctl_set_patience(ctl, 0);
        r = ctl_connect(ctl);
        if (r == CTL_DONE)
                r = ctl_call_plain(ctl, method, &value);
        if (r != CTL_DONE)
                return r;
        if (ctl->options.json == OPTIONS_TEXT)
                render(stdout, value.root);
        else
                r = ctl_print(ctl, value.root);
        ctl_value_deinit(&value);
        return r;
}

int verb_status(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        (void)options;
        (void)argc;
        (void)argv;
        return ask(ctl, "vmreq.status", status_render);
}

int verb_ping(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        (void)options;
        (void)argc;
        (void)argv;
        return ask(ctl, "vmreq.ping", render_text);
}

/* ---- modules --------------------------------------------------------------------------------- */

enum column { NAME, VERSION, STATE, SYMBOLS, CALLS, DOC, N_COLUMNS };

static void put_count(struct grid *grid, size_t column, const struct proto_value *module,
                      const char *key)
{
        uint64_t n;

        if (field_uint(module, key, &n))
                grid_put(grid, column, "%" PRIu64, n);
}

static void modules_render(FILE *out, const struct proto_value *modules)
{
        static const struct grid_column columns[N_COLUMNS] = {
                {"NAME", false},   {"VERSION", false}, {"STATE", false},
                {"SYMBOLS", true}, {"CALLS", true},    {"", false},
        };
        struct grid grid;

        grid_init(&grid, columns, N_COLUMNS);
        for (uint32_t i = 0; modules->type == PROTO_ARRAY && i < modules->count; i++) {
                const struct proto_value *module = &modules->items[i];

                grid_add(&grid);
                grid_put_text(&grid, NAME, field_text(module, "name"));
                grid_put_text(&grid, VERSION, field_text(module, "version"));
                grid_put_text(&grid, STATE, field_text(module, "state"));
                if (field_true(module, "builtin"))
                        grid_put(&grid, STATE, "built in");
                put_count(&grid, SYMBOLS, module, "symbols");
                put_count(&grid, CALLS, module, "calls");
                grid_put_text(&grid, DOC, field_text(module, "doc"));
        }
        grid_render(out, &grid);
        grid_deinit(&grid);
}

int verb_modules(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        (void)options;
        (void)argc;
        (void)argv;
        return ask(ctl, "vmreq.modules", modules_render);
}

/* vmreq.load [name], vmreq.unload [name, timeout_ms] */
static int change(struct ctl *ctl, const char *method, const char *name, bool limit)
{
        struct ctl_value value = CTL_VALUE_NULL;
        struct proto_builder params;
        int r;

        ctl_set_patience(ctl, limit ? 30000 : 2000); /* the daemon's default; dlopen takes time */
        r = ctl_connect(ctl);
        if (r != CTL_DONE)
                return r;
        limit = limit && ctl->options.has_timeout;
        proto_builder_init(&params, CTL_PARAMS_MAX);
        proto_put_array(&params, limit ? 2 : 1);
        proto_put_text(&params, name);
        if (limit)
                proto_put_uint(&params, ctl->options.timeout_ms);
        r = ctl_call(ctl, method, &params, NULL, &value);
        proto_builder_deinit(&params);
        if (r == CTL_DONE && ctl->options.json != OPTIONS_TEXT)
                r = ctl_print(ctl, value.root);
        ctl_value_deinit(&value);
        return r;
}

int verb_load(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        (void)options;
        (void)argc;
        return change(ctl, "vmreq.load", argv[0], false);
}

int verb_unload(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        (void)options;
        (void)argc;
        return change(ctl, "vmreq.unload", argv[0], true);
}
