/* SPDX-License-Identifier: MIT */
/* The checking reader: what it hands out, with its line, and what it refuses, with the line too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf-file.h"

static char seen[4096], text[1024];

static void see(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void see(const char *format, ...)
{
        size_t len = strlen(seen);
        va_list args;

        va_start(args, format);
        (void)vsnprintf(seen + len, sizeof(seen) - len, format, args);
        va_end(args);
}

static bool on_section(void *ctx, unsigned line, const char *name, char *why, size_t size)
{
        (void)ctx;
        see("%u[%s] ", line, name);
        if (strcmp(name, "bad") != 0)
                return true;
        (void)snprintf(why, size, "not this one");
        return false;
}

static bool on_setting(void *ctx, unsigned line, const char *section, const char *key,
                       const char *value, char *why, size_t size)
{
        (void)ctx;
        see("%u[%s]%s=%s ", line, section, key, value);
        if (strcmp(key, "bad") != 0)
                return true;
        (void)snprintf(why, size, "bad: a bad key");
        return false;
}

static const struct conf_handler handler = {.section = on_section, .setting = on_setting};

static bool read_bytes(const void *data, size_t len)
{
        FILE *file = fmemopen((void *)data, len ? len : 1, "r");
        bool ok;

        assert_non_null(file);
        if (len == 0)
                (void)getc(file);
        seen[0] = text[0] = 0;
        ok = conf_read(file, "F", &handler, text, sizeof(text));
        (void)fclose(file);
        return ok;
}

static void reads(const char *content, const char *expected)
{
        if (!read_bytes(content, strlen(content)))
                fail_msg("refused: %s", text);
        assert_string_equal(seen, expected);
}

static void refused_bytes(const char *content, size_t len, const char *expected)
{
        if (read_bytes(content, len))
                fail_msg("taken: %s", content);
        assert_string_equal(text, expected);
}

#define REFUSED(content, expected) refused_bytes(content, sizeof(content) - 1, expected)

static void test_lines_and_sections(void **state)
{
        (void)state;
        reads("", "");
        reads("a = 1\n\n# x\n[s]\n; y\nb=2 ; z\n[s]\n[t]\nc : 3", "1[]a=1 4[s] 6[s]b=2 7[s] 8[t] "
                                                                  "9[t]c=3 ");
        reads("\xef\xbb\xbf[s]\r\na = 1\r\n", "1[s] 2[s]a=1 ");
        reads(" \xef\xbb\xbf\xef\xbb\xbf [s]\na = 1\n", "1[s] 2[s]a=1 ");
        reads("[s] # remark\n[t] ; too\n", "1[s] 2[t] ");
        /* Indentation is nobody's continuation. */
        reads("[s]\na = 1\n  b = 2\n\r c = 3\n\t[t]\n", "1[s] 2[s]a=1 3[s]b=2 4[s]c=3 5[t] ");
}

static void test_refused(void **state)
{
        (void)state;
        REFUSED("[s]\nwhat\n", "F:2: expected \"[section]\" or \"key = value\"");
        REFUSED("\n[s\n", "F:2: expected \"[section]\" or \"key = value\"");
        REFUSED("[s] t\n", "F:1: nothing may follow a section's name");
        REFUSED("a = 1\n[bad]\n", "F:2: not this one");
        REFUSED("a = 1\nbad = 2\n[bad]\n", "F:2: bad: a bad key");
        /* The first mistake is the one that is told. */
        REFUSED("what\nbad = 2\n", "F:1: expected \"[section]\" or \"key = value\"");
        REFUSED("bad = 2\nwhat\n", "F:1: bad: a bad key");
        REFUSED("a = \x01\n", "F:1: a control byte");
        REFUSED("a = 1\nb\0 = 2\n", "F:2: a control byte");
        REFUSED("a = 1\n\x7f", "F:2: a control byte");
        REFUSED("a = \x1b[31m\n", "F:1: a control byte");
}

static void test_long_lines(void **state)
{
        char content[1024];

        (void)state;
        (void)snprintf(content, sizeof(content), "a = %0185d\nb = 1\n", 0); /* 189 bytes */
        assert_true(read_bytes(content, strlen(content)));
        (void)snprintf(content, sizeof(content), "x = 1\na = %0186d\n", 0);
        refused_bytes(content, strlen(content), "F:2: a line longer than 189 bytes");
        /* Indentation and remarks count. */
        (void)snprintf(content, sizeof(content), "   a = %0183d\n", 0);
        refused_bytes(content, strlen(content), "F:1: a line longer than 189 bytes");
        (void)snprintf(content, sizeof(content), "# %0500d", 0);
        refused_bytes(content, strlen(content), "F:1: a line longer than 189 bytes");
}

static void test_long_section_names(void **state)
{
        char content[128];

        (void)state;
        (void)snprintf(content, sizeof(content), "[%049d]\n", 7);
        assert_true(read_bytes(content, strlen(content)));
        (void)snprintf(content, sizeof(content), "[%050d]\n", 7);
        refused_bytes(content, strlen(content), "F:1: the name of a section has at most 49 bytes");
}

static void test_large_files(void **state)
{
        size_t len = CONF_FILE_BYTES_MAX;
        char *content = malloc(len + 64);

        (void)state;
        assert_non_null(content);
        memset(content, '\n', len + 64);
        assert_true(read_bytes(content, len));
        refused_bytes(content, len + 1, "F:1048577: the file is larger than 1 MiB");
        free(content);
}

static void test_paths(void **state)
{
        (void)state;
        assert_false(conf_read_file("/nowhere/at/all", &handler, text, sizeof(text)));
        assert_string_equal(text, "/nowhere/at/all: No such file or directory");
        assert_false(conf_read_file("/tmp", &handler, text, sizeof(text)));
        assert_string_equal(text, "/tmp: Is a directory");
        assert_true(conf_read_file("/dev/null", &handler, text, sizeof(text)));
        assert_false(conf_read_file("/proc/self/mem", &handler, text, sizeof(text)));
        assert_string_equal(text, "/proc/self/mem:1: cannot be read");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_lines_and_sections),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_long_lines),
                cmocka_unit_test(test_long_section_names),
                cmocka_unit_test(test_large_files),
                cmocka_unit_test(test_paths),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("conf-file", tests, NULL, NULL);
}
