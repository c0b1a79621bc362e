/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A server for tests of the verbs, on a thread of its own: one connection at a time, each request
 * answered by the test's handler.  And what a verb writes, captured.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/ctl.h"
#include "client/verbs.h"
#include "proto/builder.h"
#include "proto/frame.h"
#include "proto/message.h"
#include "proto/value.h"
#include "unit/client/tree.h"

struct server;

/* Puts error and result of one request.  False: hangs up instead. */
typedef bool (*server_handler)(struct server *server, const struct proto_message *message,
                               struct proto_builder *out);

struct server {
        char dir[32], path[64];
        int listener;
        pthread_t thread;
        server_handler handler;
        unsigned n_requests; /* beside greetings; read it after server_stop */

        /* For the handler: whole frames to send before and behind its answer, or to leave that out.
         */
        struct proto_builder before, after;
        bool silent;
};

static inline bool server_send(int fd, const struct proto_builder *frames)
{
        return frames->len == 0 ||
               send(fd, frames->data, frames->len, MSG_NOSIGNAL) == (ssize_t)frames->len;
}

/* The frame at the front of `bytes`; false to hang up. */
static inline bool server_answer(struct server *server, int fd, const struct proto_frame *frame,
                                 const uint8_t *bytes)
{
        struct proto_arena arena = PROTO_ARENA_NULL;
        const struct proto_value *root;
        struct proto_message message;
        struct proto_builder out;
        bool going = true;

        if (proto_value_decode(&arena, bytes, frame->pos, frame->values, &root) != PROTO_VALUE_OK ||
            proto_message_parse(root, &message) != PROTO_MESSAGE_OK)
                return false;
        proto_builder_init(&out, 1 << 20);
        proto_builder_init(&server->before, 1 << 20);
        proto_builder_init(&server->after, 1 << 20);
        server->silent = false;
        proto_put_response(&out, message.msgid);
        if (message.method_len == 11 && memcmp(message.method, "vmreq.hello", 11) == 0) {
                proto_put_nil(&out);
                proto_put_map(&out, 0);
        } else {
                server->n_requests++;
                going = server->handler(server, &message, &out);
        }
        if (going)
                going = server_send(fd, &server->before) &&
                        (server->silent || server_send(fd, &out)) &&
                        server_send(fd, &server->after);
        proto_builder_deinit(&out);
        proto_builder_deinit(&server->before);
        proto_builder_deinit(&server->after);
        proto_arena_deinit(&arena);
        return going;
}

static inline void server_connection(struct server *server, int fd)
{
        static uint8_t bytes[1 << 16];
        struct proto_frame frame;
        size_t len = 0;
        ssize_t n;

        while ((n = recv(fd, bytes + len, sizeof(bytes) - len, 0)) > 0) {
                len += (size_t)n;
                for (;;) {
                        proto_frame_init(&frame, sizeof(bytes));
                        if (len == 0 || proto_frame_scan(&frame, bytes, len) != PROTO_FRAME_DONE)
                                break;
                        if (!server_answer(server, fd, &frame, bytes))
                                return;
                        len -= frame.pos;
                        memmove(bytes, bytes + frame.pos, len);
                }
        }
}

static inline void *server_run(void *arg)
{
        struct server *server = arg;
        int fd;

        while ((fd = accept(server->listener, NULL, NULL)) >= 0) {
                server_connection(server, fd);
                close(fd);
        }
        return NULL;
}

static inline void server_start(struct server *server, server_handler handler)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        memset(server, 0, sizeof(*server));
        server->handler = handler;
        strcpy(server->dir, "/tmp/vmreq-verbs-XXXXXX");
        assert_non_null(mkdtemp(server->dir));
        snprintf(server->path, sizeof(server->path), "%s/s.sock", server->dir);
        strcpy(address.sun_path, server->path);
        server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(server->listener, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(server->listener, 8), 0);
        assert_int_equal(pthread_create(&server->thread, NULL, server_run, server), 0);
}

static inline void server_stop(struct server *server)
{
        shutdown(server->listener, SHUT_RDWR); /* ends the accept */
        assert_int_equal(pthread_join(server->thread, NULL), 0);
        close(server->listener);
        unlink(server->path);
        rmdir(server->dir);
}

static inline bool server_is(const struct proto_message *message, const char *method)
{
        return message->method_len == strlen(method) &&
               memcmp(message->method, method, message->method_len) == 0;
}

/* nil, then the given msgpack. */
static inline bool server_result(struct proto_builder *out, const char *bytes, size_t len)
{
        proto_put_nil(out);
        proto_put_raw(out, bytes, len);
        return true;
}

/* An error map, then nil. */
static inline bool server_error(struct proto_builder *out, const char *name, const char *text,
                                const char *ran)
{
        proto_put_map(out, 3);
        proto_put_text(out, "name");
        proto_put_text(out, name);
        proto_put_text(out, "message");
        proto_put_text(out, text);
        proto_put_text(out, "ran");
        proto_put_text(out, ran);
        proto_put_nil(out);
        return true;
}

/* nil, then the value that this JSON is. */
static inline bool server_json(struct proto_builder *out, const char *json)
{
        struct tree tree;

        tree_from_json(&tree, json);
        proto_put_nil(out);
        proto_put_value(out, tree.root);
        tree_deinit(&tree);
        return true;
}

/* An event, to be put before or after an answer. */
static inline void server_event(struct proto_builder *out, const char *topic, const char *json)
{
        struct tree tree;

        tree_from_json(&tree, json);
        proto_put_notify(out, "vmreq.event", 2);
        proto_put_text(out, topic);
        proto_put_value(out, tree.root);
        tree_deinit(&tree);
}

/* ---- running a verb -------------------------------------------------------------------------- */

struct run {
        int status;
        char out[16384], err[1024];
};

static inline int run_redirect(int fd, int *ret_saved)
{
        char path[] = "/tmp/vmreq-run-XXXXXX";
        int file = mkstemp(path);

        assert_true(file >= 0);
        unlink(path);
        *ret_saved = dup(fd);
        dup2(file, fd);
        return file;
}

static inline void run_restore(int fd, int file, int saved, char *ret_text, size_t size)
{
        ssize_t n = pread(file, ret_text, size - 1, 0);

        dup2(saved, fd);
        close(saved);
        close(file);
        assert_true(n >= 0);
        ret_text[n] = '\0';
}

/* The verb's words are split at blanks. */
static inline void run_verb(struct run *run, const char *socket_path, const struct options *options,
                            const char *words)
{
        static struct ctl ctl;
        char copy[512], *argv[16], *word;
        int argc = 0, out, err, saved_out, saved_err;
        const struct verb *verb;

        snprintf(copy, sizeof(copy), "%s", words);
        for (word = strtok(copy, " "); word && argc < 15; word = strtok(NULL, " "))
                argv[argc++] = word;
        argv[argc] = NULL;
        verb = verbs_find(argv[0]);
        assert_non_null(verb);

        memset(&ctl, 0, sizeof(ctl));
        if (options)
                ctl.options = *options;
        ctl.options.socket = socket_path;
        fflush(stdout);
        fflush(stderr);
        out = run_redirect(1, &saved_out);
        err = run_redirect(2, &saved_err);
        run->status = verbs_run(&ctl, verb, argc, argv);
        ctl_disconnect(&ctl);
        fflush(stdout);
        fflush(stderr);
        run_restore(1, out, saved_out, run->out, sizeof(run->out));
        run_restore(2, err, saved_err, run->err, sizeof(run->err));
}
