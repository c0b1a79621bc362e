/* SPDX-License-Identifier: MIT */
#pragma once
/* vmreq.ps: the requests in flight. */

#include "rpc/session.h"

void rpc_method_ps(const struct rpc_request *request);
