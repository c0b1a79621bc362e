/* SPDX-License-Identifier: MIT */
/* Flat images: where they may lie. */
#include <errno.h>

#include "machine/image.h"
#include "unit/machine/machine-test.h"

static struct machine_text text;

static void test_addresses(void **state)
{
        static const struct {
                uint64_t address;
                int result;
        } rows[] = {
                {0, 0},
                {0x7c00, 0},
                {0xffffc, 0},
                {0xffffd, 0}, /* the memory is 2 MiB: what is behind it is there too */
                {0x100000, -ENOEXEC},
                {UINT64_MAX, -ENOEXEC},
        };
        struct memory memory;

        (void)state;
        assert_int_equal(memory_init(&memory, 2u << 20, false, &text), 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct image image = {.path = "x",
                                      .data = (uint8_t *)"\xf4\xeb\xfd",
                                      .size = 4,
                                      .load_address = rows[i].address};

                assert_int_equal(image_flat.check(&image, &memory, &text), rows[i].result);
                if (rows[i].result) {
                        assert_says(text, "load_address", "real mode");
                        continue;
                }
                assert_int_equal(image.mode, IMAGE_MODE_REAL);
                assert_int_equal(image.entry, rows[i].address);
                image_flat.place(&image, &memory);
                assert_memory_equal(memory_at(&memory, rows[i].address, 4), image.data, 4);
        }
        memory_deinit(&memory);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_addresses),
        };

        return RUN_TESTS(tests);
}
