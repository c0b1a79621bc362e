/* SPDX-License-Identifier: MIT */
/* A file that is there when it is complete: never half of it under its name, nothing left behind.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/output.h"

static char folder[64], path[128], other[128];
static struct output output;

static int start(void **state)
{
        (void)state;
        strcpy(folder, "/tmp/vmreq-output-XXXXXX");
        assert_non_null(mkdtemp(folder));
        snprintf(path, sizeof(path), "%s/core", folder);
        snprintf(other, sizeof(other), "%s/other", folder);
        return 0;
}

static int n_files(void)
{
        DIR *dir = opendir(folder);
        int n = -2; /* . and .. */

        assert_non_null(dir);
        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

static int end(void **state)
{
        (void)state;
        unlink(path);
        unlink(other);
        assert_int_equal(n_files(), 0);
        return rmdir(folder);
}

static void put_file(const char *name, const char *text)
{
        FILE *file = fopen(name, "w");

        assert_non_null(file);
        fputs(text, file);
        fclose(file);
}

static void expect_file(const char *name, const char *text)
{
        char bytes[64] = "";
        FILE *file = fopen(name, "r");

        assert_non_null(file);
        bytes[fread(bytes, 1, sizeof(bytes) - 1, file)] = '\0';
        fclose(file);
        assert_string_equal(bytes, text);
}

static void test_new_and_old(void **state)
{
        struct stat st;

        (void)state;
        for (int i = 0; i < 2; i++) {
                assert_int_equal(output_find(&output, path), 0);
                assert_int_equal(output_begin(&output), 0);
                assert_int_equal(output_write(&output, "abc", 3), 0);
                assert_int_equal(access(path, F_OK), i - 1);
                assert_int_equal(output_write(&output, "", 0), 0);
                assert_int_equal(output_commit(&output), 0);
                output_abandon(&output);
                expect_file(path, "abc");
                assert_int_equal(output.bytes, 3);
                assert_int_equal(n_files(), 1);
                assert_int_equal(stat(path, &st), 0);
                assert_int_equal(st.st_mode & 0777, 0600);
        }
}

static void test_abandoned(void **state)
{
        (void)state;
        put_file(path, "old");
        assert_int_equal(output_find(&output, path), 0);
        output_abandon(&output); /* before there is anything */
        assert_int_equal(output_find(&output, path), 0);
        assert_int_equal(output_begin(&output), 0);
        assert_int_equal(output_write(&output, "new", 3), 0);
        output_abandon(&output);
        output_abandon(&output);
        expect_file(path, "old");
        assert_int_equal(n_files(), 1);
}

/* A link stays one, and what it leads to is replaced. */
static void test_link(void **state)
{
        struct stat st;

        (void)state;
        put_file(other, "old");
        assert_int_equal(symlink(other, path), 0);
        assert_int_equal(output_find(&output, path), 0);
        assert_int_equal(output_begin(&output), 0);
        assert_int_equal(output_write(&output, "new", 3), 0);
        assert_int_equal(output_commit(&output), 0);
        assert_int_equal(lstat(path, &st), 0);
        assert_true(S_ISLNK(st.st_mode));
        expect_file(other, "new");
}

static void test_no_file(void **state)
{
        struct stat st;

        (void)state;
        assert_int_equal(output_find(&output, "/dev/null"), 0);
        assert_int_equal(output_begin(&output), 0);
        assert_int_equal(output_write(&output, "abc", 3), 0);
        assert_int_equal(output_commit(&output), 0);
        assert_int_equal(stat("/dev/null", &st), 0);
        assert_true(S_ISCHR(st.st_mode));

        assert_int_equal(output_find(&output, "/dev/full"), 0);
        assert_int_equal(output_begin(&output), 0);
        assert_int_equal(output_write(&output, "abc", 3), -ENOSPC);
        output_abandon(&output);
        assert_int_equal(stat("/dev/full", &st), 0);
}

static void test_refused(void **state)
{
        char name[PATH_MAX + 16];

        (void)state;
        assert_int_equal(output_find(&output, folder), -EISDIR);
        assert_int_equal(output_find(&output, ""), -ENOENT);
        snprintf(name, sizeof(name), "%s/x", path);
        put_file(path, "");
        assert_int_equal(output_find(&output, name), -ENOTDIR);
        snprintf(name, sizeof(name), "%s/no/x", folder);
        assert_int_equal(output_find(&output, name), 0);
        assert_int_equal(output_begin(&output), -ENOENT);
        output_abandon(&output);
        memset(name, 'a', sizeof(name) - 1);
        name[sizeof(name) - 1] = '\0';
        assert_int_equal(output_find(&output, name), -ENAMETOOLONG);
        output_abandon(&output);
}

/* What cannot be renamed is removed. */
static void test_folder_in_its_place(void **state)
{
        (void)state;
        assert_int_equal(output_find(&output, path), 0);
        assert_int_equal(output_begin(&output), 0);
        assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(output_commit(&output), -EISDIR);
        assert_int_equal(n_files(), 1);
        assert_int_equal(rmdir(path), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
        const struct CMUnitTest tests[] = {
                TEST(test_new_and_old), TEST(test_abandoned), TEST(test_link),
                TEST(test_no_file),     TEST(test_refused),   TEST(test_folder_in_its_place),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
