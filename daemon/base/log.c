/* SPDX-License-Identifier: MIT */
/*
 * From who logs to the sink.
 *
 *   log_write ──► a record, built on the caller's stack ──► ring ──► thread ──► sink
 *
 *   1. Who logs holds the lock for the copying of one record and no longer; the thread holds it
 *      while it takes one out, and never while the sink writes.  So a sink that blocks for ever
 *      costs records, and nobody time.
 *   2. Records leave in the order in which they came, whichever ring they stood in: they are
 *      numbered under the lock.
 *   3. Every record is written or counted as dropped, and the drops are told where they happened.
 *   4. Without the thread (at the beginning, in tests, after a clean end) the same records go to
 *      the same sink on the caller's thread.
 *
 * Considered: a lock-free ring.  Any thread may log, EMTs among them, but none does so on the path
 * of a request that works; the lock is held for some hundred nanoseconds, and a mutex leaves the
 * order of records (2) and the count of drops (3) plain to see.
 */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log-ids.h"
#include "base/log-ring.h"
#include "base/macros.h"

#define RING_BYTES  (256u << 10) /* about a thousand records */
#define AUDIT_BYTES (128u << 10)

/* A record in a ring: this, then its strings with their NULs: id (or nothing), text, fields. */
struct packed {
        uint8_t level, kind, has_id, n_fields;
};

#define RECORD_MAX                                                                                 \
        (sizeof(struct packed) + LOG_FIELD_MAX + LOG_LINE_MAX + LOG_FIELDS_MAX * LOG_FIELD_MAX)

struct record {
        size_t size;
        char bytes[RECORD_MAX];
};

enum mode {
        LOG_DIRECT, /* who logs writes */
        LOG_THREAD,
        LOG_DEAD, /* the thread is stuck in the sink, and the process about to end */
};

static struct {
        pthread_mutex_t lock;
        pthread_cond_t wake; /* there is something to write, or to end */
        pthread_cond_t idle; /* the thread has ended */
        enum mode mode;
        bool closing, ended;
        pthread_t thread;
        struct log_ring rings[_LOG_KIND_N];
        uint64_t next_number;
        uint64_t written, failed[_LOG_KIND_N];

        /* fixed before other threads exist */
        int fd, max_level;
        log_sink sink;
        void *sink_ctx;
} the_log = {.lock = PTHREAD_MUTEX_INITIALIZER,
             .wake = PTHREAD_COND_INITIALIZER,
             .fd = STDERR_FILENO,
             .max_level = LOG_L_INFO};

static void lock(void)
{
        CHECK(pthread_mutex_lock(&the_log.lock) == 0);
}

static void unlock(void)
{
        CHECK(pthread_mutex_unlock(&the_log.lock) == 0);
}

/* ---- the sink of lines ---- */

/* Blocks, also on a descriptor that does not. */
static bool write_all(int fd, const char *data, size_t len)
{
        while (len) {
                ssize_t n = write(fd, data, len);
                struct pollfd p = {.fd = fd, .events = POLLOUT};

                if (n < 0 && errno == EAGAIN && (poll(&p, 1, -1) == 1 || errno == EINTR))
                        continue;
                if (n < 0 && errno != EINTR)
                        return false;
                if (n > 0) {
                        data += n;
                        len -= (size_t)n;
                }
        }
        return true;
}

static bool line_sink(void *ctx, const struct log_record *record)
{
        char line[LOG_LINE_MAX + 1];
        int n = snprintf(line, sizeof(line), "%s\n", record->text);

        (void)ctx;
        return n > 0 && write_all(the_log.fd, line, MIN((size_t)n, sizeof(line) - 1));
}

/* ---- records ---- */

/* Control bytes would let whoever chose a name forge lines. */
static void make_printable(char *text)
{
        for (; *text; text++)
                if ((unsigned char)*text < ' ' || *text == 0x7f)
                        *text = '?';
}

/* Ends a string that was just written behind the record's end, n bytes without its NUL as snprintf
 * counts them, into `room`. */
static void end_string(struct record *record, int n, size_t room)
{
        char *text = record->bytes + record->size;

        if (n < 0)
                text[n = 0] = 0;
        make_printable(text);
        record->size += MIN((size_t)n, room - 1) + 1;
}

static void put_string(struct record *record, const char *text, size_t room)
{
        end_string(record, snprintf(record->bytes + record->size, room, "%s", text), room);
}

static void put_field(struct record *record, const struct log_field *field)
{
        char *at = record->bytes + record->size;
        int n;

        if (field->word)
                n = snprintf(at, LOG_FIELD_MAX, "%s=%s", field->key, field->word);
        else
                n = snprintf(at, LOG_FIELD_MAX, "%s=%lld", field->key, (long long)field->number);
        end_string(record, n, LOG_FIELD_MAX);
}

static void __attribute__((format(printf, 3, 0)))
build(struct record *record, const struct log_meta *meta, const char *format, va_list args)
{
        struct packed packed = {
                .level = (uint8_t)meta->level,
                .kind = (uint8_t)meta->kind,
                .has_id = meta->id != NULL,
                .n_fields = (uint8_t)MIN(meta->n_fields, (size_t)LOG_FIELDS_MAX),
        };

        memcpy(record->bytes, &packed, sizeof(packed));
        record->size = sizeof(packed);
        if (meta->id)
                put_string(record, meta->id, LOG_FIELD_MAX);
        end_string(record, vsnprintf(record->bytes + record->size, LOG_LINE_MAX, format, args),
                   LOG_LINE_MAX);
        for (size_t i = 0; i < packed.n_fields; i++)
                put_field(record, &meta->fields[i]);
}

static const char *next_string(const char **at)
{
        const char *text = *at;

        *at += strlen(text) + 1;
        return text;
}

/* Hands a record to the sink.  Returns whether it was written. */
static bool emit(const struct record *record)
{
        const char *at = record->bytes + sizeof(struct packed);
        struct log_record view = {0};
        struct packed packed;

        memcpy(&packed, record->bytes, sizeof(packed));
        view.level = packed.level;
        view.id = packed.has_id ? next_string(&at) : NULL;
        view.text = next_string(&at);
        view.n_fields = packed.n_fields;
        for (uint32_t i = 0; i < view.n_fields; i++)
                view.fields[i] = next_string(&at);
        return the_log.sink ? the_log.sink(the_log.sink_ctx, &view) : line_sink(NULL, &view);
}

/* With the lock. */
static void count(const struct record *record, bool written)
{
        struct packed packed;

        memcpy(&packed, record->bytes, sizeof(packed));
        if (written)
                the_log.written++;
        else
                the_log.failed[packed.kind]++;
}

static void __attribute__((format(printf, 2, 0)))
vwrite(const struct log_meta *meta, const char *format, va_list args)
{
        struct record record;
        int saved = errno;

        if (meta->level > the_log.max_level)
                return;
        build(&record, meta, format, args);
        lock();
        switch (the_log.mode) {
        case LOG_THREAD:
                (void)log_ring_put(&the_log.rings[meta->kind], the_log.next_number++, record.bytes,
                                   record.size);
                CHECK(pthread_cond_signal(&the_log.wake) == 0);
                break;
        case LOG_DIRECT:
                count(&record, emit(&record));
                break;
        case LOG_DEAD:
                count(&record, false);
                break;
        }
        unlock();
        errno = saved;
}

void log_write(const struct log_meta *meta, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        vwrite(meta, format, args);
        va_end(args);
}

void log_line(int level, const char *format, ...)
{
        const struct log_meta meta = {.level = level};
        va_list args;

        va_start(args, format);
        vwrite(&meta, format, args);
        va_end(args);
}

/* ---- the thread ---- */

/* A record about records; written by the thread itself, so that it cannot be lost in a ring. */
static void __attribute__((format(printf, 3, 4)))
build_notice(struct record *record, const struct log_meta *meta, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        build(record, meta, format, args);
        va_end(args);
}

static void tell_lost(enum log_kind kind, uint32_t n)
{
        const struct log_meta meta = {
                .level = LOG_L_WARNING,
                .kind = kind,
                .id = LOG_ID_LOST,
                LOG_FIELDS(LOG_NUMBER("VMREQ_LOST", n)),
        };
        struct record record;

        build_notice(&record, &meta, "%u %srecords lost here: the log's reader was too slow",
                     (unsigned)n, kind == LOG_AUDIT ? "audit " : "");
        (void)emit(&record); /* if not even this passes, the count still has them */
}

/* The oldest record of all rings.  Its kind, or _LOG_KIND_N: there is none.  With the lock. */
static enum log_kind oldest(void)
{
        enum log_kind found = _LOG_KIND_N;
        uint64_t number = 0;

        for (unsigned kind = 0; kind < _LOG_KIND_N; kind++) {
                struct log_entry entry;

                if (!log_ring_peek(&the_log.rings[kind], &entry))
                        continue;
                if (found == _LOG_KIND_N || entry.number < number) {
                        found = kind;
                        number = entry.number;
                }
        }
        return found;
}

/* One record, or what was lost behind the last one.  With the lock, which is let go meanwhile.
 * False: there is nothing. */
static bool write_one(void)
{
        enum log_kind kind = oldest();
        struct log_entry entry = {0};
        struct record record;
        bool written;

        for (unsigned i = 0; kind == _LOG_KIND_N && i < _LOG_KIND_N; i++) {
                entry.lost_before = log_ring_take_untold(&the_log.rings[i]);
                if (entry.lost_before == 0)
                        continue;
                unlock();
                tell_lost(i, entry.lost_before);
                lock();
                return true;
        }
        if (kind == _LOG_KIND_N)
                return false;
        log_ring_take(&the_log.rings[kind], &entry, record.bytes);
        unlock();
        if (entry.lost_before)
                tell_lost(kind, entry.lost_before);
        written = emit(&record);
        lock();
        count(&record, written);
        return true;
}

static void *thread_main(void *arg)
{
        (void)arg;
        lock();
        for (;;) {
                if (write_one())
                        continue;
                if (the_log.closing)
                        break;
                CHECK(pthread_cond_wait(&the_log.wake, &the_log.lock) == 0);
        }
        the_log.ended = true;
        the_log.mode = LOG_DIRECT;
        CHECK(pthread_cond_signal(&the_log.idle) == 0);
        unlock();
        return NULL;
}

/* ---- life ---- */

void log_init(int fd, int max_level)
{
        the_log.fd = fd;
        the_log.max_level = max_level;
        the_log.sink = NULL;
}

void log_set_sink(log_sink sink, void *ctx)
{
        the_log.sink = sink;
        the_log.sink_ctx = ctx;
}

static int init_idle(void)
{
        pthread_condattr_t attributes;
        int r = pthread_condattr_init(&attributes);

        if (r)
                return r;
        r = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        r = r ? r : pthread_cond_init(&the_log.idle, &attributes);
        (void)pthread_condattr_destroy(&attributes);
        return r;
}

/* All signals are somebody else's. */
static int start_thread(void)
{
        sigset_t all, before;
        int r;

        (void)sigfillset(&all);
        r = pthread_sigmask(SIG_SETMASK, &all, &before);
        if (r)
                return r;
        r = pthread_create(&the_log.thread, NULL, thread_main, NULL);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (r == 0)
                (void)pthread_setname_np(the_log.thread, "vmreq-log");
        return r;
}

static void free_rings(void)
{
        for (unsigned i = 0; i < _LOG_KIND_N; i++)
                log_ring_deinit(&the_log.rings[i]);
}

int log_start(void)
{
        int r;

        CHECK(the_log.mode == LOG_DIRECT);
        if (!log_ring_init(&the_log.rings[LOG_PLAIN], RING_BYTES) ||
            !log_ring_init(&the_log.rings[LOG_AUDIT], AUDIT_BYTES)) {
                free_rings();
                return -ENOMEM;
        }
        r = init_idle();
        if (r) {
                free_rings();
                return -r;
        }
        lock();
        the_log.closing = the_log.ended = false;
        the_log.mode = LOG_THREAD;
        unlock();
        r = start_thread();
        if (r == 0)
                return 0;
        the_log.mode = LOG_DIRECT;
        (void)pthread_cond_destroy(&the_log.idle);
        free_rings();
        return -r;
}

bool log_stop(uint64_t timeout_ns)
{
        uint64_t end = clock_add(clock_now_ns(), timeout_ns);
        struct timespec ts = {.tv_sec = (time_t)(end / CLOCK_NS_PER_S),
                              .tv_nsec = (long)(end % CLOCK_NS_PER_S)};
        bool ended = false;
        int r = 0;

        lock();
        if (the_log.mode != LOG_THREAD) {
                ended = the_log.mode == LOG_DIRECT;
                unlock();
                return ended;
        }
        the_log.closing = true;
        CHECK(pthread_cond_signal(&the_log.wake) == 0);
        while (!the_log.ended && r == 0)
                r = pthread_cond_timedwait(&the_log.idle, &the_log.lock, &ts);
        ended = the_log.ended;
        if (!ended)
                the_log.mode = LOG_DEAD;
        unlock();
        if (!ended)
                return false;
        CHECK(pthread_join(the_log.thread, NULL) == 0);
        (void)pthread_cond_destroy(&the_log.idle);
        for (unsigned i = 0; i < _LOG_KIND_N; i++)
                the_log.failed[i] += the_log.rings[i].dropped;
        free_rings();
        return true;
}

void log_get_stats(struct log_stats *ret_stats)
{
        struct log_stats stats = {0};

        lock();
        stats.written = the_log.written;
        for (unsigned i = 0; i < _LOG_KIND_N; i++) {
                stats.dropped_of[i] = the_log.failed[i] + the_log.rings[i].dropped;
                stats.dropped += stats.dropped_of[i];
        }
        unlock();
        *ret_stats = stats;
}

/* ---- bounds ---- */

bool log_limit_pass(struct log_limit *limit, uint32_t n_max, uint64_t now_ns,
                    uint64_t *ret_suppressed)
{
        if (now_ns - limit->window_ns >= CLOCK_NS_PER_S) {
                limit->window_ns = now_ns;
                limit->n = 0;
        }
        if (limit->n >= n_max) {
                limit->suppressed++;
                return false;
        }
        limit->n++;
        *ret_suppressed = limit->suppressed;
        limit->suppressed = 0;
        return true;
}
