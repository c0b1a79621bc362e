/* SPDX-License-Identifier: MIT */
/* What is plugged in where, and that it works together: a port, the console behind it, its line. */
#include "unit/machine/fake-backend.h"

static const struct machine_hooks hooks = {.log = log_kept};
static struct machine *machine;

static int start(void **state)
{
        struct machine_settings settings = fake_settings();
        struct machine_text text;

        (void)state;
        memset(&fake, 0, sizeof(fake));
        logged[0] = '\0';
        return machine_new(&settings, 1, &hooks, &machine, &text);
}

static int end(void **state)
{
        (void)state;
        (void)machine_close(machine, UINT64_MAX);
        machine = machine_free(machine);
        return 0;
}

static enum bus_outcome out(uint64_t port, uint8_t value)
{
        enum bus_outcome outcome;
        bool found;

        outcome = bus_write(&machine->ports, 0, port, &value, 1, &found);
        assert_true(found);
        return outcome;
}

static uint8_t in(uint64_t port)
{
        uint8_t byte;
        bool found;

        bus_read(&machine->ports, 0, port, &byte, 1, &found);
        assert_true(found);
        return byte;
}

static void test_places(void **state)
{
        static const struct {
                const char *name;
                uint64_t start, size;
        } rows[] = {
                {"rtc", 0x70, 2},
                {"debug-text", 0xe9, 1},
                {"debug-exit", 0xf4, 4},
                {"serial", 0x3f8, 8},
        };
        struct bus_range ranges[BUS_RANGES_MAX];

        (void)state;
        assert_int_equal(bus_list(&machine->ports, ranges, BUS_RANGES_MAX), ARRAY_SIZE(rows));
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                assert_string_equal(ranges[i].name, rows[i].name);
                assert_int_equal(ranges[i].start, rows[i].start);
                assert_int_equal(ranges[i].size, rows[i].size);
        }
        assert_int_equal(bus_list(&machine->mmio, ranges, BUS_RANGES_MAX), 0);
}

static void test_console(void **state)
{
        uint64_t position = 0, lost;
        char data[8] = "";

        (void)state;
        assert_int_equal(out(0x3f8, 'A'), BUS_DONE);
        assert_int_equal(console_read(&machine->console, &position, data, 8, &lost), 1);
        assert_string_equal(data, "A");
        (void)out(0x3f9, 1);
        assert_int_equal(machine_type(machine, (const uint8_t *)"k", 1), 1);
        assert_int_equal(fake.line, 4);
        assert_int_equal(fake.level, 1);
        assert_int_equal(in(0x3f8), 'k');
        assert_int_equal(fake.level, 0);
}

static void test_rest(void **state)
{
        (void)state;
        assert_int_equal(out(0xe9, 'm'), BUS_DONE);
        assert_int_equal(out(0xe9, '\n'), BUS_DONE);
        assert_string_equal(logged, "guest: m|");
        assert_int_equal(out(0x70, 0x0d), BUS_DONE);
        assert_int_equal(in(0x71), 0x80);
        assert_int_equal(out(0xf4, 0), BUS_POWER_OFF);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_places, start, end),
                cmocka_unit_test_setup_teardown(test_console, start, end),
                cmocka_unit_test_setup_teardown(test_rest, start, end),
        };

        return RUN_TESTS(tests);
}
