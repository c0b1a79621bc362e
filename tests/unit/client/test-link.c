/* SPDX-License-Identifier: MIT */
/*
 * Bytes and frames: every split of a stream, buffers that grow and shrink, output that the peer
 * does not read.
 */

#include <errno.h>

#include "client/link.h"
#include "unit/client/peer.h"

static void link_pair(struct client_link *link, int *ret_fd, size_t frame_max, size_t out_max)
{
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(client_link_init(link, fds[0], frame_max, out_max), 0);
        *ret_fd = fds[1];
}

/* Three frames, cut at two places each time. */
static void test_splits(void **state)
{
        static const char stream[] = "\x91\x01\x92\xa3"
                                     "abc\xc0\x93\x01\x02\x91\x03";
        const size_t n = sizeof(stream) - 1;
        static const size_t lens[] = {2, 6, 5};

        (void)state;
        for (size_t a = 0; a <= n; a++) {
                for (size_t b = a; b <= n; b++) {
                        const size_t cuts[] = {0, a, b, n};
                        struct client_link link;
                        const uint8_t *data;
                        size_t len, seen = 0;
                        int fd;

                        link_pair(&link, &fd, 1024, 1024);
                        for (int i = 0; i < 3; i++) {
                                if (cuts[i + 1] > cuts[i]) {
                                        peer_send(fd, stream + cuts[i], cuts[i + 1] - cuts[i]);
                                        assert_int_equal(client_link_read(&link), 1);
                                }
                                while (client_link_frame(&link, &data, &len) == PROTO_FRAME_DONE) {
                                        assert_int_equal(len, lens[seen]);
                                        seen++;
                                        client_link_consume(&link);
                                }
                        }
                        assert_int_equal(seen, 3);
                        assert_false(client_link_torn(&link));
                        client_link_deinit(&link);
                        close(fd);
                }
        }
}

static void test_growth(void **state)
{
        const size_t body = 300000;
        uint8_t *frame = calloc(1, body + 6);
        struct client_link link;
        const uint8_t *data;
        size_t len, sent = 0;
        ssize_t n;
        int fd;

        (void)state;
        assert_non_null(frame);
        memcpy(frame, "\x91\xc6\x00\x04\x93\xe0", 6);
        link_pair(&link, &fd, 1 << 20, 1024);
        while (sent < body + 6) {
                n = send(fd, frame + sent, body + 6 - sent, MSG_DONTWAIT);
                if (n > 0)
                        sent += (size_t)n;
                (void)client_link_read(&link);
        }
        while (client_link_frame(&link, &data, &len) == PROTO_FRAME_MORE)
                assert_int_equal(client_link_read(&link), 1);
        assert_int_equal(len, body + 6);
        assert_memory_equal(data, frame, len);
        client_link_consume(&link);
        assert_int_equal(link.in_cap, 0);
        client_link_deinit(&link);
        client_link_deinit(&link);
        close(fd);
        free(frame);
}

/*
 * A peer that reads nothing: what it does not take stays, in order, and compaction loses nothing.
 */
static void test_backlog(void **state)
{
        const size_t total = 4u << 20, piece = 4096;
        uint8_t bytes[4096], got[8192];
        struct client_link link;
        size_t put = 0, read = 0;
        int fd;

        (void)state;
        link_pair(&link, &fd, 1 << 20, 1 << 20);
        while (read < total) {
                ssize_t n;

                if (put < total) {
                        for (size_t i = 0; i < piece; i++)
                                bytes[i] = (uint8_t)((put + i) % 251);
                        client_link_compact(&link, piece);
                        proto_put_raw(&link.out, bytes, piece);
                        if (link.out.error == PROTO_BUILDER_OK)
                                put += piece;
                        else
                                proto_builder_rollback(&link.out, link.out.len);
                }
                client_link_write(&link);
                if (client_link_unsent(&link) < (900u << 10) && put < total)
                        continue;
                n = recv(fd, got, sizeof(got), MSG_DONTWAIT);
                for (ssize_t i = 0; i < n; i++)
                        assert_int_equal(got[i], (read + (size_t)i) % 251);
                if (n > 0)
                        read += (size_t)n;
        }
        assert_int_equal(client_link_unsent(&link), 0);
        client_link_deinit(&link);
        close(fd);
}

static void test_ends(void **state)
{
        struct client_link link;
        int fd;

        (void)state;
        link_pair(&link, &fd, 1024, 1024);
        assert_int_equal(client_link_read(&link), 0);
        assert_false(link.eof);
        close(fd);
        proto_put_nil(&link.out);
        client_link_write(&link);
        assert_true(link.out_broken);
        assert_int_equal(link.error, EPIPE);
        assert_int_equal(client_link_unsent(&link), 0);
        assert_int_equal(client_link_read(&link), 0);
        assert_true(link.eof);
        assert_int_equal(client_link_read(&link), 0);
        client_link_shutdown(&link);
        client_link_deinit(&link);
        assert_int_equal(client_link_init(&link, -1, 1024, 1024), -EBADF);
}

static void test_clock(void **state)
{
        uint64_t now = client_now();

        (void)state;
        assert_true(client_deadline(0) >= now);
        assert_true(client_deadline(UINT64_MAX) == UINT64_MAX);
        assert_true(client_deadline(UINT64_MAX - 1) == UINT64_MAX);
        assert_true(client_left(0) == 0);
        assert_true(client_left(UINT64_MAX) == UINT64_MAX);
        assert_true(client_left(client_deadline(UINT64_C(1000000000000))) <=
                    UINT64_C(1000000000000));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_splits),  cmocka_unit_test(test_growth),
                cmocka_unit_test(test_backlog), cmocka_unit_test(test_ends),
                cmocka_unit_test(test_clock),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
