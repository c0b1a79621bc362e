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
 *   3. Free slots are a stack, so that few calls at a time touch few slots; what has arrived is a
 *      queue, with links both ways because a reply may be taken from its middle.
 *   4. A message that is no reply is charged with what it costs to hold, so that a flood of small
 *      ones meets the same bound as a large one.
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

void client_table_start(struct client_table *table, uint64_t sent_at)
{
        struct client_slot *slot = &table->slots[table->free_first];

        table->free_first = slot->next;
        slot->state = CLIENT_SLOT_PENDING;
        slot->n_chunks = 0;
        slot->sent_at = sent_at;
        table->n_pending++;
}

void client_table_forget(struct client_table *table, uint32_t index)
{
        table->slots[index].state = CLIENT_SLOT_FORGOTTEN;
        table->n_pending--;
}

static void append(struct client_table *table, struct client_item *item)
{
        item->next = NULL;
        item->prev = table->last;
        if (table->last)
                table->last->next = item;
        else
                table->first = item;
        table->last = item;
        table->held_bytes += item->held;
}

void client_table_complete(struct client_table *table, uint32_t index,
                           const struct vmreq_client_answer *answer, size_t bytes)
{
        struct client_slot *slot = &table->slots[index];

        slot->state = CLIENT_SLOT_DONE;
        slot->item = (struct client_item){.slot = index, .held = bytes, .answer = *answer};
        append(table, &slot->item);
        table->n_pending--;
}

int client_table_add(struct client_table *table, const struct vmreq_client_answer *answer,
                     size_t bytes)
{
        struct client_item *item = malloc(sizeof(*item));

        if (!item)
                return -ENOMEM;
        *item = (struct client_item){
                .slot = CLIENT_SLOT_NONE,
                .held = bytes + sizeof(*item),
                .answer = *answer,
        };
        append(table, item);
        return 0;
}

void client_table_take(struct client_table *table, struct client_item *item,
                       struct vmreq_client_answer *ret_answer)
{
        if (item->prev)
                item->prev->next = item->next;
        else
                table->first = item->next;
        if (item->next)
                item->next->prev = item->prev;
        else
                table->last = item->prev;
        table->held_bytes -= item->held;
        *ret_answer = item->answer;
        if (item->slot == CLIENT_SLOT_NONE) {
                free(item);
                return;
        }
        memset(&item->answer, 0, sizeof(item->answer));
        client_table_release(table, item->slot);
}

int client_table_init(struct client_table *table, uint32_t n_slots)
{
        *table = (struct client_table){
                .n_slots = n_slots,
                .free_first = CLIENT_SLOT_NONE,
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
        struct vmreq_client_answer answer;

        while (table->first) {
                client_table_take(table, table->first, &answer);
                vmreq_client_answer_deinit(&answer);
        }
        free(table->slots);
        table->slots = NULL;
        table->n_slots = 0;
}
