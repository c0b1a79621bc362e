/* SPDX-License-Identifier: MIT */
/*
 * The door to dlopen: from a name to a descriptor that can be used.
 *
 * Called by the registry on the thread that loads modules.  What comes in may have been asked for
 * by a client, so a name is a name: it holds neither slash nor dot, and so cannot leave the
 * directory.  Only who wrote the command line or the configuration may give a path.  The
 * directory's contents are trusted: a link in it that leads elsewhere was put there by an
 * administrator, and is followed.
 *
 *   1. dlopen never sees a name without a slash: it would search the system's library path for it.
 *   2. It never sees anything but a regular file: opening a FIFO would block the thread for ever.
 *   3. RTLD_NOW: what a plugin lacks is found here, not in the middle of a call on an EMT.
 *       RTLD_LOCAL: one plugin's names are not another's.
 *   4. Nothing of a plugin is read before its ABI number has been.
 *
 * The C library knows a mapped file by its path and its inode.  A plugin that was left mapped is
 * therefore found again, its static variables as they were, even if the file has been replaced
 * since.
 */
#include "symbols/plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "symbols/module.h"
#include "symbols/name.h"

#define STRING_OF(x) #x
#define STRING(x)    STRING_OF(x)

/* `name` → the file to open.  *ret_by_name: it was a module's name. */
static enum sym_load_result resolve(const char *directory, const char *name, bool allow_path,
                                    char path[static PATH_MAX], bool *ret_by_name,
                                    char *reterr_text, size_t size)
{
        int n;

        *ret_by_name = sym_name_is_module(name, sym_name_len(name));
        if (*ret_by_name) {
                if (!directory || directory[0] == '\0') {
                        (void)snprintf(reterr_text, size, "%s: there is no module directory", name);
                        return SYM_LOAD_E_NOT_FOUND;
                }
                n = snprintf(path, PATH_MAX, "%s/%s.so", directory, name);
        } else if (allow_path && strchr(name, '/')) {
                n = snprintf(path, PATH_MAX, "%s", name);
        } else {
                (void)snprintf(reterr_text, size,
                               "a module's name must be [a-z][a-z0-9_]*, at most %d "
                               "bytes%s",
                               SYM_MODULE_NAME_BYTES_MAX,
                               allow_path ? ", or a path with a slash" : "");
                return SYM_LOAD_E_NAME;
        }
        if (n < 0 || n >= PATH_MAX) {
                (void)snprintf(reterr_text, size, "the path is longer than %d bytes", PATH_MAX - 1);
                return SYM_LOAD_E_NAME;
        }
        return SYM_LOAD_OK;
}

static enum sym_load_result check_file(const char *path, char *reterr_text, size_t size)
{
        struct stat st;

        if (stat(path, &st) < 0) {
                int error = errno;

                (void)snprintf(reterr_text, size, "%s: %s", path, strerrordesc_np(error));
                return error == ENOENT || error == ENOTDIR ? SYM_LOAD_E_NOT_FOUND
                                                           : SYM_LOAD_E_FORMAT;
        }
        if (!S_ISREG(st.st_mode)) {
                (void)snprintf(reterr_text, size, "%s: not a regular file", path);
                return SYM_LOAD_E_FORMAT;
        }
        return SYM_LOAD_OK;
}

static bool check_descriptor(const struct vmreq_module *module, const char *path, const char *name,
                             char *reterr_text, size_t size)
{
        char why[160];

        if (!module) {
                (void)snprintf(reterr_text, size, "%s: not a module: it exports no %s", path,
                               STRING(VMREQ_MODULE_SYMBOL));
                return false;
        }
        if (!sym_module_check(module, why, sizeof(why))) {
                (void)snprintf(reterr_text, size, "%s: %s", path, why);
                return false;
        }
        if (name && strcmp(module->name, name) != 0) {
                (void)snprintf(reterr_text, size, "%s: the module in it is named %s", path,
                               module->name);
                return false;
        }
        return true;
}

enum sym_load_result sym_plugin_open(const char *directory, const char *name, bool allow_path,
                                     struct sym_plugin *ret_plugin, char *reterr_text, size_t size)
{
        struct sym_plugin plugin;
        enum sym_load_result result;
        char path[PATH_MAX];
        bool by_name;

        result = resolve(directory, name, allow_path, path, &by_name, reterr_text, size);
        if (result != SYM_LOAD_OK)
                return result;
        result = check_file(path, reterr_text, size);
        if (result != SYM_LOAD_OK)
                return result;
        plugin.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!plugin.handle) {
                const char *why = dlerror();

                (void)snprintf(reterr_text, size, "%s", why ? why : path);
                return SYM_LOAD_E_FORMAT;
        }
        plugin.module = dlsym(plugin.handle, STRING(VMREQ_MODULE_SYMBOL));
        if (!check_descriptor(plugin.module, path, by_name ? name : NULL, reterr_text, size)) {
                sym_plugin_close(&plugin);
                return SYM_LOAD_E_FORMAT;
        }
        *ret_plugin = plugin;
        return SYM_LOAD_OK;
}

void sym_plugin_close(struct sym_plugin *plugin)
{
        if (plugin->handle)
                (void)dlclose(
                        plugin->handle); /* the handle is good, and gone whatever it answers */
        *plugin = SYM_PLUGIN_NULL;
}

void sym_plugin_leave(struct sym_plugin *plugin)
{
        *plugin = SYM_PLUGIN_NULL;
}
