/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A file that is there when it is complete, and not before: written under a temporary name beside
 * it, and renamed.  What is no regular file (a device, a pipe), and "-", standard output, is
 * written to directly.
 */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct output {
        int fd;                   /* -1: none */
        char path[PATH_MAX];      /* what it is going to be; "" for standard output */
        char temporary[PATH_MAX]; /* its name until then */
        bool made;                /* under that name */
        int interrupt;            /* -1: none; readable: writing waits for nobody any more */
        uint64_t bytes;
};

#define OUTPUT_NULL                                                                                \
        {                                                                                          \
                -1, "", "", false, -1, 0                                                           \
        }

/*
 * Finds out what `path` is, and opens it if it is to be written to directly; may wait there, as
 * opening a named pipe does.  0 or -errno; -EISDIR, -ENOTTY: standard output is a terminal.
 */
int output_find(struct output *output, const char *path);
/* Makes the temporary file, readable by its owner only.  0 or -errno. */
int output_begin(struct output *output);
/* 0 or -errno; -EINTR: it would have had to wait, and `interrupt` has become readable. */
int output_write(struct output *output, const void *data, size_t len);
/* Everything is on the disk, and under its name.  0 or -errno: then as output_abandon. */
int output_commit(struct output *output);
/* Removes what is not complete, if it is a file of our own.  Idempotent. */
void output_abandon(struct output *output);
