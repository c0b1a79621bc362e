/* SPDX-License-Identifier: MIT */
/*
 * The request table of the client library.  Called by client.c only, on the caller's thread; knows
 * no bytes.
 *
 *   1. A message id is a slot's index and that slot's generation, so finding a call costs one
 *      comparison, and an answer to a call that is over finds nothing (until 65536 calls later in
 *      the same slot).
 *   2. A forgotten call keeps its slot until its answer comes: its id must not name another call
 *      before.
 *   3. Free slots are a stack, so that few calls at a time touch few slots; answers are a queue,
 *      with links both ways because one may be taken from its middle.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/table.h"

uint32_t client_table_msgid(const struct client_table *table, uint32_t index)
{
        return (uint32_t)table->slots[index].generation << 16 | index;
}

uint32_t client_table_find(const struct client_table *table, uint32_t msgid)
{
        uint32_t index = msgid & 0xffff;

        if (index >= table->n_slots || table->slots[index].state == CLIENT_SLOT_FREE ||
            client_table_msgid(table, index) != msgid)
                return CLIENT_SLOT_NONE;
        return index;
}

void client_table_release(struct client_table *table, uint32_t index)
{
        struct client_slot *slot = &table->slots[index];

        slot->state = CLIENT_SLOT_FREE;
        slot->generation++;
        slot->next = table->free_first;
        table->free_first = index;
}

void client_table_start(struct client_table *table)
{
        struct client_slot *slot = &table->slots[table->free_first];

        table->free_first = slot->next;
        slot->state = CLIENT_SLOT_PENDING;
        table->n_pending++;
}

void client_table_forget(struct client_table *table, uint32_t index)
{
        table->slots[index].state = CLIENT_SLOT_FORGOTTEN;
        table->n_pending--;
}

void client_table_complete(struct client_table *table, uint32_t index,
                           const struct vmreq_client_answer *answer, size_t bytes)
{
        struct client_slot *slot = &table->slots[index];

        slot->state = CLIENT_SLOT_DONE;
        slot->held = bytes;
        slot->answer = *answer;
        slot->next = CLIENT_SLOT_NONE;
        slot->prev = table->done_last;
        if (table->done_last == CLIENT_SLOT_NONE)
                table->done_first = index;
        else
                table->slots[table->done_last].next = index;
        table->done_last = index;
        table->n_pending--;
        table->held_bytes += bytes;
}

void client_table_take(struct client_table *table, uint32_t index,
                       struct vmreq_client_answer *ret_answer)
{
        struct client_slot *slot = &table->slots[index];

        if (slot->prev == CLIENT_SLOT_NONE)
                table->done_first = slot->next;
        else
                table->slots[slot->prev].next = slot->next;
        if (slot->next == CLIENT_SLOT_NONE)
                table->done_last = slot->prev;
        else
                table->slots[slot->next].prev = slot->prev;
        table->held_bytes -= slot->held;
        *ret_answer = slot->answer;
        memset(&slot->answer, 0, sizeof(slot->answer));
        client_table_release(table, index);
}

int client_table_init(struct client_table *table, uint32_t n_slots)
{
        *table = (struct client_table){
                .n_slots = n_slots,
                .free_first = CLIENT_SLOT_NONE,
                .done_first = CLIENT_SLOT_NONE,
                .done_last = CLIENT_SLOT_NONE,
        };
        table->slots = calloc(n_slots, sizeof(*table->slots));
        if (!table->slots) {
                table->n_slots = 0;
                return -ENOMEM;
        }
        for (uint32_t i = n_slots; i > 0; i--)
                client_table_release(table, i - 1);
        return 0;
}

void client_table_deinit(struct client_table *table)
{
        for (uint32_t i = 0; i < table->n_slots; i++) {
                if (table->slots[i].state == CLIENT_SLOT_DONE)
                        vmreq_client_answer_deinit(&table->slots[i].answer);
        }
        free(table->slots);
        table->slots = NULL;
        table->n_slots = 0;
}
