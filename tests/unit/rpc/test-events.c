/* SPDX-License-Identifier: MIT */
/* Subscriptions: the present state, ready, changes; who is slow loses events, is told how many, and
 * costs nobody anything. */
#include "rpc/events.h"

#include <pthread.h>
#include <sys/socket.h>

#include "base/macros.h"
#include "rpc/peer.h"
#include "unit/rpc/look.h"
#include "unit/rpc/two.h"

/* ---- subscribing ---- */

static void test_vm_state(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.subscribe', ['vm.state']]");
        client_expect(&c, "[1,1,nil,nil]");
        client_expect(
                &c,
                "[2,'vmreq.event',['vm.state',{'state':'CREATED','previous':nil,'reason':nil}]]");
        client_expect(&c, "[2,'vmreq.event',['vm.state',{'ready':true}]]");
        assert_int_equal(vmreq_vm_change(h.vm, VMREQ_EVENT_POWER_ON, 0, NULL, NULL), 0);
        client_expect(&c,
                      "[2,'vmreq.event',['vm.state',{'state':'POWERING_ON','previous':'CREATED',"
                      "'reason':nil}]]");
        client_expect(&c,
                      "[2,'vmreq.event',['vm.state',{'state':'RUNNING','previous':'POWERING_ON',"
                      "'reason':nil}]]");
        client_send(&c, "[0, 2, 'vmreq.unsubscribe', ['vm.state']]");
        client_expect(&c, "[1,2,nil,nil]");
        assert_int_equal(vmreq_vm_change(h.vm, VMREQ_EVENT_SUSPEND, 0, NULL, NULL), 0);
        client_sync(&c); /* and no event before its answer */
        client_send(&d, "[0, 3, 'vmreq.subscribe', ['vm.state']]");
        client_expect(&d, "[1,3,nil,nil]");
        client_expect(&d,
                      "[2,'vmreq.event',['vm.state',{'state':'SUSPENDED','previous':'SUSPENDING',"
                      "'reason':nil}]]");
}

static void test_request(void **state)
{
        const struct proto_value *data;

        (void)state;
        client_send(&d, "[0, 1, 'vmreq.subscribe', ['request']]");
        client_expect(&d, "[1,1,nil,nil]");
        client_expect(&d, "[2,'vmreq.event',['request',{'ready':true}]]");
        client_send(&c, "[0, 1, 'vmreq.call', ['t.echo', ['secret'], {'cpu': 1}]]");
        client_expect(&c, "[1,1,nil,'secret']");
        data = &client_receive(&d)->items[2].items[1];
        assert_int_equal(data->count, 8); /* and so neither arguments nor results */
        assert_true(look_number(data, "id") > 0);
        assert_true(look_is(data, "symbol", "t.echo"));
        assert_int_equal(look_number(data, "cpu"), 1);
        assert_true(look_is(data, "fate", "DONE"));
        assert_int_equal(look_number(data, "status"), 0);
        (void)look_number(data, "queued_us");
        (void)look_number(data, "run_us");
        assert_int_equal(look_number(look(data, "caller"), "pid"), getpid());

        client_send(&c, "[0, 2, 't.status', [-7]]");
        assert_non_null(client_receive(&c));
        data = &client_receive(&d)->items[2].items[1];
        assert_int_equal(look(data, "status")->i, -7);
        client_send(&c, "[0, 3, 'vmreq.call', ['t.cpu', [], {'cpu': 'all'}]]");
        assert_non_null(client_receive(&c));
        data = &client_receive(&d)->items[2].items[1];
        assert_true(look_is(data, "cpu", "all"));
}

static void test_cancelled_and_never_placed(void **state)
{
        const struct proto_value *data;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        client_send(&c, "[0, 2, 'vmreq.call', ['t.gate', [], {'cpu': 1}]]");
        gate_wait();
        gate_wait();
        client_send(&d, "[0, 1, 'vmreq.subscribe', ['request']]");
        client_expect(&d, "[1,1,nil,nil]");
        client_expect(&d, "[2,'vmreq.event',['request',{'ready':true}]]");
        client_send(&c, "[0, 3, 't.cpu', []]");
        client_send(&c, "[0, 4, 'vmreq.cancel', [{'msgid': 3}]]");
        assert_non_null(client_receive(&c));
        assert_non_null(client_receive(&c));
        data = &client_receive(&d)->items[2].items[1];
        assert_true(look_is(data, "fate", "CANCELLED"));
        assert_true(look_is(data, "cpu", "any"));
        assert_int_equal(look_number(data, "run_us"), 0);
}

static void test_several_and_again(void **state)
{
        (void)state;
        client_send(&c,
                    "[0, 1, 'vmreq.subscribe', ['request', 'vm.state', 'request', 'emt.stuck']]");
        client_expect(&c, "[1,1,nil,nil]");
        client_expect(
                &c,
                "[2,'vmreq.event',['vm.state',{'state':'CREATED','previous':nil,'reason':nil}]]");
        client_expect(&c, "[2,'vmreq.event',['vm.state',{'ready':true}]]");
        client_expect(&c, "[2,'vmreq.event',['emt.stuck',{'ready':true}]]");
        client_expect(&c, "[2,'vmreq.event',['request',{'ready':true}]]");
        /* Who asks again gets the beginning again, and every event once. */
        client_send(&c, "[0, 2, 'vmreq.subscribe', ['request']]");
        client_expect(&c, "[1,2,nil,nil]");
        client_expect(&c, "[2,'vmreq.event',['request',{'ready':true}]]");
        client_send(&d, "[0, 1, 't.cpu', []]");
        assert_non_null(client_receive(&d));
        assert_true(proto_value_is_text(&client_receive(&c)->items[2].items[0], "request"));
        client_sync(&c);
        client_send(&c, "[0, 3, 'vmreq.unsubscribe', []]");
        client_expect(&c, "[1,3,nil,nil]");
        client_send(&d, "[0, 2, 't.cpu', []]");
        assert_non_null(client_receive(&d));
        client_sync(&c);
}

static void test_no_topics(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.subscribe', []]");
        client_expect_error(&c, 1, "INVALID_REQUEST", "no", "vmreq.subscribe [topic");
        client_send(&c, "[0, 1, 'vmreq.subscribe', [5]]");
        client_expect_error(&c, 1, "INVALID_REQUEST", "no", "names of topics");
        client_send(&c, "[0, 1, 'vmreq.subscribe', ['vm.state', 'none']]"); /* all or nothing */
        client_expect_error(&c, 1, "NOT_FOUND", "no", "topic \"none\"");
        client_send(&c, "[0, 1, 'vmreq.subscribe', ['console']]"); /* nobody offers it */
        client_expect_error(&c, 1, "NOT_FOUND", "no", "topic \"console\"");
        client_send(&c, "[0, 1, 'vmreq.unsubscribe', ['none']]");
        client_expect_error(&c, 1, "NOT_FOUND", "no", "topic \"none\"");
        client_send(&c, "[0, 1, 'vmreq.unsubscribe', ['request']]");
        client_expect(&c, "[1,1,nil,nil]");
        assert_int_equal(vmreq_vm_change(h.vm, VMREQ_EVENT_POWER_ON, 0, NULL, NULL), 0);
        client_sync(&c);
}

static void test_a_subscriber_goes(void **state)
{
        struct client e;

        (void)state;
        client_connect(&e, &h);
        client_send(&e, "[0, 1, 'vmreq.subscribe', ['request', 'vm.state', 'emt.stuck']]");
        assert_non_null(client_receive(&e));
        client_close(&e);
        harness_until_peers(&h, 2);
        client_send(&c, "[0, 1, 't.cpu', []]");
        assert_non_null(client_receive(&c));
        client_sync(&c);
}

/* ---- who does not read ---- */

struct backlog {
        struct rpc_peer *peer;
        bool is_waiting;
        size_t unread;
        uint64_t charged;
};

static void backlog_job(struct rpc_server *server, void *ctx)
{
        struct backlog *backlog = ctx;

        backlog->peer = TAILQ_LAST(&server->peers, rpc_peer_list);
        backlog->is_waiting = backlog->peer->subscriptions[RPC_TOPIC_REQUEST].is_waiting;
        backlog->unread = backlog->peer->out.len - backlog->peer->out_sent;
        backlog->charged = backlog->peer->out_charged;
}

#define FLOOD 8000u

static void flood(void)
{
        for (unsigned done = 0; done < FLOOD; done += 500) {
                for (unsigned i = 0; i < 500; i++)
                        client_put(&c, "[0, 1, 'vmreq.call', ['t.add', [1, 2], {'cpu': 0}]]");
                client_flush(&c);
                for (unsigned i = 0; i < 500; i++)
                        client_expect(&c, "[1,1,nil,3]");
        }
}

static void test_a_slow_subscriber(void **state)
{
        uint64_t seen = 0, lost = 0, last = 0;
        struct backlog backlog;
        const int small = 4096;
        unsigned n_lost = 0;

        (void)state;
        assert_int_equal(setsockopt(d.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
        client_send(&d, "[0, 1, 'vmreq.subscribe', ['request']]");
        assert_non_null(client_receive(&d));
        assert_non_null(client_receive(&d));
        flood();
        harness_on_loop(&h, backlog_job, &backlog);
        assert_true(backlog.is_waiting);
        assert_in_range(backlog.unread, 16u << 10, 48u << 10);
        assert_in_range(backlog.charged, 16u << 10, 128u << 10);
        /* It reads again: what is still there, in order, and how many are not. */
        while (seen + lost < FLOOD) {
                const struct proto_value *data = &client_receive(&d)->items[2].items[1];

                if (proto_value_map_get(data, "lost")) {
                        lost += look_number(data, "lost");
                        n_lost++;
                } else {
                        assert_true(look_number(data, "id") > last);
                        last = look_number(data, "id");
                        seen++;
                }
        }
        assert_int_equal(seen + lost, FLOOD);
        assert_true(seen > 1000 && lost > 1000);
        assert_int_equal(n_lost, 1);
        client_send(&c, "[0, 2, 't.cpu', []]");
        assert_non_null(client_receive(&c));
        assert_true(look_is(&client_receive(&d)->items[2].items[1], "symbol", "t.cpu"));
        client_send(&c, "[0, 3, 'vmreq.stats', []]");
        assert_int_equal(look_number(look(look_result(&c, 3), "events"), "lost"), lost);
}

/* ---- a feed ---- */

/* As the console keeps its output: a ring of bytes with positions. */
static struct ring {
        pthread_mutex_t lock;
        uint64_t written;
        char bytes[32768];
} ring = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint64_t ring_begin(void *ctx)
{
        struct ring *r = ctx;
        uint64_t begin;

        (void)pthread_mutex_lock(&r->lock);
        begin = r->written > sizeof(r->bytes) ? r->written - sizeof(r->bytes) : 0;
        (void)pthread_mutex_unlock(&r->lock);
        return begin;
}

static uint64_t ring_end(void *ctx)
{
        struct ring *r = ctx;
        uint64_t end_;

        (void)pthread_mutex_lock(&r->lock);
        end_ = r->written;
        (void)pthread_mutex_unlock(&r->lock);
        return end_;
}

static size_t ring_read(void *ctx, uint64_t *position, void *to, size_t size, uint64_t *ret_lost)
{
        struct ring *r = ctx;
        uint64_t begin = ring_begin(ctx);
        size_t n;

        (void)pthread_mutex_lock(&r->lock);
        *ret_lost = begin > *position ? begin - *position : 0;
        *position += *ret_lost;
        n = MIN(size, (size_t)(r->written - *position));
        for (size_t i = 0; i < n; i++)
                ((char *)to)[i] = r->bytes[(*position + i) % sizeof(r->bytes)];
        *position += n;
        (void)pthread_mutex_unlock(&r->lock);
        return n;
}

static void ring_put(const char *text, size_t len)
{
        (void)pthread_mutex_lock(&ring.lock);
        for (size_t i = 0; i < len; i++)
                ring.bytes[ring.written++ % sizeof(ring.bytes)] = text[i];
        (void)pthread_mutex_unlock(&ring.lock);
}

static void ring_write(const char *text, size_t len)
{
        ring_put(text, len);
        rpc_service_console_news(h.service);
}

static const struct rpc_feed feed = {
        .read = ring_read, .begin = ring_begin, .end = ring_end, .ctx = &ring};

static void offer_job(struct rpc_server *server, void *ctx)
{
        (void)ctx;
        rpc_server_offer_console(server, &feed);
}

static void test_console(void **state)
{
        (void)state;
        ring.written = 0;
        harness_on_loop(&h, offer_job, NULL);
        ring_write("before", 6);
        client_send(&c, "[0, 1, 'vmreq.subscribe', ['console']]");
        client_expect(&c, "[1,1,nil,nil]");
        client_expect(&c, "[2,'vmreq.event',['console',{'data':h'6265666f7265'}]]");
        client_expect(&c, "[2,'vmreq.event',['console',{'ready':true}]]");
        ring_write("now", 3);
        client_expect(&c, "[2,'vmreq.event',['console',{'data':h'6e6f77'}]]");
        client_sync(&c);
}

/* What the guest had written comes before the change of state that it brought, also if the news of
 * it are late. */
static void test_last_words(void **state)
{
        (void)state;
        ring.written = 0;
        harness_on_loop(&h, offer_job, NULL);
        client_send(&c, "[0, 1, 'vmreq.subscribe', ['vm.state', 'console']]");
        client_expect(&c, "[1,1,nil,nil]");
        for (int i = 0; i < 3; i++)
                assert_non_null(client_receive(&c));
        ring_put("bye", 3);
        assert_int_equal(vmreq_vm_change(h.vm, VMREQ_EVENT_POWER_ON, 0, NULL, NULL), 0);
        client_expect(&c, "[2,'vmreq.event',['console',{'data':h'627965'}]]");
        client_expect(&c,
                      "[2,'vmreq.event',['vm.state',{'state':'POWERING_ON','previous':'CREATED',"
                      "'reason':nil}]]");
}

/* More than the ring holds, for one that does not read: the guest goes on, bytes are lost and
 * counted, and none comes twice. */
static void test_a_flooding_guest(void **state)
{
        uint64_t at = 0, total = 8u << 20;
        const int small = 4096;
        unsigned n_lost = 0;
        static char text[1 << 16];

        (void)state;
        ring.written = 0;
        harness_on_loop(&h, offer_job, NULL);
        assert_int_equal(setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
        client_send(&c, "[0, 1, 'vmreq.subscribe', ['console']]");
        client_expect(&c, "[1,1,nil,nil]");
        client_expect(&c, "[2,'vmreq.event',['console',{'ready':true}]]");
        for (uint64_t done = 0; done < total; done += sizeof(text)) {
                for (size_t i = 0; i < sizeof(text); i++)
                        text[i] = (char)((done + i) % 251);
                ring_write(text, sizeof(text));
                client_sync(&d); /* the loop lives */
        }
        while (at < total) {
                const struct proto_value *data = &client_receive(&c)->items[2].items[1], *bytes;

                if (proto_value_map_get(data, "lost")) {
                        at += look_number(data, "lost");
                        n_lost++;
                        continue;
                }
                bytes = look(data, "data");
                for (uint32_t i = 0; i < bytes->count; i++)
                        assert_int_equal((uint8_t)bytes->data[i], (at + i) % 251);
                at += bytes->count;
        }
        assert_int_equal(at, total);
        assert_true(n_lost >= 1);
}

/* A new subscriber gets the end of what is kept, not all of it. */
static void test_the_tail(void **state)
{
        static char text[100000];
        uint64_t n = 0;

        (void)state;
        ring.written = 0;
        harness_on_loop(&h, offer_job, NULL);
        memset(text, 'x', sizeof(text));
        ring_write(text, sizeof(text));
        client_send(&c, "[0, 1, 'vmreq.subscribe', ['console']]");
        client_expect(&c, "[1,1,nil,nil]");
        for (;;) {
                const struct proto_value *data = &client_receive(&c)->items[2].items[1];

                if (proto_value_map_get(data, "ready"))
                        break;
                n += look(data, "data")->count;
        }
        assert_int_equal(n, 16u << 10);
}

/* ---- rights ---- */

static void review_job(struct rpc_server *server, void *ctx)
{
        (void)ctx;
        rpc_events_review(server);
}

static void test_rights_that_go(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.subscribe', ['request', 'vm.state']]");
        for (int i = 0; i < 4; i++)
                assert_non_null(client_receive(&c));
        harness_on_loop(&h, review_job, NULL);
        client_sync(&c); /* nothing has changed */
        harness_become(&h, HARNESS_MEMBER);
        harness_on_loop(&h, review_job, NULL);
        client_sync(&c);
        harness_become(&h, HARNESS_STRANGER);
        harness_on_loop(&h, review_job, NULL);
        client_expect(&c, "[2,'vmreq.event',['vm.state',{'ended':'the policy does not allow it any "
                          "more'}]]");
        client_expect(&c, "[2,'vmreq.event',['request',{'ended':'the policy does not allow it any "
                          "more'}]]");
        client_send(&d, "[0, 1, 't.cpu', []]");
        assert_non_null(client_receive(&d));
        client_sync(&c);
        client_send(&c, "[0, 2, 'vmreq.subscribe', ['vm.state']]");
        client_expect_error(&c, 2, "NOT_FOUND", "no", "vmreq.subscribe");
}

/* The console reveals what the guest does: not to whoever may observe. */
static void test_rights_to_the_console(void **state)
{
        (void)state;
        ring.written = 0;
        harness_on_loop(&h, offer_job, NULL);
        harness_become(&h, HARNESS_MEMBER);
        client_send(&c, "[0, 1, 'vmreq.subscribe', ['console']]");
        client_expect_error(&c, 1, "NOT_FOUND", "no", "topic \"console\"");
        client_send(&c, "[0, 2, 'vmreq.subscribe', ['request']]");
        client_expect(&c, "[1,2,nil,nil]");
        client_expect(&c, "[2,'vmreq.event',['request',{'ready':true}]]");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
        const struct CMUnitTest tests[] = {
                TEST(test_vm_state),
                TEST(test_request),
                TEST(test_cancelled_and_never_placed),
                TEST(test_several_and_again),
                TEST(test_no_topics),
                TEST(test_a_subscriber_goes),
                TEST(test_a_slow_subscriber),
                TEST(test_console),
                TEST(test_last_words),
                TEST(test_a_flooding_guest),
                TEST(test_the_tail),
                TEST(test_rights_that_go),
                TEST(test_rights_to_the_console),
        };

        return HARNESS_RUN("events", tests);
}
