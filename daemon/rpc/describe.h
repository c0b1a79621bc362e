/* SPDX-License-Identifier: MIT */
#pragma once
/* The symbol table as clients see it: only what the caller may call. */

#include "rpc/session.h"

void rpc_method_symbols(const struct rpc_request *request);
void rpc_method_describe(const struct rpc_request *request);
/* nvim_get_api_info: the same table in the form that Neovim's client libraries ask for when they
 * attach. */
void rpc_method_api_info(const struct rpc_request *request);
