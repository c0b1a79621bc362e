/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * tool-flood: clients as nobody wants them, many at a time, against a listening socket of vmreqd.
 * One thread, one epoll set; a link is one connection, a pattern says what it does with it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "proto/builder.h"
#include "proto/frame.h"
#include "proto/value.h"

struct flood;
struct flood_link;

/* What a link does once the bytes of an operation are sent. */
enum flood_after {
        FLOOD_GO_ON, /* the next operation */
        FLOOD_CLOSE, /* closes without a word, and connects anew */
        FLOOD_END,   /* shuts its sending side, reads to the end of file, connects anew */
        FLOOD_STAY,  /* stays connected and does nothing any more */
};

/* Traits of a pattern. */
#define FLOOD_READS    0x1u /* takes in what the daemon sends */
#define FLOOD_ANSWERED 0x2u /* each operation is one request: it waits for a slot of its window */
#define FLOOD_BYTEWISE 0x4u /* one byte per write; the rate counts bytes */
#define FLOOD_GOOD     0x8u /* no part of "mixed": there is nothing hostile about it */

struct flood_pattern {
        const char *name, *doc;
        unsigned traits;
        uint32_t window; /* default of --window */
        size_t size;     /* default of --size */
        /* Puts the bytes of the next operation; none are legal with CLOSE, END and STAY. */
        enum flood_after (*make)(struct flood_link *link, struct proto_builder *out);
};

/* The pattern of that name; NULL.  "mixed" gives each link another one, see flood_pattern_of. */
const struct flood_pattern *flood_pattern_find(const char *name);
const struct flood_pattern *flood_pattern_at(size_t index); /* NULL behind the last */
/* The pattern of link `number` when `chosen` was asked for. */
const struct flood_pattern *flood_pattern_of(const struct flood_pattern *chosen, uint32_t number);

struct flood_options {
        const char *socket;
        const struct flood_pattern *pattern;
        uint32_t links;
        double rate;          /* operations per second and link; 0: as fast as it goes */
        uint64_t count;       /* operations in all; 0: no limit */
        uint64_t duration_ms; /* 0: no limit */
        uint64_t linger_ms;   /* how long to wait at the end for answers that are owed */
        uint64_t hold_ms;     /* how long a call of "quota" and its like holds its EMT */
        size_t size;          /* of an argument; 0: the pattern's */
        uint32_t window;      /* requests in flight per link; 0: the pattern's */
        const char *method;   /* instead of debug.add [40, 2]; called without arguments */
        uint64_t seed;
        uid_t uid;
        gid_t gid;
        bool become; /* uid and gid are set */
        bool no_read, json, until_eof;
};

/* Latencies in classes a sixteenth of their value wide: 2^0 .. 2^40 ns. */
#define FLOOD_CLASSES (41 * 16)

#define FLOOD_ERRORS 16 /* the codes of proto/codes.h, and 0 for what is none of them */

struct flood_counters {
        uint64_t connected, refused, closed_by_daemon, not_connected;
        uint64_t operations, bytes_sent, bytes_received;
        uint64_t answers, errors[FLOOD_ERRORS], notifications, text_answers;
        uint64_t lost;      /* requests, sent whole, whose connection ended without their answer */
        uint64_t unowed;    /* answers to nothing in flight: a defect of the daemon */
        uint64_t malformed; /* frames that are none: a defect of the daemon */
        uint64_t latency[FLOOD_CLASSES];
        uint64_t latency_max;
};

/* One request in flight has one slot, whose number is its msgid. */
struct flood_slot {
        uint64_t asked_ns; /* 0: free */
        uint32_t next_free;
};

enum flood_link_state { LINK_AWAY, LINK_OPEN, LINK_ENDING, LINK_STAYING };

struct flood_link {
        struct flood *flood;
        const struct flood_pattern *pattern;
        uint32_t number;
        enum flood_link_state state;
        int fd;
        uint32_t events; /* in the epoll set */
        uint64_t random; /* state of its own numbers */
        bool begun;      /* has connected and done something once, or was refused */
        bool heard;      /* got bytes on this connection */

        /* out: one operation */
        struct proto_builder out;
        size_t sent;
        enum flood_after after;
        bool has_operation;
        uint64_t operations; /* made on this connection */

        /* in: one frame under way */
        uint8_t *in;
        size_t in_len, in_cap;
        struct proto_frame frame;
        bool is_text; /* the daemon answered in text: the rest is not looked at */

        struct flood_slot *slots;
        uint32_t window, n_in_flight, first_free;

        /* in `paced` until due, in `away` until it may connect */
        TAILQ_ENTRY(flood_link) wait_link;
        bool is_waiting;
        uint64_t due_ns;
};

TAILQ_HEAD(flood_link_list, flood_link);

struct flood {
        struct flood_options options;
        struct flood_counters counters;
        struct flood_link *links;
        int epoll;
        uint64_t now_ns, period_ns;
        uint64_t operations_left; /* UINT64_MAX: no limit */
        bool finishing;           /* no new operations, no new connections */
        uint32_t n_begun, n_open, n_ending;
        uint64_t n_in_flight;
        struct flood_link_list paced; /* by due_ns */
        struct flood_link_list away;  /* by due_ns */
        struct proto_arena arena;
};

/* link.c: one connection.  Everything that fails on it ends it, and is counted. */
int flood_link_init(struct flood_link *link, struct flood *flood, uint32_t number);
void flood_link_deinit(struct flood_link *link);
/* False: the daemon's backlog is full, try later. */
bool flood_link_connect(struct flood_link *link);
/* It may do something: the next operation, or the rest of one. */
void flood_link_work(struct flood_link *link);
void flood_link_on_event(struct flood_link *link, uint32_t events);

/* A number for link-local decisions, repeatable by --seed. */
uint64_t flood_random(struct flood_link *link);
/* 0 .. n-1; n > 0. */
uint64_t flood_random_below(struct flood_link *link, uint64_t n);
/* The msgid of a request that this operation makes; the answer is then owed. */
uint32_t flood_take_slot(struct flood_link *link);

/* report.c */
void flood_count_latency(struct flood_counters *counters, uint64_t ns);
void flood_report(const struct flood *flood, uint64_t elapsed_ns);
/* Did the daemon do something that no client may see? */
bool flood_is_defect(const struct flood_counters *counters);
