/* SPDX-License-Identifier: MIT */
/* vmreq.why: what is ahead of a request, what its EMTs run meanwhile, and the sentence. */
#include "unit/rpc/look.h"
#include "unit/rpc/two.h"

/* Both EMTs run gates. */
static void block_all(uint64_t ids[2])
{
        ids[0] = client_submit(&c, "t.gate", "{'cpu': 0}");
        gate_wait();
        ids[1] = client_submit(&c, "t.gate", "{'cpu': 1}");
        gate_wait();
}

static const struct proto_value *why(uint64_t id)
{
        client_send(&d, "[0, 2, 'vmreq.why', [%u]]", id);
        return look_result(&d, 2);
}

static void expect_ahead(uint64_t id, unsigned ahead)
{
        assert_int_equal(look_number(why(id), "ahead"), ahead);
}

static void expect_text(const struct proto_value *answer, const char *part)
{
        const struct proto_value *text = look(answer, "text");
        char copy[600];

        (void)snprintf(copy, sizeof(copy), "%.*s", (int)text->count, text->data);
        assert_has(copy, part);
}

static void test_own_lane(void **state)
{
        uint64_t gates[2], first, second, urgent;
        const struct proto_value *answer;

        (void)state;
        block_all(gates);
        first = client_submit(&c, "t.cpu", "{'cpu': 1}");
        second = client_submit(&c, "t.cpu", "{'cpu': 1}");
        (void)client_submit(&c, "t.cpu", "{'cpu': 0}"); /* another lane's */
        expect_ahead(first, 0);
        expect_ahead(second, 1);
        urgent = client_submit(&c, "t.cpu", "{'cpu': 1, 'priority': true}");
        expect_ahead(urgent, 0);
        expect_ahead(first, 1);
        answer = why(second);
        assert_int_equal(look_number(answer, "ahead"), 2);
        assert_int_equal(look_number(answer, "dead"), 0);
        assert_true(look_is(answer, "symbol", "t.cpu"));
        assert_int_equal(look(answer, "running")->count, 1);
        assert_int_equal(look_number(&look(answer, "running")->items[0], "id"), gates[1]);
        assert_int_equal(look_number(&look(answer, "running")->items[0], "on"), 1);
        expect_text(answer, "waits behind 2 requests; EMT 1 has run t.gate (request ");
        expect_text(why(first), "waits behind 1 request; ");
}

/* ANY and own take turns: what comes from the other lane is no more than what is before it in its
 * own, and one. */
static void test_any(void **state)
{
        uint64_t gates[2], own, any;
        const struct proto_value *answer;

        (void)state;
        block_all(gates);
        own = client_submit(&c, "t.cpu", "{'cpu': 0}");
        for (int i = 0; i < 5; i++)
                any = client_submit(&c, "t.cpu", "{'cpu': 'any'}");
        expect_ahead(own, 1);
        answer = why(any);
        assert_int_equal(look_number(answer, "ahead"), 4);
        assert_int_equal(look(answer, "running")->count, 2);
        expect_text(answer, "2 of 2 EMTs are busy, EMT 0 has run t.gate");
}

static void test_broadcast(void **state)
{
        uint64_t gates[2], all;

        (void)state;
        block_all(gates);
        (void)client_submit(&c, "t.cpu", "{'cpu': 0}");
        all = client_submit(&c, "t.cpu", "{'cpu': 'all'}");
        (void)client_submit(&c, "t.cpu", "{'cpu': 1}"); /* stands before its second child */
        expect_ahead(all, 2);
        assert_int_equal(look(why(all), "running")->count, 2);
}

/* A cancelled request leaves a dead place in its lane. */
static void test_dead(void **state)
{
        uint64_t gates[2], gone, id;
        const struct proto_value *answer;

        (void)state;
        block_all(gates);
        gone = client_submit(&c, "t.cpu", "{'cpu': 1}");
        id = client_submit(&c, "t.cpu", "{'cpu': 1}");
        client_send(&c, "[0, 3, 'vmreq.cancel', [%u]]", gone);
        client_expect(&c, "[1,3,nil,'removed']");
        answer = why(id);
        assert_int_equal(look_number(answer, "ahead"), 0);
        assert_int_equal(look_number(answer, "dead"), 1);
        client_send(&d, "[0, 2, 'vmreq.why', [%u]]", gone);
        client_expect_error(&d, 2, "NOT_FOUND", "maybe", "in flight");
}

static void test_running(void **state)
{
        const struct proto_value *answer;
        uint64_t gates[2];

        (void)state;
        block_all(gates);
        (void)client_submit(&c, "t.cpu", "{'cpu': 1}");
        answer = why(gates[1]);
        assert_int_equal(look_number(answer, "ahead"), 0);
        assert_true(look_is(answer, "state", "running"));
        assert_int_equal(look_number(&look(answer, "running")->items[0], "id"), gates[1]);
        expect_text(answer, "has run on EMT 1 for ");
}

static void test_overdue(void **state)
{
        const struct proto_value *page;
        uint64_t id;

        (void)state;
        client_overdue(&c, 1);
        client_send(&d, "[0, 9, 'vmreq.ps', []]");
        page = look_result(&d, 9);
        id = look_number(&look(page, "requests")->items[0], "id");
        expect_text(why(id), "; its time limit passed ");
}

static void test_no_id(void **state)
{
        (void)state;
        client_send(&d, "[0, 2, 'vmreq.why', []]");
        client_expect_error(&d, 2, "INVALID_REQUEST", "no", "vmreq.why [id]");
        client_send(&d, "[0, 2, 'vmreq.why', ['1']]");
        client_expect_error(&d, 2, "INVALID_REQUEST", "no", "vmreq.why [id]");
        client_send(&d, "[0, 2, 'vmreq.why', [18446744073709551615]]");
        client_expect_error(&d, 2, "NOT_FOUND", "maybe", "18446744073709551615");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
        const struct CMUnitTest tests[] = {
                TEST(test_own_lane), TEST(test_any),     TEST(test_broadcast), TEST(test_dead),
                TEST(test_running),  TEST(test_overdue), TEST(test_no_id),
        };

        return HARNESS_RUN("why", tests);
}
