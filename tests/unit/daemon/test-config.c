/* SPDX-License-Identifier: MIT */
/* The configuration file and its keys: good ones, bad ones with file and line, and what inih would
 * bend. */
#include <errno.h>
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

#include "config.h"

static struct config config;
static char text[1024], path[] = "/tmp/vmreq-config-XXXXXX";

static int start(void **state)
{
        (void)state;
        config_init(&config);
        text[0] = 0;
        return 0;
}

static int end(void **state)
{
        (void)state;
        config_deinit(&config);
        return 0;
}

static bool read_bytes(const void *data, size_t len)
{
        FILE *file = fopen(path, "we");

        assert_non_null(file);
        assert_int_equal(fwrite(data, 1, len, file), len);
        assert_int_equal(fclose(file), 0);
        return config_read_file(&config, path, text, sizeof(text));
}

static bool read_text(const char *content)
{
        return read_bytes(content, strlen(content));
}

/* Refused, and the message begins with the file, the line, and has this part. */
static void assert_refused(const char *content, size_t len, unsigned line, const char *part)
{
        char beginning[128];

        config_deinit(&config);
        config_init(&config);
        (void)snprintf(beginning, sizeof(beginning), "%s:%u: ", path, line);
        if (read_bytes(content, len))
                fail_msg("taken: %s", content);
        if (strncmp(text, beginning, strlen(beginning)) != 0 || !strstr(text, part) ||
            strchr(text, '\n'))
                fail_msg("expected %s…%s…, got %s", beginning, part, text);
}

#define REFUSED(content, line, part) assert_refused(content, sizeof(content) - 1, line, part)

static void test_defaults(void **state)
{
        static const struct rpc_limits limits = RPC_LIMITS_INIT;

        (void)state;
        assert_string_equal(config.name, "default");
        assert_string_equal(config.socket, "");
        assert_int_equal(config.cpus, 1);
        assert_int_equal(config.socket_mode, 0660);
        assert_int_equal(config.n_modules, 0);
        assert_string_equal(config.policy_directory, "/etc/vmreqd/policy.d");
        assert_false(config.policy_directory_set);
        assert_memory_equal(&config.limits, &limits, sizeof(limits));
        assert_true(config_check(&config, text, sizeof(text)));
        assert_true(read_text(""));
}

static void test_every_key(void **state)
{
        (void)state;
        if (!read_text("# a comment\n"
                       "; another\n"
                       "\n"
                       "[vm]\n"
                       "name = web-1.example\n"
                       "cpus=4\r\n"
                       "request_slab = 1000\n"
                       "lane_capacity = 64\n"
                       "[socket]\n"
                       "path = /run/x/y.sock\n"
                       "mode = 0600\n"
                       "[policy]\n"
                       "dir = /opt/policy.d\n"
                       "[modules]\n"
                       "directory = /opt/modules\n"
                       "load = debug\n"
                       "load = /opt/a.so\n"
                       "load = debug\n" /* once is enough */
                       "[module debug]\n"
                       "speed = fast ; and a remark\n"
                       "size = 3\n"
                       "[module /opt/a.so]\n"
                       "key = value with spaces\n"
                       "[limits]\n"
                       "frame_bytes = 1048576\n"
                       "connections = 10\n"
                       "connections_per_uid = 11\n"
                       "calls = 12\n"
                       "calls_per_connection = 13\n"
                       "calls_per_uid = 14\n"
                       "bytes = 20000000\n"
                       "bytes_per_connection = 2000000\n"
                       "bytes_per_uid = 3000000\n"
                       "timeout_ms = 15\n"
                       "frame_stall_ms = 17\n"
                       "kept_per_uid = 18\n"
                       "kept_ms = 19\n"
                       "drain_ms = 16"))
                fail_msg("%s", text);
        assert_string_equal(config.name, "web-1.example");
        assert_int_equal(config.cpus, 4);
        assert_int_equal(config.slab, 1000);
        assert_int_equal(config.lane_capacity, 64);
        assert_string_equal(config.socket, "/run/x/y.sock");
        assert_int_equal(config.socket_mode, 0600);
        assert_string_equal(config.module_directory, "/opt/modules");
        assert_string_equal(config.policy_directory, "/opt/policy.d");
        assert_true(config.policy_directory_set);
        assert_int_equal(config.n_modules, 2);
        assert_string_equal(config.modules[0].name, "debug");
        assert_int_equal(config.modules[0].n_settings, 2);
        assert_string_equal(config.modules[0].settings[0].key, "speed");
        assert_string_equal(config.modules[0].settings[0].value, "fast");
        assert_string_equal(config.modules[1].settings[0].value, "value with spaces");
        assert_int_equal(config.limits.frame_bytes, 1048576);
        assert_int_equal(config.limits.connections, 10);
        assert_int_equal(config.limits.connections_per_uid, 11);
        assert_int_equal(config.limits.calls, 12);
        assert_int_equal(config.limits.calls_per_connection, 13);
        assert_int_equal(config.limits.calls_per_uid, 14);
        assert_int_equal(config.limits.bytes, 20000000);
        assert_int_equal(config.limits.bytes_per_connection, 2000000);
        assert_int_equal(config.limits.bytes_per_uid, 3000000);
        assert_int_equal(config.limits.timeout_ms, 15);
        assert_int_equal(config.limits.frame_stall_ms, 17);
        assert_int_equal(config.limits.kept_per_uid, 18);
        assert_int_equal(config.limits.kept_ms, 19);
        assert_int_equal(config.limits.drain_ms, 16);
}

static void test_refused_with_its_line(void **state)
{
        (void)state;
        REFUSED("[vm]\ncpus = 2\nspeed = 3\n", 3,
                "unknown key \"speed\" in section [vm]; its keys are cpus, ");
        REFUSED("[vm]\nspeed = 3\n", 2,
                "lazy_poke_ms, power_on, on_off, on_failed, emt_stuck, name, "
                "backend");
        REFUSED("[socket]\nowner = 0\n", 2, "its keys are path, mode");
        REFUSED("[modules]\nunload = a\n", 2, "its keys are directory, load");
        /* The longest list is whole. */
        REFUSED("[limits]\ncalls_peruid = 3\n", 2, "kept_ms, drain_ms");
        REFUSED("[kvm]\nmemory = 3\n", 2,
                "unknown key \"memory\" in section [kvm]; its keys are irqchip, sipi, memory_mib, ");
        REFUSED("cpus = 2\n", 1,
                "\"cpus\" stands before the first section; the sections are vm, kvm, ");
        REFUSED("\n\n[vms]\ncpus = 2\n", 4, "unknown section [vms]; the sections are vm, kvm, ");
        REFUSED("[VM]\ncpus = 2\n", 2, "unknown section [VM]");
        REFUSED("[vm]\nCPUS = 2\n", 2, "unknown key");
        REFUSED("[vm]\njust words\n", 2, "expected \"[section]\" or \"key = value\"");
        REFUSED("[vm\ncpus = 2\n", 1, "expected \"[section]\"");
        REFUSED("[vm]\n= 2\n", 2, "unknown key \"\"");
        REFUSED("[limits]\nbytes_per_connection = 65536\n", 2,
                "bytes_per_connection: expected a number 1048576..4294967296, got \"65536\"");
        REFUSED("[vm]\nname = bad name\n", 2, "expected a VM name");
        REFUSED("[vm]\nname =\n", 2, "expected a VM name");
        REFUSED("[vm]\nname = x.sock\n", 2, "expected a VM name");
        REFUSED("[socket]\npath = relative\n", 2,
                "path: expected an absolute path, got \"relative\"");
        REFUSED("[socket]\npath =\n", 2, "an absolute path");
        REFUSED("[modules]\ndirectory = x\n", 2, "an absolute path");
        REFUSED("[policy]\ndir = x\n", 2, "an absolute path");
        REFUSED("[modules]\nload =\n", 2, "a module name or a path");
        REFUSED("[module debug]\nspeed = 1\n", 2,
                "section [module debug]: no such module is loaded above it");
        /* The first mistake is the one that is told, and nothing behind it is read. */
        REFUSED("[vm]\ncpus = x\ncpus = 3\nwhat\n", 2, "cpus: expected a number 1..256, got \"x\"");
        assert_int_equal(config.cpus, 1);
}

static void test_numbers_at_their_borders(void **state)
{
        static const struct {
                const char *section, *key, *min, *below, *max, *above;
        } rows[] = {
                {"vm", "cpus", "1", "0", "256", "257"},
                {"vm", "request_slab", "16", "15", "4194304", "4194305"},
                {"vm", "lane_capacity", "1", "0", "2097152", "2097153"},
                {"vm", "emt_stuck_ms", "1", "0", "3600000", "3600001"},
                {"vm", "exit_idle_ms", "0", "-1", "1000000000", "1000000001"},
                {"limits", "frame_bytes", "1024", "1023", "268435456", "268435457"},
                {"limits", "depth", "4", "3", "28", "29"},
                {"limits", "frame_stall_bytes", "1", "0", "268435456", "268435457"},
                {"limits", "turn_frames", "1", "0", "1024", "1025"},
                {"limits", "turn_bytes", "1024", "1023", "65536", "65537"},
                {"limits", "connections_reserved", "0", "-1", "1000000", "1000001"},
                {"limits", "connections", "1", "0", "1000000", "1000001"},
                {"limits", "connections_per_uid", "1", "0", "1000000", "1000001"},
                {"limits", "calls", "1", "0", "4000000", "4000001"},
                {"limits", "calls_per_connection", "1", "0", "4000000", "4000001"},
                {"limits", "calls_per_uid", "1", "0", "4000000", "4000001"},
                {"limits", "bytes", "1048576", "1048575", "1099511627776", "1099511627777"},
                {"limits", "bytes_per_connection", "1048576", "1048575", "4294967296",
                 "4294967297"},
                {"limits", "bytes_per_uid", "1048576", "1048575", "1099511627776", "1099511627777"},
                {"limits", "timeout_ms", "1", "0", "1000000000000", "1000000000001"},
                {"limits", "frame_stall_ms", "10", "9", "3600000", "3600001"},
                {"limits", "kept_per_uid", "1", "0", "1000000", "1000001"},
                {"limits", "kept_ms", "1", "0", "86400000", "86400001"},
                {"limits", "drain_ms", "1", "0", "3600000", "3600001"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                assert_true(config_set(&config, rows[i].section, rows[i].key, rows[i].min, text,
                                       sizeof(text)));
                assert_true(config_set(&config, rows[i].section, rows[i].key, rows[i].max, text,
                                       sizeof(text)));
                assert_false(config_set(&config, rows[i].section, rows[i].key, rows[i].below, text,
                                        sizeof(text)));
                assert_false(config_set(&config, rows[i].section, rows[i].key, rows[i].above, text,
                                        sizeof(text)));
                assert_non_null(strstr(text, rows[i].max));
        }
}

static void test_no_numbers(void **state)
{
        static const char *const bad[] = {
                "",
                " ",
                "+1",
                "-1",
                "1 ",
                " 1",
                "1k",
                "0x10",
                "1.0",
                "1e1",
                "18446744073709551616",
                "99999999999999999999999",
                "one",
                "\xd9\xa1",
        };

        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                if (config_set(&config, "vm", "cpus", bad[i], text, sizeof(text)))
                        fail_msg("\"%s\" taken", bad[i]);
        assert_true(config_set(&config, "vm", "cpus", "007", text, sizeof(text)));
        assert_int_equal(config.cpus, 7);
}

static void test_words(void **state)
{
        (void)state;
        assert_false(config.power_on || config.exit_on_off || config.exit_on_failed ||
                     config.restart_on_stuck);
        assert_true(config_set(&config, "vm", "power_on", "start", text, sizeof(text)));
        assert_true(config_set(&config, "vm", "on_off", "exit", text, sizeof(text)));
        assert_true(config_set(&config, "vm", "on_failed", "exit", text, sizeof(text)));
        assert_true(config_set(&config, "vm", "emt_stuck", "restart", text, sizeof(text)));
        assert_true(config.power_on && config.exit_on_off && config.exit_on_failed &&
                    config.restart_on_stuck);
        assert_true(config_set(&config, "vm", "power_on", "manual", text, sizeof(text)));
        assert_false(config.power_on);
        assert_false(config_set(&config, "vm", "power_on", "yes", text, sizeof(text)));
        assert_non_null(strstr(text, "power_on: expected manual or start, got \"yes\""));
        assert_false(config_set(&config, "vm", "emt_stuck", "", text, sizeof(text)));
}

static void put_file(const char *directory, const char *name, const char *content)
{
        char file[256];
        FILE *out;

        (void)snprintf(file, sizeof(file), "%s/%s", directory, name);
        out = fopen(file, "we");
        assert_non_null(out);
        assert_true(fputs(content, out) >= 0);
        assert_int_equal(fclose(out), 0);
}

/* NAME, NAME.conf, then the drop-ins by name; what is not there is no mistake. */
static void test_instance(void **state)
{
        char dir[] = "/tmp/vmreq-config-XXXXXX", drop[64], command[80];

        (void)state;
        assert_non_null(mkdtemp(dir));
        (void)snprintf(drop, sizeof(drop), "%s/web.conf.d", dir);
        assert_true(config_read_instance(&config, dir, "web", text, sizeof(text)));
        assert_string_equal(config.name, "web");
        assert_int_equal(config.cpus, 1);

        put_file(dir, "web.conf", "[vm]\ncpus = 2\nrequest_slab = 100\n");
        assert_int_equal(mkdir(drop, 0700), 0);
        put_file(drop, "20-b.conf", "[vm]\ncpus = 4\n");
        put_file(drop, "10-a.conf", "[vm]\ncpus = 3\nlane_capacity = 9\n");
        put_file(drop, "30-c.conf~", "[vm]\ncpus = 5\n");
        put_file(drop, ".40-d.conf", "[vm]\ncpus = 6\n");
        if (!config_read_instance(&config, dir, "web", text, sizeof(text)))
                fail_msg("%s", text);
        assert_int_equal(config.cpus, 4);
        assert_int_equal(config.slab, 100);
        assert_int_equal(config.lane_capacity, 9);

        put_file(drop, "15-bad.conf", "[vm]\ncpus = none\n");
        assert_false(config_read_instance(&config, dir, "web", text, sizeof(text)));
        assert_non_null(strstr(text, "web.conf.d/15-bad.conf:2: cpus"));
        assert_false(config_read_instance(&config, dir, "../web", text, sizeof(text)));
        assert_non_null(strstr(text, "name: expected a VM name"));
        (void)snprintf(command, sizeof(command), "rm -r %s", dir);
        assert_int_equal(system(command), 0);
}

static void test_modes(void **state)
{
        static const char *const bad[] = {"",   "8",     "888", "1000",  "-1",
                                          "+1", "0x1ff", "rw",  "0660 ", "77777777777777777777777"};

        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                if (config_set(&config, "socket", "mode", bad[i], text, sizeof(text)))
                        fail_msg("\"%s\" taken", bad[i]);
        assert_true(config_set(&config, "socket", "mode", "777", text, sizeof(text)));
        assert_int_equal(config.socket_mode, 0777);
        assert_true(config_set(&config, "socket", "mode", "0", text, sizeof(text)));
        assert_int_equal(config.socket_mode, 0);
}

/* inih would cut these, or hand over what nobody wrote. */
static void test_long_lines(void **state)
{
        char content[512];

        (void)state;
        memset(content, 0, sizeof(content));
        (void)snprintf(content, sizeof(content), "[vm]\n#%0187d\ncpus = 2\n",
                       0); /* 189 bytes incl. its end: fits */
        if (!read_text(content))
                fail_msg("%s", text);
        assert_int_equal(config.cpus, 2);
        (void)snprintf(content, sizeof(content), "[vm]\n#%0189d\ncpus = 2\n", 0);
        assert_refused(content, strlen(content), 2, "longer than 189 bytes");
        (void)snprintf(content, sizeof(content), "[vm]\n#%0400d\n", 0);
        assert_refused(content, strlen(content), 2, "longer than 189 bytes");
        (void)snprintf(content, sizeof(content), "[vm]\ncpus = 2\n#%0300d", 0);
        assert_refused(content, strlen(content), 3, "longer than 189 bytes");
}

/* inih keeps 49 bytes of a section's name and drops the rest without a word. */
static void test_long_section_names(void **state)
{
        char content[512], module[64];

        (void)state;
        (void)snprintf(module, sizeof(module), "/%040d", 7); /* "module " and 41 bytes: 48 */
        (void)snprintf(content, sizeof(content), "[modules]\nload = %s\n[module %s]\nkey = 1\n",
                       module, module);
        if (!read_text(content))
                fail_msg("%s", text);
        assert_int_equal(config.modules[0].n_settings, 1);
        /* Two paths that differ only where the name would be cut. */
        (void)snprintf(module, sizeof(module), "/%041d", 7); /* 49 */
        (void)snprintf(content, sizeof(content),
                       "[modules]\nload = %s\nload = %sx\n[module %sx]\nkey = 1\n", module, module,
                       module);
        assert_refused(content, strlen(content), 4, "at most 49 bytes");
        (void)snprintf(content, sizeof(content),
                       "[modules]\nload = %s\n\t [module %sx] \nkey = 1\n", module, module);
        assert_refused(content, strlen(content), 3, "at most 49 bytes");
}

/* inih would take an indented line for more of the value above. */
static void test_indented_lines(void **state)
{
        (void)state;
        assert_true(read_text(
                "[modules]\nload = x\n  load = y\n\t# a remark\n   \n  [vm]\n  cpus = 2\n"));
        assert_int_equal(config.n_modules, 2);
        assert_string_equal(config.modules[1].name, "y");
        assert_int_equal(config.cpus, 2);
        REFUSED("[modules]\nload = x\n  y\n", 3, "expected \"[section]\" or \"key = value\"");
        /* A carriage return is a blank to inih, too. */
        assert_true(read_text("[modules]\nload = z\n\r load = w\n"));
        assert_string_equal(config.modules[config.n_modules - 1].name, "w");
}

static void test_bytes_that_are_no_text(void **state)
{
        (void)state;
        REFUSED("[vm]\ncpus = 2\0 3\n", 2, "a control byte");
        REFUSED("[vm]\n\ncpus = \x1b[31m\n", 3, "a control byte");
        REFUSED("[vm]\ncpus = 2\x7f\n", 2, "a control byte");
        REFUSED("\0", 1, "a control byte");
        REFUSED("[vm]\nna\fme = x\n", 2, "a control byte");
        config_deinit(&config);
        config_init(&config);
        assert_true(read_text("[modules]\nload = x\n[module x]\nkey =\tJos\xc3\xa9\n"));
        assert_string_equal(config.modules[0].settings[0].value, "Jos\xc3\xa9");
}

static void test_no_file(void **state)
{
        (void)state;
        assert_false(config_read_file(&config, "/nowhere/at/all", text, sizeof(text)));
        assert_string_equal(text, "/nowhere/at/all: No such file or directory");
        assert_false(config_read_file(&config, "/tmp", text, sizeof(text)));
        assert_non_null(strstr(text, "/tmp: "));
}

static void test_bounds_of_modules(void **state)
{
        char name[32];

        (void)state;
        for (unsigned i = 0; i < CONFIG_MODULES_MAX; i++) {
                (void)snprintf(name, sizeof(name), "m%u", i);
                assert_true(config_set(&config, "modules", "load", name, text, sizeof(text)));
        }
        assert_false(config_set(&config, "modules", "load", "more", text, sizeof(text)));
        assert_non_null(strstr(text, "at most 64 modules"));
        assert_true(config_set(&config, "modules", "load", "m3", text, sizeof(text)));
        for (unsigned i = 0; i < CONFIG_MODULE_SETTINGS_MAX; i++)
                assert_true(config_set(&config, "module m0", "k", "v", text, sizeof(text)));
        assert_false(config_set(&config, "module m0", "k", "v", text, sizeof(text)));
        assert_non_null(strstr(text, "at most 64 settings"));
}

/* FILE.d/NAME.conf, in a folder of its own beside the file. */
static void write_drop_in(const char *name, const char *content)
{
        char drop_in[128];
        FILE *file;

        (void)snprintf(drop_in, sizeof(drop_in), "%s.d", path);
        assert_true(mkdir(drop_in, 0700) == 0 || errno == EEXIST);
        (void)snprintf(drop_in, sizeof(drop_in), "%s.d/%s", path, name);
        if (!content) {
                assert_int_equal(unlink(drop_in), 0);
                return;
        }
        file = fopen(drop_in, "we");
        assert_non_null(file);
        assert_true(fputs(content, file) >= 0);
        assert_int_equal(fclose(file), 0);
}

static void test_drop_ins(void **state)
{
        char expected[256];

        (void)state;
        assert_true(read_text("[vm]\ncpus = 2\nname = of-the-file\n"));
        write_drop_in("20-b.conf", "[vm]\ncpus = 4\n");
        write_drop_in("10-a.conf", "[vm]\ncpus = 3\nlane_capacity = 7\n");
        write_drop_in("30-c.txt", "this is none\n");
        write_drop_in(".40-d.conf", "nor this\n");
        if (!config_read(&config, path, false, text, sizeof(text)))
                fail_msg("%s", text);
        assert_int_equal(config.cpus, 4);
        assert_int_equal(config.lane_capacity, 7);
        assert_string_equal(config.name, "of-the-file");

        /* The file itself may miss, if that was said; what is beside it counts all the same. */
        config_deinit(&config);
        config_init(&config);
        assert_int_equal(unlink(path), 0);
        assert_false(config_read(&config, path, false, text, sizeof(text)));
        assert_true(config_read(&config, path, true, text, sizeof(text)));
        assert_int_equal(config.cpus, 4);
        assert_string_equal(config.name, "default");

        write_drop_in("20-b.conf", "[vm]\n\ncpus = x\n");
        assert_false(config_read(&config, path, true, text, sizeof(text)));
        (void)snprintf(expected, sizeof(expected), "%s.d/20-b.conf:3: cpus: expected", path);
        assert_int_equal(strncmp(text, expected, strlen(expected)), 0);

        write_drop_in("20-b.conf", NULL);
        write_drop_in("10-a.conf", NULL);
        write_drop_in("30-c.txt", NULL);
        write_drop_in(".40-d.conf", NULL);
        (void)snprintf(expected, sizeof(expected), "%s.d", path);
        assert_int_equal(rmdir(expected), 0);
}

static void set(struct config *of, const char *section, const char *key, const char *value)
{
        assert_true(config_set(of, section, key, value, text, sizeof(text)));
}

static void test_what_a_reload_cannot_change(void **state)
{
        static struct config fresh;

        (void)state;
        config_init(&fresh);
        assert_false(config_needs_restart(&config, &fresh, text, sizeof(text)));
        set(&fresh, "limits", "calls", "77");
        set(&fresh, "policy", "dir", "/x");
        assert_false(config_needs_restart(&config, &fresh, text, sizeof(text)));
        set(&fresh, "vm", "cpus", "9");
        set(&fresh, "vm", "name", "n");
        set(&fresh, "socket", "mode", "0600");
        set(&fresh, "socket", "path", "/x");
        set(&fresh, "modules", "load", "debug");
        assert_true(config_needs_restart(&config, &fresh, text, sizeof(text)));
        assert_string_equal(text, "[vm] cpus, [vm] name, [socket] path, [socket] mode, "
                                  "[modules] load");
        assert_true(config_needs_restart(&config, &fresh, text, 10)); /* cut, not overrun */
        config_deinit(&fresh);
}

static void test_what_only_makes_sense_together(void **state)
{
        (void)state;
        assert_true(config_set(&config, "vm", "request_slab", "16", text, sizeof(text)));
        assert_true(config_set(&config, "vm", "cpus", "15", text, sizeof(text)));
        assert_true(config_check(&config, text, sizeof(text)));
        assert_true(config_set(&config, "vm", "cpus", "16", text, sizeof(text)));
        assert_false(config_check(&config, text, sizeof(text)));
        assert_non_null(strstr(text, "request_slab 16 is too small"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_defaults, start, end),
                cmocka_unit_test_setup_teardown(test_every_key, start, end),
                cmocka_unit_test_setup_teardown(test_refused_with_its_line, start, end),
                cmocka_unit_test_setup_teardown(test_numbers_at_their_borders, start, end),
                cmocka_unit_test_setup_teardown(test_no_numbers, start, end),
                cmocka_unit_test_setup_teardown(test_modes, start, end),
                cmocka_unit_test_setup_teardown(test_words, start, end),
                cmocka_unit_test_setup_teardown(test_instance, start, end),
                cmocka_unit_test_setup_teardown(test_long_lines, start, end),
                cmocka_unit_test_setup_teardown(test_long_section_names, start, end),
                cmocka_unit_test_setup_teardown(test_indented_lines, start, end),
                cmocka_unit_test_setup_teardown(test_bytes_that_are_no_text, start, end),
                cmocka_unit_test_setup_teardown(test_no_file, start, end),
                cmocka_unit_test_setup_teardown(test_bounds_of_modules, start, end),
                cmocka_unit_test_setup_teardown(test_drop_ins, start, end),
                cmocka_unit_test_setup_teardown(test_what_a_reload_cannot_change, start, end),
                cmocka_unit_test_setup_teardown(test_what_only_makes_sense_together, start, end),
        };
        int fd = mkstemp(path), r;

        if (fd < 0 || close(fd))
                return 1;
        (void)alarm(50);
        r = cmocka_run_group_tests_name("config", tests, NULL, NULL);
        (void)unlink(path);
        return r;
}
