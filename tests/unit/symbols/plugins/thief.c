/* SPDX-License-Identifier: MIT */
/* Registers a symbol of another module. */
#include "unit/symbols/plugins/plugin.h"

static const struct vmreq_symbol symbols[] = {SYMBOL("thief.one"), SYMBOL("good.three")};

INIT(0)
FINI(0)

MODULE(.name = "thief", .flags = VMREQ_MODULE_UNMAPPABLE);
