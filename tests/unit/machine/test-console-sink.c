/* SPDX-License-Identifier: MIT */
/* Where the console goes: whole lines to the log, every byte to a file, and what a file may be. */
#include "machine/console-sink.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "unit/machine/machine-test.h"

#define FAR_NS (clock_now_ns() + 50 * CLOCK_NS_PER_S)

static struct console console;
static struct console_sink sink;
static struct machine_text text;
static char dir[32], path[64];

static int start(void **state)
{
        (void)state;
        logged[0] = '\0';
        (void)snprintf(dir, sizeof(dir), "/tmp/vmreq-machine-XXXXXX");
        if (!mkdtemp(dir))
                return -1;
        (void)snprintf(path, sizeof(path), "%s/console", dir);
        return console_init(&console, NULL, NULL);
}

static int end(void **state)
{
        (void)state;
        console_deinit(&console);
        (void)unlink(path);
        return rmdir(dir);
}

static void begin(const char *where)
{
        assert_int_equal(console_sink_start(&sink, &console, where, log_kept, NULL, &text), 0);
}

static void finish(void)
{
        console_close(&console);
        assert_true(console_sink_stop(&sink, FAR_NS));
        assert_true(console_sink_stop(&sink, FAR_NS));
}

static void write_bytes(const char *data, size_t len)
{
        console_write(&console, (const uint8_t *)data, len);
}

static void test_lines(void **state)
{
        static const char said[] = "one\r\ntwo\n\n\n\r\nth\0ree\nrest";

        (void)state;
        begin("log");
        for (size_t i = 0; i < sizeof(said) - 1; i++)
                write_bytes(said + i, 1);
        finish();
        assert_string_equal(logged, "console: one|console: two|console: th ree|console: rest|");
}

static void test_long_line(void **state)
{
        char line[CONSOLE_SINK_LINE + 100];

        (void)state;
        memset(line, 'a', sizeof(line));
        begin("log");
        write_bytes(line, sizeof(line));
        write_bytes("\n", 1);
        finish();
        assert_int_equal(strlen(logged), 2 * strlen("console: |") + sizeof(line));
}

/* A guest that writes lines without end does not fill the log. */
static void test_flood(void **state)
{
        size_t lines = 0;

        (void)state;
        for (int i = 0; i < 20000; i++)
                write_bytes("x\n", 2);
        begin("log");
        finish();
        for (const char *c = logged; *c; c++)
                lines += *c == '|';
        assert_in_range(lines, 1, 2000);
}

static void test_file(void **state)
{
        char line[32], read_back[128];
        struct stat st;
        FILE *file;

        (void)state;
        for (int round = 0; round < 2; round++) {
                begin(path);
                write_bytes("boot\0!\r\n", 8);
                finish();
                console_deinit(&console);
                assert_int_equal(console_init(&console, NULL, NULL), 0);
        }
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_size, 16); /* appended */
        assert_int_equal(st.st_mode & 0777, 0600);
        file = fopen(path, "re");
        assert_non_null(file);
        assert_int_equal(fread(read_back, 1, sizeof(read_back), file), 16);
        assert_memory_equal(read_back + 8, "boot\0!\r\n", 8);
        assert_int_equal(fclose(file), 0);
        (void)line;
        assert_string_equal(logged, "");
}

static void test_lost(void **state)
{
        static char many[2 * CONSOLE_OUTPUT_BYTES];
        struct stat st;

        (void)state;
        memset(many, 'a', sizeof(many));
        write_bytes(many, sizeof(many));
        begin(path);
        finish();
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_size, CONSOLE_OUTPUT_BYTES + strlen("\n[65536 bytes lost]\n"));
}

static void test_bad_files(void **state)
{
        char link[80];

        (void)state;
        assert_int_equal(console_sink_start(&sink, &console, dir, log_kept, NULL, &text), -EISDIR);
        assert_says(text, "console file", dir);
        assert_int_equal(
                console_sink_start(&sink, &console, "/nowhere/console", log_kept, NULL, &text),
                -ENOENT);
        assert_int_equal(console_sink_start(&sink, &console, "/dev/null", log_kept, NULL, &text),
                         -EINVAL);
        assert_says(text, "/dev/null", "not a regular file");
        (void)snprintf(link, sizeof(link), "%s/link", dir);
        assert_int_equal(symlink(path, link), 0);
        assert_int_equal(console_sink_start(&sink, &console, link, log_kept, NULL, &text), -ELOOP);
        assert_int_equal(unlink(link), 0);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_true(console_sink_start(&sink, &console, path, log_kept, NULL, &text) < 0);
        assert_true(console_sink_stop(&sink, FAR_NS));
}

/* Said once, not once a write. */
static void test_full_disk(void **state)
{
        (void)state;
        begin(path);
        /* As if the disk had filled: the descriptor takes nothing any more. */
        assert_int_equal(dup3(open("/dev/full", O_WRONLY | O_CLOEXEC), sink.fd, O_CLOEXEC),
                         sink.fd);
        write_bytes("a", 1);
        UNTIL(has_logged());
        write_bytes("b", 1);
        finish();
        assert_string_equal(logged, "console file: No space left on device; output is lost|");
}

static void test_none(void **state)
{
        (void)state;
        begin("none");
        write_bytes("x\n", 2);
        finish();
        assert_string_equal(logged, "");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_lines, start, end),
                cmocka_unit_test_setup_teardown(test_long_line, start, end),
                cmocka_unit_test_setup_teardown(test_flood, start, end),
                cmocka_unit_test_setup_teardown(test_file, start, end),
                cmocka_unit_test_setup_teardown(test_lost, start, end),
                cmocka_unit_test_setup_teardown(test_bad_files, start, end),
                cmocka_unit_test_setup_teardown(test_full_disk, start, end),
                cmocka_unit_test_setup_teardown(test_none, start, end),
        };

        return RUN_TESTS(tests);
}
