/* SPDX-License-Identifier: MIT */
/*
 * The symbol table: from a name on the wire to something that can be called, and the modules behind
 * the names.
 *
 * In the walk of a call the front end comes here, on the loop thread, after policy has let the name
 * pass: it finds the symbol, pins it, marshals by its declaration, submits to the engine, and
 * unpins when the request has ended.  Everything here is that one thread's; there are no locks.
 *
 *   1. A name is in the table if and only if its module is LOADED, or LOADING on this thread right
 *      now.
 *   2. Loading is all or nothing: whatever fails, the table is as it was, and the module is
 *      stopped.
 *   3. A symbol that was found stays valid while it is pinned, also when its module has left the
 *      table.
 *   4. The sorted list has all that the table has, and is rebuilt when that changes: describing all
 *      symbols is rarer than calling one, but far more frequent than loading a module.
 *
 * Order of a module's end: its symbols leave the table, their pins drain, fini runs, it is
 * unmapped.
 */
#include "symbols/registry.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The table may be out of memory; the daemon may not end because of it. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/check.h"
#include "symbols/module.h"
#include "symbols/name.h"
#include "symbols/signature.h"

struct sym_entry {
        struct sym_symbol symbol; /* first: what others see of it */
        struct sym_entry *next;   /* of the same module */
        UT_hash_handle hh;        /* by symbol.def->name */
};

struct sym_registry {
        struct sym_module_owner owner;
        struct sym_entry *table;
        size_t n_entries; /* of all modules, draining ones included */
        const struct sym_symbol **list;
        size_t n_list;
        uint64_t generation;                         /* of the list */
        struct sym_module *modules[SYM_MODULES_MAX]; /* in order of loading */
        size_t n_modules;
};

static struct sym_entry *registry_find(const struct sym_registry *registry, const char *name,
                                       size_t len)
{
        struct sym_entry *entry;

        HASH_FIND(hh, registry->table, name, len, entry);
        return entry;
}

static bool registry_insert(struct sym_registry *registry, struct sym_entry *entry)
{
        HASH_ADD_KEYPTR(hh, registry->table, entry->symbol.def->name, entry->symbol.name_len,
                        entry);
        return entry->hh.tbl; /* how uthash says that there was no memory */
}

static void registry_remove(struct sym_registry *registry, struct sym_entry *entry)
{
        HASH_DEL(registry->table, entry);
}

/* ---- adding a symbol ------------------------------------------------------------------------- */

/* Does `name` begin with the module's own name and a dot? */
static bool name_is_of(const char *name, const struct sym_module *module)
{
        size_t len = strlen(module->name);

        return strncmp(name, module->name, len) == 0 && name[len] == '.';
}

/* False: one line in reterr_text. */
static bool registry_admits(const struct sym_registry *registry, const struct sym_module *module,
                            const struct vmreq_symbol *def, char *reterr_text, size_t size)
{
        if (!sym_signature_check(def, reterr_text, size))
                return false;
        if (!name_is_of(def->name, module)) {
                (void)snprintf(reterr_text, size, "%s: the name must begin with \"%s.\"", def->name,
                               module->name);
                return false;
        }
        if (registry_find(registry, def->name, strlen(def->name))) {
                (void)snprintf(reterr_text, size, "%s: there is a symbol of that name already",
                               def->name);
                return false;
        }
        if (module->n_entries >= SYM_MODULE_SYMBOLS_MAX) {
                (void)snprintf(reterr_text, size, "%s: a module can have at most %d symbols",
                               def->name, SYM_MODULE_SYMBOLS_MAX);
                return false;
        }
        if (registry->n_entries >= SYM_REGISTRY_SYMBOLS_MAX) {
                (void)snprintf(reterr_text, size, "%s: there can be at most %d symbols in all",
                               def->name, SYM_REGISTRY_SYMBOLS_MAX);
                return false;
        }
        return true;
}

static void symbol_init(struct sym_symbol *symbol, struct sym_module *module,
                        const struct vmreq_symbol *def)
{
        *symbol = (struct sym_symbol){
                .def = def,
                .module = module,
                .name_len = strlen(def->name),
                .words = def->words,
                .kind = VMREQ_FN_CALLBACK,
                .timeout_max_ms = sym_signature_timeout_max(def),
        };
        if (symbol->words) /* its result is checked with its signature */
                CHECK(sym_kind_of_result(def->result, &symbol->kind));
        while (symbol->n_required < def->n_params &&
               !(def->params[symbol->n_required].flags & VMREQ_PARAM_OPTIONAL))
                symbol->n_required++;
}

/* sym_module_owner.add: called back by the module's init. */
static int registry_add(void *ctx, struct sym_module *module, const struct vmreq_symbol *def)
{
        struct sym_registry *registry = ctx;
        struct sym_entry *entry;
        char why[256];

        if (!registry_admits(registry, module, def, why, sizeof(why))) {
                sym_module_fail(module, why);
                return -EINVAL;
        }
        entry = calloc(1, sizeof(*entry));
        if (entry)
                symbol_init(&entry->symbol, module, def);
        if (!entry || !registry_insert(registry, entry)) {
                free(entry);
                sym_module_fail(module, "no memory for its symbols");
                return -ENOMEM;
        }
        entry->next = module->entries;
        module->entries = entry;
        module->n_entries++;
        registry->n_entries++;
        return 0;
}

/* ---- the list -------------------------------------------------------------------------------- */

static int compare_symbols(const void *a, const void *b)
{
        const struct sym_symbol *const *x = a, *const *y = b;

        return strcmp((*x)->def->name, (*y)->def->name);
}

/* The list has changed: the places in it do too. */
static void list_number(struct sym_registry *registry)
{
        registry->generation++;
        for (size_t i = 0; i < registry->n_list; i++)
                registry_find(registry, registry->list[i]->def->name, registry->list[i]->name_len)
                        ->symbol.index = (uint32_t)i;
}

/* Adds a module's symbols.  False: no memory, and nothing has changed. */
static bool list_add(struct sym_registry *registry, const struct sym_module *module)
{
        const struct sym_symbol **list;

        if (module->n_entries == 0)
                return true;
        list = realloc(registry->list, (registry->n_list + module->n_entries) * sizeof(*list));
        if (!list)
                return false;
        registry->list = list;
        for (const struct sym_entry *entry = module->entries; entry; entry = entry->next)
                list[registry->n_list++] = &entry->symbol;
        qsort(list, registry->n_list, sizeof(*list), compare_symbols);
        list_number(registry);
        return true;
}

/* Takes a module's symbols out; those that stay, stay in order. */
static void list_remove(struct sym_registry *registry, const struct sym_module *module)
{
        size_t n = 0;

        for (size_t i = 0; i < registry->n_list; i++)
                if (registry->list[i]->module != module)
                        registry->list[n++] = registry->list[i];
        registry->n_list = n;
        list_number(registry);
}

/* ---- modules --------------------------------------------------------------------------------- */

static struct sym_module *registry_find_module(const struct sym_registry *registry,
                                               const char *name)
{
        for (size_t i = 0; i < registry->n_modules; i++)
                if (strcmp(registry->modules[i]->name, name) == 0)
                        return registry->modules[i];
        return NULL;
}

static void registry_forget_module(struct sym_registry *registry, const struct sym_module *module)
{
        size_t at = 0;

        while (at < registry->n_modules && registry->modules[at] != module)
                at++;
        if (at == registry->n_modules)
                return; /* it never got in */
        registry->n_modules--;
        memmove(&registry->modules[at], &registry->modules[at + 1],
                (registry->n_modules - at) * sizeof(registry->modules[0]));
}

/* Its symbols leave the table; they stay valid for those who pinned them. */
static void module_vanish(struct sym_registry *registry, struct sym_module *module)
{
        for (struct sym_entry *entry = module->entries; entry; entry = entry->next)
                registry_remove(registry, entry);
        list_remove(registry, module);
}

/* The end of a module whose symbols have left the table and which nobody has pinned. */
static void module_finish(struct sym_registry *registry, struct sym_module *module)
{
        struct sym_entry *entry = module->entries;

        module->entries = NULL;
        registry->n_entries -= module->n_entries;
        while (entry) {
                struct sym_entry *next = entry->next;

                free(entry);
                entry = next;
        }
        sym_module_stop(module);
        registry_forget_module(registry, module);
        (void)sym_module_free(module); /* NULL, always */
}

static enum sym_load_result registry_has_room(const struct sym_registry *registry,
                                              const struct vmreq_module *def, char *reterr_text,
                                              size_t size)
{
        const struct sym_module *other = registry_find_module(registry, def->name);

        if (other) {
                (void)snprintf(reterr_text, size, "%s: a module of that name is %s", def->name,
                               sym_module_state_to_string(other->state));
                return SYM_LOAD_E_LOADED;
        }
        if (registry->n_modules >= SYM_MODULES_MAX) {
                (void)snprintf(reterr_text, size, "%s: there can be at most %d modules", def->name,
                               SYM_MODULES_MAX);
                return SYM_LOAD_E_MEMORY;
        }
        return SYM_LOAD_OK;
}

/* From a checked descriptor to a loaded module.  `plugin` is consumed on success only; NULL:
 * linked in. */
static enum sym_load_result registry_admit(struct sym_registry *registry,
                                           const struct vmreq_module *def,
                                           struct sym_plugin *plugin,
                                           const struct vmreq_setting *settings, size_t n_settings,
                                           char *reterr_text, size_t size)
{
        enum sym_load_result result;
        struct sym_module *module;

        result = registry_has_room(registry, def, reterr_text, size);
        if (result != SYM_LOAD_OK)
                return result;
        if (sym_module_new(def, plugin, &registry->owner, &module) < 0) {
                (void)snprintf(reterr_text, size, "%s: no memory", def->name);
                return SYM_LOAD_E_MEMORY;
        }
        if (!sym_module_start(module, settings, n_settings, reterr_text, size)) {
                result = SYM_LOAD_E_INIT;
        } else if (!list_add(registry, module)) {
                (void)snprintf(reterr_text, size, "%s: no memory", module->name);
                result = SYM_LOAD_E_MEMORY;
        }
        if (result != SYM_LOAD_OK) {
                module_vanish(registry, module);
                module_finish(registry, module);
                return result;
        }
        sym_module_set_loaded(module);
        registry->modules[registry->n_modules++] = module;
        return SYM_LOAD_OK;
}

enum sym_load_result sym_registry_add_builtin(struct sym_registry *registry,
                                              const struct vmreq_module *module,
                                              const struct vmreq_setting *settings,
                                              size_t n_settings, char *reterr_text, size_t size)
{
        if (!sym_module_check(module, reterr_text, size))
                return SYM_LOAD_E_FORMAT;
        return registry_admit(registry, module, NULL, settings, n_settings, reterr_text, size);
}

enum sym_load_result sym_registry_load(struct sym_registry *registry, const char *directory,
                                       const char *name, bool allow_path,
                                       const struct vmreq_setting *settings, size_t n_settings,
                                       char *reterr_text, size_t size)
{
        struct sym_plugin plugin;
        enum sym_load_result result;

        result = sym_plugin_open(directory, name, allow_path, &plugin, reterr_text, size);
        if (result != SYM_LOAD_OK)
                return result;
        result = registry_admit(registry, plugin.module, &plugin, settings, n_settings, reterr_text,
                                size);
        sym_plugin_close(&plugin); /* unless it was consumed */
        return result;
}

enum sym_unload_result sym_registry_unload(struct sym_registry *registry, const char *name)
{
        struct sym_module *module = registry_find_module(registry, name);

        if (!module)
                return SYM_UNLOAD_E_NOT_FOUND;
        if (module->builtin)
                return SYM_UNLOAD_E_BUILTIN;
        if (module->state == SYM_MODULE_LOADED) {
                module_vanish(registry, module);
                sym_module_set_draining(module);
        }
        if (module->n_pins > 0)
                return SYM_UNLOAD_E_BUSY;
        module_finish(registry, module);
        return SYM_UNLOAD_OK;
}

/* ---- the table ------------------------------------------------------------------------------- */

int sym_registry_new(vmreq_vm vm, sym_log_fn log, void *log_ctx, struct sym_registry **ret_registry)
{
        struct sym_registry *registry;

        registry = calloc(1, sizeof(*registry));
        if (!registry)
                return -ENOMEM;
        registry->owner = (struct sym_module_owner){
                .vm = vm,
                .log = log,
                .log_ctx = log_ctx,
                .add = registry_add,
                .ctx = registry,
        };
        *ret_registry = registry;
        return 0;
}

struct sym_registry *sym_registry_free(struct sym_registry *registry)
{
        if (!registry)
                return NULL;
        while (registry->n_modules > 0) {
                struct sym_module *module = registry->modules[registry->n_modules - 1];

                if (module->state == SYM_MODULE_LOADED) {
                        module_vanish(registry, module);
                        sym_module_set_draining(module);
                }
                if (module->n_pins > 0) {
                        sym_module_log(module, VMREQ_LOG_ERROR, "abandoned with %zu pins",
                                       module->n_pins);
                        registry_forget_module(registry, module);
                } else {
                        module_finish(registry, module);
                }
        }
        free(registry->list);
        free(registry);
        return NULL;
}

const struct sym_symbol *sym_registry_find(const struct sym_registry *registry, const char *name,
                                           size_t len)
{
        const struct sym_entry *entry;

        /* Bounds the hashing of what comes from outside. */
        if (!name || len == 0 || len > SYM_NAME_BYTES_MAX)
                return NULL;
        entry = registry_find(registry, name, len);
        return entry ? &entry->symbol : NULL;
}

const struct sym_symbol *const *sym_registry_list(const struct sym_registry *registry,
                                                  size_t *ret_n)
{
        *ret_n = registry->n_list;
        return registry->list;
}

uint64_t sym_registry_generation(const struct sym_registry *registry)
{
        return registry->generation;
}

void sym_symbol_pin(const struct sym_symbol *symbol)
{
        symbol->module->n_pins++;
}

void sym_symbol_unpin(const struct sym_symbol *symbol)
{
        CHECK(symbol->module->n_pins > 0);
        symbol->module->n_pins--;
}
