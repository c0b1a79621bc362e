/* SPDX-License-Identifier: MIT */
#pragma once
/* What a client is.  For the files of the library only. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/link.h"
#include "client/table.h"
#include "client/vmreq-client.h"
#include "proto/limits.h"
#include "proto/value.h"

/* Of a request, in front of its params: array, type, message id, method. */
#define CLIENT_HEAD_BYTES_MAX (16 + PROTO_NAME_BYTES_MAX)

struct vmreq_client {
        struct client_link link;
        struct client_table table;
        struct proto_arena arena; /* scratch, for errors */

        /* For a new connection: checked, defaults in place, the texts our own copies. */
        struct vmreq_client_config config;
        char *path; /* NULL: adopted */

        uint64_t strays;
        int outcome; /* why it is of no use any more: LOST or PROTOCOL; 0 while it is */
        char reason[256];
        struct vmreq_client_answer greeting;
};

/* True when answers must be taken before more is read. */
bool client_is_full(const struct vmreq_client *client);

/* True for one who may be sent something without a call in flight. */
static inline bool client_takes_messages(const struct vmreq_client *client)
{
        return client->config.flags & (VMREQ_CLIENT_TAKE_COMPLETED | VMREQ_CLIENT_TAKE_EVENTS);
}

/* Ends the connection; answers that have arrived stay.  Returns `outcome`. */
int client_end(struct vmreq_client *client, int outcome, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
