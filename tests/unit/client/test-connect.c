/* SPDX-License-Identifier: MIT */
/*
 * Connecting: the greeting, its refusal, silence, paths that lead nowhere, configurations out of
 * range.
 */

#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "unit/client/peer.h"

#define PARAMS_LEN 37 /* of the greeting in the first test */

/*
 * A server on a path of its own: takes one connection, reads the greeting, answers, waits for the
 * end.
 */
struct server {
        char dir[32], path[64];
        int fd;
        pthread_t thread;
        const char *reply; /* [1, msgid, … without the head; NULL: hangs up instead */
        size_t reply_len;
        uint8_t seen[512];
        size_t seen_len;
};

static void *serve(void *arg)
{
        struct server *server = arg;
        struct proto_builder builder;
        uint8_t drop[64];
        int fd = accept(server->fd, NULL, NULL);
        ssize_t n;

        if (fd < 0)
                return NULL;
        n = recv(fd, server->seen, sizeof(server->seen), 0);
        server->seen_len = n > 0 ? (size_t)n : 0;
        if (server->reply) {
                proto_builder_init(&builder, 4096);
                proto_put_response(&builder, 0x10000);
                proto_put_raw(&builder, server->reply, server->reply_len);
                (void)send(fd, builder.data, builder.len, MSG_NOSIGNAL);
                proto_builder_deinit(&builder);
                while (recv(fd, drop, sizeof(drop), 0) > 0)
                        ;
        }
        close(fd);
        return NULL;
}

static void server_listen(struct server *server)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        memset(server, 0, sizeof(*server));
        strcpy(server->dir, "/tmp/vmreq-connect-XXXXXX");
        assert_non_null(mkdtemp(server->dir));
        snprintf(server->path, sizeof(server->path), "%s/s.sock", server->dir);
        strcpy(address.sun_path, server->path);
        server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(server->fd >= 0);
        assert_int_equal(bind(server->fd, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(server->fd, 1), 0);
}

static void server_start(struct server *server, const char *reply, size_t len)
{
        server_listen(server);
        server->reply = reply;
        server->reply_len = len;
        assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void server_close(struct server *server)
{
        close(server->fd);
        unlink(server->path);
        rmdir(server->dir);
}

static void server_join(struct server *server)
{
        assert_int_equal(pthread_join(server->thread, NULL), 0);
        server_close(server);
}

static void test_greeting(void **state)
{
        struct vmreq_client_config config = VMREQ_CLIENT_CONFIG_INIT;
        vmreq_client *client = NULL;
        const uint8_t *greeting;
        struct server server;
        char text[128] = "";
        size_t len;

        (void)state;
        server_start(&server, "\xc0\x81\xa6server\xa6vmreqd", 16);
        config.name = "tester";
        config.version = "9";
        assert_int_equal(vmreq_client_connect(server.path, &config, &client, text, sizeof(text)),
                         0);
        greeting = vmreq_client_greeting(client, &len);
        assert_int_equal(len, 15);
        assert_memory_equal(greeting, "\x81\xa6server\xa6vmreqd", 15);
        assert_string_equal(vmreq_client_reason(client), "");
        vmreq_client_free(client);
        server_join(&server);
        assert_true(server.seen_len > PARAMS_LEN);
        assert_memory_equal(server.seen + server.seen_len - PARAMS_LEN,
                            "\x91\x83\xa6"
                            "client\xa6"
                            "tester\xa7version\xa1"
                            "9\xa6"
                            "errors\xa3"
                            "map",
                            PARAMS_LEN);
}

static void test_refused(void **state)
{
        vmreq_client *client = NULL;
        struct server server;
        char text[128];

        (void)state;
        server_start(&server,
                     "\xac"
                     "BUSY: too so\xc0",
                     14);
        assert_int_equal(vmreq_client_connect(server.path, NULL, &client, text, sizeof(text)),
                         VMREQ_CLIENT_E_REFUSED);
        assert_string_equal(text, "BUSY: too so");
        assert_null(client);
        server_join(&server);
}

static void test_hung_up(void **state)
{
        vmreq_client *client = NULL;
        struct server server;
        char text[128];

        (void)state;
        server_start(&server, NULL, 0);
        assert_int_equal(vmreq_client_connect(server.path, NULL, &client, text, sizeof(text)),
                         VMREQ_CLIENT_E_LOST);
        assert_non_null(strstr(text, "closed"));
        server_join(&server);
}

/*
 * As a stopped daemon: the kernel takes connections into the backlog, then, once that is full, not
 * even that.
 */
static void test_silent(void **state)
{
        struct vmreq_client_config config = VMREQ_CLIENT_CONFIG_INIT;
        vmreq_client *client = NULL;
        struct server server;
        char text[128];
        int fillers[4];

        (void)state;
        server_listen(&server);
        config.connect_ns = 20000000;
        assert_int_equal(vmreq_client_connect(server.path, &config, &client, text, sizeof(text)),
                         VMREQ_CLIENT_E_TIMEOUT);
        assert_non_null(strstr(text, "answer"));
        for (int i = 0; i < 4; i++) {
                struct sockaddr_un address = {.sun_family = AF_UNIX};

                strcpy(address.sun_path, server.path);
                fillers[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
                (void)connect(fillers[i], (struct sockaddr *)&address, sizeof(address));
        }
        assert_int_equal(vmreq_client_connect(server.path, &config, &client, text, sizeof(text)),
                         VMREQ_CLIENT_E_TIMEOUT);
        assert_non_null(strstr(text, "take the connection"));
        for (int i = 0; i < 4; i++)
                close(fillers[i]);
        server_close(&server);
}

static void test_nowhere(void **state)
{
        vmreq_client *client = NULL;
        char path[256], text[128];
        struct server server;

        (void)state;
        assert_int_equal(
                vmreq_client_connect("/nonexistent/x.sock", NULL, &client, text, sizeof(text)),
                -ENOENT);
        assert_true(text[0] != '\0');
        assert_int_equal(vmreq_client_connect("", NULL, &client, NULL, 0), -ENOENT);
        memset(path, 'x', sizeof(path));
        path[sizeof(path) - 1] = '\0';
        assert_int_equal(vmreq_client_connect(path, NULL, &client, NULL, 0), -ENAMETOOLONG);
        server_listen(&server);
        close(server.fd);
        assert_int_equal(vmreq_client_connect(server.path, NULL, &client, NULL, 0), -ECONNREFUSED);
        server.fd = dup(0);
        server_close(&server);
}

static void test_config(void **state)
{
        static const struct vmreq_client_config cases[] = {
                {.size = 1},
                {.size = sizeof(struct vmreq_client_config), .frame_bytes_max = 1023},
                {.size = sizeof(struct vmreq_client_config),
                 .frame_bytes_max = ((size_t)256 << 20) + 1},
                {.size = sizeof(struct vmreq_client_config), .output_bytes_max = 1024},
                {.size = sizeof(struct vmreq_client_config), .answer_bytes_max = 1},
                {.size = sizeof(struct vmreq_client_config), .calls_max = 65536},
                {.size = sizeof(struct vmreq_client_config), .flags = 0x10},
        };
        vmreq_client *client = NULL;
        char text[64];

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                int fds[2];

                assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
                assert_int_equal(vmreq_client_adopt(fds[0], &cases[i], &client, text, sizeof(text)),
                                 -EINVAL);
                /* It is closed, too. */
                assert_int_equal(send(fds[1], "x", 1, MSG_NOSIGNAL), -1);
                close(fds[1]);
                assert_int_equal(vmreq_client_connect("/nonexistent", &cases[i], &client, text, 64),
                                 -EINVAL);
        }
}

/* What the greeting asks for beside maps. */
static void test_greeting_asks(void **state)
{
        struct vmreq_client_config config = VMREQ_CLIENT_CONFIG_INIT;
        vmreq_client *client = NULL;
        struct server server;

        (void)state;
        server_start(&server, "\xc0\x80", 2);
        config.flags = VMREQ_CLIENT_TAKE_COMPLETED;
        assert_int_equal(vmreq_client_connect(server.path, &config, &client, NULL, 0), 0);
        vmreq_client_free(client);
        server_join(&server);
        assert_non_null(memmem(server.seen, server.seen_len,
                               "\xa9"
                               "completed\xc3",
                               11));
}

/* ---- a new connection ---- */

static void expect_lost(vmreq_client *client, uint32_t msgid, uint32_t ran)
{
        struct vmreq_client_answer answer;

        assert_int_equal(vmreq_client_next(client, 0, &answer), 0);
        assert_int_equal(answer.kind, VMREQ_CLIENT_REPLY);
        assert_int_equal(answer.msgid, msgid);
        assert_int_equal(answer.failed, 1);
        assert_string_equal(answer.name, "LOST");
        assert_int_equal(answer.ran, ran);
        vmreq_client_answer_deinit(&answer);
}

/*
 * Calls in flight are answered as lost, those that never left as not run; replies that had come
 * stay; forgotten ones make no noise; the new connection works, and its ids are new ones.
 */
static void test_reconnect(void **state)
{
        struct vmreq_client_answer answer;
        uint32_t done, sent, unsent, forgotten;
        vmreq_client *client;
        int fd, fds[2];

        (void)state;
        client = peer_client(NULL, &fd);
        done = peer_submit(client);
        sent = peer_submit(client);
        forgotten = peer_submit(client);
        peer_reply(fd, done, 1);
        assert_int_equal(vmreq_client_process(client), 0);
        assert_int_equal(vmreq_client_forget(client, forgotten), 0);
        unsent = peer_submit(client);

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(vmreq_client_reconnect(client, fds[0], NULL, 0), 0);
        assert_int_equal(vmreq_client_fd(client), fds[0]);
        close(fd);
        assert_int_equal(vmreq_client_next(client, 0, &answer), 0);
        peer_expect(&answer, done, 1);
        vmreq_client_answer_deinit(&answer);
        expect_lost(client, sent, VMREQ_CLIENT_RAN_MAYBE);
        expect_lost(client, unsent, VMREQ_CLIENT_RAN_NO);
        assert_int_equal(vmreq_client_next(client, 0, &answer), VMREQ_CLIENT_E_NOTHING);

        sent = peer_submit(client);
        peer_reply(fds[1], sent, 5);
        assert_int_equal(vmreq_client_wait(client, sent, PATIENCE, &answer), 0);
        peer_expect(&answer, sent, 5);
        vmreq_client_answer_deinit(&answer);
        vmreq_client_free(client);
        close(fds[1]);
}

/* A path is remembered, and so is who greets; a failure leaves a lost client that can try again. */
static void test_reconnect_path(void **state)
{
        struct vmreq_client_config config = VMREQ_CLIENT_CONFIG_INIT;
        char name[] = "tester", text[128];
        vmreq_client *client = NULL;
        struct server server;
        uint32_t msgid;

        (void)state;
        server_start(&server, "\xc0\x80", 2);
        config.name = name;
        assert_int_equal(vmreq_client_connect(server.path, &config, &client, NULL, 0), 0);
        memset(name, 'x', sizeof(name) - 1);
        assert_int_equal(vmreq_client_submit(client, "x.y", "\x90", 1, &msgid), 0);
        shutdown(vmreq_client_fd(client), SHUT_RDWR);
        assert_int_equal(pthread_join(server.thread, NULL), 0);

        assert_int_equal(pthread_create(&server.thread, NULL, serve, &server), 0);
        server.reply = NULL; /* hangs up on the first */
        assert_int_equal(vmreq_client_reconnect(client, -1, text, sizeof(text)),
                         VMREQ_CLIENT_E_LOST);
        assert_non_null(strstr(text, "closed"));
        assert_int_equal(pthread_join(server.thread, NULL), 0);
        assert_int_equal(vmreq_client_submit(client, "x.y", "\x90", 1, &msgid),
                         VMREQ_CLIENT_E_LOST);
        expect_lost(client, msgid, VMREQ_CLIENT_RAN_NO);
        vmreq_client_free(client);
        server_close(&server);
}

/* Full of what nobody has taken: said so, the descriptor closed, and possible once it is taken. */
static void test_reconnect_busy(void **state)
{
        struct vmreq_client_config config = VMREQ_CLIENT_CONFIG_INIT;
        char text[128];
        vmreq_client *client;
        uint32_t msgid;
        int fd, fds[2];

        (void)state;
        config.calls_max = 1;
        client = peer_client(&config, &fd);
        msgid = peer_submit(client);
        close(fd);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(vmreq_client_reconnect(client, fds[0], text, sizeof(text)),
                         VMREQ_CLIENT_E_BUSY);
        assert_non_null(strstr(text, "taken"));
        assert_int_equal(send(fds[1], "x", 1, MSG_NOSIGNAL), -1);
        close(fds[1]);
        expect_lost(client, msgid, VMREQ_CLIENT_RAN_NO);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(vmreq_client_reconnect(client, fds[0], text, sizeof(text)), 0);
        assert_int_equal(vmreq_client_reconnect(client, -1, text, sizeof(text)), -EINVAL);
        (void)peer_submit(client);
        vmreq_client_free(client);
        close(fds[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_greeting),       cmocka_unit_test(test_refused),
                cmocka_unit_test(test_hung_up),        cmocka_unit_test(test_silent),
                cmocka_unit_test(test_nowhere),        cmocka_unit_test(test_config),
                cmocka_unit_test(test_greeting_asks),  cmocka_unit_test(test_reconnect),
                cmocka_unit_test(test_reconnect_path), cmocka_unit_test(test_reconnect_busy),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
