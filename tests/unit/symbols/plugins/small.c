/* SPDX-License-Identifier: MIT */
/* Its descriptor ends before what we need of it. */
#include "unit/symbols/plugins/plugin.h"

static const struct vmreq_symbol symbols[] = {SYMBOL("small.one")};

INIT(0)
FINI(0)

VMREQ_MODULE_EXPORT = {.size = 16,
                       .abi = VMREQ_MODULE_ABI,
                       .name = "small",
                       .version = "1",
                       .doc = "A test's.",
                       .init = init,
                       .fini = fini};
