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

#include "base/check.h"
#include "symbols/name.h"
#include "symbols/registry-internal.h"
#include "symbols/signature.h"

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

static struct sym_entry *module_find(const struct sym_module *module, const char *name, size_t len)
{
        struct sym_entry *entry;

        HASH_FIND(module_hh, module->own, name, len, entry);
        return entry;
}

/* Does `name` begin with the module's own name and a dot? */
static bool name_is_of(const char *name, const struct sym_module *module)
{
        size_t len = strlen(module->name);

        return strncmp(name, module->name, len) == 0 && name[len] == '.';
}

/* False: one line in reterr_text.  Looks at the module only: names of different modules differ in
 * their beginnings. */
static bool module_admits(const struct sym_module *module, const struct vmreq_symbol *def,
                          char *reterr_text, size_t size)
{
        if (!sym_signature_check(def, reterr_text, size))
                return false;
        if (!name_is_of(def->name, module)) {
                (void)snprintf(reterr_text, size, "%s: the name must begin with \"%s.\"", def->name,
                               module->name);
                return false;
        }
        if (module_find(module, def->name, strlen(def->name))) {
                (void)snprintf(reterr_text, size, "%s: there is a symbol of that name already",
                               def->name);
                return false;
        }
        if (module->n_entries >= SYM_MODULE_SYMBOLS_MAX) {
                (void)snprintf(reterr_text, size, "%s: a module can have at most %d symbols",
                               def->name, SYM_MODULE_SYMBOLS_MAX);
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

static struct sym_entry *entry_new(struct sym_module *module, const struct vmreq_symbol *def)
{
        struct sym_entry *entry = calloc(1, sizeof(*entry));

        if (!entry)
                return NULL;
        symbol_init(&entry->symbol, module, def);
        HASH_ADD_KEYPTR(module_hh, module->own, def->name, entry->symbol.name_len, entry);
        if (entry->module_hh.tbl)
                return entry;
        free(entry); /* how uthash says that there was no memory */
        return NULL;
}

int sym_registry_add(void *ctx, struct sym_module *module, const struct vmreq_symbol *def)
{
        struct sym_entry *entry;
        char why[256];

        (void)ctx;
        if (!module_admits(module, def, why, sizeof(why))) {
                sym_module_fail(module, why);
                return -EINVAL;
        }
        entry = entry_new(module, def);
        if (!entry) {
                sym_module_fail(module, "no memory for its symbols");
                return -ENOMEM;
        }
        entry->next = module->entries;
        module->entries = entry;
        module->n_entries++;
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

/* Room for a module's symbols.  False: no memory, and nothing has changed. */
static bool list_reserve(struct sym_registry *registry, const struct sym_module *module)
{
        const struct sym_symbol **list;

        if (module->n_entries == 0)
                return true;
        list = realloc(registry->list, (registry->n_list + module->n_entries) * sizeof(*list));
        if (list)
                registry->list = list;
        return list;
}

static void list_add(struct sym_registry *registry, const struct sym_module *module)
{
        if (module->n_entries == 0)
                return;
        for (const struct sym_entry *entry = module->entries; entry; entry = entry->next)
                registry->list[registry->n_list++] = &entry->symbol;
        qsort(registry->list, registry->n_list, sizeof(registry->list[0]), compare_symbols);
        list_number(registry);
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

struct sym_module *sym_registry_find_module(const struct sym_registry *registry, const char *name)
{
        for (size_t i = 0; i < registry->n_modules; i++)
                if (strcmp(registry->modules[i]->name, name) == 0)
                        return registry->modules[i];
        return NULL;
}

void sym_registry_forget_module(struct sym_registry *registry, const struct sym_module *module)
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

/* All of a module's symbols, or none. */
static bool table_add(struct sym_registry *registry, struct sym_module *module)
{
        for (struct sym_entry *entry = module->entries; entry; entry = entry->next) {
                if (registry_insert(registry, entry))
                        continue;
                for (struct sym_entry *in = module->entries; in != entry; in = in->next)
                        registry_remove(registry, in);
                return false;
        }
        return true;
}

enum sym_load_result sym_registry_commit(struct sym_registry *registry, struct sym_module *module,
                                         char *reterr_text, size_t size)
{
        if (registry->n_entries + module->n_entries > SYM_REGISTRY_SYMBOLS_MAX) {
                (void)snprintf(reterr_text, size, "%s: there can be at most %d symbols in all",
                               module->name, SYM_REGISTRY_SYMBOLS_MAX);
                return SYM_LOAD_E_INIT;
        }
        if (registry->n_modules >= SYM_MODULES_MAX) { /* another load was quicker */
                (void)snprintf(reterr_text, size, "%s: there can be at most %d modules",
                               module->name, SYM_MODULES_MAX);
                return SYM_LOAD_E_MEMORY;
        }
        if (!list_reserve(registry, module) || !table_add(registry, module)) {
                (void)snprintf(reterr_text, size, "%s: no memory", module->name);
                return SYM_LOAD_E_MEMORY;
        }
        list_add(registry, module);
        registry->n_entries += module->n_entries;
        HASH_CLEAR(module_hh, module->own);
        sym_module_set_loaded(module);
        registry->modules[registry->n_modules++] = module;
        return SYM_LOAD_OK;
}

void sym_registry_vanish(struct sym_registry *registry, struct sym_module *module)
{
        for (struct sym_entry *entry = module->entries; entry; entry = entry->next)
                registry_remove(registry, entry);
        list_remove(registry, module);
        sym_module_set_draining(module);
}

void sym_registry_drop_entries(struct sym_registry *registry, struct sym_module *module)
{
        struct sym_entry *entry = module->entries;

        CHECK(module->n_pins == 0);
        if (module->state != SYM_MODULE_LOADING)
                registry->n_entries -= module->n_entries;
        HASH_CLEAR(module_hh, module->own);
        module->entries = NULL;
        module->n_entries = 0;
        while (entry) {
                struct sym_entry *next = entry->next;

                free(entry);
                entry = next;
        }
}

bool sym_registry_module(const struct sym_registry *registry, size_t i,
                         struct sym_module_info *ret_info)
{
        const struct sym_module *module;

        if (i >= registry->n_modules)
                return false;
        module = registry->modules[i];
        *ret_info = (struct sym_module_info){
                .name = module->name,
                .version = module->version,
                .doc = module->doc,
                .builtin = module->builtin,
                .draining = module->state != SYM_MODULE_LOADED,
                .n_symbols = module->state == SYM_MODULE_LOADED ? module->n_entries : 0,
                .n_pins = module->n_pins,
        };
        return true;
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
                .add = sym_registry_add,
                .ctx = registry,
        };
        *ret_registry = registry;
        return 0;
}

static void registry_end_module(struct sym_registry *registry, struct sym_module *module)
{
        if (module->state == SYM_MODULE_LOADED)
                sym_registry_vanish(registry, module);
        if (module->n_pins > 0 || module->state != SYM_MODULE_DRAINING) {
                sym_module_log(module, VMREQ_LOG_ERROR, "abandoned with %zu pins", module->n_pins);
                sym_registry_forget_module(registry, module);
                return;
        }
        sym_registry_drop_entries(registry, module);
        sym_module_stop(module);
        sym_registry_forget_module(registry, module);
        (void)sym_module_free(module); /* NULL, always */
}

struct sym_registry *sym_registry_free(struct sym_registry *registry)
{
        if (!registry)
                return NULL;
        CHECK(registry->n_loads == 0);
        while (registry->n_modules > 0)
                registry_end_module(registry, registry->modules[registry->n_modules - 1]);
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

void sym_registry_on_drained(struct sym_registry *registry, void (*fn)(void *ctx), void *ctx)
{
        registry->on_drained = fn;
        registry->on_drained_ctx = ctx;
}

/* ---- pins ------------------------------------------------------------------------------------ */

void sym_symbol_pin(const struct sym_symbol *symbol)
{
        symbol->module->n_pins++;
}

void sym_symbol_unpin(const struct sym_symbol *symbol)
{
        struct sym_module *module = symbol->module;
        const struct sym_registry *registry = module->owner.ctx;

        CHECK(module->n_pins > 0);
        module->n_pins--;
        /* The symbol may not be there any more behind this. */
        if (module->n_pins == 0 && module->state == SYM_MODULE_DRAINING && registry->on_drained)
                registry->on_drained(registry->on_drained_ctx);
}
