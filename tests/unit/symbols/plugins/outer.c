/* SPDX-License-Identifier: MIT */
/* The module in it has another name than the file. */
#include "unit/symbols/plugins/plugin.h"

static const struct vmreq_symbol symbols[] = {SYMBOL("inner.one")};

INIT(0)
FINI(0)

MODULE(.name = "inner", .flags = VMREQ_MODULE_UNMAPPABLE);
