/* SPDX-License-Identifier: MIT */
/* Input that ends its connection: one answer where it can be addressed, one readable line where it
 * cannot, and nobody else is touched. */
#include "unit/rpc/two.h"

#include <sys/socket.h>

static void read_to_end(struct client *client, char *text, size_t size)
{
        size_t used = 0;
        ssize_t n;

        while ((n = recv(client->fd, text + used, size - 1 - used, 0)) > 0)
                used += (size_t)n;
        text[used] = 0;
}

static void test_oversized(void **state)
{
        static const uint8_t huge_bin[] = {0x94, 0x00, 0x07, 0xa1, 'x', 0x91,
                                           0xc6, 0x00, 0x80, 0x00, 0x00};
        static const uint8_t huge_array[] = {0xdd, 0xff, 0xff, 0xff, 0xff};

        (void)state;
        client_send_raw(&c, huge_bin, sizeof(huge_bin));
        client_expect_error(&c, 7, "TOO_LARGE", "no", "the connection is closed");
        client_expect_end(&c);
        client_send_raw(&d, huge_array, sizeof(huge_array));
        client_expect_end(&d); /* an error could not be addressed */
        harness_until_peers(&h, 0);
}

static void test_too_deep(void **state)
{
        uint8_t bytes[64] = {0x94, 0x00, 0x07, 0xa1, 'x'};

        (void)state;
        memset(bytes + 5, 0x91, 40);
        client_send_raw(&c, bytes, 45);
        client_expect_error(&c, 7, "TOO_LARGE", "no", "deeper than 28");
        client_expect_end(&c);
        /* 28 levels, the frame's own array and the params counted, are taken. */
        memset(bytes + 5, 0x91, 27);
        bytes[3] = 0xa6;
        memcpy(bytes + 4, "t.echo", 6);
        memset(bytes + 10, 0x91, 27);
        bytes[37] = 0xc0;
        client_send_raw(&d, bytes, 38);
        assert_int_equal(client_receive(&d)->items[2].type, PROTO_NIL);
}

static void test_malformed(void **state)
{
        static const uint8_t bytes[] = {0x94, 0x00, 0x07, 0xa1, 'x', 0x91, 0xc1};
        static const uint8_t nothing_known[] = {0x94, 0xc1};

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.ping', []]");
        client_send_raw(&c, bytes, sizeof(bytes));
        client_expect(&c, "[1,1,nil,'pong']");
        client_expect_error(&c, 7, "INVALID_REQUEST", "no", "malformed");
        client_expect_end(&c);
        client_send_raw(&d, nothing_known, sizeof(nothing_known));
        client_expect_end(&d);
}

static void test_strangers(void **state)
{
        char text[1024];

        (void)state;
        client_send_raw(&c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
        read_to_end(&c, text, sizeof(text));
        assert_memory_equal(text, "HTTP/1.1 400 ", 13);
        assert_int_equal(strlen(strstr(text, "\r\n\r\n") + 4),
                         strtoul(strstr(text, "Content-Length: ") + 16, NULL, 10));
        client_send_raw(&d, "\x82\xa1x\x01", 4); /* a map header, as another protocol has it */
        read_to_end(&d, text, sizeof(text));
        assert_has(text, "vmreqd: this socket speaks msgpack-RPC");
        assert_int_equal(text[strlen(text) - 1], '\n');
        harness_until_peers(&h, 0);
}

/* In the middle of a conversation no line of text comes between the frames. */
static void test_garbage_between_frames(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.ping', []]");
        client_send_raw(&c, "GET / HTTP/1.1\r\n", 16);
        client_expect(&c, "[1,1,nil,'pong']");
        (void)shutdown(c.fd, SHUT_WR);
        /* Either both came in one read, or the answer was out before. */
        if (c.in_len == c.in_used && recv(c.fd, (char[1]){0}, 1, MSG_PEEK) == 1) {
                char text[256];

                read_to_end(&c, text, sizeof(text));
                assert_memory_equal(text, "HTTP/1.1 400 ", 13);
        }
        harness_until_peers(&h, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
        const struct CMUnitTest tests[] = {
                TEST(test_oversized),
                TEST(test_too_deep),
                TEST(test_malformed),
                TEST(test_strangers),
                TEST(test_garbage_between_frames),
        };

        return HARNESS_RUN("peer-reject", tests);
}
