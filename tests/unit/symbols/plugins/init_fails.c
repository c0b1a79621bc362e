/* SPDX-License-Identifier: MIT */
/* Its init fails after it has registered a symbol. */
#include "unit/symbols/plugins/plugin.h"

static const struct vmreq_symbol symbols[] = {SYMBOL("init_fails.one")};

INIT(-22)
FINI(0)

MODULE(.name = "init_fails", .flags = VMREQ_MODULE_UNMAPPABLE);
