/* SPDX-License-Identifier: MIT */
/*
 * Loading, in steps: what may block runs on any thread (sym_load_run), what touches the table on
 * its owner's (sym_load_step).
 *
 *   OPEN ── step ──► INIT ── step ──► ENDED       loaded
 *     └───────┐        └────┐
 *             ├──► UNDO ◄───┘ ── step ──► ENDED   refused: what was begun has been undone
 *             └──► ENDED                          refused: nothing was begun
 *
 *   1. Between two steps the load belongs to the thread that runs it.  It reads nothing of the
 *      table's: a module's symbols are gathered in the module, and names of different modules
 *      cannot be equal.
 *   2. The table changes in one step, or not at all.
 *   3. fini of a module whose init succeeded, and the unmapping of one that was refused, are runs
 *      too: either may block.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "symbols/name.h"
#include "symbols/registry-internal.h"

enum phase {
        PHASE_OPEN,
        PHASE_INIT,
        PHASE_UNDO,
        PHASE_ENDED,
};

struct sym_load {
        struct sym_registry *registry;
        struct sym_load *next; /* of the registry's */
        struct sym_load_spec spec;
        char *name, *directory; /* spec's, copied */
        enum phase phase;
        enum sym_load_result result;
        char text[512];
        struct sym_plugin plugin;       /* until the module has it */
        const struct vmreq_module *def; /* from OPEN on */
        struct sym_module *module;      /* from INIT on */
};

/* ---- what is taken --------------------------------------------------------------------------- */

static bool is_being_loaded(const struct sym_registry *registry, const char *name)
{
        for (const struct sym_load *load = registry->loads; load; load = load->next)
                if (strcmp(load->name, name) == 0)
                        return true;
        return false;
}

/* May a module of that name come in? */
static enum sym_load_result has_room(const struct sym_registry *registry, const char *name,
                                     char *reterr_text, size_t size)
{
        const struct sym_module *other = sym_registry_find_module(registry, name);

        if (other) {
                (void)snprintf(reterr_text, size, "%s: a module of that name is %s", name,
                               sym_module_state_to_string(other->state));
                return SYM_LOAD_E_LOADED;
        }
        if (registry->n_modules >= SYM_MODULES_MAX) {
                (void)snprintf(reterr_text, size, "%s: there can be at most %d modules", name,
                               SYM_MODULES_MAX);
                return SYM_LOAD_E_MEMORY;
        }
        return SYM_LOAD_OK;
}

/* ---- life ------------------------------------------------------------------------------------ */

static struct sym_load *load_new(struct sym_registry *registry, const struct sym_load_spec *spec)
{
        struct sym_load *load = calloc(1, sizeof(*load));

        if (!load)
                return NULL;
        load->registry = registry;
        load->spec = *spec;
        load->name = strdup(spec->name);
        load->directory = spec->directory ? strdup(spec->directory) : NULL;
        if (!load->name || (spec->directory && !load->directory)) {
                free(load->name);
                free(load->directory);
                free(load);
                return NULL;
        }
        load->spec.name = load->name;
        load->spec.directory = load->directory;
        load->next = registry->loads;
        registry->loads = load;
        registry->n_loads++;
        return load;
}

enum sym_load_result sym_load_new(struct sym_registry *registry, const struct sym_load_spec *spec,
                                  struct sym_load **ret_load, char *reterr_text, size_t size)
{
        enum sym_load_result result = has_room(registry, spec->name, reterr_text, size);

        if (result != SYM_LOAD_OK)
                return result;
        if (is_being_loaded(registry, spec->name)) {
                (void)snprintf(reterr_text, size, "%s: a module of that name is loading",
                               spec->name);
                return SYM_LOAD_E_LOADED;
        }
        *ret_load = load_new(registry, spec);
        if (*ret_load)
                return SYM_LOAD_OK;
        (void)snprintf(reterr_text, size, "%s: no memory", spec->name);
        return SYM_LOAD_E_MEMORY;
}

void sym_load_free(struct sym_load *load)
{
        struct sym_load **at = &load->registry->loads;

        CHECK(load->phase == PHASE_ENDED);
        while (*at != load)
                at = &(*at)->next;
        *at = load->next;
        load->registry->n_loads--;
        free(load->name);
        free(load->directory);
        free(load);
}

enum sym_load_result sym_load_result(const struct sym_load *load, const char **ret_text)
{
        *ret_text = load->text;
        return load->result;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static void run_open(struct sym_load *load)
{
        load->result = sym_plugin_open(load->spec.directory, load->spec.name, load->spec.allow_path,
                                       &load->plugin, load->text, sizeof(load->text));
        if (load->result == SYM_LOAD_OK)
                load->def = load->plugin.module;
}

static void run_undo(struct sym_load *load)
{
        if (load->module)
                sym_module_halt(load->module);
        sym_plugin_close(&load->plugin); /* unless the module has it */
}

void sym_load_run(struct sym_load *load)
{
        switch (load->phase) {
        case PHASE_OPEN:
                run_open(load);
                break;
        case PHASE_INIT:
                if (!sym_module_start(load->module, load->spec.settings, load->spec.n_settings,
                                      load->text, sizeof(load->text)))
                        load->result = SYM_LOAD_E_INIT;
                break;
        case PHASE_UNDO:
                run_undo(load);
                break;
        case PHASE_ENDED:
                break;
        }
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* From a descriptor to a module that has not begun. */
static void step_open(struct sym_load *load)
{
        bool linked_in = !load->plugin.handle;

        if (load->result == SYM_LOAD_OK)
                load->result =
                        has_room(load->registry, load->def->name, load->text, sizeof(load->text));
        if (load->result == SYM_LOAD_OK &&
            sym_module_new(load->def, linked_in ? NULL : &load->plugin, &load->registry->owner,
                           &load->module) < 0) {
                load->result = SYM_LOAD_E_MEMORY;
                (void)snprintf(load->text, sizeof(load->text), "%s: no memory", load->def->name);
        }
        if (load->result == SYM_LOAD_OK)
                load->phase = PHASE_INIT;
        else
                load->phase = load->plugin.handle ? PHASE_UNDO : PHASE_ENDED;
}

static void step_init(struct sym_load *load)
{
        if (load->result == SYM_LOAD_OK)
                load->result = sym_registry_commit(load->registry, load->module, load->text,
                                                   sizeof(load->text));
        if (load->result == SYM_LOAD_OK) {
                load->phase = PHASE_ENDED;
                return;
        }
        sym_registry_drop_entries(load->registry, load->module);
        sym_module_set_stopping(load->module);
        load->phase = PHASE_UNDO;
}

bool sym_load_step(struct sym_load *load)
{
        switch (load->phase) {
        case PHASE_OPEN:
                step_open(load);
                break;
        case PHASE_INIT:
                step_init(load);
                break;
        case PHASE_UNDO:
                if (load->module) {
                        sym_module_set_gone(load->module);
                        load->module = sym_module_free(load->module);
                }
                load->phase = PHASE_ENDED;
                break;
        case PHASE_ENDED:
                break;
        }
        return load->phase != PHASE_ENDED;
}

/* ---- for an owner that may wait -------------------------------------------------------------- */

static enum sym_load_result finish(struct sym_load *load, char *reterr_text, size_t size)
{
        enum sym_load_result result;
        const char *text;

        do {
                sym_load_run(load);
        } while (sym_load_step(load));
        result = sym_load_result(load, &text);
        if (result != SYM_LOAD_OK)
                (void)snprintf(reterr_text, size, "%s", text);
        sym_load_free(load);
        return result;
}

enum sym_load_result sym_registry_load(struct sym_registry *registry, const char *directory,
                                       const char *name, bool allow_path,
                                       const struct vmreq_setting *settings, size_t n_settings,
                                       char *reterr_text, size_t size)
{
        const struct sym_load_spec spec = {.directory = directory,
                                           .name = name,
                                           .allow_path = allow_path,
                                           .settings = settings,
                                           .n_settings = n_settings};
        struct sym_load *load;
        enum sym_load_result result = sym_load_new(registry, &spec, &load, reterr_text, size);

        return result == SYM_LOAD_OK ? finish(load, reterr_text, size) : result;
}

enum sym_load_result sym_registry_add_builtin(struct sym_registry *registry,
                                              const struct vmreq_module *module,
                                              const struct vmreq_setting *settings,
                                              size_t n_settings, char *reterr_text, size_t size)
{
        struct sym_load_spec spec = {.settings = settings, .n_settings = n_settings};
        enum sym_load_result result;
        struct sym_load *load;

        if (!sym_module_check(module, reterr_text, size))
                return SYM_LOAD_E_FORMAT;
        spec.name = module->name;
        result = sym_load_new(registry, &spec, &load, reterr_text, size);
        if (result != SYM_LOAD_OK)
                return result;
        load->def = module;
        (void)sym_load_step(load); /* there is nothing to open */
        return finish(load, reterr_text, size);
}
