/* SPDX-License-Identifier: MIT */
/* Results, kept and too large. */
#include "unit/rpc/one.h"

#include "rpc/call.h"
#include "rpc/peer.h"

static void test_submit_wait_release(void **state)
{
        uint64_t id;

        (void)state;
        id = client_submit(&c, "t.cpu", "{'cpu': 1, 'timing': false}");
        client_send(&c, "[0, 1, 'vmreq.wait', [%u]]", id);
        client_expect(&c, "[1,1,nil,1]");
        client_send(&c, "[0, 2, 'vmreq.wait', [%u, 0]]", id); /* twice is fine */
        client_expect(&c, "[1,2,nil,1]");
        client_send(&c, "[0, 3, 'vmreq.cancel', [%u]]", id);
        client_expect(&c, "[1,3,nil,'finished']");
        assert_int_equal(harness_figures(&h).calls, 1);
        client_send(&c, "[0, 4, 'vmreq.release', [%u]]", id);
        client_expect(&c, "[1,4,nil,nil]");
        client_send(&c, "[0, 5, 'vmreq.wait', [%u]]", id);
        client_expect_error(&c, 5, "NOT_FOUND", "maybe", "no request");
        client_send(&c, "[0, 6, 'vmreq.release', [%u]]", id);
        client_expect_error(&c, 6, "NOT_FOUND", "maybe", "no request");
        harness_until_idle(&h, 1);
}

/* Rows that together are more than a frame: the one error that a broadcast answers with. */
static void test_broadcast_too_large(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.big', [4194304], {'cpu': 'all'}]]");
        client_expect_error(&c, 1, "TOO_LARGE", "yes",
                            "larger than a frame may be (8388608 bytes)");
        client_send(&c, "[0, 2, 'vmreq.call', ['t.big', [4000000], {'cpu': 'all'}]]");
        assert_int_equal(client_receive(&c)->items[3].count, 2);
        client_send(&c, "[0, 3, 't.big', [8388608]]");
        client_expect_error(&c, 3, "TOO_LARGE", "yes", "larger than a frame may be");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
        const struct CMUnitTest tests[] = {
                TEST(test_submit_wait_release),
                TEST(test_broadcast_too_large),
        };

        return HARNESS_RUN("call-result", tests);
}
