/* SPDX-License-Identifier: MIT */
/* Policy files: what each key becomes, what is refused and where, and folders of them. */
#include <grp.h>
#include <pwd.h>
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

#include "policy-file.h"

static char text[1024], folder[64];
static struct rpc_rules *rules;

static int start(void **state)
{
        (void)state;
        (void)snprintf(folder, sizeof(folder), "/tmp/vmreq-policy-XXXXXX");
        assert_non_null(mkdtemp(folder));
        rules = NULL;
        text[0] = 0;
        return 0;
}

static int end(void **state)
{
        char command[128];

        (void)state;
        (void)snprintf(command, sizeof(command), "rm -r %s", folder);
        assert_int_equal(system(command), 0);
        rules = rpc_rules_free(rules);
        return 0;
}

static void write_file(const char *name, const char *content)
{
        char path[128];
        FILE *file;

        (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
        file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs(content, file) >= 0);
        assert_int_equal(fclose(file), 0);
}

static bool read_folder(void)
{
        rules = rpc_rules_free(rules);
        return policy_read_folder(folder, false, &rules, text, sizeof(text));
}

static const struct rpc_rule *rule(uint32_t i)
{
        assert_true(i < rules->n);
        return &rules->rule[i];
}

static void test_every_key(void **state)
{
        const struct rpc_rule *r;

        (void)state;
        write_file("10.conf", "# who runs the machines\n"
                              "[rule Ops may do it]\n"
                              "vm = web-*\n"
                              "vm = demo\n"
                              "subject = user:root\n"
                              "subject = group:root\n"
                              "subject = uid:4294967294\n"
                              "symbols = cpu.*\n"
                              "symbols = vmreq.ps\n"
                              "cpus = 3\n"
                              "cpus = 64-66\n"
                              "flags = priority\n"
                              "flags = poke\n"
                              "action = deny\n"
                              "[rule all]\n"
                              "action=allow\n");
        if (!read_folder())
                fail_msg("%s", text);
        assert_int_equal(rules->n, 2);
        r = rule(0);
        assert_string_equal(r->name, "Ops may do it");
        assert_int_equal(r->line, 2);
        assert_int_equal(r->vms.n, 2);
        assert_string_equal(r->vms.items[1], "demo");
        assert_int_equal(r->n_subjects, 3);
        assert_int_equal(r->subjects[0].kind, RPC_SUBJECT_UID);
        assert_int_equal(r->subjects[0].id, 0);
        assert_int_equal(r->subjects[1].kind, RPC_SUBJECT_GID);
        assert_int_equal(r->subjects[2].id, UINT32_MAX - 1);
        assert_int_equal(r->symbols.n, 2);
        assert_string_equal(r->symbols.items[0], "cpu.*");
        assert_true(r->has_cpus);
        assert_int_equal(r->cpus.word[0], 8);
        assert_int_equal(r->cpus.word[1], 7);
        assert_int_equal(r->flags, VMREQ_PRIORITY | VMREQ_POKE);
        assert_false(r->allow);
        r = rule(1);
        assert_int_equal(r->line, 15);
        assert_true(r->allow);
        assert_false(r->has_cpus || r->has_flags || r->n_subjects || r->symbols.n || r->vms.n);
}

static void test_order_of_files(void **state)
{
        char expected[128];

        (void)state;
        write_file("20.conf", "[rule b]\naction = allow\n");
        write_file("10.conf", "[rule c]\naction = allow\n");
        write_file("9.conf", "[rule a]\naction = allow\n");
        write_file("10.conf.bak", "not looked at\n");
        assert_true(read_folder());
        assert_int_equal(rules->n, 3);
        assert_string_equal(rule(0)->name, "c");
        assert_string_equal(rule(1)->name, "b");
        assert_string_equal(rule(2)->name, "a"); /* by bytes */
        (void)snprintf(expected, sizeof(expected), "%s/20.conf", folder);
        assert_string_equal(rule(1)->file, expected);
}

/* Refused as a whole, naming file and line. */
static void refused(const char *content, unsigned line, const char *part)
{
        char beginning[128];

        write_file("50.conf", content);
        (void)snprintf(beginning, sizeof(beginning), "%s/50.conf:%u: ", folder, line);
        if (read_folder())
                fail_msg("taken: %s", content);
        assert_null(rules);
        if (strncmp(text, beginning, strlen(beginning)) != 0 || !strstr(text, part) ||
            strchr(text, '\n'))
                fail_msg("expected %s…%s…, got %s", beginning, part, text);
}

static void test_refused(void **state)
{
        (void)state;
        write_file("10.conf", "[rule good]\naction = allow\n");
        refused("[rule a]\naction = allow\nsubject = user:no-such-user\n", 3,
                "there is no user \"no-such-user\"");
        refused("[rule a]\naction = allow\nsubject = group:no-such-group\n", 3,
                "there is no group \"no-such-group\"");
        refused("[rule a]\nsubject = user:\n", 2, "no user \"\"");
        refused("[rule a]\nsubject = root\n", 2, "user:NAME, group:NAME or uid:NUMBER");
        refused("[rule a]\nsubject = gid:0\n", 2, "user:NAME");
        refused("[rule a]\nsubject = uid:-1\n", 2, "user:NAME");
        refused("[rule a]\nsubject = uid:4294967295\n", 2, "user:NAME");
        refused("[rule a]\nsubject = uid:1 2\n", 2, "user:NAME");
        refused("[rule a]\nsubject = uid:\n", 2, "user:NAME");
        refused("[rule a]\nsubjects = user:root\n", 2, "unknown key \"subjects\"");
        refused("[rule a]\nAction = allow\n", 2, "unknown key");
        refused("[rule a]\naction = Allow\n", 2, "allow or deny");
        refused("[rule a]\naction =\n", 2, "allow or deny");
        refused("[rule a]\naction = allow\naction = allow\n", 3, "one action in a rule");
        refused("[rule a]\n\nvm = x\n", 1, "the rule \"a\" has no action=");
        refused("[rule a]\naction=deny\n[rule b]\n[rule c]\naction=deny\n", 3,
                "\"b\" has no action=");
        refused("[rule a]\naction=deny\n\n[rule a]\naction=deny\n", 4, "/50.conf:1");
        refused("[rule good]\naction=deny\n", 1, "/10.conf:1");
        refused("[rule]\n", 1, "[rule NAME]");
        refused("[rule ]\n", 1, "[rule NAME]");
        refused("[Rule a]\n", 1, "[rule NAME]");
        refused("[limits]\ncalls = 1\n", 1, "[rule NAME]");
        refused("action = allow\n", 1, "above the first [rule NAME]");
        refused("[rule a]\ncpus = 256\n", 2, "a vCPU 0..255");
        refused("[rule a]\ncpus = 0-256\n", 2, "a vCPU 0..255");
        refused("[rule a]\ncpus = 2-1\n", 2, "a vCPU 0..255");
        refused("[rule a]\ncpus = -1\n", 2, "a vCPU 0..255");
        refused("[rule a]\ncpus = 1-\n", 2, "a vCPU 0..255");
        refused("[rule a]\ncpus = 0,1\n", 2, "a vCPU 0..255");
        refused("[rule a]\ncpus = all\n", 2, "a vCPU 0..255");
        refused("[rule a]\ncpus =\n", 2, "a vCPU 0..255");
        refused("[rule a]\ncpus = 99999999999999999999\n", 2, "a vCPU 0..255");
        refused("[rule a]\nflags = nest\n", 2, "priority or poke");
        refused("[rule a]\nsymbols = Cpu.*\n", 2, "a name such as");
        refused("[rule a]\nsymbols = cpu.[ab\n", 2, "a name such as");
        refused("[rule a]\nsymbols = cpu.a, cpu.b\n", 2, "a name such as");
        refused("[rule a]\nsymbols =\n", 2, "a name such as");
        refused("[rule a]\nvm = a/b\n", 2, "a VM's name");
        refused("[rule a]\naction = allow\nwords\n", 3, "expected \"[section]\"");
}

static void test_long_names(void **state)
{
        char content[128];

        (void)state;
        (void)snprintf(content, sizeof(content), "[rule %044d]\naction = allow\n", 1);
        write_file("50.conf", content);
        assert_true(read_folder());
        (void)snprintf(content, sizeof(content), "[rule %045d]\naction = allow\n", 1);
        refused(content, 1, "at most 49 bytes");
}

static void test_folders(void **state)
{
        char command[128];

        (void)state;
        assert_true(read_folder());
        assert_int_equal(rules->n, 0);
        rules = rpc_rules_free(rules);
        assert_false(policy_read_folder("/nowhere/at/all", false, &rules, text, sizeof(text)));
        assert_string_equal(text, "/nowhere/at/all: no such folder");
        assert_true(policy_read_folder("/nowhere/at/all", true, &rules, text, sizeof(text)));
        assert_int_equal(rules->n, 0);
        (void)snprintf(command, sizeof(command), "mkdir %s/60.conf", folder);
        assert_int_equal(system(command), 0);
        assert_false(read_folder());
        assert_non_null(strstr(text, "60.conf: Is a directory"));
}

static void test_too_many_rules(void **state)
{
        char *content = NULL;
        size_t size = 0;
        FILE *file = open_memstream(&content, &size);

        (void)state;
        assert_non_null(file);
        for (unsigned i = 0; i <= RPC_RULES_MAX; i++)
                assert_true(fprintf(file, "[rule r%u]\naction=deny\n", i) > 0);
        assert_int_equal(fclose(file), 0);
        refused(content, 2 * RPC_RULES_MAX + 1, "at most 1024 rules");
        free(content);
}

static void test_from_memory(void **state)
{
        char content[] = "[rule x]\naction = allow\n[rule y]\nflags = poke\n";
        FILE *file = fmemopen(content, sizeof(content) - 1, "r");

        (void)state;
        rules = rpc_rules_new();
        assert_non_null(file);
        assert_false(policy_read(file, "memory", rules, text, sizeof(text)));
        assert_string_equal(text, "memory:3: the rule \"y\" has no action=");
        assert_int_equal(fclose(file), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_every_key),   TEST(test_order_of_files), TEST(test_refused),
                TEST(test_long_names),  TEST(test_folders),        TEST(test_too_many_rules),
                TEST(test_from_memory),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("policy-file", tests, NULL, NULL);
}
