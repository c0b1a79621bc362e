/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One end of a stream socket: bytes in, cut into frames, and frames out, both bounded, neither ever
 * blocking. For this room and its unit tests.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/builder.h"
#include "proto/frame.h"

struct client_link {
        int fd; /* owned; -1 when closed */
        size_t frame_bytes_max;

        struct proto_frame frame; /* of the first frame in the input */
        uint8_t *in;
        size_t in_start, in_len, in_cap; /* the frame begins at in_start, in_len bytes are there */
        bool eof;                        /* no more will come */
        int error;                       /* errno of the read or write that failed; 0: none */

        struct proto_builder out;
        size_t out_sent; /* bytes at its front that are written */
        uint64_t sent;   /* bytes written since the connection began */
        bool out_broken; /* the peer takes no more */
};

/* Nanoseconds on CLOCK_MONOTONIC; `wait_ns` from now, saturating; what is left until a deadline. */
uint64_t client_now(void);
uint64_t client_deadline(uint64_t wait_ns);
uint64_t client_left(uint64_t deadline_ns);

/*
 * Connects to a Unix stream socket; blocks until `deadline_ns` at most.  0, -ETIMEDOUT,
 * -ENAMETOOLONG, or what connect(2) says.
 */
int client_link_open(const char *path, uint64_t deadline_ns, int *ret_fd);

/* Takes over `fd`, which becomes non-blocking.  0 or negative errno (fd not taken). */
int client_link_init(struct client_link *link, int fd, size_t frame_bytes_max,
                     size_t out_bytes_max);
/* Closes and frees.  Idempotent. */
void client_link_deinit(struct client_link *link);
/* Ends the connection, keeps the descriptor. */
void client_link_shutdown(struct client_link *link);

/* Bytes waiting to be written. */
size_t client_link_unsent(const struct client_link *link);
/* Makes the room at the front of `out` usable again; call before putting `need` bytes into it. */
void client_link_compact(struct client_link *link, size_t need);
/* Writes what goes; what cannot be written any more is dropped, and out_broken set. */
void client_link_write(struct client_link *link);

/* Reads once.  1: something came; 0: nothing there now, or nothing any more (eof); -ENOMEM. */
int client_link_read(struct client_link *link);

/*
 * The first frame of the input: DONE with its bytes, borrowed until client_link_consume; MORE; or
 * an error, which is final.
 */
enum proto_frame_result client_link_frame(struct client_link *link, const uint8_t **ret_data,
                                          size_t *ret_len);
/* Drops the frame that client_link_frame gave. */
void client_link_consume(struct client_link *link);
/* True if the input ends inside a frame. */
bool client_link_torn(const struct client_link *link);
