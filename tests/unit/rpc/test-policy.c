/* SPDX-License-Identifier: MIT */
/* Who may what: identities against the default rules. */
#include "unit/rpc/wire.h"

#include <unistd.h>

#include "rpc/policy.h"

#define EVERYTHING                                                                                 \
        (RPC_RIGHT_CONNECTED | RPC_RIGHT_OBSERVE | RPC_RIGHT_CONTROL | RPC_RIGHT_READ |            \
         RPC_RIGHT_ALL)
#define OF_THE_GROUP (RPC_RIGHT_CONNECTED | RPC_RIGHT_OBSERVE | RPC_RIGHT_READ)

static const struct rpc_policy policy = {
        .daemon_uid = 990,
        .has_group = true,
        .vmreq_group = 77,
        .overflow_uid = 65534,
        .overflow_gid = 65534,
};

static uint32_t rights(const struct rpc_policy *of, uid_t uid, gid_t gid, gid_t extra)
{
        gid_t groups[] = {5, extra, 6};
        struct rpc_identity identity = {.uid = uid, .gid = gid, .groups = groups, .n_groups = 3};

        return rpc_policy_rights(of, &identity);
}

static void test_identities(void **state)
{
        (void)state;
        assert_int_equal(rights(&policy, 0, 0, 0), EVERYTHING);
        assert_int_equal(rights(&policy, 990, 1, 1), EVERYTHING);
        assert_int_equal(rights(&policy, 1000, 77, 1), OF_THE_GROUP);
        assert_int_equal(rights(&policy, 1000, 1, 77), OF_THE_GROUP);
        assert_int_equal(rights(&policy, 1000, 1, 1), RPC_RIGHT_CONNECTED);
        assert_int_equal(rights(&policy, 1000, 0, 0),
                         RPC_RIGHT_CONNECTED); /* root's group is not root */
}

static void test_no_groups_at_all(void **state)
{
        struct rpc_identity identity = {.uid = 1000, .gid = 1};

        (void)state;
        assert_int_equal(rpc_policy_rights(&policy, &identity), RPC_RIGHT_CONNECTED);
}

static void test_no_such_group_on_the_host(void **state)
{
        struct rpc_policy without = policy;

        (void)state;
        without.has_group = false;
        without.vmreq_group = 0;
        assert_int_equal(rights(&without, 1000, 0, 0), RPC_RIGHT_CONNECTED);
        assert_int_equal(rights(&without, 0, 0, 0), EVERYTHING);
}

/* Whoever could not be mapped into our user namespace matches no rule. */
static void test_overflow_ids(void **state)
{
        struct rpc_policy other = policy;

        (void)state;
        assert_int_equal(rights(&policy, 65534, 77, 77), RPC_RIGHT_CONNECTED);
        other.vmreq_group = 65534;
        assert_int_equal(rights(&other, 1000, 65534, 65534), RPC_RIGHT_CONNECTED);
        /* The host's numbers count, not the usual ones. */
        other = policy;
        other.overflow_uid = 1234;
        assert_int_equal(rights(&other, 1234, 77, 77), RPC_RIGHT_CONNECTED);
        assert_int_equal(rights(&other, 65534, 77, 1), OF_THE_GROUP);
        /* A daemon that runs as that uid still knows itself. */
        other.daemon_uid = 1234;
        assert_int_equal(rights(&other, 1234, 1, 1), EVERYTHING);
}

static void test_symbols(void **state)
{
        static const struct {
                uint32_t flags;
                bool group;
        } rows[] = {
                {0, false},
                {VMREQ_SYM_READ_ONLY, true},
                {VMREQ_SYM_CONFIDENTIAL, false},
                {VMREQ_SYM_READ_ONLY | VMREQ_SYM_CONFIDENTIAL, false},
                {VMREQ_SYM_IDEMPOTENT | VMREQ_SYM_CANCELLABLE, false},
                {VMREQ_SYM_READ_ONLY | VMREQ_SYM_PRIORITY, true},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                struct vmreq_symbol def = {.flags = rows[i].flags};
                struct sym_symbol symbol = {.def = &def};

                assert_true(rpc_policy_may_call(EVERYTHING, &symbol));
                assert_int_equal(rpc_policy_may_call(OF_THE_GROUP, &symbol), rows[i].group);
                assert_false(rpc_policy_may_call(RPC_RIGHT_CONNECTED, &symbol));
                assert_false(rpc_policy_may_call(
                        RPC_RIGHT_CONNECTED | RPC_RIGHT_OBSERVE | RPC_RIGHT_CONTROL, &symbol));
        }
}

static void test_what_the_host_says(void **state)
{
        struct rpc_policy here;

        (void)state;
        memset(&here, 0xff, sizeof(here));
        rpc_policy_init(&here);
        assert_int_equal(here.daemon_uid, geteuid());
        assert_true(here.overflow_uid > 0 && here.overflow_gid > 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_identities),
                cmocka_unit_test(test_no_groups_at_all),
                cmocka_unit_test(test_no_such_group_on_the_host),
                cmocka_unit_test(test_overflow_ids),
                cmocka_unit_test(test_symbols),
                cmocka_unit_test(test_what_the_host_says),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
