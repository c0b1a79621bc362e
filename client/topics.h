/* SPDX-License-Identifier: MIT */
#pragma once
/* Subscriptions to what the server tells on its own. */

#include <stddef.h>

#include "client/ctl.h"

#define TOPICS_MS 2000 /* what subscribing may take */

/* Subscribes to `n` topics; an enum ctl_exit, reported. */
int topics_subscribe(struct ctl *ctl, const char *const *names, size_t n);
/* The same of one that can be done without: a refusal is nothing to report. */
int topics_try(struct ctl *ctl, const char *name);

/*
 * In a shell, whose connection goes on: no more of any topic, and what had come is dropped.
 * Elsewhere nothing: the connection is about to end.
 */
void topics_unsubscribe(struct ctl *ctl);
