/* SPDX-License-Identifier: MIT */
#pragma once
/* Which socket to talk to. */

#include <stdbool.h>
#include <stddef.h>

/* Where sockets are looked for; a test makes its own. */
struct sockets_places {
        const char *system_dir; /* "/run/vmreqd" */
        const char
                *runtime_dir; /* $XDG_RUNTIME_DIR; NULL if unset.  "vmreqd" below it is looked at */
        const char *environment; /* $VMREQ_SOCKET; NULL if unset */
        bool root;               /* root's VMs are the system's */
};

enum sockets_result {
        SOCKETS_OK = 0,
        SOCKETS_E_NAME, /* not the name of a VM */
        SOCKETS_E_NONE, /* no socket anywhere */
        SOCKETS_E_MANY, /* more than one: which? */
        SOCKETS_E_LONG, /* the path does not fit */
};

/* As this process finds them. */
struct sockets_places sockets_places(void);

/*
 * The path of the socket: `path` if not NULL; else of the VM `machine` if not NULL; else the
 * environment's; else the only one there is.  On failure reterr_text gets one line that says what
 * to do.
 */
enum sockets_result sockets_find(const struct sockets_places *places, const char *path,
                                 const char *machine, char *ret_path, size_t path_size,
                                 char *reterr_text, size_t text_size);

/* A place where a VM listens, or has listened. */
struct sockets_place {
        char name[80], path[512];
};

/*
 * All that there are in the two directories, the user's first, each in the order of names; at most
 * `max`.  Returns how many.
 */
size_t sockets_all(const struct sockets_places *places, struct sockets_place *ret_all, size_t max);
