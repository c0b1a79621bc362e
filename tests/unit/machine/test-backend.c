/* SPDX-License-Identifier: MIT */
/* The table of backends: none comes first and has no guest; the others have all that a guest needs.
 */
#include "machine/backend.h"

#include "unit/machine/machine-test.h"

static void test_table(void **state)
{
        size_t n = 0;

        (void)state;
        assert_ptr_equal(machine_backends[0], &machine_backend_none);
        assert_null(machine_backend_none.open);
        assert_null(machine_backend_none.engine.run);
        for (; machine_backends[n]; n++) {
                const struct machine_backend *backend = machine_backends[n];

                for (size_t i = 0; i < n; i++)
                        assert_string_not_equal(backend->name, machine_backends[i]->name);
                if (!backend->engine.run)
                        continue;
                assert_int_equal(backend->engine.size, sizeof(struct vmreq_backend));
                assert_non_null(backend->open);
                assert_non_null(backend->close);
                assert_non_null(backend->engine.kick);
                assert_non_null(backend->engine.vcpu_init);
                assert_non_null(backend->engine.vcpu_fini);
                assert_non_null(backend->engine.vcpu_reset);
        }
        assert_int_equal(n, 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table),
        };

        return RUN_TESTS(tests);
}
