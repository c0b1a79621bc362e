/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Who holds how much.  Three resources - connections, calls, bytes - each counted for the
 * connection, for its uid, and in all.  A charge is taken before the resource and given back where
 * the resource is destroyed; at shutdown every account must stand at zero.  Loop thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum rpc_resource { RPC_CONNECTIONS, RPC_CALLS, RPC_BYTES, RPC_KEPT, _RPC_RESOURCE_N };

/* One holder's figures. */
struct rpc_account {
        uint64_t used[_RPC_RESOURCE_N];
        uint64_t max[_RPC_RESOURCE_N];
        struct rpc_account *parent; /* connection → uid → all; NULL at the top */
        bool privileged;            /* a connection of root or the daemon's user */
        uint64_t turn, turn_ns;     /* of a uid: the loop's time in that turn of it */
        uint64_t rest_ns;           /* and until when it rests */
        const char *what;           /* "connection", "uid", "daemon": for messages */
};

struct rpc_uid_account;

struct rpc_quota {
        struct rpc_account all;
        /* Connections that are kept for root and the daemon's user, and how many of theirs there
         * are. */
        uint64_t reserved, privileged;
        uint64_t uid_max[_RPC_RESOURCE_N];
        uint64_t connection_max[_RPC_RESOURCE_N];
        struct rpc_uid_account *uids; /* hash by uid */
};

struct rpc_limits;

void rpc_quota_init(struct rpc_quota *quota, const struct rpc_limits *limits);
/* Other bounds from now on.  Accounts of connections follow with rpc_account_change. */
void rpc_quota_change(struct rpc_quota *quota, const struct rpc_limits *limits);
void rpc_account_change(const struct rpc_quota *quota, struct rpc_account *connection);
/* Asserts that everything is home. */
void rpc_quota_deinit(struct rpc_quota *quota);

enum rpc_quota_result {
        RPC_QUOTA_OK = 0,
        RPC_QUOTA_E_UID, /* its uid has as many connections as it may */
        RPC_QUOTA_E_ALL, /* there are as many as there may be */
        RPC_QUOTA_E_MEMORY,
};

/*
 * Opens a connection's account below its uid's; charges one connection.  `privileged`: of root or
 * the daemon's user, who find the reserved connections beyond either bound.
 */
enum rpc_quota_result rpc_quota_open(struct rpc_quota *quota, uid_t uid, bool privileged,
                                     struct rpc_account *ret_account);
/* Closes it; calls and bytes that belong to the uid from then on are charged there: see
 * rpc_account_up. */
void rpc_quota_close(struct rpc_quota *quota, struct rpc_account *account);

/* Charges `n` on the account and all above it, or on none.  False: *ret_over is the account whose
 * bound it would pass. */
bool rpc_account_charge(struct rpc_account *account, enum rpc_resource resource, uint64_t n,
                        const struct rpc_account **ret_over);
/* The same, past any bound: for what cannot be refused any more. */
void rpc_account_force(struct rpc_account *account, enum rpc_resource resource, uint64_t n);
void rpc_account_release(struct rpc_account *account, enum rpc_resource resource, uint64_t n);

/* One call and its bytes, both or none; each call comes by here.  False: *ret_full of *ret_over is
 * used up. */
bool rpc_account_charge_call(struct rpc_account *account, uint64_t bytes,
                             enum rpc_resource *ret_full, const struct rpc_account **ret_over);
/* `calls` calls and `bytes` bytes. */
void rpc_account_release_call(struct rpc_account *account, uint64_t calls, uint64_t bytes);

/* Keeps a uid's account open while a call outlives its connection. */
struct rpc_account *rpc_quota_uid_hold(struct rpc_account *connection);
void rpc_quota_uid_drop(struct rpc_quota *quota, struct rpc_account *uid_account);
