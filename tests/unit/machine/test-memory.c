/* SPDX-License-Identifier: MIT */
/* Guest memory: where it is and where not, what is copied, and that its size cannot change. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "machine/memory.h"
#include "unit/machine/machine-test.h"

#define MIB (1ull << 20)

static struct memory memory;
static struct machine_text text;

static int end(void **state)
{
        (void)state;
        memory_deinit(&memory);
        memory_deinit(&memory);
        return 0;
}

static void test_sizes(void **state)
{
        static const uint64_t bad[] = {
                0, 1, MIB - 1, MIB + 1, MIB + 2048, (MIB << 20) + 4096, UINT64_MAX};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                assert_int_equal(memory_init(&memory, bad[i], false, &text), -EINVAL);
                assert_says(text, "guest memory", "1 MiB to 1 TiB");
                assert_int_equal(memory.fd, -1);
        }
        assert_int_equal(memory_init(&memory, 3 * MIB, true, &text), -EINVAL);
        assert_int_equal(memory_init(&memory, MIB, false, &text), 0);
        assert_int_equal(memory.n_ranges, 1);
}

/* One in ten machines has huge pages to give; both answers are good, a crash later is not. */
static void test_huge(void **state)
{
        int r = memory_init(&memory, 4 * MIB, true, &text);
        uint64_t word = 1;

        (void)state;
        if (r) {
                assert_says(text, "huge pages", "nr_hugepages");
                return;
        }
        assert_true(memory_write(&memory, 4 * MIB - 8, &word, 8));
        assert_int_equal(memory_clear(&memory), 0);
        assert_true(memory_read(&memory, 4 * MIB - 8, &word, 8));
        assert_int_equal(word, 0);
}

static void test_sealed(void **state)
{
        (void)state;
        assert_int_equal(memory_init(&memory, MIB, false, &text), 0);
        assert_int_equal(ftruncate(memory.fd, MIB / 2), -1);
        assert_int_equal(ftruncate(memory.fd, 2 * MIB), -1);
        assert_int_equal(fcntl(memory.fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
        assert_int_equal(fcntl(memory.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

static void test_bounds(void **state)
{
        uint8_t byte = 7, many[64] = {0};

        (void)state;
        assert_int_equal(memory_init(&memory, MIB, false, &text), 0);
        assert_non_null(memory_at(&memory, 0, MIB));
        assert_non_null(memory_at(&memory, MIB, 0));
        assert_null(memory_at(&memory, MIB + 1, 0));
        assert_null(memory_at(&memory, 0, MIB + 1));
        assert_null(memory_at(&memory, MIB, 1));
        assert_null(memory_at(&memory, UINT64_MAX, 1));
        assert_null(memory_at(&memory, UINT64_MAX, 2));
        assert_null(memory_at(&memory, 8, UINT64_MAX));
        assert_true(memory_write(&memory, MIB - 1, &byte, 1));
        assert_false(memory_write(&memory, MIB - 1, many, 2));
        assert_false(memory_read(&memory, MIB - 63, many, 64));
        assert_true(memory_read(&memory, MIB - 64, many, 64));
        assert_int_equal(many[63], 7);
}

/* What does not fit below the hole is found above it; nothing reaches across. */
static void test_hole(void **state)
{
        uint64_t size = MEMORY_HOLE_START + MIB, word = 0x1122334455667788ull, read = 0;

        (void)state;
        assert_int_equal(memory_init(&memory, size, false, &text), 0);
        assert_int_equal(memory.n_ranges, 2);
        assert_true(memory_write(&memory, MEMORY_HOLE_START - 8, &word, 8));
        assert_false(memory_write(&memory, MEMORY_HOLE_START - 4, &word, 8));
        assert_false(memory_write(&memory, MEMORY_HOLE_START, &word, 8));
        assert_false(memory_write(&memory, MEMORY_HOLE_END - 4, &word, 8));
        assert_true(memory_write(&memory, MEMORY_HOLE_END + MIB - 8, &word, 8));
        assert_false(memory_write(&memory, MEMORY_HOLE_END + MIB, &word, 8));
        assert_true(memory_read(&memory, MEMORY_HOLE_END + MIB - 8, &read, 8));
        assert_int_equal(read, word);
        assert_null(memory_at(&memory, 0, MEMORY_HOLE_START + 1));
}

/* Every alignment and length, against memcpy. */
static void test_copies(void **state)
{
        uint8_t from[64], to[64], expected[96];

        (void)state;
        assert_int_equal(memory_init(&memory, MIB, false, &text), 0);
        for (size_t i = 0; i < sizeof(from); i++)
                from[i] = (uint8_t)(i * 7 + 1);
        for (size_t at = 0; at < 16; at++) {
                for (size_t len = 0; len <= 40; len++) {
                        assert_int_equal(memory_clear(&memory), 0);
                        memset(expected, 0, sizeof(expected));
                        memcpy(expected + at, from + 3, len);
                        assert_true(memory_write(&memory, at, from + 3, len));
                        assert_memory_equal(memory_at(&memory, 0, 96), expected, 96);
                        memset(to, 0, sizeof(to));
                        assert_true(memory_read(&memory, at, to + 5, len));
                        assert_memory_equal(to + 5, from + 3, len);
                        assert_int_equal(to[5 + len], 0);
                }
        }
}

static void test_clear(void **state)
{
        struct stat st;

        (void)state;
        assert_int_equal(memory_init(&memory, 4 * MIB, false, &text), 0);
        memset(memory_at(&memory, 0, 4 * MIB), 0xaa, 4 * MIB);
        assert_int_equal(fstat(memory.fd, &st), 0);
        assert_true(st.st_blocks > 0);
        assert_int_equal(memory_clear(&memory), 0);
        assert_int_equal(fstat(memory.fd, &st), 0);
        assert_int_equal(st.st_blocks, 0);
        for (uint64_t at = 0; at < 4 * MIB; at += 4096)
                assert_int_equal(*(uint8_t *)memory_at(&memory, at, 1), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(test_sizes, end),
                cmocka_unit_test_teardown(test_huge, end),
                cmocka_unit_test_teardown(test_sealed, end),
                cmocka_unit_test_teardown(test_bounds, end),
                cmocka_unit_test_teardown(test_hole, end),
                cmocka_unit_test_teardown(test_copies, end),
                cmocka_unit_test_teardown(test_clear, end),
        };

        return RUN_TESTS(tests);
}
