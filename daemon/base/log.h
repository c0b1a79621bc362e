/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Log records: a level, one line of text, and fields for those who search.  Whoever logs never
 * waits: once log_start has run, a record goes into a bounded ring, and one thread, which may block
 * on a full pipe or on a journal that has stopped, hands it to the sink.  What does not fit is
 * lost, counted, and told of in the place where it is missing.
 *
 * There are two rings, so that a flood of one kind cannot push out the other.  The engine (vm/)
 * does not log.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_LINE_MAX   1024 /* of a line as it is written, its end included */
#define LOG_FIELDS_MAX 16   /* further ones of a record are dropped */
#define LOG_FIELD_MAX  256  /* bytes of "KEY=value"; longer values are cut */

/* Levels, as syslog's. */
enum {
        LOG_L_ERROR = 3,
        LOG_L_WARNING = 4,
        LOG_L_NOTICE = 5,
        LOG_L_INFO = 6,
        LOG_L_DEBUG = 7,
};

enum log_kind {
        LOG_PLAIN,
        LOG_AUDIT, /* denials, changes of state, modules that come and go */
        _LOG_KIND_N
};

/* A field: its key is [A-Z][A-Z0-9_]*.  Make one with LOG_WORD or LOG_NUMBER. */
struct log_field {
        const char *key;
        const char *word; /* NULL: `number` */
        int64_t number;
};

#define LOG_WORD(k, w)   ((struct log_field){.key = (k), .word = (w)})
#define LOG_NUMBER(k, n) ((struct log_field){.key = (k), .number = (int64_t)(n)})

/* What a record has beside its line.  All of it is copied. */
struct log_meta {
        int level;
        enum log_kind kind;
        const char *id; /* LOG_ID_*; NULL: none */
        const struct log_field *fields;
        size_t n_fields;
};

/* The two last members of a log_meta, from a list of fields. */
#define LOG_FIELDS(...)                                                                            \
        .fields = (const struct log_field[]){__VA_ARGS__},                                         \
        .n_fields = sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field)

/* Any thread.  Keeps errno. */
void log_write(const struct log_meta *meta, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
/* The same for a record that is its line and nothing else. */
void log_line(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- where records go ---- */

/* A record as a sink gets it; borrowed.  Control bytes have become '?'. */
struct log_record {
        int level;
        const char *id; /* NULL: none */
        const char *text;
        uint32_t n_fields;
        const char *fields[LOG_FIELDS_MAX]; /* "KEY=value" */
};

/* Takes a record to where it is read.  May block once log_start has run.  False: it is lost. */
typedef bool (*log_sink)(void *ctx, const struct log_record *record);

/*
 * Lines go to a descriptor, borrowed; records above `max_level` are dropped.  Until log_start
 * whoever logs writes them, and waits for as long as that takes.  Before any other thread exists.
 */
void log_init(int fd, int max_level);
/* Another sink than the lines; `ctx` is given back to it. */
void log_set_sink(log_sink sink, void *ctx);

/* Begins the thread.  0, or a negative errno: it goes on as before. */
int log_start(void);
/*
 * Waits until all is written, at most `timeout_ns`, and ends the thread.  True: it has ended, and
 * records are written by who logs them again.  False: the sink is stuck; the thread is left to
 * itself, and everything from here on is lost.
 */
bool log_stop(uint64_t timeout_ns);

struct log_stats {
        uint64_t written, dropped;
        uint64_t dropped_of[_LOG_KIND_N];
};

/* Any thread. */
void log_get_stats(struct log_stats *ret_stats);

/* ---- bounds ---- */

/* A bound on how often one source may log: `n_max` records per second, counted by the caller's
 * thread. */
struct log_limit {
        uint64_t window_ns; /* start of the present second */
        uint32_t n;
        uint64_t suppressed;
};

/* True: may log now; *ret_suppressed records of this source were not, since the last one that was.
 */
bool log_limit_pass(struct log_limit *limit, uint32_t n_max, uint64_t now_ns,
                    uint64_t *ret_suppressed);
