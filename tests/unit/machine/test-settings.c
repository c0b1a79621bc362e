/* SPDX-License-Identifier: MIT */
/* The keys of a machine: what each takes, what it says of what it does not, and what fits together.
 */
#include "machine/settings.h"

#include "machine/backend.h"
#include "unit/machine/machine-test.h"

static struct machine_settings settings;
static struct machine_text text;

static int start(void **state)
{
        (void)state;
        machine_settings_init(&settings);
        return 0;
}

static bool set(const char *key, const char *value)
{
        return machine_settings_set(&settings, key, value, text.line, sizeof(text.line));
}

static bool check(void)
{
        return machine_settings_check(&settings, text.line, sizeof(text.line));
}

static void test_defaults(void **state)
{
        (void)state;
        assert_ptr_equal(settings.backend, &machine_backend_none);
        assert_int_equal(settings.irqchip, MACHINE_IRQCHIP_OFF);
        assert_int_equal(settings.memory_bytes, 64u << 20);
        assert_int_equal(settings.load_address, 0x7c00);
        assert_string_equal(settings.console, "log");
        assert_string_equal(settings.image_format, "auto");
        assert_true(check());
}

static void test_backend(void **state)
{
        (void)state;
        assert_true(machine_settings_set_backend(&settings, "kvm", text.line, sizeof(text.line)));
        assert_ptr_equal(settings.backend, &machine_backend_kvm);
        assert_true(machine_settings_set_backend(&settings, "none", text.line, sizeof(text.line)));
        assert_false(machine_settings_set_backend(&settings, "xen", text.line, sizeof(text.line)));
        assert_says(text, "backend", "none, kvm", "\"xen\"");
}

static void test_good(void **state)
{
        (void)state;
        assert_true(set("irqchip", "kernel") && settings.irqchip == MACHINE_IRQCHIP_KERNEL);
        assert_true(set("irqchip", "off") && settings.irqchip == MACHINE_IRQCHIP_OFF);
        assert_true(set("sipi", "yes") && settings.sipi);
        assert_true(set("sipi", "no") && !settings.sipi);
        assert_true(set("huge_pages", "yes") && settings.huge_pages);
        assert_true(set("memory_mib", "1") && settings.memory_bytes == 1u << 20);
        assert_true(set("memory_mib", "1048576") && settings.memory_bytes == 1ull << 40);
        assert_true(set("image", "/a b") && strcmp(settings.image, "/a b") == 0);
        assert_true(set("image_format", "elf") && set("image_format", "flat") &&
                    set("image_format", "auto"));
        assert_true(set("load_address", "0x10000") && settings.load_address == 0x10000);
        assert_true(set("load_address", "31744") && settings.load_address == 0x7c00);
        assert_true(set("command_line", "a=b c") && strcmp(settings.command_line, "a=b c") == 0);
        assert_true(set("command_line", ""));
        assert_true(set("console", "none") && set("console", "/var/log/guest"));
}

static void test_bad(void **state)
{
        static const struct {
                const char *key, *value, *expected;
        } rows[] = {
                {"irqchip", "on", "off or kernel"},
                {"sipi", "true", "yes or no"},
                {"huge_pages", "", "yes or no"},
                {"memory_mib", "0", "1..1048576"},
                {"memory_mib", "1048577", "1..1048576"},
                {"memory_mib", "64M", "1..1048576"},
                {"memory_mib", "-1", "1..1048576"},
                {"memory_mib", "99999999999999999999", "1..1048576"},
                {"image", "guest.elf", "absolute"},
                {"image_format", "bzimage", "elf"},
                {"load_address", "0x", "address"},
                {"load_address", "7c00", "address"},
                {"load_address", "0x1g", "address"},
                {"console", "stdout", "log, none"},
                {"speed", "1", "command_line, console"},
        };
        char line[200];

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                text.line[0] = '\0';
                assert_false(set(rows[i].key, rows[i].value));
                assert_says(text, rows[i].key, rows[i].expected);
        }
        memset(line, 'a', sizeof(line));
        line[192] = '\0';
        assert_false(set("command_line", line));
        line[191] = '\0';
        assert_true(set("command_line", line));
}

static void test_together(void **state)
{
        (void)state;
        assert_true(set("sipi", "yes"));
        assert_false(check());
        assert_says(text, "sipi", "irqchip=kernel");
        assert_true(set("irqchip", "kernel") && check());
        settings.backend = &machine_backend_kvm;
        assert_false(check());
        assert_says(text, "image");
        assert_true(set("image", "/x") && check());
        assert_true(set("huge_pages", "yes") && set("memory_mib", "3"));
        assert_false(check());
        assert_says(text, "memory_mib", "even");
}

static void note(void *ctx, const char *key)
{
        char *keys = ctx;
        size_t len = strlen(keys);

        (void)snprintf(keys + len, 256 - len, "%s ", key);
}

static void test_compare(void **state)
{
        struct machine_settings other;
        char keys[256] = "";

        (void)state;
        assert_true(set("image", "/a/long/path") && set("image", "/a"));
        machine_settings_init(&other);
        machine_settings_compare(&settings, &other, note, keys);
        assert_string_equal(keys, "image ");
        assert_true(machine_settings_set(&other, "image", "/a", text.line, sizeof(text.line)));
        assert_true(set("sipi", "yes") && set("memory_mib", "65") && set("load_address", "1") &&
                    set("console", "none") && set("command_line", "x"));
        keys[0] = '\0';
        machine_settings_compare(&settings, &other, note, keys);
        assert_string_equal(keys, "sipi memory_mib load_address command_line console ");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_defaults, start),
                cmocka_unit_test_setup(test_backend, start),
                cmocka_unit_test_setup(test_good, start),
                cmocka_unit_test_setup(test_bad, start),
                cmocka_unit_test_setup(test_together, start),
                cmocka_unit_test_setup(test_compare, start),
        };

        return RUN_TESTS(tests);
}
