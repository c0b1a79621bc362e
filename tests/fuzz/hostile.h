/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Of the target "client": a server that says whatever the input makes it say, and what the library
 * must make of that.
 */

#include "client/vmreq-client.h"
#include "fuzz.h"
#include "proto/builder.h"
#include "proto/frame.h"

#define HOSTILE_CALLS_MAX  2048u
#define HOSTILE_ITEMS_MAX  8192u
#define HOSTILE_METHOD_MAX 64u

/* A call that the library accepted. */
struct hostile_call {
        uint32_t msgid;
        unsigned link; /* on which connection */
        enum { HOSTILE_PENDING, HOSTILE_FORGOTTEN, HOSTILE_TAKEN } fate;
        bool is_greeting; /* the library's own */
        bool answered;    /* the reply has been sent */
        bool arrived;     /* the server has all of it */
        uint64_t n_chunks;
};

/* Something that has to come out of vmreq_client_next. */
struct hostile_item {
        uint32_t kind, msgid;
        uint64_t id;
        bool failed;
        bool may_miss; /* its connection ended before it must have been read */
        bool gone;
        uint8_t *value; /* NULL: an error's, which is not compared */
        size_t value_len;
        uint32_t ran;
        char name[80]; /* an error's, or an event's topic as far as it fits */
};

/* What has to come out at the server's end. */
struct hostile_frame {
        bool is_notify;
        uint32_t msgid;
        char method[HOSTILE_METHOD_MAX + 1];
        uint8_t *params; /* their elements; NULL: not compared */
        size_t params_len;
};

struct hostile {
        struct fuzz_input input;
        uint32_t flags; /* the client's: VMREQ_CLIENT_* */
        size_t frame_bytes_max;
        vmreq_client *client;

        /* ---- the server's end ---- */
        int listen_fd; /* -1: connections are handed over */
        int fd;        /* -1: there is none */
        bool is_deaf;  /* does not read */
        uint8_t piece; /* so many bytes at a time; 0: all */
        struct proto_builder out;
        size_t out_sent;
        struct proto_builder in;
        struct proto_frame in_frame;

        /* ---- the present connection ---- */
        unsigned link;
        bool greeting_due;         /* the first frame is the greeting */
        bool has_ended;            /* the server says no more */
        bool is_blind;             /* closed with bytes unread: what had arrived is not known */
        bool gave_up;              /* the library ended it by itself */
        bool is_broken;            /* something was sent that may be none of the protocol's */
        bool is_loose;             /* what comes is not known one by one any more */
        struct proto_builder said; /* of what was sent, the frame under way */
        struct proto_frame said_frame;

        size_t n_calls, n_items, n_frames;
        size_t first_item, n_arrived; /* those in front are gone, have arrived */

        /* Begins as zero up to here. */
        struct hostile_call calls[HOSTILE_CALLS_MAX];
        struct hostile_item items[HOSTILE_ITEMS_MAX];
        struct hostile_frame frames[HOSTILE_CALLS_MAX];
};

/* ---- hostile-model.c ---- */

/* The library accepted a call; or a notification, then msgid is not looked at. */
void hostile_accepted(struct hostile *h, const char *method, uint32_t msgid, bool is_notify,
                      const struct fuzz_input *params);
/* The server got data[0..len), one frame. */
void hostile_arrived(struct hostile *h, const uint8_t *data, size_t len);
/* The library forgets a call. */
void hostile_forget(struct hostile *h, uint32_t msgid);
/* The library gave an answer; `by_wait`: asked for that reply. */
void hostile_taken(struct hostile *h, const struct vmreq_client_answer *answer, bool by_wait);
/* Another connection, over which the library must greet first, or not. */
void hostile_relink(struct hostile *h, bool greets);
/* What is still to come need not: the library has hung up. */
void hostile_excuse(struct hostile *h);
/* NULL: no such call was ever accepted. */
struct hostile_call *hostile_find(struct hostile *h, uint32_t msgid);
/* Neither taken nor forgotten. */
size_t hostile_n_open(const struct hostile *h);
/* Must anything still come of the present connection? */
bool hostile_owes(const struct hostile *h);
void hostile_model_deinit(struct hostile *h);

/* ---- hostile-said.c ---- */

/* The server said this. */
void hostile_said(struct hostile *h, const uint8_t *data, size_t len);

/* ---- hostile-server.c ---- */

/* Where the server listens; the same for all inputs. */
const char *hostile_path(void);
/* A connected pair: returns the client's end. */
int hostile_pair(struct hostile *h);
/* One thing that the server does, out of the input. */
void hostile_serve(struct hostile *h, uint8_t op);
/* Takes in what the client wrote. */
void hostile_read(struct hostile *h);
/* Writes what is still to be said, as much as goes. */
void hostile_flush(struct hostile *h);
/* Says no more. */
void hostile_end(struct hostile *h);
/* Closes its end. */
void hostile_close(struct hostile *h);
/* From now on, poll is a server's turn; NULL: libc's again. */
void hostile_set_present(struct hostile *h);
