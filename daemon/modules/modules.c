/* SPDX-License-Identifier: MIT */
#include "modules/modules.h"

#include <stddef.h>

/* No constructors: a module is in the daemon because it stands here. */
const struct vmreq_module *const modules_builtin[] = {
        &mod_vm, &mod_cpu, &mod_mem, &mod_io, &mod_console, NULL,
};
