/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Configuration and policy files are INI, parsed by inih - but only through here.  inih cuts lines
 * at 199 bytes and names of sections at 49 without a word, takes an indented line for more of the
 * value above it, ignores what stands behind a section's bracket, and does not count lines for its
 * handler.  So this reader counts, refuses what inih would bend - lines of 190 bytes or more, NUL
 * and other control bytes among it - and names file and line in whatever it refuses.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* A line must be shorter, its end not counted. */
#define CONF_LINE_BYTES 190
/* The name of a section is at most this long: what inih keeps of it. */
#define CONF_SECTION_BYTES_MAX 49
/* A file must not be larger. */
#define CONF_FILE_BYTES_MAX (1u << 20)

/*
 * Who takes what is read, in the order of the file.  False: it is wrong, and `why` (size bytes)
 * says what was expected, without file and line; nothing more is read then.
 */
struct conf_handler {
        /* "[name]"; may be NULL. */
        bool (*section)(void *ctx, unsigned line, const char *name, char *why, size_t size);
        /* "key = value"; `section` is "" above the first one. */
        bool (*setting)(void *ctx, unsigned line, const char *section, const char *key,
                        const char *value, char *why, size_t size);
        void *ctx;
};

/* False: one line in reterr_text, "NAME:LINE: …". */
bool conf_read(FILE *file, const char *name, const struct conf_handler *handler, char *reterr_text,
               size_t size);
/* The same for the file at `path`. */
bool conf_read_file(const char *path, const struct conf_handler *handler, char *reterr_text,
                    size_t size);
