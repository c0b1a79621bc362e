/* SPDX-License-Identifier: MIT */
/* The ring of events: every reader gets every event once, in order, or is told how many it missed.
 */
#include "rpc/event-ring.h"

#include <unistd.h>

#include "unit/rpc/wire.h"

#define CAP 1024u

static struct rpc_event_ring ring;

static int start(void **state)
{
        (void)state;
        return !rpc_event_ring_init(&ring, CAP);
}

static int end(void **state)
{
        (void)state;
        rpc_event_ring_deinit(&ring);
        rpc_event_ring_deinit(&ring);
        return 0;
}

static void put_text(const char *text)
{
        rpc_event_ring_put(&ring, text, strlen(text));
}

static void expect(struct rpc_event_cursor *cursor, const char *text, uint64_t lost)
{
        uint64_t seen = 99;
        size_t len = 0;
        const uint8_t *event = rpc_event_ring_read(&ring, cursor, &len, &seen);

        assert_int_equal(seen, lost);
        if (!text) {
                assert_null(event);
                return;
        }
        assert_non_null(event);
        assert_int_equal(len, strlen(text));
        assert_memory_equal(event, text, len);
}

static void test_readers(void **state)
{
        struct rpc_event_cursor a = rpc_event_ring_now(&ring), b;

        (void)state;
        expect(&a, NULL, 0);
        put_text("one");
        b = rpc_event_ring_now(&ring);
        put_text("");
        put_text("three");
        expect(&a, "one", 0);
        expect(&a, "", 0);
        expect(&b, "", 0);
        expect(&b, "three", 0);
        expect(&b, NULL, 0);
        put_text("four");
        expect(&a, "three", 0);
        expect(&a, "four", 0);
        expect(&b, "four", 0);
        expect(&a, NULL, 0);
}

static void test_what_was_never_put(void **state)
{
        struct rpc_event_cursor a = rpc_event_ring_now(&ring), b = a;
        char long_one[CAP];

        (void)state;
        put_text("one");
        rpc_event_ring_skip(&ring, 3);
        expect(&a, "one", 0);
        expect(&a, NULL, 3);
        expect(&a, NULL, 0);
        memset(long_one, 'x', sizeof(long_one));
        rpc_event_ring_put(&ring, long_one, rpc_event_ring_max(&ring) + 1);
        put_text("two");
        expect(&a, "two", 1);
        expect(&b, "one", 0);
        expect(&b, "two", 4);
        rpc_event_ring_put(&ring, long_one, rpc_event_ring_max(&ring));
        put_text("three");
        (void)rpc_event_ring_read(&ring, &a, &(size_t){0}, &(uint64_t){0});
        expect(&a, "three", 0);
}

/* Random events and random readers, against their numbers: what is read and what is told as lost
 * make the whole, and what is lost is old. */
static void test_random(void **state)
{
        struct {
                struct rpc_event_cursor cursor;
                uint64_t next;
        } readers[4];
        uint64_t n = 0, most = 0;

        (void)state;
        srandom(11);
        for (int i = 0; i < 4; i++) {
                readers[i].cursor = rpc_event_ring_now(&ring);
                readers[i].next = 0;
        }
        for (int i = 0; i < 300000; i++) {
                int who = (int)(random() % 12);
                uint8_t event[200];
                const uint8_t *got;
                uint64_t lost, number;
                size_t len;

                if (who >= 4) {
                        len = sizeof(number) + (size_t)random() % (sizeof(event) - sizeof(number));
                        memset(event, (int)(n % 251), sizeof(event));
                        memcpy(event, &n, sizeof(n));
                        rpc_event_ring_put(&ring, event, len);
                        n++;
                        continue;
                }
                got = rpc_event_ring_read(&ring, &readers[who].cursor, &len, &lost);
                readers[who].next += lost;
                most = lost > most ? lost : most;
                if (!got) {
                        assert_int_equal(readers[who].next, n);
                        continue;
                }
                memcpy(&number, got, sizeof(number));
                assert_int_equal(number, readers[who].next++);
                for (size_t k = sizeof(number); k < len; k++)
                        assert_int_equal(got[k], number % 251);
                /* What is kept is the newest: at least three of the longest fit. */
                assert_true(lost == 0 || n - number >= 3);
        }
        assert_true(most > 10);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_readers, start, end),
                cmocka_unit_test_setup_teardown(test_what_was_never_put, start, end),
                cmocka_unit_test_setup_teardown(test_random, start, end),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("event-ring", tests, NULL, NULL);
}
