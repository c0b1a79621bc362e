/* SPDX-License-Identifier: MIT */
#pragma once
/* Policy files → rules: vmreqd.policy(5) is their description. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "rpc/policy-rules.h"

/*
 * Reads the files of `folder` in order of their names.  All or nothing: whatever is wrong, there
 * are no rules, and reterr_text says what and where.  `may_miss`: a folder that does not exist has
 * no rules.  Looks names up: may block.  Any thread.
 */
bool policy_read_folder(const char *folder, bool may_miss, struct rpc_rules **ret_rules,
                        char *reterr_text, size_t size);

/* One file's text; its rules come behind those that are there.  On failure some of them may have
 * been added. */
bool policy_read(FILE *file, const char *name, struct rpc_rules *rules, char *reterr_text,
                 size_t size);
