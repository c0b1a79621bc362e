/* SPDX-License-Identifier: MIT */
#pragma once
/* vmreq.status: the VM, its EMTs, and what each of them runs, for whom and for how long. */

#include "rpc/session.h"

void rpc_method_status(const struct rpc_request *request);
