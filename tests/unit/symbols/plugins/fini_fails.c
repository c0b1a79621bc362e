/* SPDX-License-Identifier: MIT */
/* Its fini fails, so it is not unmapped although it says that it can be. */
#include "unit/symbols/plugins/plugin.h"

static const struct vmreq_symbol symbols[] = {SYMBOL("fini_fails.one")};

INIT(0)
FINI(-3)

MODULE(.name = "fini_fails", .flags = VMREQ_MODULE_UNMAPPABLE);
