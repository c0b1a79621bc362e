/* SPDX-License-Identifier: MIT */
#include "modules/modules.h"

/* No constructors: a module is in the daemon because it stands here. */
const struct vmreq_module *const modules_builtin[] = {
        &mod_vm, &mod_cpu, &mod_mem, &mod_io, &mod_console, NULL,
};

int modules_add_symbols(const struct vmreq_host *host, const struct vmreq_symbol *symbols, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                int r = host->add_symbol(host, &symbols[i]);

                if (r < 0)
                        return r;
        }
        return 0;
}
