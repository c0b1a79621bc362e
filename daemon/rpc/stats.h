/* SPDX-License-Identifier: MIT */
#pragma once
/* vmreq.stats: every figure that the daemon keeps. */

#include "rpc/session.h"

void rpc_method_stats(const struct rpc_request *request);
