/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The server's end of a socket pair, played by the test itself: the client's asynchronous half
 * never blocks, so both ends fit into one thread, and every order of events can be had.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/vmreq-client.h"
#include "proto/builder.h"
#include "proto/frame.h"
#include "proto/message.h"

/* Long enough never to be reached unless something hangs. */
#define PATIENCE (UINT64_C(20) * 1000000000)

static inline vmreq_client *peer_client(const struct vmreq_client_config *config, int *ret_fd)
{
        struct vmreq_client_config c = VMREQ_CLIENT_CONFIG_INIT;
        vmreq_client *client = NULL;
        int fds[2];

        if (config)
                c = *config;
        c.flags |= VMREQ_CLIENT_NO_HELLO;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(vmreq_client_adopt(fds[0], &c, &client, NULL, 0), 0);
        *ret_fd = fds[1];
        return client;
}

static inline void peer_send(int fd, const void *bytes, size_t len)
{
        assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* [1, msgid, nil, number] */
static inline void peer_reply(int fd, uint32_t msgid, uint64_t number)
{
        struct proto_builder builder;

        proto_builder_init(&builder, 64);
        proto_put_response(&builder, msgid);
        proto_put_nil(&builder);
        proto_put_uint(&builder, number);
        peer_send(fd, builder.data, builder.len);
        proto_builder_deinit(&builder);
}

/* [1, msgid, error, nil], the error given as msgpack. */
static inline void peer_error(int fd, uint32_t msgid, const void *error, size_t len)
{
        struct proto_builder builder;

        proto_builder_init(&builder, 4096);
        proto_put_response(&builder, msgid);
        proto_put_raw(&builder, error, len);
        proto_put_nil(&builder);
        peer_send(fd, builder.data, builder.len);
        proto_builder_deinit(&builder);
}

/* Submits "x.y" with no arguments. */
static inline uint32_t peer_submit(vmreq_client *client)
{
        uint32_t msgid = 0;

        assert_int_equal(vmreq_client_submit(client, "x.y", "\x90", 1, &msgid), 0);
        return msgid;
}

/* An answer that is a small number. */
static inline void peer_expect(const struct vmreq_client_answer *answer, uint32_t msgid,
                               uint8_t number)
{
        assert_int_equal(answer->kind, VMREQ_CLIENT_REPLY);
        assert_int_equal(answer->msgid, msgid);
        assert_int_equal(answer->failed, 0);
        assert_int_equal(answer->value_len, 1);
        assert_int_equal(answer->value[0], number);
}
