/* SPDX-License-Identifier: MIT */
#pragma once
/* The table's insides, for registry.c, load.c and unload.c. */

/* The table may be out of memory; the daemon may not end because of it. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "symbols/module.h"
#include "symbols/registry.h"

struct sym_entry {
        struct sym_symbol symbol; /* first: what others see of it */
        struct sym_entry *next;   /* of the same module */
        UT_hash_handle hh;        /* by symbol.def->name, in the table */
        UT_hash_handle module_hh; /* the same, among its module's, until it is loaded */
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
        struct sym_load *loads; /* under way */
        size_t n_loads;
        void (*on_drained)(void *ctx); /* NULL: nobody wants to know */
        void *on_drained_ctx;
};

/* ---- registry.c; owner thread ---- */

struct sym_module *sym_registry_find_module(const struct sym_registry *registry, const char *name);
/* Puts a module and its symbols into the table: all, or none and one line in reterr_text. */
enum sym_load_result sym_registry_commit(struct sym_registry *registry, struct sym_module *module,
                                         char *reterr_text, size_t size);
/* LOADED → DRAINING: its symbols leave the table; they stay valid for those who pinned them. */
void sym_registry_vanish(struct sym_registry *registry, struct sym_module *module);
void sym_registry_forget_module(struct sym_registry *registry, const struct sym_module *module);
/* A module without pins lets go of its symbols. */
void sym_registry_drop_entries(struct sym_registry *registry, struct sym_module *module);

/* sym_module_owner.add: the thread that runs the module's init. */
int sym_registry_add(void *ctx, struct sym_module *module, const struct vmreq_symbol *def);
