/* SPDX-License-Identifier: MIT */
#pragma once
/* Who is at the other end of a socket, as the kernel says at accept. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Supplementary groups that are looked at.  Linux allows 65536; who has more is refused at the
 * door. */
#define RPC_GROUPS_MAX 65536u

struct rpc_identity {
        uid_t uid;
        gid_t gid;
        pid_t pid;
        gid_t *groups; /* supplementary, ascending; owned */
        uint32_t n_groups;
};

/* Reads it from a connected Unix socket.  0, or a negative errno. */
int rpc_identity_read(int fd, struct rpc_identity *ret_identity);
void rpc_identity_deinit(struct rpc_identity *identity);

/* Puts groups that came from elsewhere into order. */
void rpc_identity_sort(struct rpc_identity *identity);

/* Is `gid` the primary or a supplementary group? */
bool rpc_identity_in_group(const struct rpc_identity *identity, gid_t gid);
