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

static enum rpc_quota_result open_for(uid_t uid, struct rpc_account *account)
{
        return rpc_quota_open(&quota, uid, false, account);
}

static void test_connections(void **state)
{
        struct rpc_account accounts[6], refused;

        (void)state;
        for (unsigned i = 0; i < 5; i++)
                assert_int_equal(open_for(i < 3 ? 1 : 2, &accounts[i]), RPC_QUOTA_OK);
        /* By uid, then in all; a uid that has nothing else leaves no account behind. */
        assert_int_equal(open_for(1, &refused), RPC_QUOTA_E_UID);
        assert_int_equal(open_for(2, &refused), RPC_QUOTA_E_ALL);
        assert_int_equal(open_for(3, &refused), RPC_QUOTA_E_ALL);
        assert_int_equal(quota.all.used[RPC_CONNECTIONS], 5);
        rpc_quota_close(&quota, &accounts[0]);
        assert_int_equal(open_for(3, &accounts[0]), RPC_QUOTA_OK);
        for (unsigned i = 0; i < 5; i++)
                rpc_quota_close(&quota, &accounts[i]);
        assert_null(quota.uids);
}

/* Two places are kept: the privileged find them beyond both bounds, others never do. */
static void test_reserved_connections(void **state)
{
        struct rpc_limits with = limits;
        struct rpc_account strangers[3], roots[5], more;

        (void)state;
        with.connections_reserved = 2;
        rpc_quota_change(&quota, &with);
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(open_for(5 + i, &strangers[i]), RPC_QUOTA_OK);
        assert_int_equal(open_for(9, &more), RPC_QUOTA_E_ALL); /* 3 of 5, and 2 are kept */
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(rpc_quota_open(&quota, 0, true, &roots[i]), RPC_QUOTA_OK);
        assert_int_equal(rpc_quota_open(&quota, 0, true, &more), RPC_QUOTA_E_ALL);
        /* Places of strangers that become free are everybody's. */
        rpc_quota_close(&quota, &strangers[0]);
        assert_int_equal(rpc_quota_open(&quota, 0, true, &roots[2]), RPC_QUOTA_OK);
        assert_int_equal(open_for(9, &more), RPC_QUOTA_E_ALL);
        rpc_quota_close(&quota, &roots[2]);
        assert_int_equal(open_for(5, &strangers[0]), RPC_QUOTA_OK);
        for (unsigned i = 0; i < 3; i++)
                rpc_quota_close(&quota, &strangers[i]);
        /* Beyond the bound of their uid by as many as are kept. */
        for (unsigned i = 2; i < 5; i++)
                assert_int_equal(rpc_quota_open(&quota, 0, true, &roots[i]), RPC_QUOTA_OK);
        assert_int_equal(rpc_quota_open(&quota, 0, true, &more), RPC_QUOTA_E_UID);
        /* In the reserve they take nobody's place. */
        for (unsigned i = 2; i < 5; i++)
                rpc_quota_close(&quota, &roots[i]);
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(open_for(5 + i, &strangers[i]), RPC_QUOTA_OK);
        for (unsigned i = 0; i < 3; i++)
                rpc_quota_close(&quota, &strangers[i]);
        for (unsigned i = 0; i < 2; i++)
                rpc_quota_close(&quota, &roots[i]);
}

/* However many are to be kept, one is for somebody else. */
static void test_reserve_larger_than_all(void **state)
{
        struct rpc_limits with = limits;
        struct rpc_account account, more;

        (void)state;
        with.connections_reserved = 1000;
        rpc_quota_change(&quota, &with);
        assert_int_equal(open_for(5, &account), RPC_QUOTA_OK);
        assert_int_equal(open_for(6, &more), RPC_QUOTA_E_ALL);
        rpc_quota_close(&quota, &account);
}

static void test_change(void **state)
{
        struct rpc_limits less = limits;
        struct rpc_account a;

        (void)state;
        assert_int_equal(open_for(1, &a), RPC_QUOTA_OK);
        assert_true(rpc_account_charge(&a, RPC_CALLS, 3, &over));
        less.calls_per_connection = 2;
        less.calls_per_uid = 1;
        rpc_quota_change(&quota, &less);
        assert_int_equal(a.max[RPC_CALLS], 4); /* not yet: it is told by itself */
        assert_int_equal(a.parent->max[RPC_CALLS], 1);
        rpc_account_change(&quota, &a);
        assert_int_equal(a.max[RPC_CALLS], 2);
        assert_false(rpc_account_charge(&a, RPC_CALLS, 1, &over));
        rpc_account_release(&a, RPC_CALLS, 3);
        rpc_quota_close(&quota, &a);
}

static void test_calls(void **state)
{
        struct rpc_account a, b;

        (void)state;
        assert_int_equal(open_for(1, &a), RPC_QUOTA_OK);
        assert_int_equal(open_for(1, &b), RPC_QUOTA_OK);
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
        assert_int_equal(open_for(1, &a), RPC_QUOTA_OK);
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

/* Both resources in one: refused for either, at each level, and then neither is taken. */
static void test_call_with_its_bytes(void **state)
{
        enum rpc_resource full;
        struct rpc_account a, b;

        (void)state;
        assert_int_equal(open_for(1, &a), RPC_QUOTA_OK);
        assert_int_equal(open_for(1, &b), RPC_QUOTA_OK);
        for (unsigned i = 0; i < 4; i++)
                assert_true(rpc_account_charge_call(&a, 20, &full, &over));
        assert_false(rpc_account_charge_call(&a, 20, &full, &over));
        assert_true(full == RPC_CALLS && over == &a);
        assert_false(rpc_account_charge_call(&b, 151, &full, &over)); /* its share, and a frame */
        assert_true(full == RPC_BYTES && over == &b);
        rpc_account_force(a.parent, RPC_BYTES, 150); /* 230 of 300 */
        assert_false(rpc_account_charge_call(&b, 71, &full, &over));
        assert_true(full == RPC_BYTES && over == a.parent);
        /* Over both bounds, at different levels: the call is named, as it is asked for first. */
        rpc_account_force(a.parent, RPC_CALLS, 3);
        assert_false(rpc_account_charge_call(&b, 151, &full, &over));
        assert_true(full == RPC_CALLS && over == a.parent);
        rpc_account_release_call(a.parent, 3, 150);
        for (unsigned r = 0; r < _RPC_RESOURCE_N; r++)
                assert_int_equal(b.used[r], r == RPC_CONNECTIONS);
        assert_int_equal(quota.all.used[RPC_CALLS], 4);
        assert_int_equal(quota.all.used[RPC_BYTES], 80);
        assert_true(rpc_account_charge_call(&b, 150, &full, &over));
        rpc_account_release_call(&b, 1, 150);
        rpc_account_release_call(&a, 4, 80);
        rpc_quota_close(&quota, &a);
        rpc_quota_close(&quota, &b);
}

static void test_uid_outlives_its_connections(void **state)
{
        struct rpc_account a, b, *uid;

        (void)state;
        assert_int_equal(open_for(9, &a), RPC_QUOTA_OK);
        assert_true(rpc_account_charge(&a, RPC_CALLS, 1, &over));
        uid = rpc_quota_uid_hold(&a);
        rpc_account_force(uid, RPC_CALLS, 1);
        rpc_account_release(&a, RPC_CALLS, 1);
        rpc_quota_close(&quota, &a);
        assert_int_equal(uid->used[RPC_CALLS], 1);
        /* The next connection of that uid finds the same account. */
        assert_int_equal(open_for(9, &b), RPC_QUOTA_OK);
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
                assert_int_equal(open_for(i / 2, &accounts[i]), RPC_QUOTA_OK);
        for (unsigned i = 0; i < 300; i += 2)
                assert_ptr_equal(accounts[i].parent, accounts[i + 1].parent);
        for (unsigned i = 0; i < 300; i++)
                rpc_quota_close(&quota, &accounts[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_connections, start, end),
                cmocka_unit_test_setup_teardown(test_reserved_connections, start, end),
                cmocka_unit_test_setup_teardown(test_reserve_larger_than_all, start, end),
                cmocka_unit_test_setup_teardown(test_change, start, end),
                cmocka_unit_test_setup_teardown(test_calls, start, end),
                cmocka_unit_test_setup_teardown(test_bytes, start, end),
                cmocka_unit_test_setup_teardown(test_call_with_its_bytes, start, end),
                cmocka_unit_test_setup_teardown(test_uid_outlives_its_connections, start, end),
                cmocka_unit_test_setup_teardown(test_many_uids, start, end),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("quota", tests, NULL, NULL);
}
