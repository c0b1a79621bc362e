/* SPDX-License-Identifier: MIT */
/*
 * The request table: ids are never shared, answers keep their order, a slot's life has no
 * shortcuts.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/table.h"

#define SLOTS 3

static uint32_t start(struct client_table *table)
{
        uint32_t index = table->free_first;

        assert_int_not_equal(index, CLIENT_SLOT_NONE);
        client_table_start(table, 0);
        return index;
}

static void complete(struct client_table *table, uint32_t index)
{
        struct vmreq_client_answer answer = {.msgid = client_table_msgid(table, index)};

        client_table_complete(table, index, &answer, 10);
}

static void test_ids(void **state)
{
        struct client_table table;
        uint32_t index, msgid;

        (void)state;
        assert_int_equal(client_table_init(&table, SLOTS), 0);
        for (int i = 0; i < 70000; i++) {
                index = start(&table);
                msgid = client_table_msgid(&table, index);
                assert_int_equal(client_table_find(&table, msgid), index);
                assert_int_equal(client_table_find(&table, msgid + 0x10000), CLIENT_SLOT_NONE);
                client_table_forget(&table, index);
                client_table_release(&table, index);
                assert_int_equal(client_table_find(&table, msgid), CLIENT_SLOT_NONE);
        }
        assert_int_equal(client_table_find(&table, 0xffff), CLIENT_SLOT_NONE);
        assert_int_equal(client_table_find(&table, SLOTS), CLIENT_SLOT_NONE);
        client_table_deinit(&table);
        client_table_deinit(&table);
}

/* Every order of completing three calls, and of taking their answers. */
static void test_orders(void **state)
{
        static const int orders[6][SLOTS] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                             {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
        struct vmreq_client_answer answer;
        struct client_table table;
        uint32_t slots[SLOTS];

        (void)state;
        assert_int_equal(client_table_init(&table, SLOTS), 0);
        for (int o = 0; o < 36; o++) {
                for (int i = 0; i < SLOTS; i++)
                        slots[i] = start(&table);
                assert_int_equal(table.free_first, CLIENT_SLOT_NONE);
                for (int i = 0; i < SLOTS; i++)
                        complete(&table, slots[orders[o / 6][i]]);
                assert_int_equal(table.n_pending, 0);
                assert_int_equal(table.held_bytes, 30);
                assert_ptr_equal(table.first, &table.slots[slots[orders[o / 6][0]]].item);
                assert_ptr_equal(table.last, &table.slots[slots[orders[o / 6][2]]].item);
                for (int i = 0; i < SLOTS; i++) {
                        uint32_t index = slots[orders[o % 6][i]];
                        uint32_t msgid = client_table_msgid(&table, index);

                        client_table_take(&table, &table.slots[index].item, &answer);
                        assert_int_equal(answer.msgid, msgid);
                }
                assert_null(table.first);
                assert_null(table.last);
                assert_int_equal(table.held_bytes, 0);
        }
        client_table_deinit(&table);
}

/* Messages and replies are one queue; a message is charged with more than its bytes. */
static void test_messages(void **state)
{
        struct vmreq_client_answer answer = {.kind = VMREQ_CLIENT_EVENT};
        struct client_table table;
        uint32_t index;

        (void)state;
        assert_int_equal(client_table_init(&table, SLOTS), 0);
        index = start(&table);
        assert_int_equal(client_table_add(&table, &answer, 100), 0);
        complete(&table, index);
        assert_int_equal(client_table_add(&table, &answer, 0), 0);
        assert_true(table.held_bytes >= 110 + 2 * sizeof(struct client_item));
        assert_int_equal(table.free_first == index, 0);

        client_table_take(&table, &table.slots[index].item, &answer);
        assert_int_equal(answer.kind, 0);
        client_table_take(&table, table.first, &answer);
        assert_int_equal(answer.kind, VMREQ_CLIENT_EVENT);
        assert_ptr_equal(table.first, table.last);
        client_table_deinit(&table); /* with one message in it */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ids),
                cmocka_unit_test(test_orders),
                cmocka_unit_test(test_messages),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
