/* SPDX-License-Identifier: MIT */
/* What the service manager is told: in order, the newest of a kind, and without waiting for it. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "manager.h"

#define WAIT_NS (30 * CLOCK_NS_PER_S)

static char dir[64], path[80];
static int fd;

static int start(void **state)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        (void)state;
        (void)snprintf(dir, sizeof(dir), "/tmp/vmreq-manager-XXXXXX");
        if (!mkdtemp(dir))
                return -1;
        (void)snprintf(path, sizeof(path), "%s/s", dir);
        memcpy(address.sun_path, path, strlen(path) + 1);
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)))
                return -1;
        return setenv("NOTIFY_SOCKET", path, 1);
}

static int end(void **state)
{
        (void)state;
        (void)close(fd);
        (void)unlink(path);
        return rmdir(dir);
}

/* Everything that was sent until `word` came, with newlines between. */
static void receive_until(const char *word, char *text, size_t size)
{
        size_t n = 0;

        text[0] = '\0';
        while (!strstr(text, word)) {
                ssize_t got = recv(fd, text + n, size - n - 2, 0);

                assert_true(got > 0);
                n += (size_t)got;
                text[n++] = '\n';
                text[n] = '\0';
        }
}

static void test_all_kinds(void **state)
{
        char text[2048];

        (void)state;
        assert_int_equal(manager_start(), 0);
        manager_tell_ready();
        receive_until("READY=1", text, sizeof(text));
        manager_tell_status("RUNNING; 2 EMTs");
        receive_until("STATUS=RUNNING; 2 EMTs\n", text, sizeof(text));
        manager_feed();
        receive_until("WATCHDOG=1", text, sizeof(text));
        manager_tell_reloading();
        receive_until("RELOADING=1", text, sizeof(text));
        manager_tell_stopping(15000);
        receive_until("STOPPING=1\nEXTEND_TIMEOUT_USEC=15000000", text, sizeof(text));
        manager_stop(WAIT_NS);
}

/* Of many, the newest arrives; what was told before the stop is sent. */
static void test_newest(void **state)
{
        char text[65536], status[MANAGER_STATUS_BYTES + 100];

        (void)state;
        assert_int_equal(manager_start(), 0);
        for (int i = 0; i < 1000; i++) {
                (void)snprintf(status, sizeof(status), "round %d", i);
                manager_tell_status(status);
        }
        /* Read before the stop: the socket holds but a few, and its writer waits. */
        receive_until("STATUS=round 999\n", text, sizeof(text));
        manager_stop(WAIT_NS);

        memset(status, 'x', sizeof(status) - 1);
        status[sizeof(status) - 1] = '\0';
        assert_int_equal(manager_start(), 0);
        manager_tell_status(status);
        manager_stop(WAIT_NS);
        receive_until("STATUS=x", text, sizeof(text));
        assert_true(strlen(text) < MANAGER_STATUS_BYTES + 16);
}

/* A manager that does not read holds up nobody but the thread. */
static void test_not_read(void **state)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int full = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        uint64_t began;
        char text[64];

        (void)state;
        memcpy(address.sun_path, path, strlen(path) + 1);
        assert_int_equal(connect(full, (struct sockaddr *)&address, sizeof(address)), 0);
        while (send(full, "x", 1, 0) == 1)
                ;
        assert_int_equal(manager_start(), 0);
        began = clock_now_ns();
        for (int i = 0; i < 10000; i++)
                manager_feed();
        manager_stop(50 * CLOCK_NS_PER_MS);
        assert_true(clock_now_ns() - began < WAIT_NS);
        /* Let the thread go, so that nothing of it is left for the leak checker. */
        while (recv(fd, text, sizeof(text), 0) == 1)
                ;
        (void)close(full);
}

static void test_nobody(void **state)
{
        (void)state;
        assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
        assert_int_equal(manager_start(), 0);
        manager_tell_ready();
        manager_tell_status("x");
        manager_feed();
        manager_stop(WAIT_NS);
        manager_stop(WAIT_NS);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_all_kinds, start, end),
                cmocka_unit_test_setup_teardown(test_newest, start, end),
                cmocka_unit_test(test_nobody),
                cmocka_unit_test_setup_teardown(test_not_read, start, end),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("manager", tests, NULL, NULL);
}
