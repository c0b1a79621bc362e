/* SPDX-License-Identifier: MIT */
/*
 * Accounts in a tree of three levels: connection → uid → daemon.  A charge passes every level or
 * none.
 *
 * Invariant: an account's `used` is the sum of what its children and its own resources hold; so
 * every account is at zero when its last holder goes, and that is asserted there.  A uid's account
 * lives as long as it has connections, or calls that outlived theirs.
 */
#include "rpc/quota.h"

#include <stdlib.h>
#include <string.h>

/* Without this it would end the process for lack of memory. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/check.h"
#include "base/macros.h"
#include "rpc/server.h"

struct rpc_uid_account {
        struct rpc_account account; /* first: an account's parent is cast back to this */
        uid_t uid;
        uint32_t holders; /* connections, and calls that outlived theirs */
        UT_hash_handle hh;
};

static void set_bounds(struct rpc_quota *quota, const struct rpc_limits *limits)
{
        quota->all.max[RPC_CONNECTIONS] = limits->connections;
        quota->all.max[RPC_CALLS] = limits->calls;
        quota->all.max[RPC_BYTES] = limits->bytes;
        quota->all.max[RPC_KEPT] = limits->calls;
        quota->uid_max[RPC_CONNECTIONS] = limits->connections_per_uid;
        quota->uid_max[RPC_CALLS] = limits->calls_per_uid;
        quota->uid_max[RPC_BYTES] = limits->bytes_per_uid;
        quota->uid_max[RPC_KEPT] = limits->kept_per_uid;
        quota->connection_max[RPC_CONNECTIONS] = 1;
        quota->connection_max[RPC_KEPT] = limits->kept_per_uid;
        quota->connection_max[RPC_CALLS] = limits->calls_per_connection;
        quota->connection_max[RPC_BYTES] = limits->bytes_per_connection + limits->frame_bytes;
        /* Somebody else may always come. */
        quota->reserved = MIN(limits->connections_reserved, limits->connections - 1);
}

void rpc_quota_init(struct rpc_quota *quota, const struct rpc_limits *limits)
{
        *quota = (struct rpc_quota){.all = {.what = "daemon"}};
        set_bounds(quota, limits);
}

void rpc_quota_change(struct rpc_quota *quota, const struct rpc_limits *limits)
{
        struct rpc_uid_account *uid, *next;

        set_bounds(quota, limits);
        HASH_ITER(hh, quota->uids, uid, next)
        memcpy(uid->account.max, quota->uid_max, sizeof(uid->account.max));
}

void rpc_account_change(const struct rpc_quota *quota, struct rpc_account *connection)
{
        memcpy(connection->max, quota->connection_max, sizeof(connection->max));
}

void rpc_quota_deinit(struct rpc_quota *quota)
{
        for (unsigned i = 0; i < _RPC_RESOURCE_N; i++)
                CHECK(quota->all.used[i] == 0);
        CHECK(!quota->uids && quota->privileged == 0);
}

static struct rpc_uid_account *uid_account(struct rpc_quota *quota, uid_t uid)
{
        struct rpc_uid_account *found;

        HASH_FIND(hh, quota->uids, &uid, sizeof(uid), found);
        if (found)
                return found;
        found = calloc(1, sizeof(*found));
        if (!found)
                return NULL;
        found->uid = uid;
        found->account.what = "uid";
        found->account.parent = &quota->all;
        for (unsigned i = 0; i < _RPC_RESOURCE_N; i++)
                found->account.max[i] = quota->uid_max[i];
        HASH_ADD(hh, quota->uids, uid, sizeof(uid), found);
        if (!found->hh.tbl) { /* no memory for the table */
                free(found);
                return NULL;
        }
        return found;
}

static void uid_drop(struct rpc_quota *quota, struct rpc_uid_account *uid)
{
        CHECK(uid->holders > 0);
        if (--uid->holders)
                return;
        for (unsigned i = 0; i < _RPC_RESOURCE_N; i++)
                CHECK(uid->account.used[i] == 0);
        HASH_DEL(quota->uids, uid);
        free(uid);
}

/*
 * The first `reserved` connections of the privileged stand in the reserve, all others share what is
 * left of the bound.  So the reserve is only ever missed by those for whom it is not, and theirs
 * does not shrink the others' part before it is full.
 */
static enum rpc_quota_result has_place(const struct rpc_quota *quota,
                                       const struct rpc_uid_account *uid, bool privileged)
{
        uint64_t used = quota->all.used[RPC_CONNECTIONS], max = quota->all.max[RPC_CONNECTIONS];
        uint64_t extra = privileged ? quota->reserved : 0;

        if (uid->account.used[RPC_CONNECTIONS] >= uid->account.max[RPC_CONNECTIONS] + extra)
                return RPC_QUOTA_E_UID;
        if (!privileged) {
                used -= MIN(quota->privileged, quota->reserved);
                max -= quota->reserved;
        }
        return used >= max ? RPC_QUOTA_E_ALL : RPC_QUOTA_OK;
}

enum rpc_quota_result rpc_quota_open(struct rpc_quota *quota, uid_t uid, bool privileged,
                                     struct rpc_account *ret_account)
{
        struct rpc_uid_account *owner = uid_account(quota, uid);
        enum rpc_quota_result result;

        if (!owner)
                return RPC_QUOTA_E_MEMORY;
        owner->holders++;
        result = has_place(quota, owner, privileged);
        if (result != RPC_QUOTA_OK) {
                uid_drop(quota, owner);
                return result;
        }
        *ret_account = (struct rpc_account){
                .parent = &owner->account, .what = "connection", .privileged = privileged};
        rpc_account_change(quota, ret_account);
        rpc_account_force(ret_account, RPC_CONNECTIONS, 1);
        quota->privileged += privileged;
        return RPC_QUOTA_OK;
}

void rpc_quota_close(struct rpc_quota *quota, struct rpc_account *account)
{
        rpc_account_release(account, RPC_CONNECTIONS, 1);
        quota->privileged -= account->privileged;
        for (unsigned i = 0; i < _RPC_RESOURCE_N; i++)
                CHECK(account->used[i] == 0);
        uid_drop(quota, container_of(account->parent, struct rpc_uid_account, account));
}

bool rpc_account_charge(struct rpc_account *account, enum rpc_resource resource, uint64_t n,
                        const struct rpc_account **ret_over)
{
        for (struct rpc_account *a = account; a; a = a->parent) {
                if (a->used[resource] + n > a->max[resource]) {
                        *ret_over = a;
                        return false;
                }
        }
        rpc_account_force(account, resource, n);
        return true;
}

void rpc_account_force(struct rpc_account *account, enum rpc_resource resource, uint64_t n)
{
        for (struct rpc_account *a = account; a; a = a->parent)
                a->used[resource] += n;
}

void rpc_account_release(struct rpc_account *account, enum rpc_resource resource, uint64_t n)
{
        for (struct rpc_account *a = account; a; a = a->parent) {
                CHECK(a->used[resource] >= n);
                a->used[resource] -= n;
        }
}

/* Where rpc_account_charge would say no: the calls are asked for first. */
static void name_full(const struct rpc_account *account, enum rpc_resource *ret_full,
                      const struct rpc_account **ret_over)
{
        const struct rpc_account *a = account;

        while (a && a->used[RPC_CALLS] < a->max[RPC_CALLS])
                a = a->parent;
        *ret_full = a ? RPC_CALLS : RPC_BYTES;
        *ret_over = a;
}

bool rpc_account_charge_call(struct rpc_account *account, uint64_t bytes,
                             enum rpc_resource *ret_full, const struct rpc_account **ret_over)
{
        for (struct rpc_account *a = account; a; a = a->parent) {
                a->used[RPC_CALLS]++;
                a->used[RPC_BYTES] += bytes;
                if (a->used[RPC_CALLS] <= a->max[RPC_CALLS] &&
                    a->used[RPC_BYTES] <= a->max[RPC_BYTES])
                        continue;
                for (struct rpc_account *b = account; b != a->parent; b = b->parent) {
                        b->used[RPC_CALLS]--;
                        b->used[RPC_BYTES] -= bytes;
                }
                name_full(account, ret_full, ret_over);
                if (!*ret_over)
                        *ret_over = a;
                return false;
        }
        return true;
}

void rpc_account_release_call(struct rpc_account *account, uint64_t calls, uint64_t bytes)
{
        for (struct rpc_account *a = account; a; a = a->parent) {
                CHECK(a->used[RPC_CALLS] >= calls && a->used[RPC_BYTES] >= bytes);
                a->used[RPC_CALLS] -= calls;
                a->used[RPC_BYTES] -= bytes;
        }
}

struct rpc_account *rpc_quota_uid_hold(struct rpc_account *connection)
{
        struct rpc_uid_account *uid =
                container_of(connection->parent, struct rpc_uid_account, account);

        uid->holders++;
        return &uid->account;
}

void rpc_quota_uid_drop(struct rpc_quota *quota, struct rpc_account *account)
{
        uid_drop(quota, container_of(account, struct rpc_uid_account, account));
}
