/* SPDX-License-Identifier: MIT */
/* A build without KVM: the backend has its name, and says that it is not there. */
#include "machine/backend.h"

#include <errno.h>

#include "unit/machine/machine-test.h"

static void test_open(void **state)
{
        const struct machine_hooks hooks = {.log = log_kept};
        struct machine_settings settings;
        struct machine *machine = NULL;
        struct machine_text text;

        (void)state;
        machine_settings_init(&settings);
        assert_true(machine_settings_set_backend(&settings, "kvm", text.line, sizeof(text.line)));
        (void)snprintf(settings.image, sizeof(settings.image), "%s", file_with("\xf4", 1));
        assert_int_equal(machine_new(&settings, 1, &hooks, &machine, &text), -ENOTSUP);
        assert_says(text, "built without KVM");
        assert_null(machine);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_open),
        };

        return RUN_TESTS(tests);
}
