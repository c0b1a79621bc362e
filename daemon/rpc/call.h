/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One call in flight: from a client's frame to a request of the engine, and back.  A call is the
 * client's, the request the engine's: a call may be answered (TIMEOUT, KILLED) while its request
 * still runs; then it stays here, visible and charged, until the request is released.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/codes.h"
#include "rpc/list.h"
#include "rpc/marshal.h"
#include "rpc/options.h"
#include "rpc/quota.h"
#include "rpc/writer.h"
#include "symbols/registry.h"
#include "vm/vmreq.h"

struct rpc_server;
struct rpc_peer;
struct rpc_error;
struct rpc_stream;
struct rpc_rows;
struct rpc_key;
struct rpc_kept;

enum rpc_call_kind {
        RPC_CALL_REQUEST, /* a response with its msgid is due */
        RPC_CALL_NO_WAIT, /* nobody collects the result: a notification, or submit with no_wait */
        RPC_CALL_SUBMIT,  /* the id was the answer; the result is kept for wait */
};

/* Bits that the engine's hooks set, and the loop reads. */
#define RPC_CALL_DONE     0x1u /* result and rows are written */
#define RPC_CALL_RELEASED 0x2u /* the engine has let go */
#define RPC_CALL_PUSHED   0x4u /* stands on the bridge */
#define RPC_CALL_ROW      0x8u /* streamed: a row is final */

struct rpc_call {
        struct rpc_call *bridge_next; /* the bridge's */
        _Atomic uint32_t events;

        /* loop thread */
        struct rpc_server *server;
        struct rpc_peer *peer; /* NULL: gone, or never waited */
        TAILQ_ENTRY(rpc_call) server_link, peer_link;
        LIST_ENTRY(rpc_call) id_link;
        enum rpc_call_kind kind;
        uint32_t msgid;
        bool answered;  /* the client has had its answer: never a second one */
        bool finished;  /* it has its fate, and its answer is said or kept */
        bool abandoned; /* SUBMIT: release was asked for */
        bool dropped;   /* its chunks were over the connection's share of bytes */
        bool overdue;   /* its time limit passed while it runs */
        bool killed;    /* the drain is over: what fails now fails because of that */
        uint64_t id;
        uint64_t submitted_ns, deadline_ns; /* deadline_ns 0: none */
        pid_t caller_pid;
        uid_t caller_uid;
        const struct sym_symbol *symbol; /* pinned; NULL once is_reduced */
        vmreq_handle handle;
        struct rpc_options options;
        struct rpc_account *account;
        bool account_is_uid; /* it outlived its connection, or never was only its own */
        bool is_shared; /* detached, or with a key: its id is its uid's, not its connection's */
        uint64_t bytes; /* charged */
        char cancelled_by[48];
        uint64_t fault; /* its function's, by its number in the log; 0: none */

        struct rpc_stream *stream; /* a generator's, but for broadcasts; else NULL */
        struct rpc_rows *streamed; /* a broadcast's whose rows are streamed; else NULL */

        /* what stays when its request has gone; kept.c */
        struct rpc_key *key;   /* NULL: none, or not any more */
        struct rpc_kept *kept; /* its outcome */
        uint64_t kept_bytes;   /* charged for that, in `bytes` */
        bool is_reduced;       /* nothing else is left of it, not even `symbol` */
        bool is_expired;       /* detached: its time to be asked for is over */
        uint64_t orphaned_ns;  /* detached: ended, and without its connection, since; 0: not */
        TAILQ_ENTRY(rpc_call) orphan_link;

        /* waiting for it by vmreq.wait, or by its key */
        struct rpc_waiter *waiters;

        /* written before submission, read by the callee's EMT */
        uint32_t n_writers;         /* 0: a word function */
        struct rpc_writer *writers; /* [1], or one per vCPU for a broadcast */

        /* written by the hooks before DONE, read by the loop after it */
        struct vmreq_row row;
        struct vmreq_row *rows; /* broadcast: one per vCPU */
        uint32_t n_rows;

        /* Large, and not zeroed for each call: all from here on; see call-pool.c. */
        struct rpc_args args;         /* like the writers */
        struct rpc_writer one_writer; /* only where `writers` is that */
};

/* What a call needs to begin. */
struct rpc_call_spec {
        enum rpc_call_kind kind;
        uint32_t msgid;
        const char *name; /* of the symbol */
        size_t name_len;
        const struct proto_value *args; /* array, or map of named arguments */
        const uint8_t *frame;           /* the bytes of the frame, for arguments of type any */
        size_t frame_len;
        size_t args_offset;                /* where `args` stands in them */
        const struct proto_value *options; /* NULL: as registered */
};

/*
 * Authorises, resolves, marshals, charges, submits.  Answers the client itself where that did not
 * work; for SUBMIT and NO_WAIT *ret_id (NULL allowed) gets the id.  True: accepted.
 */
bool rpc_call_begin(struct rpc_peer *peer, const struct rpc_call_spec *spec, uint64_t *ret_id);

/* Nothing becomes of it: its client is told, a notification's is logged.  Of `spec` only kind and
 * msgid are looked at. */
void rpc_call_refuse(struct rpc_peer *peer, const struct rpc_call_spec *spec,
                     const struct rpc_error *error);

/* The bridge's callback: calls that have something to tell. */
void rpc_calls_drain(struct rpc_server *server);

/* The peer goes: its calls are cancelled or asked to end, and lose their peer. */
void rpc_calls_abandon(struct rpc_peer *peer);

/* The daemon goes: calls that fail from now on do so because of that. */
void rpc_calls_doom(struct rpc_server *server);
/* The daemon goes: every call that is still unanswered is answered KILLED. */
void rpc_calls_kill(struct rpc_server *server);

/* Answers `call` with an error; at most once.  Rows and results that come later are dropped. */
void rpc_call_fail(struct rpc_call *call, enum proto_code code, enum proto_ran ran,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The call of that id whose request is in flight; NULL. */
struct rpc_call *rpc_call_find(struct rpc_server *server, uint64_t id);
/* The call of that id, in flight or only kept; NULL. */
struct rpc_call *rpc_call_find_any(struct rpc_server *server, uint64_t id);
/* Is it this peer's to see, by its id: its connection's, or, if it is shared or nobody's, its
 * uid's?
 */
bool rpc_call_is_of(const struct rpc_call *call, const struct rpc_peer *peer);
/* The call of that id whose outcome this peer may ask for; NULL. */
struct rpc_call *rpc_call_find_awaited(struct rpc_peer *peer, uint64_t id);
/* What is said of a call whose time limit passed while it runs. */
void rpc_call_overdue_error(const struct rpc_call *call, struct rpc_error *ret_error);
/* The newest call of the peer with that msgid that is not answered; NULL. */
struct rpc_call *rpc_call_find_msgid(struct rpc_peer *peer, uint32_t msgid);

/* Cancels; returns the verdict word of the protocol.  `by` is for the text. */
const char *rpc_call_cancel(struct rpc_call *call, const char *by);

/* An id that rpc_call_find_awaited has found: its outcome is not wanted any more. */
void rpc_call_release(struct rpc_call *call);
