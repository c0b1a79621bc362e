/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What the verbs of vmreqctl share: the connection, its time limit, decoded answers, exit statuses.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/options.h"
#include "client/remote.h"
#include "client/vmreq-client.h"
#include "proto/builder.h"
#include "proto/value.h"

/* Exit statuses; the man page has the table. */
enum ctl_exit {
        CTL_DONE = 0,
        CTL_USAGE = 1,  /* also: the output could not be written */
        CTL_LOST = 2,   /* no connection, or it broke */
        CTL_FAILED = 3, /* the function failed, deadlock, internal fault */
        CTL_REFUSED =
                4, /* never ran: not found, invalid, busy, wrong VM state, too large, unsupported */
        CTL_TIMEOUT = 5,
        CTL_CANCELLED = 6, /* or killed */
};

struct ctl {
        struct options options;
        char socket[4096];
        vmreq_client *client;
        struct remote remote;
        uint64_t patience_ms; /* what deadline_ns was made from, for messages; 0: none */
        uint64_t deadline_ns; /* when to give up; CLOCK_MONOTONIC */
        bool calling;   /* a symbol's call is under way: who gives up cannot know whether it ran */
        bool shell;     /* one of many verbs over one connection: it is not the process that ends */
        bool sensitive; /* an argument of the last call was declared so */
        bool held;      /* between await_hold and await_settle */
        int signal;     /* the one that is to end the process then; 0: none */
};

/* A decoded answer. */
struct ctl_value {
        struct vmreq_client_answer answer;
        uint8_t *bytes;
        struct proto_arena arena;
        const struct proto_value *root; /* the result */
};

#define CTL_VALUE_NULL                                                                             \
        {                                                                                          \
                {0}, NULL, {0}, NULL                                                               \
        }

/* The longest request that vmreqctl sends, in bytes. */
#define CTL_PARAMS_MAX (8u << 20)

/*
 * From now: 2 s more than `limit_ms`, so that the daemon's own verdict comes first; none if
 * --timeout 0.  Where --timeout was given it stands in for limit_ms.
 */
void ctl_set_patience(struct ctl *ctl, uint64_t limit_ms);
/* Whatever --timeout says: this long from now, at most 596 h; without a limit. */
void ctl_set_limit(struct ctl *ctl, uint64_t ms);
void ctl_set_endless(struct ctl *ctl);

/* Nanoseconds on CLOCK_MONOTONIC; what is left until it is time to give up. */
uint64_t ctl_now(void);
uint64_t ctl_left(const struct ctl *ctl);
/* So many nanoseconds for poll(): rounded up, so that a wait does not end early and spin;
 * UINT64_MAX: without end. */
int ctl_poll_ms(uint64_t left_ns);

/* The functions below report their failures on stderr and return an enum ctl_exit. */

/* Finds the socket, connects, greets, unless that is done.  Patience must be set. */
int ctl_connect(struct ctl *ctl);
/* Hangs up, and waits for the ssh of a remote connection.  Idempotent. */
void ctl_disconnect(struct ctl *ctl);

/*
 * One call: CTL_DONE and *ret_value (to be given to ctl_value_deinit), or why not.  `symbol`: what
 * the hint shall name, or NULL.
 */
int ctl_call(struct ctl *ctl, const char *method, const struct proto_builder *params,
             const char *symbol, struct ctl_value *ret_value);
/* The same of a method that takes no parameters. */
int ctl_call_plain(struct ctl *ctl, const char *method, struct ctl_value *ret_value);

/* The two halves of it, for pipelining.  An error answer is a value whose answer has failed. */
int ctl_submit(struct ctl *ctl, const char *method, const struct proto_builder *params,
               uint32_t *ret_msgid);
int ctl_wait(struct ctl *ctl, uint32_t msgid, struct ctl_value *ret_value);

/* Decodes value->answer, which is there.  False: out of memory. */
bool ctl_decode(struct ctl_value *value);
/* Idempotent. */
void ctl_value_deinit(struct ctl_value *value);

/* A result as asked for by --json, on stdout; text by render_text. */
int ctl_print(const struct ctl *ctl, const struct proto_value *value);
/* The same as an object of one entry, in JSON on one line whatever --json says. */
int ctl_print_entry(const struct ctl *ctl, const char *key, const struct proto_value *value);

/* Says that memory is short.  Returns CTL_FAILED. */
int ctl_no_memory(void);
