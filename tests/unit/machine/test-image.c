/* SPDX-License-Identifier: MIT */
/* Reading an image file: what is no file, what is too large, and who is asked about the rest. */
#include "machine/image.h"

#include <errno.h>
#include <sys/stat.h>

#include "unit/machine/machine-test.h"

#define MIB (1ull << 20)

static struct memory memory;
static struct image image;
static struct machine_text text;

static int start(void **state)
{
        (void)state;
        return memory_init(&memory, MIB, false, &text);
}

static int end(void **state)
{
        (void)state;
        image_close(&image);
        image_close(&image);
        memory_deinit(&memory);
        return 0;
}

static int open_it(const char *path, const char *format)
{
        int r = image_open(&image, path, format, 0x7c00, &memory, &text);

        if (r)
                assert_null(image.data);
        return r;
}

static void test_no_file(void **state)
{
        char dir[] = "/tmp/vmreq-machine-XXXXXX", fifo[64];

        (void)state;
        assert_int_equal(open_it("/nowhere/guest", "auto"), -ENOENT);
        assert_says(text, "/nowhere/guest", "No such file");
        assert_int_equal(open_it("/tmp", "auto"), -EINVAL);
        assert_says(text, "/tmp", "not a regular file");
        assert_int_equal(open_it("/dev/zero", "auto"), -EINVAL);
        assert_non_null(mkdtemp(dir));
        (void)snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
        assert_int_equal(mkfifo(fifo, 0600), 0);
        assert_int_equal(open_it(fifo, "auto"), -EINVAL); /* and does not wait for a writer */
        assert_int_equal(unlink(fifo), 0);
        assert_int_equal(rmdir(dir), 0);
}

static void test_empty(void **state)
{
        const char *path = file_with("", 0);

        (void)state;
        assert_int_equal(open_it(path, "auto"), -ENOEXEC);
        assert_says(text, path, "empty");
}

static void test_too_large(void **state)
{
        const char *path = file_with("x", 1);

        (void)state;
        assert_int_equal(truncate(path, 2 * MIB), 0);
        assert_int_equal(open_it(path, "auto"), -E2BIG);
        assert_says(text, path, "2097152", "1048576", "memory_mib");
        assert_int_equal(truncate(path, MIB - 0x7c00 + 1), 0);
        assert_int_equal(open_it(path, "flat"), -E2BIG);
        assert_says(text, path, "0x7c00", "memory_mib");
}

static void test_formats(void **state)
{
        const char *path = file_with("\x7f"
                                     "ELF",
                                     4);

        (void)state;
        assert_int_equal(open_it(path, "auto"), -ENOEXEC); /* an ELF file that is cut */
        assert_int_equal(open_it(path, "flat"), 0);
        assert_ptr_equal(image.loader, &image_flat);
        image_close(&image);
        assert_int_equal(open_it(path, "tape"), -EINVAL);
        assert_says(text, path, "tape");
        path = file_with("\xf4", 1);
        assert_int_equal(open_it(path, "auto"), 0);
        assert_ptr_equal(image.loader, &image_flat);
        image_close(&image);
        assert_int_equal(open_it(path, "elf"), -ENOEXEC);
        assert_says(text, path, "not an ELF");
}

/* What was read stays, whatever becomes of the file. */
static void test_kept(void **state)
{
        const char *path = file_with("guest", 5);

        (void)state;
        assert_int_equal(open_it(path, "auto"), 0);
        assert_int_equal(truncate(path, 0), 0);
        assert_int_equal(image.size, 5);
        image.loader->place(&image, &memory);
        assert_memory_equal(memory_at(&memory, 0x7c00, 5), "guest", 5);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_no_file, start, end),
                cmocka_unit_test_setup_teardown(test_empty, start, end),
                cmocka_unit_test_setup_teardown(test_too_large, start, end),
                cmocka_unit_test_setup_teardown(test_formats, start, end),
                cmocka_unit_test_setup_teardown(test_kept, start, end),
        };

        return RUN_TESTS(tests);
}
