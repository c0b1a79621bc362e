/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Of the target "session": a server whose loop and EMTs move only when the fuzzer says so, the
 * module that it serves, and what a client may expect of it.
 */

#include <pthread.h>
#include <semaphore.h>

#include "fuzz.h"
#include "proto/frame.h"
#include "proto/value.h"
#include "rpc/server-internal.h"

/* ---- session-server.c ---- */

#define SESSION_CPUS 2u

/* A uid without any privilege; not the overflow id, which is nobody in particular. */
#define SESSION_NOBODY 65533u

struct session_emt {
        vmreq_vm vm;
        uint32_t cpu;
        pthread_t thread;
        sem_t go, done;
        bool ending;
};

struct session_server {
        int listen_fd;
        struct rpc_service *service;
        vmreq_vm vm;
        struct sym_registry *registry;
        struct rpc_server *server;
        struct session_emt emts[SESSION_CPUS];
        struct rpc_feed console;
        uint64_t console_end; /* bytes that the guest has written */
};

/* Kinds of limits, so that each is reached by one of them. */
#define SESSION_KINDS 3u
void session_server_start(struct session_server *server, unsigned kind);
/* Nothing is in flight, or it has been drained: frees it, which asserts that every charge is home.
 */
void session_server_stop(struct session_server *server);

/* Other rules, out of the input. */
void session_set_policy(struct session_server *server, struct fuzz_input *input);
/* The guest writes n bytes; the VM changes its state n times. */
void session_console(struct session_server *server, size_t n);
void session_states(struct session_server *server, unsigned n);
/* One turn of the loop, without waiting. */
void session_turn(struct session_server *server);
/*
 * Lets an EMT go on until it has run one request, or stands in fuzz.hold, or has nothing to do.
 * Everything that it does happens before this returns.
 */
void session_serve(struct session_server *server, uint32_t cpu);
/* For fuzz.hold, on an EMT: gives way until it is served again. */
void session_emt_yield(void);
/* On an EMT: its number. */
uint32_t session_emt_cpu(void);
/*
 * SIGTERM, until all is answered: by its end if the EMTs are served, else by the end of the drain.
 */
void session_drain(struct session_server *server, bool serves);

/* ---- session-module.c ---- */

extern const struct vmreq_module session_module;

/* ---- session-client.c ---- */

#define SESSION_OWED_MAX 16384u

/* One connection, from the client's side, and what the server owes it. */
struct session_client {
        int fd; /* -1: closed by us */
        bool shut, at_end;
        bool has_text;   /* the server answered in text: it said who it is, and closes */
        bool has_opted;  /* notifications may come */
        bool is_late;    /* a frame that was begun took too long */
        bool is_closing; /* the server has said that it closes the connection, or may do so */
        bool was_answered;
        size_t frame_bytes_max;

        /* what was sent, as far as it has not been read as frames */
        uint8_t *sent;
        size_t sent_len, sent_cap;
        struct proto_frame frame;
        bool is_stranger; /* what begins no array was sent: it may be told in text */
        bool is_broken;   /* something that is no message was sent */
        bool may_say_why; /* ... whose msgid the server knows */
        uint32_t why_msgid;

        /* requests without an answer: msgid, how often */
        struct session_owed {
                uint32_t msgid, n;
        } owed[SESSION_OWED_MAX];
        size_t n_owed, n_unanswered;

        /* what was received, a frame under way */
        uint8_t *in;
        size_t in_len, in_cap;
};

void session_client_open(struct session_client *client, struct session_server *server,
                         bool as_nobody);
/* As much as the socket takes; the rest is never sent. */
void session_client_send(struct session_client *client, const uint8_t *data, size_t len);
void session_client_shut(struct session_client *client);
/* So much time passes that a frame which is under way is too late. */
void session_client_wait(struct session_client *client);
/* Closes without a word; the server owes nothing any more. */
void session_client_close(struct session_client *client);
/* Takes in what is there, at most `max` bytes, and checks each frame. */
void session_client_read(struct session_client *client, size_t max);
