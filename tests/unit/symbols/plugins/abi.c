/* SPDX-License-Identifier: MIT */
/* Built for a later daemon. */
#include "unit/symbols/plugins/plugin.h"

static const struct vmreq_symbol symbols[] = {SYMBOL("abi.one")};

INIT(0)
FINI(0)

VMREQ_MODULE_EXPORT = {.size = sizeof(struct vmreq_module),
                       .abi = VMREQ_MODULE_ABI + 1,
                       .name = "abi",
                       .version = "1",
                       .doc = "A test's.",
                       .init = init,
                       .fini = fini};
