/* SPDX-License-Identifier: MIT */
/* Needs a function that nobody has. */
#include "unit/symbols/plugins/plugin.h"

int nobody_has_this(void);

static const struct vmreq_symbol symbols[] = {SYMBOL("undefined.one")};

INIT(nobody_has_this())
FINI(0)

MODULE(.name = "undefined", .flags = VMREQ_MODULE_UNMAPPABLE);
