/* SPDX-License-Identifier: MIT */
/* As it should be. */
#include "unit/symbols/plugins/plugin.h"

static const struct vmreq_symbol symbols[] = {SYMBOL("good.one"), SYMBOL("good.two")};

INIT(0)
FINI(0)

MODULE(.name = "good", .flags = VMREQ_MODULE_UNMAPPABLE);
