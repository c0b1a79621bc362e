/* SPDX-License-Identifier: MIT */
/* Registers one name twice and does not look at the answer. */
#include "unit/symbols/plugins/plugin.h"

static const struct vmreq_symbol symbols[] = {SYMBOL("twice.one"), SYMBOL("twice.one")};

INIT(0)
FINI(0)

MODULE(.name = "twice", .flags = VMREQ_MODULE_UNMAPPABLE);
