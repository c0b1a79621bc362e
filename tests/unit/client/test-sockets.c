/* SPDX-License-Identifier: MIT */
/* Which socket is taken, with made-up directories. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/sockets.h"

struct fixture {
        char root[32], system[64], runtime[64], user[72];
        struct sockets_places places;
        char path[256], text[512];
};

static void make_socket(const char *dir, const char *name)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", dir, name);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        close(fd);
}

static void make_file(const char *dir, const char *name)
{
        char path[256];
        FILE *out;

        snprintf(path, sizeof(path), "%s/%s", dir, name);
        out = fopen(path, "w");
        assert_non_null(out);
        fclose(out);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        strcpy(f->root, "/tmp/vmreq-sockets-XXXXXX");
        assert_non_null(mkdtemp(f->root));
        snprintf(f->system, sizeof(f->system), "%s/system", f->root);
        snprintf(f->runtime, sizeof(f->runtime), "%s/runtime", f->root);
        snprintf(f->user, sizeof(f->user), "%s/vmreqd", f->runtime);
        assert_int_equal(mkdir(f->system, 0700), 0);
        assert_int_equal(mkdir(f->runtime, 0700), 0);
        assert_int_equal(mkdir(f->user, 0700), 0);
        f->places = (struct sockets_places){.system_dir = f->system, .runtime_dir = f->runtime};
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        char command[64];

        snprintf(command, sizeof(command), "rm -rf %s", f->root);
        assert_int_equal(system(command), 0);
        free(f);
        return 0;
}

static enum sockets_result find(struct fixture *f, const char *path, const char *machine)
{
        f->path[0] = f->text[0] = '\0';
        return sockets_find(&f->places, path, machine, f->path, sizeof(f->path), f->text,
                            sizeof(f->text));
}

static void expect(struct fixture *f, const char *path, const char *machine, const char *dir,
                   const char *name)
{
        char expected[256];

        assert_int_equal(find(f, path, machine), SOCKETS_OK);
        snprintf(expected, sizeof(expected), "%s%s%s", dir, *name ? "/" : "", name);
        assert_string_equal(f->path, expected);
}

static void test_given(void **state)
{
        struct fixture *f = *state;
        char longer[300];

        f->places.environment = "/env/e.sock";
        expect(f, "/a/b", NULL, "/a/b", "");
        expect(f, NULL, NULL, "/env/e.sock", "");
        memset(longer, 'x', sizeof(longer));
        longer[299] = '\0';
        assert_int_equal(find(f, longer, NULL), SOCKETS_E_LONG);
}

static void test_machine(void **state)
{
        static const char *const bad[] = {"", "../x", "a/b", ".x", "a.sock", "a b", "-x"};
        struct fixture *f = *state;

        expect(f, NULL, "vm1", f->system, "vm1.sock");
        make_socket(f->user, "vm1.sock");
        expect(f, NULL, "vm1", f->user, "vm1.sock");
        /* root's: the system's if there is one, else what 'list' shows as well. */
        f->places.root = true;
        expect(f, NULL, "vm1", f->user, "vm1.sock");
        make_socket(f->system, "vm1.sock");
        expect(f, NULL, "vm1", f->system, "vm1.sock");
        f->places.root = false;
        expect(f, NULL, "vm1", f->user, "vm1.sock");
        f->places.runtime_dir = NULL;
        expect(f, NULL, "vm1", f->system, "vm1.sock");
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                assert_int_equal(find(f, NULL, bad[i]), SOCKETS_E_NAME);
                assert_non_null(strstr(f->text, "name"));
        }
}

static void test_only_one(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(find(f, NULL, NULL), SOCKETS_E_NONE);
        assert_non_null(strstr(f->text, "-M"));
        make_file(f->system, "file.sock");
        make_socket(f->system, "other");
        make_socket(f->system, ".sock");
        make_socket(f->system, ".hidden.sock");
        assert_int_equal(find(f, NULL, NULL), SOCKETS_E_NONE);
        make_socket(f->system, "vm1.sock");
        expect(f, NULL, NULL, f->system, "vm1.sock");
        make_socket(f->user, "mine.sock");
        assert_int_equal(find(f, NULL, NULL), SOCKETS_E_MANY);
        assert_non_null(strstr(f->text, "mine, vm1"));
        f->places.runtime_dir = NULL;
        expect(f, NULL, NULL, f->system, "vm1.sock");
        for (int i = 0; i < 20; i++) {
                char name[16];

                snprintf(name, sizeof(name), "n%d.sock", i);
                make_socket(f->system, name);
        }
        assert_int_equal(find(f, NULL, NULL), SOCKETS_E_MANY);
        assert_non_null(strstr(f->text, ", ...)"));
        f->places.system_dir = "/nonexistent";
        assert_int_equal(find(f, NULL, NULL), SOCKETS_E_NONE);
}

/* As the process finds them: an empty variable is none. */
static void test_places(void **state)
{
        struct sockets_places places;

        (void)state;
        setenv("XDG_RUNTIME_DIR", "", 1);
        setenv("VMREQ_SOCKET", "/s", 1);
        places = sockets_places();
        assert_null(places.runtime_dir);
        assert_string_equal(places.environment, "/s");
        assert_string_equal(places.system_dir, "/run/vmreqd");
        assert_int_equal(places.root, geteuid() == 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_given, setup, teardown),
                cmocka_unit_test_setup_teardown(test_machine, setup, teardown),
                cmocka_unit_test_setup_teardown(test_only_one, setup, teardown),
                cmocka_unit_test(test_places),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
