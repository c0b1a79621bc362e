/* SPDX-License-Identifier: MIT */
/* The guest author's ports: lines for the log, within bounds, and the way out. */
#include "machine/debug-ports.h"

#include "unit/machine/machine-test.h"

static struct debug_ports ports;

static int start(void **state)
{
        (void)state;
        logged[0] = '\0';
        return debug_ports_init(&ports, log_kept, NULL);
}

static int end(void **state)
{
        (void)state;
        debug_ports_deinit(&ports);
        return 0;
}

static void say(const char *text, size_t len)
{
        for (size_t i = 0; i < len; i++)
                assert_int_equal(debug_text_ops.write(&ports, 0, (const uint8_t *)text + i, 1),
                                 BUS_DONE);
}

static void test_lines(void **state)
{
        uint8_t byte = 0xff;

        (void)state;
        debug_text_ops.read(&ports, 0, &byte, 1);
        assert_int_equal(byte, 0xe9);
        say("one\ntw\0o\nthree", 14);
        assert_string_equal(logged, "guest: one|guest: tw o|");
        say("!\n", 2);
        assert_string_equal(logged, "guest: one|guest: tw o|guest: three!|");
        say("half", 4);
        debug_ports_reset(&ports);
        say("new\n", 4);
        assert_string_equal(logged, "guest: one|guest: tw o|guest: three!|guest: new|");
}

static void test_bounds(void **state)
{
        size_t lines = 0;

        (void)state;
        for (int i = 0; i < 100000; i++)
                say(&"xxxxxxxxx\n"[i % 10], 1);
        for (const char *c = logged; *c; c++)
                lines += *c == '|';
        assert_in_range(lines, 1, 1000);
        logged[0] = '\0';
        for (int i = 0; i < 1000; i++)
                say("y", 1); /* no end of a line */
}

static void test_exit(void **state)
{
        uint8_t data[4] = {0xff, 0xff, 0xff, 0xff};

        (void)state;
        debug_exit_ops.read(&ports, 0, data, 4);
        assert_memory_equal(data, "\0\0\0\0", 4);
        say("last words", 10);
        assert_int_equal(debug_exit_ops.write(&ports, 0, data, 1), BUS_POWER_OFF);
        assert_string_equal(logged, "guest: last words|");
        assert_int_equal(debug_exit_ops.write(&ports, 3, data, 4), BUS_POWER_OFF);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_lines, start, end),
                cmocka_unit_test_setup_teardown(test_bounds, start, end),
                cmocka_unit_test_setup_teardown(test_exit, start, end),
        };

        return RUN_TESTS(tests);
}
