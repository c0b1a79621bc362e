/* SPDX-License-Identifier: MIT */
#pragma once
/* The door to dlopen.  This room and its unit tests only; no other file may include <dlfcn.h>. */

#include <stdbool.h>
#include <stddef.h>

#include "symbols/registry.h"
#include "symbols/vmreq-module.h"

/* A mapped plugin. */
struct sym_plugin {
        void *handle;                      /* NULL: none */
        const struct vmreq_module *module; /* its descriptor, in its memory */
};

#define SYM_PLUGIN_NULL ((struct sym_plugin){NULL, NULL})

/*
 * Maps a plugin and finds its descriptor, which has passed sym_module_check and, if `name` is a
 * module's name, has that name.  `directory` and `name` as for sym_registry_load.  Runs the
 * plugin's constructors; may block.  On failure nothing stays mapped, and reterr_text has one line.
 */
enum sym_load_result sym_plugin_open(const char *directory, const char *name, bool allow_path,
                                     struct sym_plugin *ret_plugin, char *reterr_text, size_t size);

/* Unmaps, and sets *plugin to SYM_PLUGIN_NULL.  Legal on that.  Runs the plugin's destructors. */
void sym_plugin_close(struct sym_plugin *plugin);

/* Forgets it, mapped as it is: something may still use it.  A later open of the same file finds
 * it again. */
void sym_plugin_leave(struct sym_plugin *plugin);
