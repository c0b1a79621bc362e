/* SPDX-License-Identifier: MIT */
/* EMTs that are stuck: seen after the symbol's limit and not before, told once, and told again when
 * they are back; an idle server has no timer. */
#include "rpc/stuck.h"

#include "base/clock.h"
#include "rpc/peer.h"
#include "unit/rpc/look.h"
#include "unit/rpc/two.h"

static void tune(struct rpc_config *config)
{
        config->emt_stuck_ms = 60;
}

static int start_subscribed(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        options.tune = tune;
        (void)start_with(&options);
        client_send(&d, "[0, 1, 'vmreq.subscribe', ['emt.stuck']]");
        client_expect(&d, "[1,1,nil,nil]");
        client_expect(&d, "[2,'vmreq.event',['emt.stuck',{'ready':true}]]");
        return 0;
}

/* The next event of d says so of an EMT.  Returns the request's id. */
static uint64_t expect(uint32_t cpu, bool is_stuck, const char *symbol)
{
        const struct proto_value *event = &client_receive(&d)->items[2], *data = &event->items[1];

        assert_true(proto_value_is_text(&event->items[0], "emt.stuck"));
        assert_int_equal(data->count, 6);
        assert_int_equal(look_number(data, "cpu"), cpu);
        assert_int_equal(look(data, "stuck")->b, is_stuck);
        assert_true(look_is(data, "symbol", symbol));
        assert_true(look_number(data, "running_ms") >= 50);
        assert_int_equal(look_number(look(data, "caller"), "uid"), geteuid());
        assert_int_equal(look_number(look(data, "caller"), "pid"), getpid());
        return look_number(data, "id");
}

static void test_stuck_and_back(void **state)
{
        uint64_t begin = clock_now_ns(), id;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 1}]]");
        gate_wait();
        id = expect(1, true, "t.gate");
        assert_true(clock_now_ns() - begin >= 50 * CLOCK_NS_PER_MS);
        gate_open();
        client_expect(&c, "[1,1,nil,1]");
        assert_int_equal(expect(1, false, "t.gate"), id);
}

/* Several at once, each told once; what is stuck is what a new subscription begins with. */
static void test_present(void **state)
{
        uint64_t first, second;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        first = expect(0, true, "t.gate");
        client_send(&c, "[0, 2, 'vmreq.call', ['t.block', [], {'cpu': 1, 'timeout_ms': 0}]]");
        second = expect(1, true, "t.block");
        client_send(&d, "[0, 2, 'vmreq.subscribe', ['emt.stuck']]");
        client_expect(&d, "[1,2,nil,nil]");
        assert_int_equal(expect(0, true, "t.gate"), first);
        assert_int_equal(expect(1, true, "t.block"), second);
        client_expect(&d, "[2,'vmreq.event',['emt.stuck',{'ready':true}]]");
        client_send(&c, "[0, 3, 'vmreq.cancel', [{'msgid': 2}]]");
        assert_int_equal(expect(1, false, "t.block"), second);
        gate_open();
        assert_int_equal(expect(0, false, "t.gate"), first);
}

/* A client that was answered TIMEOUT has left a stuck EMT behind. */
static void test_answered_before(void **state)
{
        (void)state;
        client_overdue(&c, 1);
        (void)expect(0, true, "t.gate");
        gate_open();
        (void)expect(0, false, "t.gate");
}

/* The child of a broadcast that ends while another goes on. */
static void test_broadcast(void **state)
{
        uint32_t cpu;
        const struct proto_value *data;

        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 'all', 'parallel': true, "
                        "'timeout_ms': 0}]]");
        gate_wait();
        gate_wait();
        for (int i = 0; i < 2; i++)
                assert_true(look(&client_receive(&d)->items[2].items[1], "stuck")->b);
        gate_open();
        data = &client_receive(&d)->items[2].items[1];
        assert_false(look(data, "stuck")->b);
        cpu = (uint32_t)look_number(data, "cpu");
        gate_open();
        (void)expect(1 - cpu, false, "t.gate");
        assert_non_null(client_receive(&c));
}

/* The symbol's own limit, where it has one, and not the setting. */
static void test_own_limit(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.patient', [], {'cpu': 1}]]");
        gate_wait();
        client_send(&c, "[0, 2, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        (void)expect(0, true, "t.gate"); /* the later one, with the shorter limit */
        (void)expect(1, true, "t.patient");
        gate_open();
        gate_open();
}

static void timer_job(struct rpc_server *server, void *ctx)
{
        *(bool *)ctx = uv_is_active((uv_handle_t *)&server->stuck_timer);
}

static bool has_no_timer(struct rpc_server *server, void *ctx)
{
        (void)ctx;
        return !uv_is_active((uv_handle_t *)&server->stuck_timer);
}

static void test_idle(void **state)
{
        bool active;

        (void)state;
        harness_on_loop(&h, timer_job, &active);
        assert_false(active);
        client_send(&c, "[0, 1, 't.cpu', []]");
        assert_non_null(client_receive(&c));
        harness_until(&h, has_no_timer, NULL); /* one look more, and no other */
        client_send(&c, "[0, 2, 'vmreq.call', ['t.gate', [], {'cpu': 1}]]");
        gate_wait();
        (void)expect(1, true, "t.gate");
        harness_on_loop(&h, timer_job, &active);
        assert_true(active);
        gate_open();
        (void)expect(1, false, "t.gate");
        harness_until(&h, has_no_timer, NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start_subscribed, end)
        const struct CMUnitTest tests[] = {
                TEST(test_stuck_and_back), TEST(test_present),   TEST(test_answered_before),
                TEST(test_broadcast),      TEST(test_own_limit), TEST(test_idle),
        };

        return HARNESS_RUN("stuck", tests);
}
