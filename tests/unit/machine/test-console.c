/* SPDX-License-Identifier: MIT */
/* The console's rings: positions, what is lost, who is told and how often, and input. */
#include "machine/console.h"

#include "unit/machine/machine-test.h"

static struct console console;
static _Atomic uint32_t told;

static void on_output(void *ctx)
{
        CHECK(ctx == &told);
        atomic_fetch_add(&told, 1);
}

static int start(void **state)
{
        (void)state;
        atomic_store(&told, 0);
        return console_init(&console, on_output, &told);
}

static int end(void **state)
{
        (void)state;
        console_deinit(&console);
        return 0;
}

static void write_text(const char *text)
{
        console_write(&console, (const uint8_t *)text, strlen(text));
}

static void test_positions(void **state)
{
        uint64_t position = 0, lost;
        char data[32] = "";

        (void)state;
        assert_int_equal(console_read(&console, &position, data, sizeof(data), &lost), 0);
        write_text("hello ");
        write_text("world");
        assert_int_equal(console_end(&console), 11);
        assert_int_equal(console_begin(&console), 0);
        assert_int_equal(console_read(&console, &position, data, 4, &lost), 4);
        assert_memory_equal(data, "hell", 4);
        assert_int_equal(console_read(&console, &position, data, sizeof(data), &lost), 7);
        assert_memory_equal(data, "o world", 7);
        assert_int_equal(lost, 0);
        assert_int_equal(position, 11);
        /* From the future: nothing, and back to where there is something to come. */
        position = 1000;
        assert_int_equal(console_read(&console, &position, data, sizeof(data), &lost), 0);
        assert_int_equal(position, 11);
        assert_int_equal(lost, 0);
}

static void test_lost(void **state)
{
        static uint8_t many[3 * CONSOLE_OUTPUT_BYTES + 5], data[CONSOLE_OUTPUT_BYTES + 1];
        uint64_t position = 3, lost;

        (void)state;
        for (size_t i = 0; i < sizeof(many); i++)
                many[i] = (uint8_t)(i * 31 >> 3);
        for (size_t at = 0, step = 1; at < sizeof(many); at += step) {
                step = MIN((size_t)(at * 7 % 9973 + 1), sizeof(many) - at);
                console_write(&console, many + at, step);
        }
        assert_int_equal(console_begin(&console), sizeof(many) - CONSOLE_OUTPUT_BYTES);
        assert_int_equal(console_read(&console, &position, data, sizeof(data), &lost),
                         CONSOLE_OUTPUT_BYTES);
        assert_int_equal(lost, sizeof(many) - CONSOLE_OUTPUT_BYTES - 3);
        assert_int_equal(position, sizeof(many));
        assert_memory_equal(data, many + sizeof(many) - CONSOLE_OUTPUT_BYTES, CONSOLE_OUTPUT_BYTES);
        /* More at once than there is room for: its end stays. */
        console_write(&console, many, sizeof(many));
        position = 0;
        (void)console_read(&console, &position, data, 1, &lost);
        assert_int_equal(lost, 2 * sizeof(many) - CONSOLE_OUTPUT_BYTES);
        assert_int_equal(data[0], many[sizeof(many) - CONSOLE_OUTPUT_BYTES]);
}

static void test_told_once(void **state)
{
        uint64_t position = 0, lost;
        char data[8];

        (void)state;
        for (int i = 0; i < 100; i++)
                write_text("x");
        write_text("");
        assert_int_equal(atomic_load(&told), 1);
        (void)console_read(&console, &position, data, sizeof(data), &lost);
        write_text("x");
        write_text("x");
        assert_int_equal(atomic_load(&told), 2);
}

static void test_input(void **state)
{
        uint8_t many[CONSOLE_INPUT_BYTES + 10];

        (void)state;
        for (size_t i = 0; i < sizeof(many); i++)
                many[i] = (uint8_t)i;
        assert_false(console_has_input(&console));
        assert_int_equal(console_take(&console), -1);
        for (unsigned round = 0; round < 3; round++) {
                assert_int_equal(console_type(&console, many, 100), 100);
                assert_int_equal(console_type(&console, many + 100, sizeof(many) - 100),
                                 CONSOLE_INPUT_BYTES - 100);
                assert_int_equal(console_type(&console, many, 1), 0);
                for (size_t i = 0; i < CONSOLE_INPUT_BYTES; i++) {
                        assert_true(console_has_input(&console));
                        assert_int_equal(console_take(&console), many[i]);
                }
                assert_int_equal(console_take(&console), -1);
                assert_int_equal(console_type(&console, many, 3),
                                 3); /* so that it wraps elsewhere */
                while (console_take(&console) >= 0)
                        ;
        }
}

/* ---- waiting ---- */

#define BYTES 200000u

static _Atomic uint64_t seen, missed;

static void *reader(void *arg)
{
        uint64_t position = 0, lost;
        uint8_t data[64];

        (void)arg;
        while (console_wait(&console, position)) {
                size_t n = console_read(&console, &position, data, sizeof(data), &lost);

                CHECK(n);
                for (size_t i = 0; i < n; i++)
                        CHECK(data[i] == (uint8_t)(position - n + i));
                atomic_fetch_add(&seen, n);
                atomic_fetch_add(&missed, lost);
        }
        return NULL;
}

/* Every byte is read or counted as lost, also those of the last moment. */
static void test_wait(void **state)
{
        pthread_t thread;

        (void)state;
        atomic_store(&seen, 0);
        atomic_store(&missed, 0);
        assert_int_equal(pthread_create(&thread, NULL, reader, NULL), 0);
        for (uint32_t i = 0; i < BYTES; i++) {
                uint8_t byte = (uint8_t)i;

                console_write(&console, &byte, 1);
        }
        console_close(&console);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(atomic_load(&seen) + atomic_load(&missed), BYTES);
        assert_false(console_wait(&console, BYTES));
        assert_true(console_wait(&console, BYTES - 1));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_positions, start, end),
                cmocka_unit_test_setup_teardown(test_lost, start, end),
                cmocka_unit_test_setup_teardown(test_told_once, start, end),
                cmocka_unit_test_setup_teardown(test_input, start, end),
                cmocka_unit_test_setup_teardown(test_wait, start, end),
        };

        return RUN_TESTS(tests);
}
