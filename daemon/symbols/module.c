/* SPDX-License-Identifier: MIT */
/*
 * A module's life: descriptor → init → symbols in the table → drained → fini → unmapped.
 *
 * The registry calls this on its own thread, but for what may block: init and fini run on whichever
 * thread may wait for them, and have the module to themselves meanwhile.  sym_module_log may be
 * called from any thread, always.
 *
 *   1. fini runs if and only if init returned 0, exactly once, after the module's symbols have left
 *      the table and their last pin.
 *   2. A refused registration refuses the module, also if its init ignores the refusal: a module
 *      with half of its symbols is one whose author was not told.
 *   3. A plugin is unmapped only if it says that it can be and its fini returned 0; else it stays
 *      mapped for ever, because a thread or an exit handler of it may still run.  An init that
 *      failed counts as stopped: it has undone what it did.
 *   4. The host table is valid until fini has returned, also for threads that the module started.
 */
#include "symbols/module.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* As for symbols: later members are read only if `size` covers them. */
#define MODULE_SIZE_MIN                                                                            \
        (offsetof(struct vmreq_module, fini) + sizeof(((struct vmreq_module *)0)->fini))

static const char *const state_names[] = {
        [SYM_MODULE_LOADING] = "loading",   [SYM_MODULE_LOADED] = "loaded",
        [SYM_MODULE_DRAINING] = "draining", [SYM_MODULE_STOPPING] = "stopping",
        [SYM_MODULE_GONE] = "gone",
};
static_assert(sizeof(state_names) / sizeof(state_names[0]) == _SYM_MODULE_STATE_N,
              "a name per state");

static const bool state_edges[_SYM_MODULE_STATE_N][_SYM_MODULE_STATE_N] = {
        [SYM_MODULE_LOADING] = {[SYM_MODULE_LOADED] = true, [SYM_MODULE_STOPPING] = true},
        [SYM_MODULE_LOADED] = {[SYM_MODULE_DRAINING] = true},
        [SYM_MODULE_DRAINING] = {[SYM_MODULE_STOPPING] = true},
        [SYM_MODULE_STOPPING] = {[SYM_MODULE_GONE] = true},
};

const char *sym_module_state_to_string(enum sym_module_state state)
{
        return (unsigned)state < _SYM_MODULE_STATE_N ? state_names[state] : "?";
}

/* The only writer of `state`. */
static void module_set_state(struct sym_module *module, enum sym_module_state to)
{
        CHECK(state_edges[module->state][to]);
        module->state = to;
}

bool sym_module_check(const struct vmreq_module *def, char *reterr_text, size_t size)
{
        size_t len;

        if (!def) {
                (void)snprintf(reterr_text, size, "no descriptor");
                return false;
        }
        if (def->abi != VMREQ_MODULE_ABI) {
                (void)snprintf(reterr_text, size, "built for module ABI %" PRIu32 ", this is %u",
                               def->abi, VMREQ_MODULE_ABI);
                return false;
        }
        if (def->size < MODULE_SIZE_MIN) {
                (void)snprintf(reterr_text, size,
                               "a descriptor of %" PRIu32 " bytes, expected at least %zu",
                               def->size, MODULE_SIZE_MIN);
                return false;
        }
        len = sym_name_len(def->name);
        if (!sym_name_is_module(def->name, len)) {
                (void)snprintf(reterr_text, size,
                               "a module's name must be [a-z][a-z0-9_]*, at most %d bytes",
                               SYM_MODULE_NAME_BYTES_MAX);
                return false;
        }
        if (sym_name_is_reserved_module(def->name, len)) {
                (void)snprintf(reterr_text, size, "the name %s is the daemon's own", def->name);
                return false;
        }
        if (!def->version || !def->doc || !def->init) {
                (void)snprintf(reterr_text, size, "%s: the descriptor lacks its %s", def->name,
                               !def->version ? "version" : (!def->doc ? "doc" : "init"));
                return false;
        }
        if (def->flags & ~VMREQ_MODULE_UNMAPPABLE) {
                (void)snprintf(reterr_text, size, "%s: unknown flags 0x%" PRIx32, def->name,
                               def->flags & ~VMREQ_MODULE_UNMAPPABLE);
                return false;
        }
        return true;
}

int sym_module_new(const struct vmreq_module *def, struct sym_plugin *plugin,
                   const struct sym_module_owner *owner, struct sym_module **ret_module)
{
        struct sym_module *module;

        module = calloc(1, sizeof(*module));
        if (!module)
                return -ENOMEM;
        module->version = strdup(def->version);
        module->doc = strdup(def->doc);
        if (!module->version || !module->doc) {
                free(module->version);
                free(module->doc);
                free(module);
                return -ENOMEM;
        }
        module->def = def;
        module->owner = *owner;
        module->builtin = !plugin;
        module->state = SYM_MODULE_LOADING;
        memcpy(module->name, def->name, sym_name_len(def->name)); /* checked; the NUL is there */
        if (plugin) {
                module->plugin = *plugin;
                *plugin = SYM_PLUGIN_NULL;
        }
        sym_host_init(&module->host, module);
        *ret_module = module;
        return 0;
}

struct sym_module *sym_module_free(struct sym_module *module)
{
        if (!module)
                return NULL;
        CHECK(module->state == SYM_MODULE_LOADING || module->state == SYM_MODULE_GONE);
        CHECK(!module->entries && module->n_pins == 0);
        sym_plugin_close(&module->plugin);
        free(module->version);
        free(module->doc);
        free(module);
        return NULL;
}

bool sym_module_start(struct sym_module *module, const struct vmreq_setting *settings,
                      size_t n_settings, char *reterr_text, size_t size)
{
        int r;

        CHECK(module->state == SYM_MODULE_LOADING && !module->started);
        sym_host_open(&module->host);
        r = module->def->init(&module->host.table, VMREQ_MODULE_ABI, settings, n_settings);
        sym_host_close(&module->host);
        module->started = r == 0;
        if (r == 0 && !module->failed)
                return true;
        if (module->failed)
                (void)snprintf(reterr_text, size, "%s: %s", module->name, module->failure);
        else
                (void)snprintf(reterr_text, size, "%s: init returned %d", module->name, r);
        return false;
}

void sym_module_set_loaded(struct sym_module *module)
{
        CHECK(module->started && !module->failed);
        module_set_state(module, SYM_MODULE_LOADED);
}

void sym_module_set_draining(struct sym_module *module)
{
        module_set_state(module, SYM_MODULE_DRAINING);
}

/* What fini answers; an init that failed has left nothing to stop. */
static int module_fini(struct sym_module *module)
{
        int r;

        if (!module->started || !module->def->fini)
                return 0;
        r = module->def->fini(&module->host.table);
        if (r != 0)
                sym_module_log(module, VMREQ_LOG_WARNING, "fini returned %d%s", r,
                               module->plugin.handle ? ": the module stays mapped" : "");
        return r;
}

void sym_module_set_stopping(struct sym_module *module)
{
        CHECK(module->n_pins == 0 && !module->entries);
        module_set_state(module, SYM_MODULE_STOPPING);
}

void sym_module_halt(struct sym_module *module)
{
        bool unmappable;

        unmappable = module_fini(module) == 0 && (module->def->flags & VMREQ_MODULE_UNMAPPABLE);
        module->def = NULL;
        if (unmappable)
                sym_plugin_close(&module->plugin);
        else
                sym_plugin_leave(&module->plugin);
}

void sym_module_set_gone(struct sym_module *module)
{
        module_set_state(module, SYM_MODULE_GONE);
}

void sym_module_stop(struct sym_module *module)
{
        sym_module_set_stopping(module);
        sym_module_halt(module);
        sym_module_set_gone(module);
}

void sym_module_fail(struct sym_module *module, const char *text)
{
        sym_module_log(module, VMREQ_LOG_ERROR, "symbol refused: %s", text);
        if (module->failed)
                return; /* the first is the one to mend first */
        module->failed = true;
        (void)snprintf(module->failure, sizeof(module->failure), "%s", text);
}

void sym_module_log(const struct sym_module *module, int level, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        sym_host_vlog(module, level, format, args);
        va_end(args);
}

const char *sym_module_name(const struct sym_module *module)
{
        return module->name;
}

const char *sym_module_version(const struct sym_module *module)
{
        return module->version;
}
