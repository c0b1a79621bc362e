/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The calls of one client: message id → slot.  A slot is free, in flight, or holds a reply.  All
 * that has arrived and that nobody has taken, replies and messages of their own, is one list in the
 * order of arrival.  For this room and its unit tests.
 */

#include <stddef.h>
#include <stdint.h>

#include "client/vmreq-client.h"

#define CLIENT_SLOT_NONE UINT32_MAX
#define CLIENT_SLOTS_MAX 65535u

enum client_slot_state {
        CLIENT_SLOT_FREE,
        CLIENT_SLOT_PENDING,
        CLIENT_SLOT_FORGOTTEN, /* in flight, and nobody will take the answer */
        CLIENT_SLOT_DONE,
};

/* Something that has arrived. */
struct client_item {
        struct client_item *next, *prev;
        uint32_t slot; /* whose reply it is; CLIENT_SLOT_NONE: a message, on the heap */
        size_t held;   /* bytes that it is charged with */
        struct vmreq_client_answer answer;
};

struct client_slot {
        uint32_t next; /* FREE: the next free one */
        uint16_t generation;
        uint8_t state;     /* enum client_slot_state */
        uint64_t n_chunks; /* in flight: those that came */
        uint64_t sent_at;  /* in flight: where its frame ends in all that this connection sends */
        struct client_item item; /* DONE */
};

struct client_table {
        struct client_slot *slots;
        uint32_t n_slots;
        uint32_t free_first;              /* CLIENT_SLOT_NONE: the table is full */
        struct client_item *first, *last; /* what has arrived; NULL: nothing */
        uint32_t n_pending;               /* FORGOTTEN ones not counted */
        size_t held_bytes;                /* of all that has arrived */
};

/* `n_slots` in 1..CLIENT_SLOTS_MAX.  0 or -ENOMEM. */
int client_table_init(struct client_table *table, uint32_t n_slots);
/* Frees it, and the answers in it.  Idempotent. */
void client_table_deinit(struct client_table *table);

/* The message id of a slot, as long as it is in use (for the free one: as soon as). */
uint32_t client_table_msgid(const struct client_table *table, uint32_t index);
/* The slot in use under that id; CLIENT_SLOT_NONE if there is none. */
uint32_t client_table_find(const struct client_table *table, uint32_t msgid);

/* free_first → PENDING; it must be there. */
void client_table_start(struct client_table *table, uint64_t sent_at);
/* PENDING → FORGOTTEN. */
void client_table_forget(struct client_table *table, uint32_t index);
/* PENDING → DONE; the answer is moved into it and charged with `bytes`. */
void client_table_complete(struct client_table *table, uint32_t index,
                           const struct vmreq_client_answer *answer, size_t bytes);
/* A message that is no reply; the answer is moved, unless -ENOMEM. */
int client_table_add(struct client_table *table, const struct vmreq_client_answer *answer,
                     size_t bytes);
/* Takes an item off the list, and its answer out; DONE → FREE. */
void client_table_take(struct client_table *table, struct client_item *item,
                       struct vmreq_client_answer *ret_answer);
/* FORGOTTEN → FREE. */
void client_table_release(struct client_table *table, uint32_t index);
