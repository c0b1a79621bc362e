/* SPDX-License-Identifier: MIT */
/* Does not say that it can be unmapped. */
#include "unit/symbols/plugins/plugin.h"

static const struct vmreq_symbol symbols[] = {SYMBOL("sticky.one")};

INIT(0)
FINI(0)

MODULE(.name = "sticky");
