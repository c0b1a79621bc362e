/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The symbol table: names → callable symbols, and the modules they came from.  Owned by one thread
 * (the loop); only pins are counted, a module is unloadable at zero pins.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "symbols/vmreq-module.h"
#include "vm/vmreq.h"

struct sym_registry;
struct sym_module;

/* A registered symbol.  Fixed while it is in the table. */
struct sym_symbol {
        const struct vmreq_symbol *def; /* the module's; lives until the module's fini */
        struct sym_module *module;
        size_t name_len;
        bool words;              /* a word function: may go to the engine as words */
        enum vmreq_kind kind;    /* words: by result type */
        uint32_t n_required;     /* params without OPTIONAL, all of which come first */
        uint32_t index;          /* its place in sym_registry_list, for tables beside it */
        uint32_t timeout_max_ms; /* cap of a call's time limit; 0 = none */
};

/* What the table tells its owner (the daemon logs it).  `level` as VMREQ_LOG_*.  Any thread: a
 * module may log from an EMT; must not block. */
typedef void (*sym_log_fn)(void *ctx, int level, const char *module, const char *text);

/* `vm` is what the host table's functions act on.  Returns 0, or -ENOMEM. */
int sym_registry_new(vmreq_vm vm, sym_log_fn log, void *log_ctx,
                     struct sym_registry **ret_registry);
/*
 * Unloads all modules in reverse order of loading, and frees.  Returns NULL; NULL is legal.  They
 * must have no pins: a module that has some may be on an EMT that is stuck, and is left as it is,
 * mapped, its memory abandoned, its fini not called.
 */
struct sym_registry *sym_registry_free(struct sym_registry *registry);

/* The symbol of that name, borrowed; NULL if there is none (or its module is going). */
const struct sym_symbol *sym_registry_find(const struct sym_registry *registry, const char *name,
                                           size_t len);
/* All symbols, ordered by name, borrowed; the array is valid until the next load or unload. */
const struct sym_symbol *const *sym_registry_list(const struct sym_registry *registry,
                                                  size_t *ret_n);
/* Grows whenever symbols come or go, and with them the indices of those that stay. */
uint64_t sym_registry_generation(const struct sym_registry *registry);

/* While pinned, a symbol stays valid and its module is not unloaded.  Owner thread. */
void sym_symbol_pin(const struct sym_symbol *symbol);
void sym_symbol_unpin(const struct sym_symbol *symbol);

enum sym_load_result {
        SYM_LOAD_OK = 0,
        SYM_LOAD_E_NOT_FOUND, /* no such file */
        SYM_LOAD_E_NAME,      /* not a module name, or a path where none is allowed */
        SYM_LOAD_E_LOADED,    /* a module of that name is there already */
        SYM_LOAD_E_FORMAT,    /* dlopen refused, no descriptor, or another ABI */
        SYM_LOAD_E_INIT,      /* its init, or the registration of one of its symbols, failed */
        SYM_LOAD_E_MEMORY,    /* no memory, or SYM_MODULES_MAX is reached */
};

/* Bounds of one table. */
#define SYM_MODULES_MAX          64    /* modules, draining ones included */
#define SYM_MODULE_SYMBOLS_MAX   4096  /* symbols of one module */
#define SYM_REGISTRY_SYMBOLS_MAX 32768 /* symbols in all, those of draining modules included */

/*
 * Adds a module that is linked in.  `reterr_text` (size bytes) gets one line on any failure.
 * On failure nothing of the module remains.
 */
enum sym_load_result sym_registry_add_builtin(struct sym_registry *registry,
                                              const struct vmreq_module *module,
                                              const struct vmreq_setting *settings,
                                              size_t n_settings, char *reterr_text, size_t size);

struct sym_load_spec {
        const char *directory; /* where modules are */
        /* A module's name, resolved as DIRECTORY/NAME.so; if `allow_path`, a name with a slash is a
         * path. */
        const char *name;
        bool allow_path;
        const struct vmreq_setting *settings; /* borrowed until the load has ended */
        size_t n_settings;
};

/* Loads a plugin; the arguments as in the structure.  Reads files and runs the module's
 * constructors and init: may block.  As above otherwise. */
enum sym_load_result sym_registry_load(struct sym_registry *registry, const char *directory,
                                       const char *name, bool allow_path,
                                       const struct vmreq_setting *settings, size_t n_settings,
                                       char *reterr_text, size_t size);

/*
 * The same for an owner that may not wait.
 *
 *     sym_load_new → (sym_load_run → sym_load_step)… → sym_load_free
 *
 * new, step and free are called on the owner's thread; run on any one that may block, for as long
 * as the module likes.  step says whether another run is needed.  Until it says no, the name is
 * taken, and the registry may not be freed.
 */
struct sym_load;

enum sym_load_result sym_load_new(struct sym_registry *registry, const struct sym_load_spec *spec,
                                  struct sym_load **ret_load, char *reterr_text, size_t size);
void sym_load_run(struct sym_load *load);
bool sym_load_step(struct sym_load *load);
/* What came of it; *ret_text is borrowed. */
enum sym_load_result sym_load_result(const struct sym_load *load, const char **ret_text);
/* When step has said that no run is needed. */
void sym_load_free(struct sym_load *load);

enum sym_unload_result {
        SYM_UNLOAD_OK = 0,
        SYM_UNLOAD_E_NOT_FOUND, /* no module of that name */
        SYM_UNLOAD_E_BUILTIN,   /* linked in: it goes with the daemon */
        SYM_UNLOAD_E_BUSY,      /* pinned, or its fini runs; ask again */
};

/*
 * Unloads a plugin.  Its symbols vanish at once, whatever the answer.  At zero pins its fini runs,
 * which may block, and it is unmapped if it declares that it can be and fini returned 0.  With pins
 * it stays: it keeps its name, has no symbols, and a later call goes on where this one stopped.
 */
enum sym_unload_result sym_registry_unload(struct sym_registry *registry, const char *name);

/*
 * The same for an owner that may not wait: withdraw makes the symbols vanish; unload_begin gives
 * the module if nobody has it pinned and nobody else has begun (else NULL); run calls its fini, on
 * any thread; end forgets it.
 */
enum sym_unload_result sym_registry_withdraw(struct sym_registry *registry, const char *name);
struct sym_module *sym_unload_begin(struct sym_registry *registry, const char *name);
void sym_unload_run(struct sym_module *module);
void sym_unload_end(struct sym_registry *registry, struct sym_module *module);

/* Told whenever the last pin of a draining module has gone.  Owner thread. */
void sym_registry_on_drained(struct sym_registry *registry, void (*fn)(void *ctx), void *ctx);

/* The i-th module, in order of loading; borrowed.  False: there are no more. */
struct sym_module_info {
        const char *name, *version, *doc;
        bool builtin;
        bool draining;    /* its symbols have left the table */
        size_t n_symbols; /* in the table */
        size_t n_pins;
};
bool sym_registry_module(const struct sym_registry *registry, size_t i,
                         struct sym_module_info *ret_info);

/* Of a symbol's module; borrowed, never NULL. */
const char *sym_module_name(const struct sym_module *module);
const char *sym_module_version(const struct sym_module *module);
