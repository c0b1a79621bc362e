/* SPDX-License-Identifier: MIT */
#pragma once
/* The journal's door: the only file that sends to it. */

#include <stdbool.h>

#include "base/log.h"

/* Is `fd` the stream that the service manager has tied to the journal?  Then records go there with
 * their fields, by journal_write, and not as lines. */
bool journal_is_at(int fd);

/* A log_sink.  May block for as long as the journal is stopped. */
bool journal_write(void *ctx, const struct log_record *record);
