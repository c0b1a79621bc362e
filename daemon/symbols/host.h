/* SPDX-License-Identifier: MIT */
#pragma once
/* The host table that modules get, as the daemon sees it.  Built-in modules may use this; plugins
 * cannot. */

#include "symbols/vmreq-module.h"
#include "vm/vmreq.h"

/* The VM behind a host table. */
vmreq_vm sym_host_vm(const struct vmreq_host *host);
