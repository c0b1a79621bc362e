/* SPDX-License-Identifier: MIT */
#include "symbols/registry-internal.h"

enum sym_unload_result sym_registry_withdraw(struct sym_registry *registry, const char *name)
{
        struct sym_module *module = sym_registry_find_module(registry, name);

        if (!module)
                return SYM_UNLOAD_E_NOT_FOUND;
        if (module->builtin)
                return SYM_UNLOAD_E_BUILTIN;
        if (module->state == SYM_MODULE_LOADED)
                sym_registry_vanish(registry, module);
        return SYM_UNLOAD_OK;
}

struct sym_module *sym_unload_begin(struct sym_registry *registry, const char *name)
{
        struct sym_module *module = sym_registry_find_module(registry, name);

        if (!module || module->state != SYM_MODULE_DRAINING || module->n_pins > 0)
                return NULL;
        sym_registry_drop_entries(registry, module);
        sym_module_set_stopping(module);
        return module;
}

void sym_unload_run(struct sym_module *module)
{
        sym_module_halt(module);
}

void sym_unload_end(struct sym_registry *registry, struct sym_module *module)
{
        sym_module_set_gone(module);
        sym_registry_forget_module(registry, module);
        (void)sym_module_free(module); /* NULL, always */
}

enum sym_unload_result sym_registry_unload(struct sym_registry *registry, const char *name)
{
        enum sym_unload_result result = sym_registry_withdraw(registry, name);
        struct sym_module *module;

        if (result != SYM_UNLOAD_OK)
                return result;
        module = sym_unload_begin(registry, name);
        if (!module)
                return SYM_UNLOAD_E_BUSY;
        sym_unload_run(module);
        sym_unload_end(registry, module);
        return SYM_UNLOAD_OK;
}
