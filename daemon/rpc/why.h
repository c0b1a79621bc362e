/* SPDX-License-Identifier: MIT */
#pragma once
/* vmreq.why: what stands before a request. */

#include "rpc/session.h"

void rpc_method_why(const struct rpc_request *request);
