/* SPDX-License-Identifier: MIT */
/* What each key of a rule matches, and the bounds of a list of rules. */
#include "unit/rpc/wire.h"

#include <unistd.h>

#include "rpc/policy-rules.h"

static struct rpc_rules *rules;
static const struct rpc_overflow overflow = {65534, 65533};

static int start(void **state)
{
        (void)state;
        rules = rpc_rules_new();
        assert_non_null(rules);
        assert_true(rpc_rules_begin_file(rules, "/x/a.conf"));
        return 0;
}

static int end(void **state)
{
        (void)state;
        rules = rpc_rules_free(rules);
        assert_null(rules);
        return 0;
}

static struct rpc_rule *add(bool allow)
{
        char name[RPC_RULE_NAME_MAX];

        (void)snprintf(name, sizeof(name), "r%u", rules->n);
        assert_null(rpc_rules_add(rules, name, 7));
        rpc_rules_set_action(rules, allow);
        return rpc_rules_last(rules);
}

static void test_where_it_stands(void **state)
{
        (void)state;
        assert_null(rpc_rules_last(rules));
        (void)add(true);
        assert_true(rpc_rules_begin_file(rules, "/x/b.conf"));
        (void)add(false);
        assert_string_equal(rules->rule[0].file, "/x/a.conf");
        assert_string_equal(rules->rule[1].file, "/x/b.conf");
        assert_int_equal(rules->rule[1].line, 7);
        assert_ptr_equal(rpc_rules_find(rules, "r1"), &rules->rule[1]);
        assert_null(rpc_rules_find(rules, "r2"));
}

static void test_globs(void **state)
{
        struct rpc_rule *rule = add(true);

        (void)state;
        assert_true(rpc_rule_is_for_vm(rule, "demo"));
        assert_true(rpc_rule_is_for_symbol(rule, "cpu.regs"));
        assert_null(rpc_rules_add_vm(rules, "demo"));
        assert_null(rpc_rules_add_vm(rules, "web-*"));
        assert_null(rpc_rules_add_symbol(rules, "cpu.*"));
        assert_null(rpc_rules_add_symbol(rules, "vm.st?te"));
        assert_null(rpc_rules_add_symbol(rules, "mem.[ab]"));
        assert_true(rpc_rule_is_for_vm(rule, "demo"));
        assert_true(rpc_rule_is_for_vm(rule, "web-1"));
        assert_false(rpc_rule_is_for_vm(rule, "Demo"));
        assert_true(rpc_rule_is_for_symbol(rule, "cpu.regs"));
        assert_true(rpc_rule_is_for_symbol(rule, "cpu.a.b")); /* a star takes dots */
        assert_true(rpc_rule_is_for_symbol(rule, "vm.state"));
        assert_true(rpc_rule_is_for_symbol(rule, "mem.b"));
        assert_false(rpc_rule_is_for_symbol(rule, "mem.c"));
        assert_false(rpc_rule_is_for_symbol(rule, "xcpu.regs"));
}

static bool is_for(const struct rpc_rule *rule, uid_t uid, gid_t gid, gid_t extra)
{
        gid_t groups[] = {extra};
        struct rpc_identity identity = {.uid = uid, .gid = gid, .groups = groups, .n_groups = 1};

        return rpc_rule_is_for_identity(rule, &identity, &overflow);
}

static void test_subjects(void **state)
{
        struct rpc_rule *rule = add(true);

        (void)state;
        assert_true(is_for(rule, 1, 2, 3)); /* nobody named: everybody */
        assert_null(rpc_rules_add_subject(rules, RPC_SUBJECT_UID, 1000));
        assert_null(rpc_rules_add_subject(rules, RPC_SUBJECT_GID, 50));
        assert_true(is_for(rule, 1000, 1, 1));
        assert_true(is_for(rule, 1, 50, 1));
        assert_true(is_for(rule, 1, 1, 50));
        assert_false(is_for(rule, 50, 1000, 1000));
}

/* Nobody in particular gains nothing by a rule; what it forbids holds for them too. */
static void test_overflow_ids(void **state)
{
        (void)state;
        for (int allow = 0; allow < 2; allow++) {
                struct rpc_rule *rule = add(allow);

                assert_int_equal(is_for(rule, 65534, 1, 1), !allow);
                assert_true(is_for(rule, 65533, 1, 1)); /* a uid, not the gid */
                assert_null(rpc_rules_add_subject(rules, RPC_SUBJECT_UID, 65534));
                assert_null(rpc_rules_add_subject(rules, RPC_SUBJECT_GID, 65533));
                assert_null(rpc_rules_add_subject(rules, RPC_SUBJECT_GID, 7));
                assert_int_equal(is_for(rule, 65534, 7, 1), !allow);
                assert_int_equal(is_for(rule, 1000, 65533, 1), !allow);
                assert_int_equal(is_for(rule, 1000, 1, 65533), !allow);
                assert_true(is_for(rule, 1000, 65533, 7)); /* its other group is somebody */
        }
}

static bool is_for_call(const struct rpc_rule *rule, uint32_t cpu, uint32_t flags)
{
        struct rpc_cpu_set may_run = rpc_cpu_set_of(cpu, 4);

        return rpc_rule_is_for_call(rule, &may_run, flags);
}

/* Allowing takes all vCPUs that may run it and all flags that it uses, denying any. */
static void test_cpus_and_flags(void **state)
{
        struct rpc_rule *rule;

        (void)state;
        rule = add(true);
        assert_true(is_for_call(rule, VMREQ_CPU_ANY, VMREQ_PRIORITY | VMREQ_POKE));
        rpc_rules_add_cpus(rules, 1, 2);
        assert_true(is_for_call(rule, 1, VMREQ_PRIORITY));
        assert_true(is_for_call(rule, 2, 0));
        assert_false(is_for_call(rule, 0, 0));
        assert_false(is_for_call(rule, VMREQ_CPU_ANY, 0));
        assert_false(is_for_call(rule, VMREQ_CPU_ANY_QUEUE, 0));
        assert_false(is_for_call(rule, VMREQ_CPU_ALL, 0));
        rpc_rules_add_cpus(rules, 0, 0);
        rpc_rules_add_cpus(rules, 3, VMREQ_CPUS_MAX - 1);
        assert_true(is_for_call(rule, VMREQ_CPU_ALL_REVERSE, 0));
        rpc_rules_add_flag(rules, VMREQ_PRIORITY);
        assert_true(is_for_call(rule, 1, 0)); /* none used: all of none */
        assert_true(is_for_call(rule, 1, VMREQ_PRIORITY | VMREQ_PARALLEL | VMREQ_CONTINUE));
        assert_false(is_for_call(rule, 1, VMREQ_PRIORITY | VMREQ_POKE));

        rule = add(false);
        rpc_rules_add_cpus(rules, 1, 2);
        assert_true(is_for_call(rule, 1, 0));
        assert_true(is_for_call(rule, VMREQ_CPU_ANY, 0)); /* vCPU 1 may come to run it */
        assert_true(is_for_call(rule, VMREQ_CPU_ALL, 0));
        assert_false(is_for_call(rule, 3, 0));
        rpc_rules_add_flag(rules, VMREQ_POKE);
        assert_false(is_for_call(rule, 1, VMREQ_PRIORITY));
        assert_false(is_for_call(rule, 1, 0));
        assert_true(is_for_call(rule, 1, VMREQ_PRIORITY | VMREQ_POKE));
        assert_false(is_for_call(rule, 3, VMREQ_POKE)); /* both keys must match */
}

static void test_the_last_cpu(void **state)
{
        struct rpc_rule *rule = add(true);
        struct rpc_cpu_set set = rpc_cpu_set_of(255, VMREQ_CPUS_MAX);

        (void)state;
        rpc_rules_add_cpus(rules, 255, 255);
        assert_true(rpc_rule_is_for_call(rule, &set, 0));
        set = rpc_cpu_set_of(254, VMREQ_CPUS_MAX);
        assert_false(rpc_rule_is_for_call(rule, &set, 0));
}

static void test_looks_at_call(void **state)
{
        bool matches;

        (void)state;
        for (int allow = 0; allow < 2; allow++) {
                struct rpc_rule *rule = add(allow);

                assert_false(rpc_rule_looks_at_call(rule, 2, &matches));
                assert_true(matches);
                rpc_rules_add_cpus(rules, 7, 7); /* not of this VM */
                assert_false(rpc_rule_looks_at_call(rule, 2, &matches));
                assert_false(matches);
                rpc_rules_add_cpus(rules, 0, 0);
                assert_true(rpc_rule_looks_at_call(rule, 2, &matches));
                rpc_rules_add_cpus(rules, 1, 1); /* all of this VM */
                assert_false(rpc_rule_looks_at_call(rule, 2, &matches));
                assert_true(matches);
                rpc_rules_add_flag(rules, VMREQ_POKE);
                assert_true(rpc_rule_looks_at_call(rule, 2, &matches));
                rpc_rules_add_flag(rules, VMREQ_PRIORITY);
                assert_int_equal(rpc_rule_looks_at_call(rule, 2, &matches), !allow);
        }
}

static void test_bounds(void **state)
{
        (void)state;
        (void)add(true);
        for (unsigned i = 0; i < RPC_RULE_ITEMS_MAX / 2; i++) {
                assert_null(rpc_rules_add_symbol(rules, "a.b"));
                assert_null(rpc_rules_add_subject(rules, RPC_SUBJECT_UID, i));
        }
        assert_non_null(strstr(rpc_rules_add_symbol(rules, "a.b"), "at most 16384"));
        assert_non_null(rpc_rules_add_vm(rules, "x"));
        assert_non_null(rpc_rules_add_subject(rules, RPC_SUBJECT_GID, 1));
        for (unsigned i = 1; i < RPC_RULES_MAX; i++)
                (void)add(true);
        assert_non_null(strstr(rpc_rules_add(rules, "more", 1), "at most 1024"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_where_it_stands), TEST(test_globs),          TEST(test_subjects),
                TEST(test_overflow_ids),    TEST(test_cpus_and_flags), TEST(test_the_last_cpu),
                TEST(test_looks_at_call),   TEST(test_bounds),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("policy-rules", tests, NULL, NULL);
}
