/* SPDX-License-Identifier: MIT */
/* Who may what: identities against the defaults, against rules, and what is kept of the answers. */
#include "unit/rpc/wire.h"

#include <stdlib.h>
#include <unistd.h>

#include "rpc/policy.h"

#define EVERYTHING                                                                                 \
        (RPC_RIGHT_CONNECTED | RPC_RIGHT_OBSERVE | RPC_RIGHT_CONTROL | RPC_RIGHT_READ |            \
         RPC_RIGHT_ALL)
#define OF_THE_GROUP (RPC_RIGHT_CONNECTED | RPC_RIGHT_OBSERVE | RPC_RIGHT_READ)
#define CPUS         4u

static const struct rpc_policy_host host = {
        .daemon_uid = 990,
        .has_group = true,
        .vmreq_group = 77,
        .overflow = {65534, 65534},
};

/* ---- a symbol table, and its names ---- */

static int32_t nothing(void)
{
        return 0;
}

#define SYMBOL(symbol_name, symbol_flags)                                                          \
        {                                                                                          \
                .size = sizeof(struct vmreq_symbol), .name = symbol_name, .doc = "-",              \
                .flags = symbol_flags, .result = VMREQ_T_STATUS, .dest = VMREQ_DEST_ANY,           \
                .words = (vmreq_words)nothing                                                      \
        }

static const struct vmreq_symbol symbols_a[] = {
        SYMBOL("a.change", 0),
        SYMBOL("a.read", VMREQ_SYM_READ_ONLY),
        SYMBOL("a.secret", VMREQ_SYM_READ_ONLY | VMREQ_SYM_CONFIDENTIAL),
        SYMBOL("a.x1", 0),
        SYMBOL("a.x2", 0),
        SYMBOL("a.x3", 0),
};
static const struct vmreq_symbol symbols_0[] = {SYMBOL("a0.first", VMREQ_SYM_READ_ONLY)};

static int init_a(const struct vmreq_host *of, uint32_t abi, const struct vmreq_setting *settings,
                  size_t n)
{
        int r = 0;

        (void)abi;
        (void)settings;
        (void)n;
        for (size_t i = 0; i < sizeof(symbols_a) / sizeof(symbols_a[0]) && r == 0; i++)
                r = of->add_symbol(of, &symbols_a[i]);
        return r;
}

static int init_0(const struct vmreq_host *of, uint32_t abi, const struct vmreq_setting *settings,
                  size_t n)
{
        (void)abi;
        (void)settings;
        (void)n;
        return of->add_symbol(of, &symbols_0[0]);
}

#define MODULE(module_name, function)                                                              \
        {                                                                                          \
                .size = sizeof(struct vmreq_module), .abi = VMREQ_MODULE_ABI, .name = module_name, \
                .version = "1", .doc = "-", .init = function                                       \
        }

static const struct vmreq_module module_a = MODULE("a", init_a), module_0 = MODULE("a0", init_0);

static struct sym_registry *registry;
static struct rpc_policy policy;

static void load(const struct vmreq_module *module)
{
        char text[256];

        assert_int_equal(sym_registry_add_builtin(registry, module, NULL, 0, text, sizeof(text)),
                         SYM_LOAD_OK);
}

static const struct sym_symbol *symbol(const char *name)
{
        const struct sym_symbol *found = sym_registry_find(registry, name, strlen(name));

        assert_non_null(found);
        return found;
}

static int start(void **state)
{
        (void)state;
        assert_int_equal(sym_registry_new((vmreq_vm){0}, NULL, NULL, &registry), 0);
        load(&module_a);
        rpc_policy_init(&policy, &host, "demo", CPUS, registry);
        return 0;
}

static int end(void **state)
{
        (void)state;
        rpc_policy_deinit(&policy);
        assert_null(sym_registry_free(registry));
        return 0;
}

/* ---- identities ---- */

static struct rpc_identity identity_of(uid_t uid, gid_t gid, gid_t extra)
{
        struct rpc_identity identity = {.uid = uid, .gid = gid, .pid = 5, .n_groups = 2};

        identity.groups = calloc(2, sizeof(gid_t));
        assert_non_null(identity.groups);
        identity.groups[0] = extra < 5 ? extra : 5;
        identity.groups[1] = extra < 5 ? 5 : extra;
        return identity;
}

static struct rpc_rights *rights_of(uid_t uid, gid_t gid, gid_t extra)
{
        struct rpc_identity identity = identity_of(uid, gid, extra);
        struct rpc_rights *rights = rpc_rights_get(&policy, &identity);

        assert_non_null(rights);
        return rights;
}

static uint32_t defaults(uid_t uid, gid_t gid, gid_t extra)
{
        struct rpc_rights *rights = rights_of(uid, gid, extra);
        uint32_t r = rpc_rights_defaults(rights);

        rpc_rights_put(rights);
        return r;
}

static void test_defaults(void **state)
{
        (void)state;
        assert_int_equal(defaults(0, 0, 0), EVERYTHING);
        assert_int_equal(defaults(990, 1, 1), EVERYTHING);
        assert_int_equal(defaults(1000, 77, 1), OF_THE_GROUP);
        assert_int_equal(defaults(1000, 1, 77), OF_THE_GROUP);
        assert_int_equal(defaults(1000, 1, 1), RPC_RIGHT_CONNECTED);
        assert_int_equal(defaults(1000, 0, 0), RPC_RIGHT_CONNECTED); /* root's group is not root */
}

static void test_no_such_group_on_the_host(void **state)
{
        struct rpc_policy_host without = host;

        (void)state;
        without.has_group = false;
        without.vmreq_group = 0;
        rpc_policy_replace(&policy, &without, NULL);
        assert_int_equal(defaults(1000, 0, 0), RPC_RIGHT_CONNECTED);
        assert_int_equal(defaults(0, 0, 0), EVERYTHING);
}

/* Whoever could not be mapped into our user namespace is nobody in particular. */
static void test_overflow_ids(void **state)
{
        struct rpc_policy_host other = host;

        (void)state;
        assert_int_equal(defaults(65534, 77, 77), RPC_RIGHT_CONNECTED);
        other.vmreq_group = 65534;
        rpc_policy_replace(&policy, &other, NULL);
        assert_int_equal(defaults(1000, 65534, 65534), RPC_RIGHT_CONNECTED);
        /* The host's numbers count, not the usual ones. */
        other = host;
        other.overflow.uid = 1234;
        rpc_policy_replace(&policy, &other, NULL);
        assert_int_equal(defaults(1234, 77, 77), RPC_RIGHT_CONNECTED);
        assert_int_equal(defaults(65534, 77, 1), OF_THE_GROUP);
        /* A daemon that runs as that uid cannot tell itself from strangers. */
        other.daemon_uid = 1234;
        rpc_policy_replace(&policy, &other, NULL);
        assert_int_equal(defaults(1234, 1, 1), RPC_RIGHT_CONNECTED);
}

static void test_symbols_by_default(void **state)
{
        struct rpc_rights *root = rights_of(0, 0, 1), *group = rights_of(1000, 1, 77),
                          *other = rights_of(1000, 1, 1);

        (void)state;
        for (int again = 0; again < 2; again++) {
                assert_true(rpc_policy_may_call(root, symbol("a.change")));
                assert_true(rpc_policy_may_call(root, symbol("a.secret")));
                assert_false(rpc_policy_may_call(group, symbol("a.change")));
                assert_true(rpc_policy_may_call(group, symbol("a.read")));
                assert_false(rpc_policy_may_call(group, symbol("a.secret")));
                assert_false(rpc_policy_may_call(other, symbol("a.read")));
        }
        rpc_rights_put(root);
        rpc_rights_put(group);
        rpc_rights_put(other);
}

static void test_methods_by_default(void **state)
{
        struct rpc_rights *root = rights_of(0, 0, 1), *group = rights_of(1000, 1, 77),
                          *other = rights_of(1000, 1, 1);

        (void)state;
        for (int again = 0; again < 2; again++) {
                assert_true(rpc_policy_may_use(root, 2, "vmreq.load", RPC_RIGHT_CONTROL));
                assert_true(rpc_policy_may_use(group, 0, "vmreq.ping", RPC_RIGHT_CONNECTED));
                assert_true(rpc_policy_may_use(group, 1, "vmreq.ps", RPC_RIGHT_OBSERVE));
                assert_false(rpc_policy_may_use(group, 2, "vmreq.load", RPC_RIGHT_CONTROL));
                assert_true(rpc_policy_may_use(other, 0, "vmreq.ping", RPC_RIGHT_CONNECTED));
                assert_false(rpc_policy_may_use(other, 1, "vmreq.ps", RPC_RIGHT_OBSERVE));
        }
        rpc_rights_put(root);
        rpc_rights_put(group);
        rpc_rights_put(other);
}

/* ---- rules ---- */

static struct rpc_rules *rules;

static void begin_rules(void)
{
        rules = rpc_rules_new();
        assert_non_null(rules);
        assert_true(rpc_rules_begin_file(rules, "/x/10.conf"));
}

static void rule(bool allow, const char *glob, int uid)
{
        char name[RPC_RULE_NAME_MAX];

        (void)snprintf(name, sizeof(name), "r%u", rules->n);
        assert_null(rpc_rules_add(rules, name, 10 * rules->n + 1));
        rpc_rules_set_action(rules, allow);
        if (glob)
                assert_null(rpc_rules_add_symbol(rules, glob));
        if (uid >= 0)
                assert_null(rpc_rules_add_subject(rules, RPC_SUBJECT_UID, (uint32_t)uid));
}

static void take_rules(void)
{
        rpc_policy_replace(&policy, &host, rules);
}

static void test_first_match_decides(void **state)
{
        struct rpc_rights *alice = rights_of(1000, 1, 1), *bob = rights_of(1001, 1, 77),
                          *root = rights_of(0, 0, 1);

        (void)state;
        assert_false(rpc_policy_may_call(alice, symbol("a.x1")));
        assert_true(rpc_policy_may_call(bob, symbol("a.read")));
        begin_rules();
        rule(false, "a.x2", 1000);
        rule(true, "a.x*", 1000);
        rule(false, "a.*", -1);
        take_rules(); /* at once, also for those who asked before */
        assert_int_equal(rpc_policy_verdict(alice, symbol("a.x1")), RPC_VERDICT_ALLOW);
        assert_int_equal(rpc_policy_verdict(alice, symbol("a.x2")), RPC_VERDICT_DENY);
        assert_int_equal(rpc_policy_verdict(alice, symbol("a.x3")), RPC_VERDICT_ALLOW);
        assert_int_equal(rpc_policy_verdict(bob, symbol("a.x1")), RPC_VERDICT_DENY);
        assert_int_equal(rpc_policy_verdict(bob, symbol("a.read")), RPC_VERDICT_DENY);
        assert_int_equal(rpc_policy_verdict(root, symbol("a.read")), RPC_VERDICT_ALLOW);
        rpc_policy_replace(&policy, &host, NULL);
        assert_false(rpc_policy_may_call(alice, symbol("a.x1")));
        assert_true(rpc_policy_may_call(bob, symbol("a.read")));
        rpc_rights_put(alice);
        rpc_rights_put(bob);
        rpc_rights_put(root);
}

static void test_rules_of_another_vm(void **state)
{
        struct rpc_rights *alice = rights_of(1000, 1, 1);

        (void)state;
        begin_rules();
        rule(true, "a.x1", 1000);
        assert_null(rpc_rules_add_vm(rules, "web-*"));
        rule(true, "a.x2", 1000);
        assert_null(rpc_rules_add_vm(rules, "d*"));
        take_rules();
        assert_false(rpc_policy_may_call(alice, symbol("a.x1")));
        assert_true(rpc_policy_may_call(alice, symbol("a.x2")));
        rpc_rights_put(alice);
}

static void test_methods_are_names(void **state)
{
        struct rpc_rights *alice = rights_of(1000, 1, 1), *group = rights_of(1001, 1, 77);

        (void)state;
        begin_rules();
        rule(true, "vmreq.ps", 1000);
        rule(false, "vmreq.*", 1001);
        /* A method runs on no vCPU and takes no flags. */
        rule(true, "vmreq.load", -1);
        rpc_rules_add_cpus(rules, 0, 255);
        rule(true, NULL, -1);
        rpc_rules_add_flag(rules, VMREQ_PRIORITY);
        take_rules();
        assert_true(rpc_policy_may_use(alice, 1, "vmreq.ps", RPC_RIGHT_OBSERVE));
        assert_false(rpc_policy_may_use(alice, 2, "vmreq.load", RPC_RIGHT_CONTROL));
        assert_false(rpc_policy_may_use(alice, 3, "vmreq.why", RPC_RIGHT_OBSERVE));
        assert_true(rpc_policy_may_use(alice, 0, "vmreq.ping", RPC_RIGHT_CONNECTED));
        assert_false(rpc_policy_may_use(group, 0, "vmreq.ping", RPC_RIGHT_CONNECTED));
        assert_false(rpc_policy_may_use(group, 1, "vmreq.ps", RPC_RIGHT_OBSERVE));
        rpc_rights_put(alice);
        rpc_rights_put(group);
}

static bool so(struct rpc_rights *rights, uint32_t cpu, uint32_t flags)
{
        return rpc_policy_may_call_so(rights, symbol("a.x1"), cpu, flags);
}

static void test_cpus(void **state)
{
        struct rpc_rights *alice = rights_of(1000, 1, 1);

        (void)state;
        begin_rules();
        rule(false, "a.x1", 1000);
        rpc_rules_add_flag(rules, VMREQ_POKE);
        rule(true, "a.x1", 1000);
        rpc_rules_add_cpus(rules, 1, 2);
        take_rules();
        assert_int_equal(rpc_policy_verdict(alice, symbol("a.x1")), RPC_VERDICT_LOOK);
        assert_true(rpc_policy_may_call(alice, symbol("a.x1"))); /* so it exists for them */
        assert_true(so(alice, 1, 0));
        assert_true(so(alice, 2, VMREQ_PRIORITY));
        assert_false(so(alice, 2, VMREQ_POKE));
        assert_false(so(alice, 0, 0));
        assert_false(so(alice, VMREQ_CPU_ANY, 0));
        assert_false(so(alice, VMREQ_CPU_ALL, 0));
        assert_int_equal(rpc_policy_verdict(alice, symbol("a.x2")), RPC_VERDICT_DENY);
        rpc_rights_put(alice);
}

/* Where no call can pass, or every call does, there is nothing to look at. */
static void test_plain_after_all(void **state)
{
        struct rpc_rights *alice = rights_of(1000, 1, 1);

        (void)state;
        begin_rules();
        /* x1: each way is denied by one or the other. */
        rule(false, "a.x1", 1000);
        rpc_rules_add_cpus(rules, 0, 1);
        rule(false, "a.x1", 1000);
        rpc_rules_add_cpus(rules, 2, 3);
        rule(true, "a.x1", 1000);
        /* x2: allowed each by each, and all together. */
        rule(true, "a.x2", 1000);
        rpc_rules_add_cpus(rules, 0, 3);
        rule(false, "a.x2", 1000);
        /* x3: single vCPUs yes, all of them no. */
        rule(true, "a.x3", 1000);
        rpc_rules_add_cpus(rules, 0, 1);
        rule(true, "a.x3", 1000);
        rpc_rules_add_cpus(rules, 2, 3);
        /* change: of vCPUs that this VM does not have. */
        rule(true, "a.change", 1000);
        rpc_rules_add_cpus(rules, 4, 9);
        /* read: denied with flags, else not allowed either. */
        rule(false, "a.read", 1000);
        rpc_rules_add_flag(rules, VMREQ_PRIORITY);
        take_rules();
        assert_int_equal(rpc_policy_verdict(alice, symbol("a.x1")), RPC_VERDICT_DENY);
        assert_int_equal(rpc_policy_verdict(alice, symbol("a.x2")), RPC_VERDICT_ALLOW);
        assert_int_equal(rpc_policy_verdict(alice, symbol("a.x3")), RPC_VERDICT_LOOK);
        assert_true(rpc_policy_may_call_so(alice, symbol("a.x3"), 2, 0));
        assert_false(rpc_policy_may_call_so(alice, symbol("a.x3"), VMREQ_CPU_ALL, 0));
        assert_int_equal(rpc_policy_verdict(alice, symbol("a.change")), RPC_VERDICT_DENY);
        assert_int_equal(rpc_policy_verdict(alice, symbol("a.read")), RPC_VERDICT_DENY);
        rpc_rights_put(alice);
}

static void test_flags(void **state)
{
        struct rpc_rights *group = rights_of(1001, 1, 77);

        (void)state;
        begin_rules();
        rule(false, "a.read", -1);
        rpc_rules_add_flag(rules, VMREQ_PRIORITY);
        rpc_rules_add_flag(rules, VMREQ_POKE);
        take_rules();
        assert_int_equal(rpc_policy_verdict(group, symbol("a.read")), RPC_VERDICT_LOOK);
        assert_true(rpc_policy_may_call_so(group, symbol("a.read"), VMREQ_CPU_ALL, 0));
        assert_false(rpc_policy_may_call_so(group, symbol("a.read"), 0, VMREQ_PRIORITY));
        rpc_rights_put(group);
}

/* ---- what is kept ---- */

/* A module that comes shifts the places of the symbols behind it. */
static void test_modules_come(void **state)
{
        struct rpc_rights *group = rights_of(1001, 1, 77);

        (void)state;
        assert_false(rpc_policy_may_call(group, symbol("a.change")));
        assert_true(rpc_policy_may_call(group, symbol("a.read")));
        assert_false(rpc_policy_may_call(group, symbol("a.secret")));
        load(&module_0);
        assert_true(rpc_policy_may_call(group, symbol("a0.first")));
        assert_false(rpc_policy_may_call(group, symbol("a.change")));
        assert_true(rpc_policy_may_call(group, symbol("a.read")));
        assert_false(rpc_policy_may_call(group, symbol("a.secret")));
        rpc_rights_put(group);
}

static void test_shared_by_equals(void **state)
{
        struct rpc_identity identity = identity_of(1000, 1, 77);
        struct rpc_rights *first = rights_of(1000, 1, 77),
                          *again = rpc_rights_get(&policy, &identity);

        (void)state;
        assert_ptr_equal(first, again);
        /* The groups are the shared ones now. */
        assert_int_equal(identity.groups[0], 5);
        assert_int_equal(identity.groups[1], 77);
        assert_int_equal(identity.pid, 5);
        rpc_rights_put(again);
        assert_ptr_not_equal(first, again = rights_of(1000, 2, 77));
        rpc_rights_put(again);
        assert_ptr_not_equal(first, again = rights_of(1000, 1, 78));
        rpc_rights_put(again);
        assert_ptr_not_equal(first, again = rights_of(1001, 1, 77));
        rpc_rights_put(again);
        rpc_rights_put(first);
        assert_ptr_equal(first, again = rights_of(1000, 1, 77)); /* remembered */
        rpc_rights_put(again);
}

static void test_bound_of_what_is_remembered(void **state)
{
        (void)state;
        for (uid_t uid = 1000; uid < 1000 + 3 * RPC_RIGHTS_IDLE_MAX; uid++)
                rpc_rights_put(rights_of(uid, 1, 1));
        assert_int_equal(policy.n_idle, RPC_RIGHTS_IDLE_MAX);
        /* The newest are there; taking one up and putting it down makes it the newest. */
        rpc_rights_put(rights_of(1000 + 2 * RPC_RIGHTS_IDLE_MAX, 1, 1));
        assert_int_equal(policy.n_idle, RPC_RIGHTS_IDLE_MAX);
}

static void test_without_a_table(void **state)
{
        struct rpc_policy bare;
        struct rpc_identity identity = identity_of(1000, 1, 77);
        struct rpc_rights *rights;

        (void)state;
        rpc_policy_init(&bare, &host, "demo", CPUS, NULL);
        rights = rpc_rights_get(&bare, &identity);
        assert_true(rpc_policy_may_call(rights, symbol("a.read")));
        assert_false(rpc_policy_may_call(rights, symbol("a.x3")));
        rpc_rights_put(rights);
        rpc_policy_deinit(&bare);
}

/* ---- why ---- */

static char steps[512];

static void on_step(void *ctx, const struct rpc_explanation *step)
{
        size_t len = strlen(steps);

        (void)ctx;
        (void)snprintf(steps + len, sizeof(steps) - len, "%s%s:%s%s", len ? " " : "",
                       step->rule ? step->rule->name : "default", step->allow ? "allow" : "deny",
                       step->conditional ? "?" : "");
}

static const char *why(uid_t uid, gid_t gid, const char *name, uint32_t right, uint32_t flags)
{
        struct rpc_identity identity = {.uid = uid, .gid = gid};

        steps[0] = 0;
        rpc_policy_explain(&policy, &identity, name, right != 0, right, flags, on_step, NULL);
        return steps;
}

static void test_explain(void **state)
{
        (void)state;
        assert_string_equal(why(0, 0, "a.x1", 0, 0), "default:allow");
        assert_string_equal(why(1000, 1, "a.x1", 0, 0), "default:deny");
        assert_string_equal(why(1000, 77, "a.read", 0, VMREQ_SYM_READ_ONLY), "default:allow");
        begin_rules();
        rule(true, "a.x1", 1000); /* r0 */
        rpc_rules_add_cpus(rules, 1, 1);
        rule(true, "a.x1", 1000); /* r1 */
        rpc_rules_add_cpus(rules, 9, 9);
        rule(false, "a.*", 1001);       /* r2 */
        rule(false, "a.x1", -1);        /* r3 */
        rule(true, "vmreq.load", 1000); /* r4 */
        take_rules();
        assert_string_equal(why(1000, 1, "a.x1", 0, 0), "r0:allow? r3:deny");
        assert_string_equal(why(1001, 77, "a.read", 0, VMREQ_SYM_READ_ONLY), "r2:deny");
        assert_string_equal(why(1000, 1, "a.x2", 0, 0), "default:deny");
        assert_string_equal(why(0, 0, "a.x1", 0, 0), "default:allow"); /* whatever the rules say */
        assert_string_equal(why(1000, 1, "vmreq.load", RPC_RIGHT_CONTROL, 0), "r4:allow");
        assert_string_equal(why(1001, 1, "vmreq.load", RPC_RIGHT_CONTROL, 0), "default:deny");
        assert_string_equal(why(1001, 1, "vmreq.ping", RPC_RIGHT_CONNECTED, 0), "default:allow");
}

static void test_what_the_host_says(void **state)
{
        struct rpc_policy_host here;

        (void)state;
        memset(&here, 0xff, sizeof(here));
        rpc_policy_host_read(&here);
        assert_int_equal(here.daemon_uid, geteuid());
        assert_true(here.overflow.uid > 0 && here.overflow.gid > 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_defaults),
                TEST(test_no_such_group_on_the_host),
                TEST(test_overflow_ids),
                TEST(test_symbols_by_default),
                TEST(test_methods_by_default),
                TEST(test_first_match_decides),
                TEST(test_rules_of_another_vm),
                TEST(test_methods_are_names),
                TEST(test_cpus),
                TEST(test_plain_after_all),
                TEST(test_flags),
                TEST(test_modules_come),
                TEST(test_shared_by_equals),
                TEST(test_bound_of_what_is_remembered),
                TEST(test_without_a_table),
                TEST(test_explain),
                cmocka_unit_test(test_what_the_host_says),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
