/* SPDX-License-Identifier: MIT */
/* What the journal is told: calls that change state and what came of them, denials, cancels of
 * others' calls - with their fields, and never an argument. */
#include "unit/rpc/harness.h"

#include <stdlib.h>
#include <string.h>

#include "base/log-ids.h"
#include "rpc/peer.h"

static struct harness h;
static struct client c;

#define SEEN_MAX 200

static struct seen {
        int level;
        char id[40], text[200], fields[16][80];
        uint32_t n_fields;
} seen[SEEN_MAX];
static _Atomic unsigned n_seen;

/* Under the log's lock. */
static bool note(void *ctx, const struct log_record *record)
{
        struct seen *s = &seen[atomic_load(&n_seen) % SEEN_MAX];

        (void)ctx;
        s->level = record->level;
        (void)snprintf(s->id, sizeof(s->id), "%s", record->id ? record->id : "");
        (void)snprintf(s->text, sizeof(s->text), "%s", record->text);
        s->n_fields = record->n_fields;
        for (uint32_t i = 0; i < record->n_fields; i++)
                (void)snprintf(s->fields[i], sizeof(s->fields[i]), "%s", record->fields[i]);
        atomic_fetch_add(&n_seen, 1);
        return true;
}

static int start(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        atomic_store(&n_seen, 0);
        harness_start(&h, &options);
        log_set_sink(note, NULL);
        client_connect(&c, &h);
        harness_until_peers(&h, 1);
        return 0;
}

static int end(void **state)
{
        (void)state;
        gates_open();
        client_close(&c);
        harness_until_idle(&h, 0);
        harness_end(&h);
        log_set_sink(NULL, NULL);
        return 0;
}

static const struct seen *record_of(const char *id, const char *part)
{
        for (unsigned i = 0; i < atomic_load(&n_seen); i++)
                if (strcmp(seen[i].id, id) == 0 && strstr(seen[i].text, part))
                        return &seen[i];
        fail_msg("no record has \"%s\"", part);
        return NULL;
}

static unsigned count_of(const char *id)
{
        unsigned n = 0;

        for (unsigned i = 0; i < atomic_load(&n_seen); i++)
                n += strcmp(seen[i].id, id) == 0;
        return n;
}

static void expect_field(const struct seen *record, const char *key, const char *value)
{
        char field[120];

        (void)snprintf(field, sizeof(field), "%s=%s", key, value);
        for (uint32_t i = 0; i < record->n_fields; i++)
                if (strcmp(record->fields[i], field) == 0)
                        return;
        fail_msg("\"%s\" has no field %s", record->text, field);
}

static void expect_caller(const struct seen *record)
{
        char number[32];

        (void)snprintf(number, sizeof(number), "%u", (unsigned)getuid());
        expect_field(record, "VMREQ_CALLER_UID", number);
        (void)snprintf(number, sizeof(number), "%d", (int)getpid());
        expect_field(record, "VMREQ_CALLER_PID", number);
}

static void test_a_call_that_changes_state(void **state)
{
        const struct seen *record;

        (void)state;
        client_send(&c, "[0, 1, 't.add', [1, 2]]"); /* changes nothing, and is not told */
        client_expect(&c, "[1,1,nil,3]");
        client_send(&c, "[0, 2, 'vmreq.call', ['t.change', [], {'cpu': 1}]]");
        client_expect(&c, "[1,2,nil,nil]");
        assert_int_equal(count_of(LOG_ID_CALL), 2);
        record = record_of(LOG_ID_CALL, "t.change called by");
        assert_int_equal(record->level, LOG_L_NOTICE);
        expect_field(record, "VMREQ_SYMBOL", "t.change");
        expect_caller(record);
        record = record_of(LOG_ID_CALL, "DONE, status 0");
        expect_field(record, "VMREQ_SYMBOL", "t.change");
        expect_field(record, "VMREQ_CPU", "1");
        expect_field(record, "VMREQ_FATE", "DONE");
        expect_field(record, "VMREQ_STATUS", "0");
        expect_caller(record);
}

/* A broadcast's record tells of the row that went wrong. */
static void test_a_broadcast_that_is_cancelled(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 1}]]");
        gate_wait();
        client_send(&c, "[0, 2, 'vmreq.call', ['t.change', [], {'cpu': 'all'}]]");
        client_send(&c, "[0, 3, 'vmreq.cancel', [{'msgid': 2}]]");
        assert_non_null(client_receive(&c));
        assert_non_null(client_receive(&c));
        gate_open();
        client_expect(&c, "[1,1,nil,1]");
        client_sync(&c);
        expect_field(record_of(LOG_ID_CALL, "t.change (request"), "VMREQ_FATE", "CANCELLED");
}

static void test_denials(void **state)
{
        char name[160], text[200];

        (void)state;
        harness_become(&h, HARNESS_ROOT);
        client_send(&c, "[0, 1, 't.none', []]"); /* nothing is denied to root */
        client_expect_error(&c, 1, "NOT_FOUND", "no", "");
        assert_int_equal(count_of(LOG_ID_DENIED), 0);
        /* For others what is not there and what is not theirs are one, in time as well. */
        harness_become(&h, HARNESS_STRANGER);
        client_send(&c, "[0, 1, 't.none', []]");
        client_expect_error(&c, 1, "NOT_FOUND", "no", "");
        expect_field(record_of(LOG_ID_DENIED, "t.none denied"), "VMREQ_SYMBOL", "t.none");
        client_send(&c, "[0, 2, 't.add', [1, 2]]");
        client_expect_error(&c, 2, "NOT_FOUND", "no", "");
        expect_field(record_of(LOG_ID_DENIED, "t.add denied"), "VMREQ_SYMBOL", "t.add");
        expect_caller(record_of(LOG_ID_DENIED, "t.add denied"));
        client_send(&c, "[0, 3, 'vmreq.status', []]");
        client_expect_error(&c, 3, "NOT_FOUND", "no", "");
        expect_field(record_of(LOG_ID_DENIED, "vmreq.status denied"), "VMREQ_SYMBOL",
                     "vmreq.status");
        memset(name, 'n', sizeof(name) - 1);
        name[sizeof(name) - 1] = 0;
        (void)snprintf(text, sizeof(text), "[0, 4, '%s', []]", name);
        client_send(&c, text);
        client_expect_error(&c, 4, "NOT_FOUND", "no", "");
}

/* Who floods with what is denied fills no log. */
static void test_denials_are_limited(void **state)
{
        (void)state;
        harness_become(&h, HARNESS_STRANGER);
        for (unsigned i = 0; i < 100; i++)
                client_put(&c, "[0, %u, 't.add', [1, 2]]", i);
        client_flush(&c);
        for (unsigned i = 0; i < 100; i++)
                client_expect_error(&c, i, "NOT_FOUND", "no", "");
        assert_in_range(count_of(LOG_ID_DENIED), 1, 50); /* five a second */
}

static void test_cancel_of_anothers_call(void **state)
{
        const struct seen *record;
        struct client other;
        uint64_t id;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        client_send(&c, "[0, 2, 'vmreq.submit', ['t.add', [1, 2], {'cpu': 0}]]");
        id = client_receive(&c)->items[3].u;
        client_connect(&other, &h);
        client_send(&other, "[0, 3, 'vmreq.cancel', [%u]]", id);
        client_expect(&other, "[1,3,nil,'removed']");
        client_send(&c, "[0, 4, 'vmreq.wait', [%u]]", id);
        client_expect_error(&c, 4, "CANCELLED", "no", "cancelled by uid ");
        record = record_of(LOG_ID_CANCEL, "t.add (request ");
        expect_field(record, "VMREQ_SYMBOL", "t.add");
        expect_caller(record);
        client_send(&c, "[0, 5, 'vmreq.cancel', [%u]]", id);
        client_expect(&c, "[1,5,nil,'finished']");
        assert_int_equal(count_of(LOG_ID_CANCEL), 1);
        gate_open();
        client_expect(&c, "[1,1,nil,0]");
        client_close(&other);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
        const struct CMUnitTest tests[] = {
                TEST(test_a_call_that_changes_state),
                TEST(test_a_broadcast_that_is_cancelled),
                TEST(test_denials),
                TEST(test_denials_are_limited),
                TEST(test_cancel_of_anothers_call),
        };

        return HARNESS_RUN("audit", tests);
}
