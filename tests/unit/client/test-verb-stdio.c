/* SPDX-License-Identifier: MIT */
/* Bytes through, both ways; half-closed or hung up at the end of the input. */

#include "client/render.h"
#include "unit/client/server.h"
#include "unit/client/tree.h"

static bool handler(struct server *server, const struct proto_message *message,
                    struct proto_builder *out)
{
        (void)server;
        (void)message;
        return server_result(out, "\xa4pong", 5);
}

/* What comes out for these bytes of input. */
static void run_bytes(struct run *run, const char *path, const char *words, const char *bytes,
                      size_t len)
{
        int fds[2], saved = dup(0);

        assert_int_equal(pipe(fds), 0);
        assert_int_equal(write(fds[1], bytes, len), (ssize_t)len);
        close(fds[1]);
        dup2(fds[0], 0);
        close(fds[0]);
        run_verb(run, path, NULL, words);
        dup2(saved, 0);
        close(saved);
}

static void test_bytes(void **state)
{
        static const char request[] = "\x94\x00\x07\xaavmreq.ping\x90";
        struct server server;
        struct run run;

        (void)state;
        server_start(&server, handler);
        run_bytes(&run, server.path, "stdio", request, sizeof(request) - 1);
        assert_int_equal(run.status, CTL_DONE);
        assert_memory_equal(run.out, "\x94\x01\x07\xc0\xa4pong", 9);
        run_bytes(&run, server.path, "stdio --hang-up", "", 0);
        assert_int_equal(run.status, CTL_DONE);
        server_stop(&server);
        run_bytes(&run, "/nonexistent/s", "stdio", "", 0);
        assert_int_equal(run.status, CTL_LOST);
        assert_non_null(strstr(run.err, "is vmreqd running?"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bytes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
