/* SPDX-License-Identifier: MIT */
/* Accounts: each bound at each level, balance, and the uid's account of calls that outlive their
 * connection. */
#include "unit/rpc/wire.h"

#include <unistd.h>

#include "rpc/quota.h"
#include "rpc/server.h"

static struct rpc_quota quota;
static const struct rpc_account *over;

static const struct rpc_limits limits = {
        .frame_bytes = 50,
        .connections = 5,
        .connections_per_uid = 3,
        .calls = 20,
        .calls_per_connection = 4,
        .calls_per_uid = 7,
        .bytes = 1000,
        .bytes_per_connection = 100,
        .bytes_per_uid = 300,
};

static int start(void **state)
{
        (void)state;
        rpc_quota_init(&quota, &limits);
        return 0;
}

static int end(void **state)
{
        (void)state;
        rpc_quota_deinit(&quota); /* asserts that everything is home */
        return 0;
}

static void test_connections(void **state)
{
        struct rpc_account accounts[6], refused;

        (void)state;
        for (unsigned i = 0; i < 5; i++)
                assert_true(rpc_quota_open(&quota, i < 3 ? 1 : 2, &accounts[i], &over));
        /* By uid, then in all; a uid that has nothing else leaves no account behind. */
        assert_false(rpc_quota_open(&quota, 1, &refused, &over));
        assert_string_equal(over->what, "uid");
        assert_false(rpc_quota_open(&quota, 2, &refused, &over));
        assert_string_equal(over->what, "daemon");
        assert_false(rpc_quota_open(&quota, 3, &refused, &over));
        assert_string_equal(over->what, "daemon");
        assert_int_equal(quota.all.used[RPC_CONNECTIONS], 5);
        rpc_quota_close(&quota, &accounts[0]);
        assert_true(rpc_quota_open(&quota, 3, &accounts[0], &over));
        for (unsigned i = 0; i < 5; i++)
                rpc_quota_close(&quota, &accounts[i]);
        assert_null(quota.uids);
}

static void test_calls(void **state)
{
        struct rpc_account a, b;

        (void)state;
        assert_true(rpc_quota_open(&quota, 1, &a, &over));
        assert_true(rpc_quota_open(&quota, 1, &b, &over));
        assert_true(rpc_account_charge(&a, RPC_CALLS, 4, &over));
        assert_false(rpc_account_charge(&a, RPC_CALLS, 1, &over));
        assert_ptr_equal(over, &a);
        assert_true(rpc_account_charge(&b, RPC_CALLS, 3, &over));
        assert_false(rpc_account_charge(&b, RPC_CALLS, 1, &over));
        assert_ptr_equal(over, a.parent);
        assert_int_equal(over->used[RPC_CALLS], 7);
        /* A refused charge is taken on no level. */
        assert_int_equal(b.used[RPC_CALLS], 3);
        assert_int_equal(quota.all.used[RPC_CALLS], 7);
        rpc_account_release(&a, RPC_CALLS, 4);
        rpc_account_release(&b, RPC_CALLS, 3);
        rpc_quota_close(&quota, &a);
        rpc_quota_close(&quota, &b);
}

static void test_bytes(void **state)
{
        struct rpc_account a;

        (void)state;
        assert_true(rpc_quota_open(&quota, 1, &a, &over));
        assert_true(rpc_account_charge(&a, RPC_BYTES, 150, &over)); /* its share and one frame */
        assert_false(rpc_account_charge(&a, RPC_BYTES, 1, &over));
        assert_true(rpc_account_charge(&a, RPC_BYTES, 0, &over));
        rpc_account_force(&a, RPC_BYTES, 500); /* cannot be refused any more */
        assert_int_equal(a.used[RPC_BYTES], 650);
        assert_int_equal(a.parent->used[RPC_BYTES], 650);
        assert_int_equal(quota.all.used[RPC_BYTES], 650);
        assert_false(rpc_account_charge(&a, RPC_BYTES, 1, &over));
        rpc_account_release(&a, RPC_BYTES, 650);
        rpc_quota_close(&quota, &a);
}

static void test_uid_outlives_its_connections(void **state)
{
        struct rpc_account a, b, *uid;

        (void)state;
        assert_true(rpc_quota_open(&quota, 9, &a, &over));
        assert_true(rpc_account_charge(&a, RPC_CALLS, 1, &over));
        uid = rpc_quota_uid_hold(&a);
        rpc_account_force(uid, RPC_CALLS, 1);
        rpc_account_release(&a, RPC_CALLS, 1);
        rpc_quota_close(&quota, &a);
        assert_int_equal(uid->used[RPC_CALLS], 1);
        /* The next connection of that uid finds the same account. */
        assert_true(rpc_quota_open(&quota, 9, &b, &over));
        assert_ptr_equal(b.parent, uid);
        rpc_quota_close(&quota, &b);
        rpc_account_release(uid, RPC_CALLS, 1);
        rpc_quota_uid_drop(&quota, uid);
        assert_null(quota.uids);
}

static void test_many_uids(void **state)
{
        static struct rpc_account accounts[300];
        static const struct rpc_limits wide = {
                .frame_bytes = 1,
                .connections = 1000,
                .connections_per_uid = 2,
                .calls = 1,
                .calls_per_connection = 1,
                .calls_per_uid = 1,
                .bytes = 1,
                .bytes_per_connection = 1,
                .bytes_per_uid = 1,
        };

        (void)state;
        rpc_quota_init(&quota, &wide);
        for (unsigned i = 0; i < 300; i++)
                assert_true(rpc_quota_open(&quota, i / 2, &accounts[i], &over));
        for (unsigned i = 0; i < 300; i += 2)
                assert_ptr_equal(accounts[i].parent, accounts[i + 1].parent);
        for (unsigned i = 0; i < 300; i++)
                rpc_quota_close(&quota, &accounts[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_connections, start, end),
                cmocka_unit_test_setup_teardown(test_calls, start, end),
                cmocka_unit_test_setup_teardown(test_bytes, start, end),
                cmocka_unit_test_setup_teardown(test_uid_outlives_its_connections, start, end),
                cmocka_unit_test_setup_teardown(test_many_uids, start, end),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("quota", tests, NULL, NULL);
}
