/* SPDX-License-Identifier: MIT */
#include "rpc/identity.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

static int compare_groups(const void *a, const void *b)
{
        const gid_t *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

void rpc_identity_sort(struct rpc_identity *identity)
{
        if (identity->n_groups)
                qsort(identity->groups, identity->n_groups, sizeof(gid_t), compare_groups);
}

/* The length is not known before: asking with too little room tells it. */
static int read_groups(int fd, struct rpc_identity *identity)
{
        socklen_t len = 64 * sizeof(gid_t);

        for (;;) {
                gid_t *groups = realloc(identity->groups, len ? len : sizeof(gid_t));

                if (!groups)
                        return -ENOMEM;
                identity->groups = groups;
                if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == 0)
                        break;
                if (errno == ENODATA) {
                        len = 0; /* the peer had no credentials structure of its own */
                        break;
                }
                if (errno != ERANGE)
                        return -errno;
                if (len > RPC_GROUPS_MAX * sizeof(gid_t))
                        return -E2BIG;
        }
        identity->n_groups = (uint32_t)(len / sizeof(gid_t));
        rpc_identity_sort(identity);
        return 0;
}

int rpc_identity_read(int fd, struct rpc_identity *ret_identity)
{
        struct rpc_identity identity = {0};
        struct ucred cred;
        socklen_t len = sizeof(cred);
        int r;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
                return -errno;
        identity.uid = cred.uid;
        identity.gid = cred.gid;
        identity.pid = cred.pid;
        r = read_groups(fd, &identity);
        if (r) {
                rpc_identity_deinit(&identity);
                return r;
        }
        *ret_identity = identity;
        return 0;
}

void rpc_identity_deinit(struct rpc_identity *identity)
{
        free(identity->groups);
        identity->groups = NULL;
        identity->n_groups = 0;
}

bool rpc_identity_in_group(const struct rpc_identity *identity, gid_t gid)
{
        if (identity->gid == gid)
                return true;
        return identity->n_groups && bsearch(&gid, identity->groups, identity->n_groups,
                                             sizeof(gid), compare_groups) != NULL;
}
