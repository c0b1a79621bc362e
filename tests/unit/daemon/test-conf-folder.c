/* SPDX-License-Identifier: MIT */
/* Which files of a folder count, and in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf-folder.h"

static char text[1024];

static void touch(const char *folder, const char *name)
{
        char path[512];
        FILE *file;

        (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
        file = fopen(path, "we");
        assert_non_null(file);
        assert_int_equal(fclose(file), 0);
}

static void test_folders(void **state)
{
        static const char *const names[] = {"b.conf",  "a.conf", "B.conf", ".hidden.conf",
                                            "a.conf~", "a.txt",  ".conf",  "10.conf"};
        static const char *const order[] = {"10.conf", "B.conf", "a.conf", "b.conf"};
        char folder[] = "/tmp/vmreq-conf-XXXXXX", path[128];
        struct conf_folder list;

        (void)state;
        assert_non_null(mkdtemp(folder));
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                touch(folder, names[i]);
        assert_true(conf_folder_list(folder, &list, text, sizeof(text)));
        assert_int_equal(list.n, 4);
        for (size_t i = 0; i < 4; i++) {
                (void)snprintf(path, sizeof(path), "%s/%s", folder, order[i]);
                assert_string_equal(list.paths[i], path);
        }
        conf_folder_deinit(&list);
        conf_folder_deinit(&list);
        for (unsigned i = 0; i < CONF_FOLDER_FILES_MAX; i++) {
                (void)snprintf(path, sizeof(path), "n%u.conf", i);
                touch(folder, path);
        }
        assert_false(conf_folder_list(folder, &list, text, sizeof(text)));
        assert_non_null(strstr(text, "more than 256 files"));
        (void)snprintf(path, sizeof(path), "rm -r %s", folder);
        assert_int_equal(system(path), 0);
        assert_true(conf_folder_list(folder, &list, text, sizeof(text)));
        assert_true(list.missing);
        assert_int_equal(list.n, 0);
        assert_false(conf_folder_list("/dev/null", &list, text, sizeof(text)));
        assert_string_equal(text, "/dev/null: Not a directory");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_folders),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("conf-folder", tests, NULL, NULL);
}
