/* SPDX-License-Identifier: MIT */
/* --explain-policy: each kind of answer, word by word; and the socket's mode in front of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "explain.h"
#include "policy-file.h"

static struct config config;
static struct rpc_policy policy;
static char folder[64], *said;

static const struct rpc_policy_host host = {
        .daemon_uid = 990, .has_group = true, .vmreq_group = 77, .overflow = {65534, 65534}};

static const char rules_text[] = "[rule some]\n"
                                 "subject = uid:1000\n"
                                 "symbols = cpu.*\n"
                                 "cpus = 0-1\n"
                                 "cpus = 3\n"
                                 "flags = priority\n"
                                 "action = allow\n"
                                 "[rule not by poking]\n"
                                 "subject = uid:1000\n"
                                 "symbols = cpu.*\n"
                                 "flags = poke\n"
                                 "action = deny\n"
                                 "[rule ps]\n"
                                 "subject = uid:1000\n"
                                 "symbols = vmreq.ps\n"
                                 "action = allow\n"
                                 "[rule no zero]\n"
                                 "subject = uid:1001\n"
                                 "cpus = 0\n"
                                 "action = deny\n";

static int start(void **state)
{
        FILE *file = fmemopen((void *)rules_text, sizeof(rules_text) - 1, "r");
        struct rpc_rules *rules = rpc_rules_new();
        char text[256];

        (void)state;
        assert_true(file && rules);
        if (!policy_read(file, "p.conf", rules, text, sizeof(text)))
                fail_msg("%s", text);
        (void)fclose(file);
        config_init(&config);
        (void)snprintf(folder, sizeof(folder), "/tmp/vmreq-explain-XXXXXX");
        assert_non_null(mkdtemp(folder));
        assert_int_equal(chmod(folder, 0755), 0);
        (void)snprintf(config.socket, sizeof(config.socket), "%s/s", folder);
        config.socket_mode = 0666;
        rpc_policy_init(&policy, &host, "demo", 8, NULL);
        policy.rules = rules;
        return 0;
}

static int end(void **state)
{
        (void)state;
        (void)unlink(config.socket);
        assert_int_equal(rmdir(folder), 0);
        rpc_policy_deinit(&policy);
        config_deinit(&config);
        free(said);
        said = NULL;
        return 0;
}

static const char *explain(uid_t uid, gid_t gid, const char *symbol, uint32_t flags, bool known)
{
        struct rpc_identity identity = {.uid = uid, .gid = gid};
        struct explain_question question = {.policy = &policy,
                                            .config = &config,
                                            .identity = &identity,
                                            .user = "x",
                                            .symbol = symbol,
                                            .flags = flags,
                                            .flags_known = known};
        size_t size;
        FILE *out;

        free(said);
        out = open_memstream(&said, &size);
        assert_non_null(out);
        explain_write(&question, out);
        assert_int_equal(fclose(out), 0);
        return said;
}

static void test_defaults(void **state)
{
        (void)state;
        assert_string_equal(explain(0, 0, "cpu.regs", 0, false),
                            "allowed: x (uid 0), cpu.regs on VM demo\n"
                            "default: allow: root and the daemon's user may do everything, "
                            "whatever the rules say\n");
        assert_non_null(strstr(explain(990, 1, "cpu.regs", 0, false), "allowed: "));
        assert_string_equal(explain(2000, 1, "vm.state", 0, false),
                            "denied: x (uid 2000), vm.state on VM demo\n"
                            "default: deny: others than root, the daemon's user and the group "
                            "vmreq may call nothing\n");
        assert_string_equal(explain(2000, 77, "vm.state", VMREQ_SYM_READ_ONLY, true),
                            "allowed: x (uid 2000), vm.state on VM demo\n"
                            "default: allow: the group vmreq may call what is read-only and not "
                            "confidential\n");
        assert_non_null(strstr(explain(2000, 77, "vm.state", 0, false),
                               "no module that is loaded has this symbol"));
        assert_non_null(strstr(explain(65534, 77, "vm.state", 0, false), "nobody in particular"));
        assert_non_null(strstr(explain(2000, 1, "vmreq.ping", 0, false),
                               "allow: everybody who is connected may"));
        assert_non_null(strstr(explain(2000, 77, "vmreq.status", 0, false),
                               "allow: root, the daemon's user and the group vmreq may"));
        assert_non_null(strstr(explain(2000, 77, "vmreq.cancel.others", 0, false),
                               "deny: only root and the daemon's user may"));
}

static void test_rules(void **state)
{
        (void)state;
        assert_string_equal(
                explain(1000, 1, "cpu.regs", 0, false),
                "depends: x (uid 1000), cpu.regs on VM demo; the first that matches the call "
                "decides\n"
                "p.conf:1: [rule some] allow, if nothing but vCPU 0-1,3 can come to run it and it "
                "uses no flag but priority\n"
                "p.conf:8: [rule not by poking] deny, if it uses poke\n"
                "default: deny: others than root, the daemon's user and the group vmreq may call "
                "nothing\n");
        assert_string_equal(explain(1000, 1, "vmreq.ps", 0, false),
                            "allowed: x (uid 1000), vmreq.ps on VM demo\n"
                            "p.conf:13: [rule ps] allow\n");
        assert_non_null(strstr(explain(1001, 77, "vm.state", VMREQ_SYM_READ_ONLY, true),
                               "[rule no zero] deny, if vCPU 0 can come to run it\n"));
}

static void test_whether_flags_matter(void **state)
{
        struct rpc_identity stranger = {.uid = 2000, .gid = 1}, member = {.uid = 2000, .gid = 77},
                            root = {.uid = 0};

        (void)state;
        assert_false(explain_needs_flags(&policy, &stranger, "vm.state"));
        assert_false(explain_needs_flags(&policy, &root, "vm.state"));
        assert_true(explain_needs_flags(&policy, &member, "vm.state"));
        assert_false(explain_needs_flags(&policy, &member, "vmreq.status"));
}

static void test_socket(void **state)
{
        (void)state;
        config.socket_mode = 0660; /* as it will be made, by us */
        assert_non_null(strstr(explain(2000, 0, "vmreq.ping", 0, false),
                               geteuid() == 0 && getegid() == 0 ? "allowed: " : ": "));
        assert_int_equal(
                strncmp(explain(2000, 1, "vmreq.ping", 0, false), "denied: the socket ", 19), 0);
        assert_non_null(strstr(said, "(mode 0660, uid "));
        assert_non_null(strstr(said, "does not let x connect; past it:\nallowed: "));
        assert_int_equal(strncmp(explain(0, 0, "vmreq.ping", 0, false), "allowed: ", 9), 0);
        /* As it is, if it is there. */
        assert_int_equal(mknod(config.socket, S_IFREG | 0666, 0), 0);
        assert_int_equal(chmod(config.socket, 0666), 0);
        assert_int_equal(strncmp(explain(2000, 1, "vmreq.ping", 0, false), "allowed: ", 9), 0);
        /* And the way to it. */
        assert_int_equal(chmod(folder, 0700), 0);
        assert_int_equal(
                strncmp(explain(2000, 1, "vmreq.ping", 0, false), "denied: the socket ", 19), 0);
}

static void test_who(void **state)
{
        struct rpc_identity identity;

        (void)state;
        assert_true(explain_identity("root", &host, &identity));
        assert_int_equal(identity.uid, 0);
        assert_true(identity.n_groups >= 1);
        rpc_identity_deinit(&identity);
        assert_true(explain_identity("0", &host, &identity));
        assert_int_equal(identity.uid, 0);
        rpc_identity_deinit(&identity);
        assert_true(explain_identity("4000000000", &host, &identity)); /* nobody's */
        assert_int_equal(identity.uid, 4000000000u);
        assert_int_equal(identity.gid, 65534);
        rpc_identity_deinit(&identity);
        assert_false(explain_identity("no-such-user", &host, &identity));
        assert_false(explain_identity("", &host, &identity));
        assert_false(explain_identity("12x", &host, &identity));
        assert_false(explain_identity("4294967295", &host, &identity));
}

static void test_names(void **state)
{
        (void)state;
        assert_true(explain_is_name("cpu.regs"));
        assert_true(explain_is_name("vmreq.ping"));
        assert_true(explain_is_name("nvim_get_api_info"));
        assert_false(explain_is_name("vmreq.nothing"));
        assert_false(explain_is_name("cpu"));
        assert_false(explain_is_name(""));
}

static void test_dead_names(void **state)
{
        struct rpc_rules *rules = rpc_rules_new();
        char text[512] = "";
        FILE *out = fmemopen(text, sizeof(text), "w");

        (void)state;
        assert_true(rules && out && rpc_rules_begin_file(rules, "q.conf"));
        assert_null(rpc_rules_add(rules, "good", 1));
        assert_null(rpc_rules_add_symbol(rules, "cpu.regs"));
        assert_null(rpc_rules_add_symbol(rules, "vmreq.cancel"));
        assert_null(rpc_rules_add_symbol(rules, "vmreq.c*"));
        assert_null(rpc_rules_add(rules, "bad", 7));
        assert_null(rpc_rules_add_symbol(rules, "vmreq.cancle"));
        assert_null(rpc_rules_add_symbol(rules, "cpu"));
        explain_dead_names(rules, out);
        (void)fclose(out);
        assert_string_equal(text,
                            "vmreqd: q.conf:7: warning: the rule \"bad\" names \"vmreq.cancle\", "
                            "which is no method and no symbol's name\n"
                            "vmreqd: q.conf:7: warning: the rule \"bad\" names \"cpu\", "
                            "which is no method and no symbol's name\n");
        assert_null(rpc_rules_free(rules));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_defaults),   TEST(test_rules), TEST(test_whether_flags_matter),
                TEST(test_socket),     TEST(test_who),   TEST(test_names),
                TEST(test_dead_names),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("explain", tests, NULL, NULL);
}
