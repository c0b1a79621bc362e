/* SPDX-License-Identifier: MIT */
/* The machine as a whole: made and unmade, what each wrong setting says, reset, and a machine that
 * has no guest. */
#include "unit/machine/fake-backend.h"

static const struct machine_hooks hooks = {.log = log_kept};
static struct machine *machine;
static struct machine_text text;

static int start(void **state)
{
        (void)state;
        memset(&fake, 0, sizeof(fake));
        machine = NULL;
        logged[0] = '\0';
        return 0;
}

static int end(void **state)
{
        (void)state;
        assert_true(machine_close(machine, UINT64_MAX));
        machine = machine_free(machine);
        assert_int_equal(fake.opens, fake.closes);
        return 0;
}

static void make(const struct machine_settings *settings)
{
        if (machine_new(settings, 2, &hooks, &machine, &text))
                fail_msg("%s", text.line);
}

static void test_none(void **state)
{
        struct machine_settings settings;
        struct machine_translation translation;
        struct machine_fxsave fxsave;
        struct machine_sregs sregs;
        struct machine_regs regs = {0};
        uint64_t stats[MACHINE_STATS_N];

        (void)state;
        machine_settings_init(&settings);
        make(&settings);
        assert_null(machine_engine(machine));
        assert_false(machine_has_guest(machine));
        assert_null(machine_memory(machine));
        assert_null(machine_console(machine));
        assert_null(machine_ports(machine));
        assert_null(machine_mmio(machine));
        assert_int_equal(machine_cpus(machine), 2);
        assert_string_equal(machine_fault(machine), "");
        assert_int_equal(machine_get_stats(machine, 0, stats), MACHINE_E_UNSUPPORTED);
        assert_int_equal(machine_get_regs(machine, 0, &regs), MACHINE_E_UNSUPPORTED);
        assert_int_equal(machine_set_regs(machine, 0, &regs), MACHINE_E_UNSUPPORTED);
        assert_int_equal(machine_get_sregs(machine, 0, &sregs), MACHINE_E_UNSUPPORTED);
        assert_int_equal(machine_get_fxsave(machine, 0, &fxsave), MACHINE_E_UNSUPPORTED);
        assert_int_equal(machine_translate(machine, 0, 0, &translation), MACHINE_E_UNSUPPORTED);
        assert_int_equal(machine_halt(machine, 0, true), MACHINE_E_UNSUPPORTED);
        assert_false(machine_is_halted(machine, 0));
        assert_int_equal(machine_interrupt(machine, 0, 0), MACHINE_E_UNSUPPORTED);
        assert_int_equal(machine_nmi(machine, 0), MACHINE_E_UNSUPPORTED);
        assert_int_equal(machine_step(machine, 0, 0), MACHINE_E_UNSUPPORTED);
}

static void test_made(void **state)
{
        struct machine_settings settings = fake_settings();

        (void)state;
        make(&settings);
        assert_int_equal(fake.opens, 1);
        assert_ptr_equal(machine_engine(machine)->ctx, machine);
        assert_true(machine_has_guest(machine));
        assert_memory_equal(memory_at(machine_memory(machine), 0x7c00, 3), "\xf4\xeb\xfd", 3);
        assert_int_equal(machine_settings_of(machine)->memory_bytes, 1u << 20);
}

#define WRONG(member, value, ...)                                                                  \
        do {                                                                                       \
                struct machine_settings settings_ = fake_settings();                               \
                (void)snprintf(settings_.member, sizeof(settings_.member), "%s", value);           \
                assert_true(machine_new(&settings_, 1, &hooks, &machine, &text) < 0);              \
                assert_null(machine);                                                              \
                assert_says(text, __VA_ARGS__);                                                    \
        } while (0)

static void test_wrong(void **state)
{
        struct machine_settings settings = fake_settings();

        (void)state;
        WRONG(image, "/nowhere", "image /nowhere", "No such file");
        WRONG(image, file_with("", 0), "empty");
        WRONG(image_format, "elf", "not an ELF");
        WRONG(command_line, "quiet", "command_line");
        WRONG(console, "/nowhere/console", "console file /nowhere/console");
        settings.memory_bytes = 5;
        assert_int_equal(machine_new(&settings, 1, &hooks, &machine, &text), -EINVAL);
        assert_says(text, "guest memory");
        settings = fake_settings();
        fake.open_result = -ENODEV;
        assert_int_equal(machine_new(&settings, 1, &hooks, &machine, &text), -ENODEV);
        assert_says(text, "no backend today");
        /* It is closed also where it was never opened. */
        fake.closes = fake.opens;
}

static void test_reset(void **state)
{
        struct machine_settings settings = fake_settings();
        uint8_t byte = 0x55;
        bool found;

        (void)state;
        make(&settings);
        assert_true(memory_write(machine_memory(machine), 0x7c00, "xxxx", 4));
        assert_true(memory_write(machine_memory(machine), 0xfffff, "x", 1));
        (void)bus_write(machine_ports(machine), 0, SERIAL_PORT + 7, &byte, 1, &found);
        assert_int_equal(machine_reset_shared(machine), 0);
        assert_memory_equal(memory_at(machine_memory(machine), 0x7c00, 4), "\xf4\xeb\xfd\0", 4);
        assert_memory_equal(memory_at(machine_memory(machine), 0xfffff, 1), "\0", 1);
        bus_read(machine_ports(machine), 0, SERIAL_PORT + 7, &byte, 1, &found);
        assert_true(found);
        assert_int_equal(byte, 0);
}

/* Of several vCPUs that could not be made, the first one's reason is told. */
static void test_fault(void **state)
{
        struct machine_settings settings = fake_settings();
        struct machine_text first = {"first"}, second = {"second"};

        (void)state;
        make(&settings);
        machine_set_fault(machine, &first);
        machine_set_fault(machine, &second);
        assert_string_equal(machine_fault(machine), "first");
}

static void test_log(void **state)
{
        struct machine_settings settings = fake_settings();
        char many[2000];

        (void)state;
        make(&settings);
        memset(many, 'x', sizeof(many));
        many[sizeof(many) - 1] = '\0';
        machine_log(machine, 6, "%d and %s", 5, many);
        assert_int_equal(strlen(logged), MACHINE_TEXT_MAX); /* cut, and the mark behind it */
        assert_int_equal(strncmp(logged, "5 and xxx", 9), 0);
}

static void test_names(void **state)
{
        (void)state;
        for (unsigned i = 0; i < MACHINE_STATS_N; i++)
                for (unsigned k = 0; k < i; k++)
                        assert_string_not_equal(machine_stat_name((enum machine_stat)i),
                                                machine_stat_name((enum machine_stat)k));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_none, start, end),
                cmocka_unit_test_setup_teardown(test_made, start, end),
                cmocka_unit_test_setup_teardown(test_wrong, start, end),
                cmocka_unit_test_setup_teardown(test_reset, start, end),
                cmocka_unit_test_setup_teardown(test_fault, start, end),
                cmocka_unit_test_setup_teardown(test_log, start, end),
                cmocka_unit_test(test_names),
        };

        return RUN_TESTS(tests);
}
