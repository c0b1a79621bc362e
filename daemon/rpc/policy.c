/* SPDX-License-Identifier: MIT */
#include "rpc/policy.h"

#include <grp.h>
#include <stdio.h>
#include <unistd.h>

#define OVERFLOW_ID_DEFAULT 65534u

static unsigned read_number(const char *path, unsigned fallback)
{
        FILE *file = fopen(path, "re");
        unsigned value = fallback;

        if (file) {
                if (fscanf(file, "%u", &value) != 1)
                        value = fallback;
                (void)fclose(file);
        }
        return value;
}

void rpc_policy_init(struct rpc_policy *policy)
{
        struct group entry, *found = NULL;
        char buffer[16384];

        policy->daemon_uid = geteuid();
        policy->has_group =
                getgrnam_r("vmreq", &entry, buffer, sizeof(buffer), &found) == 0 && found;
        policy->vmreq_group = policy->has_group ? entry.gr_gid : 0;
        policy->overflow_uid = read_number("/proc/sys/kernel/overflowuid", OVERFLOW_ID_DEFAULT);
        policy->overflow_gid = read_number("/proc/sys/kernel/overflowgid", OVERFLOW_ID_DEFAULT);
}

uint32_t rpc_policy_rights(const struct rpc_policy *policy, const struct rpc_identity *identity)
{
        uint32_t rights = RPC_RIGHT_CONNECTED;

        /* Whoever could not be mapped into our user namespace is nobody in particular. */
        if (identity->uid == policy->overflow_uid && policy->daemon_uid != policy->overflow_uid)
                return rights;
        if (identity->uid == 0 || identity->uid == policy->daemon_uid)
                return rights | RPC_RIGHT_OBSERVE | RPC_RIGHT_CONTROL | RPC_RIGHT_READ |
                       RPC_RIGHT_ALL;
        if (policy->has_group && policy->vmreq_group != policy->overflow_gid &&
            rpc_identity_in_group(identity, policy->vmreq_group))
                rights |= RPC_RIGHT_OBSERVE | RPC_RIGHT_READ;
        return rights;
}

bool rpc_policy_may_call(uint32_t rights, const struct sym_symbol *symbol)
{
        uint32_t flags = symbol->def->flags;

        if (rights & RPC_RIGHT_ALL)
                return true;
        return (rights & RPC_RIGHT_READ) && (flags & VMREQ_SYM_READ_ONLY) &&
               !(flags & VMREQ_SYM_CONFIDENTIAL);
}
