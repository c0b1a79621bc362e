/* SPDX-License-Identifier: MIT */
#pragma once
/* One module's life, from its descriptor to its end.  This room and its unit tests only. */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "symbols/name.h"
#include "symbols/plugin.h"
#include "symbols/registry.h"
#include "symbols/vmreq-module.h"

struct sym_entry; /* the registry's */

/*
 *   LOADING ──► LOADED ──► DRAINING ──► STOPPING ──► GONE
 *      └──────────────────────────────────▲
 *
 * LOADING: init runs, symbols may be added.  LOADED: its symbols are in the table.  DRAINING: they
 * are not, but calls that found them still run.  STOPPING: fini runs, on whichever thread may wait
 * for it.  GONE: fini has run, or init failed; nothing of it is called any more.
 */
enum sym_module_state {
        SYM_MODULE_LOADING,
        SYM_MODULE_LOADED,
        SYM_MODULE_DRAINING,
        SYM_MODULE_STOPPING,
        SYM_MODULE_GONE,
        _SYM_MODULE_STATE_N
};

/* "loading" …; "?" outside the list.  Never NULL. */
const char *sym_module_state_to_string(enum sym_module_state state);

/* Who owns modules, and what it does for them.  Copied into each. */
struct sym_module_owner {
        vmreq_vm vm;
        sym_log_fn log; /* NULL: nobody listens */
        void *log_ctx;
        /* A module registers a symbol, in init, on the thread that runs it.  0, or a negative errno
         * after a call of sym_module_fail. */
        int (*add)(void *ctx, struct sym_module *module, const struct vmreq_symbol *symbol);
        void *ctx;
};

/* The table that a module gets; it gives us back a pointer to `table`. */
struct sym_host {
        struct vmreq_host table; /* first */
        struct sym_module *module;
};

struct sym_module {
        /* fixed after new */
        struct sym_host host;
        struct sym_module_owner owner;
        bool builtin;                             /* linked in */
        const struct vmreq_module *def;           /* in the plugin's memory: not after DRAINING */
        char name[SYM_MODULE_NAME_BYTES_MAX + 1]; /* copies, to be read whatever becomes of it */
        char *version, *doc;

        /* owner thread only */
        enum sym_module_state state;
        size_t n_pins;

        /* the owner thread, or the one that runs init or fini for it meanwhile */
        struct sym_plugin plugin;  /* empty if linked in */
        struct sym_entry *entries; /* the owner's list of its symbols */
        struct sym_entry *own;     /* hash: the same by name, while LOADING */
        size_t n_entries;
        bool started;      /* init returned 0 */
        bool failed;       /* a registration was refused … */
        char failure[256]; /* … why, the first time */
};

/* Is this a descriptor that we can use?  False: one line in reterr_text. */
bool sym_module_check(const struct vmreq_module *def, char *reterr_text, size_t size);

/*
 * A module in state LOADING.  `def` must have passed sym_module_check.  `plugin` (NULL: linked in)
 * is consumed on success.  Returns 0 or -ENOMEM.
 */
int sym_module_new(const struct vmreq_module *def, struct sym_plugin *plugin,
                   const struct sym_module_owner *owner, struct sym_module **ret_module);
/* In state GONE, or LOADING if it was never started.  NULL is legal.  Returns NULL. */
struct sym_module *sym_module_free(struct sym_module *module);

/*
 * Runs init.  True: it returned 0 and no registration was refused; the state is still LOADING, the
 * owner may yet refuse.  False: one line in reterr_text.  In both cases sym_module_stop is what
 * ends it.
 */
bool sym_module_start(struct sym_module *module, const struct vmreq_setting *settings,
                      size_t n_settings, char *reterr_text, size_t size);

/* LOADING → LOADED, LOADED → DRAINING: the owner has put the symbols into the table, or taken
 * them out. */
void sym_module_set_loaded(struct sym_module *module);
void sym_module_set_draining(struct sym_module *module);

/* LOADING, DRAINING → STOPPING, without pins and entries.  Owner thread. */
void sym_module_set_stopping(struct sym_module *module);
/* STOPPING: runs fini if init returned 0; unmaps a plugin that can be.  Any thread; may block. */
void sym_module_halt(struct sym_module *module);
/* STOPPING → GONE, when it has been halted.  Owner thread. */
void sym_module_set_gone(struct sym_module *module);
/* All three, for an owner that may wait. */
void sym_module_stop(struct sym_module *module);

/* Records and logs why a registration was refused. */
void sym_module_fail(struct sym_module *module, const char *text);

/* One bounded line to the owner's log; control bytes become spaces.  Any thread. */
void sym_module_log(const struct sym_module *module, int level, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* host.c: fills in the table. */
void sym_host_init(struct sym_host *host, struct sym_module *module);
/* host.c: between these two, add_symbol is legal on this thread for this module. */
void sym_host_open(struct sym_host *host);
void sym_host_close(struct sym_host *host);
/* host.c: as sym_module_log, with the arguments as a list. */
void sym_host_vlog(const struct sym_module *module, int level, const char *format, va_list args)
        __attribute__((format(printf, 3, 0)));
