/* SPDX-License-Identifier: MIT */
/* Accepting: storms, bounds, and a process that has run out of descriptors. */
#include "unit/rpc/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct harness h;

static int start(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        options.limits.connections = 100;
        options.limits.connections_per_uid = 90;
        harness_start(&h, &options);
        return 0;
}

static int end(void **state)
{
        (void)state;
        harness_until_idle(&h, 0);
        harness_end(&h);
        return 0;
}

/* Its uid's, and what is kept for root and the daemon's user, who we are. */
#define N_STORM 98

static void test_storm(void **state)
{
        static struct client clients[N_STORM + 3];

        (void)state;
        harness_loop_hold(&h);
        for (int i = 0; i < N_STORM; i++) {
                client_connect(&clients[i], &h);
                client_send(&clients[i], "[0, 1, 'vmreq.ping', []]");
        }
        harness_loop_go();
        for (int i = 0; i < N_STORM; i++)
                client_expect(&clients[i], "[1,1,nil,'pong']");
        assert_int_equal(harness_figures(&h).connections, N_STORM);
        /* The bound of the uid: who comes then is turned away, the others do not notice. */
        for (int i = N_STORM; i < N_STORM + 3; i++) {
                client_connect(&clients[i], &h);
                client_expect_end(&clients[i]);
                client_close(&clients[i]);
        }
        client_sync(&clients[0]);
        client_close(&clients[0]);
        harness_until_peers(&h, N_STORM - 1);
        client_connect(&clients[0], &h);
        client_sync(&clients[0]);
        for (int i = 0; i < N_STORM; i++)
                client_close(&clients[i]);
}

static bool has_paused(struct rpc_server *server, void *ctx)
{
        (void)ctx;
        return uv_is_active((uv_handle_t *)&server->accept_timer);
}

#define N_WAITING 5

static int socket_before(void)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        return fd;
}

/* The descriptors are gone: those who come wait in the backlog, nobody is closed without a word. */
static void test_out_of_descriptors(void **state)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        struct client before, waiting[N_WAITING];
        struct rlimit old, low;
        int next;

        (void)state;
        memcpy(address.sun_path, h.path, strlen(h.path));
        client_connect(&before, &h);
        client_sync(&before);
        for (int i = 0; i < N_WAITING; i++) {
                memset(&waiting[i], 0, sizeof(waiting[i]));
                proto_builder_init(&waiting[i].out, 4096);
                waiting[i].fd = socket_before();
        }
        next = fcntl(0, F_DUPFD, 0); /* the lowest that is free */
        assert_true(next > 0);
        (void)close(next);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
        low = old;
        low.rlim_cur = (rlim_t)next;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        for (int i = 0; i < N_WAITING; i++) {
                assert_int_equal(
                        connect(waiting[i].fd, (struct sockaddr *)&address, sizeof(address)), 0);
                client_send(&waiting[i], "[0, 1, 'vmreq.ping', []]");
        }
        harness_until(&h, has_paused, NULL);
        client_sync(&before); /* who is in is served */
        for (int i = 0; i < N_WAITING; i++) {
                struct pollfd p = {.fd = waiting[i].fd, .events = POLLIN};

                assert_int_equal(poll(&p, 1, 0), 0); /* neither answered nor closed */
        }
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        for (int i = 0; i < N_WAITING; i++) {
                client_expect(&waiting[i], "[1,1,nil,'pong']");
                client_close(&waiting[i]);
        }
        client_close(&before);
}

/* SIGTERM while accepting pauses: the timer must not start it again. */
static void test_stop_while_paused(void **state)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        struct rlimit old, low;
        int fd = socket_before(), next;

        (void)state;
        memcpy(address.sun_path, h.path, strlen(h.path));
        next = fcntl(0, F_DUPFD, 0);
        assert_true(next > 0);
        (void)close(next);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
        low = old;
        low.rlim_cur = (rlim_t)next;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        harness_until(&h, has_paused, NULL);
        harness_drain(&h);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        (void)close(fd);
        harness_end(&h);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_storm, start, end),
                cmocka_unit_test_setup_teardown(test_out_of_descriptors, start, end),
                cmocka_unit_test_setup(test_stop_while_paused, start),
        };

        return HARNESS_RUN("listener", tests);
}
