/* SPDX-License-Identifier: MIT */
/* vmreq.load, vmreq.unload, vmreq.modules: the loop lives on while a module's code blocks; symbols
 * appear and vanish at once; what keeps a module is named. */
#include "rpc/modules.h"

#include <fcntl.h>

#include "base/macros.h"
#include "rpc/peer.h"
#include "unit/rpc/look.h"

static struct harness h;
static struct client c, d;

/* Of the plugin "slow": what it says, and what it waits for. */
static int said[2], init_go[2], fini_go[2];
static char texts[3][16];
static struct vmreq_setting settings[3];
static size_t n_settings;

static const struct vmreq_setting *module_settings(void *ctx, const char *name, size_t *ret_n)
{
        (void)ctx;
        *ret_n = strncmp(name, "slow", 4) == 0 ? n_settings : 0;
        return settings;
}

static void tune(struct rpc_config *config)
{
        config->module_directory = PLUGINS;
        config->module_settings = module_settings;
        config->limits.drain_ms = 300;
}

static void set(unsigned i, const char *key, int fd)
{
        (void)snprintf(texts[i], sizeof(texts[i]), "%d", fd);
        settings[i] = (struct vmreq_setting){.key = key, .value = texts[i]};
}

static int start(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        if (pipe2(said, O_CLOEXEC) || pipe2(init_go, O_CLOEXEC) || pipe2(fini_go, O_CLOEXEC))
                return -1;
        n_settings = 0;
        options.tune = tune;
        harness_start(&h, &options);
        client_connect(&c, &h);
        client_connect(&d, &h);
        client_sync(&d);
        return 0;
}

static void close_pipe(int fds[2])
{
        (void)close(fds[0]);
        (void)close(fds[1]);
}

static int end(void **state)
{
        (void)state;
        gates_open();
        close_pipe(init_go); /* whoever still waits there, waits no more */
        close_pipe(fini_go);
        client_close(&c);
        client_close(&d);
        if (h.running)
                harness_until_idle(&h, 0);
        harness_end(&h);
        close_pipe(said);
        return 0;
}

/* "slow" blocks in its init, or in its fini. */
static void block_in_init(void)
{
        set(0, "said", said[1]);
        set(1, "init", init_go[0]);
        n_settings = 2;
}

static void block_in_fini(void)
{
        set(0, "said", said[1]);
        set(1, "fini", fini_go[0]);
        n_settings = 2;
}

static void wait_said(void)
{
        char byte;

        assert_int_equal(read(said[0], &byte, 1), 1);
}

static void let_go(int fds[2])
{
        assert_int_equal(write(fds[1], "g", 1), 1);
}

static void load(const char *name)
{
        char text[64];

        (void)snprintf(text, sizeof(text), "[0, 1, 'vmreq.load', ['%s']]", name);
        client_send(&c, text);
        assert_true(look_is(look_result(&c, 1), "name", name));
}

static const struct proto_value *modules(void)
{
        client_send(&d, "[0, 99, 'vmreq.modules', []]");
        return look_result(&d, 99);
}

/* ---- loading ---- */

static void test_load(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'good.one', []]");
        client_expect_error(&c, 1, "NOT_FOUND", "no", "good.one");
        client_send(&c, "[0, 2, 'vmreq.load', ['good']]");
        client_expect(&c, "[1,2,nil,{'name':'good','version':'1','doc':'A test's.','builtin':false,"
                          "'state':'loaded','symbols':2,'calls':0}]");
        client_send(&c, "[0, 3, 'good.one', []]");
        client_expect(&c, "[1,3,nil,nil]");
        client_send(&c, "[0, 4, 'vmreq.symbols', [{'glob': 'good.*'}]]");
        client_expect(&c, "[1,4,nil,['good.one','good.two']]");
        client_send(&c, "[0, 5, 'vmreq.load', ['good']]");
        client_expect_error(&c, 5, "INVALID_REQUEST", "no",
                            "good: a module of that name is loaded");
        assert_int_equal(modules()->count, 2);
}

/* What a connection called last is found again, and not when it has gone, or is another one's. */
static void test_called_before(void **state)
{
        (void)state;
        load("good");
        for (int i = 0; i < 2; i++) {
                client_send(&c, "[0, 2, 'good.one', []]");
                client_expect(&c, "[1,2,nil,nil]");
        }
        client_send(&c, "[0, 3, 'good.tw', []]");
        client_expect_error(&c, 3, "NOT_FOUND", "no", "good.tw");
        client_send(&c, "[0, 4, 'good.onf', []]");
        client_expect_error(&c, 4, "NOT_FOUND", "no", "good.onf");
        client_send(&c, "[0, 5, 'vmreq.unload', ['good']]");
        client_expect(&c, "[1,5,nil,nil]");
        client_send(&c, "[0, 6, 'good.one', []]");
        client_expect_error(&c, 6, "NOT_FOUND", "no", "good.one");
        load("good");
        client_send(&c, "[0, 7, 'good.one', []]");
        client_expect(&c, "[1,7,nil,nil]");
}

static void test_modules(void **state)
{
        const struct proto_value *list = modules();

        (void)state;
        assert_int_equal(list->count, 1);
        assert_true(look_is(&list->items[0], "name", "t"));
        assert_true(look_is(&list->items[0], "version", "2.1"));
        assert_true(look(&list->items[0], "builtin")->b);
        assert_true(look_is(&list->items[0], "state", "loaded"));
        assert_int_equal(look_number(&list->items[0], "calls"), 0);
        client_send(&c, "[0, 1, 't.gate', []]");
        gate_wait();
        assert_int_equal(look_number(&modules()->items[0], "calls"), 1);
        gate_open();
        assert_non_null(client_receive(&c));
}

static void test_refused(void **state)
{
        static const struct {
                const char *request, *name, *ran, *part;
        } rows[] = {
                {"'vmreq.load', []", "INVALID_REQUEST", "no", "vmreq.load [name]"},
                {"'vmreq.load', [5]", "INVALID_REQUEST", "no", "vmreq.load [name]"},
                {"'vmreq.load', ['']", "INVALID_ARGUMENT", "no", "at most 32"},
                {"'vmreq.load', ['aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa']", "INVALID_ARGUMENT", "no",
                 "at most 32"},
                {"'vmreq.load', ['/etc/passwd']", "INVALID_ARGUMENT", "no", "[a-z][a-z0-9_]*"},
                {"'vmreq.load', ['..']", "INVALID_ARGUMENT", "no", "[a-z][a-z0-9_]*"},
                {"'vmreq.load', ['none']", "NOT_FOUND", "no", "No such file"},
                {"'vmreq.load', ['init_fails']", "FAILED", "yes", "init returned"},
                {"'vmreq.load', ['t']", "INVALID_REQUEST", "no", "loaded"},
                {"'vmreq.unload', []", "INVALID_REQUEST", "no", "vmreq.unload [name"},
                {"'vmreq.unload', ['t', 'x']", "INVALID_ARGUMENT", "no", "timeout_ms"},
                {"'vmreq.unload', ['t', 1, 2]", "INVALID_REQUEST", "no", "vmreq.unload [name"},
                {"'vmreq.unload', ['none']", "NOT_FOUND", "no", "no module \"none\""},
                {"'vmreq.unload', ['t']", "UNSUPPORTED", "no", "linked in"},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char text[128];

                (void)snprintf(text, sizeof(text), "[0, 1, %s]", rows[i].request);
                client_send(&c, text);
                client_expect_error(&c, 1, rows[i].name, rows[i].ran, rows[i].part);
        }
        assert_int_equal(modules()->count, 1);
}

static void test_rights(void **state)
{
        (void)state;
        harness_become(&h, HARNESS_MEMBER);
        client_send(&c, "[0, 1, 'vmreq.load', ['good']]");
        client_expect_error(&c, 1, "NOT_FOUND", "no", "vmreq.load");
        client_send(&c, "[0, 2, 'vmreq.unload', ['t']]");
        client_expect_error(&c, 2, "NOT_FOUND", "no", "vmreq.unload");
        client_send(&c, "[0, 3, 'vmreq.modules', []]");
        assert_int_equal(look_result(&c, 3)->count, 1);
}

/* An init that blocks holds up nobody; its symbols are not there before it has returned. */
static void test_a_slow_init(void **state)
{
        (void)state;
        block_in_init();
        client_send(&c, "[0, 1, 'vmreq.load', ['slow']]");
        wait_said();
        client_send(&d, "[0, 2, 't.add', [1, 2]]");
        client_expect(&d, "[1,2,nil,3]");
        client_send(&d, "[0, 3, 'slow.nothing', []]");
        client_expect_error(&d, 3, "NOT_FOUND", "no", "slow.nothing");
        client_send(&d, "[0, 4, 'vmreq.load', ['slow']]");
        client_expect_error(&d, 4, "INVALID_REQUEST", "no",
                            "slow: a module of that name is loading");
        client_send(&d, "[0, 5, 'vmreq.unload', ['slow']]");
        client_expect_error(&d, 5, "NOT_FOUND", "no", "no module");
        assert_int_equal(modules()->count, 1);
        let_go(init_go);
        assert_true(look_is(look_result(&c, 1), "name", "slow"));
        client_send(&d, "[0, 6, 'slow.nothing', []]");
        client_expect(&d, "[1,6,nil,nil]");
}

/* Two that block take no more than their share of the pool, and say who they are. */
static void test_too_many(void **state)
{
        (void)state;
        block_in_init();
        client_send(&c, "[0, 1, 'vmreq.load', ['slow']]");
        wait_said();
        client_send(&c, "[0, 2, 'vmreq.load', ['slow2']]");
        wait_said();
        client_send(&d, "[0, 3, 'vmreq.load', ['good']]");
        client_expect_error(&d, 3, "BUSY", "no", "2 of 2; slow is one of them");
        let_go(init_go);
        let_go(init_go);
        assert_non_null(client_receive(&c));
        assert_non_null(client_receive(&c));
        client_send(&d, "[0, 4, 'vmreq.load', ['good']]");
        (void)look_result(&d, 4);
}

/* Who asked goes away: the load ends as it would have. */
static void test_its_client_goes(void **state)
{
        (void)state;
        block_in_init();
        client_send(&c, "[0, 1, 'vmreq.load', ['slow']]");
        wait_said();
        client_close(&c);
        harness_until_peers(&h, 1);
        let_go(init_go);
        while (modules()->count < 2)
                ;
        client_send(&d, "[0, 2, 'slow.nothing', []]");
        client_expect(&d, "[1,2,nil,nil]");
        client_connect(&c, &h);
}

/* ---- unloading ---- */

static void test_unload(void **state)
{
        (void)state;
        load("good");
        client_send(&c, "[0, 2, 'vmreq.unload', ['good', 0]]");
        client_expect(&c, "[1,2,nil,nil]");
        client_send(&c, "[0, 3, 'good.one', []]");
        client_expect_error(&c, 3, "NOT_FOUND", "no", "good.one");
        load("good");
        client_send(&c, "[0, 4, 'good.one', []]");
        client_expect(&c, "[1,4,nil,nil]");
}

/* good.one, queued on EMT 0 behind a gate. */
static void queue_behind_a_gate(void)
{
        client_send(&c, "[0, 11, 'vmreq.call', ['t.gate', [], {'cpu': 0}]]");
        gate_wait();
        client_send(&c, "[0, 12, 'vmreq.call', ['good.one', [], {'cpu': 0}]]");
        client_sync(&c);
}

/* A call in flight keeps it; at the end of the wait it is named; the symbols stay gone; a repeated
 * unload goes on. */
static void test_in_use(void **state)
{
        const struct proto_value *module;

        (void)state;
        load("good");
        queue_behind_a_gate();
        client_send(&d, "[0, 1, 'vmreq.unload', ['good', 20]]");
        client_expect_error(&d, 1, "BUSY", "maybe", "(good.one, uid ");
        client_send(&c, "[0, 13, 'good.one', []]");
        client_expect_error(&c, 13, "NOT_FOUND", "no", "good.one");
        module = &modules()->items[1];
        assert_true(look_is(module, "state", "draining"));
        assert_int_equal(look_number(module, "symbols"), 0);
        assert_int_equal(look_number(module, "calls"), 1);
        client_send(&d, "[0, 2, 'vmreq.unload', ['good', 0]]");
        client_expect_error(&d, 2, "BUSY", "maybe", "has not ended");
        client_send(&d, "[0, 3, 'vmreq.unload', ['good']]");
        client_send(&d, "[0, 4, 'vmreq.unload', ['good']]"); /* two may wait */
        client_sync(&d);
        gate_open();
        client_expect(&c, "[1,11,nil,0]");
        client_expect(&c, "[1,12,nil,nil]"); /* what was in flight has ended as it should */
        client_expect(&d, "[1,3,nil,nil]");
        client_expect(&d, "[1,4,nil,nil]");
        assert_int_equal(modules()->count, 1);
}

/* Nobody waits any more when the last call ends: it stays as it is. */
static void test_nobody_waits(void **state)
{
        (void)state;
        load("good");
        queue_behind_a_gate();
        client_send(&d, "[0, 1, 'vmreq.unload', ['good']]");
        client_shut(&d); /* half-closed: it still wants its answer … */
        harness_until_peers(&h, 2);
        client_close(&d); /* … and now it does not */
        harness_until_peers(&h, 1);
        client_connect(&d, &h);
        gate_open();
        client_expect(&c, "[1,11,nil,0]");
        client_expect(&c, "[1,12,nil,nil]");
        assert_true(look_is(&modules()->items[1], "state", "draining"));
        client_send(&d, "[0, 2, 'vmreq.unload', ['good']]");
        client_expect(&d, "[1,2,nil,nil]");
}

/* A result that is kept is no call in flight, and is there when its module is not. */
static void test_a_kept_result(void **state)
{
        uint64_t id;

        (void)state;
        load("good");
        client_send(&c, "[0, 1, 'vmreq.submit', ['good.one', []]]");
        id = look_result(&c, 1)->u;
        client_send(&c, "[0, 2, 'vmreq.wait', [%u]]", id);
        client_expect(&c, "[1,2,nil,nil]");
        client_send(&d, "[0, 3, 'vmreq.unload', ['good']]");
        client_expect(&d, "[1,3,nil,nil]");
        client_send(&c, "[0, 4, 'vmreq.wait', [%u]]", id);
        client_expect(&c, "[1,4,nil,nil]");
        client_send(&c, "[0, 5, 'vmreq.release', [%u]]", id);
        client_expect(&c, "[1,5,nil,nil]");
}

static void test_a_slow_fini(void **state)
{
        (void)state;
        block_in_fini();
        load("slow");
        client_send(&d, "[0, 1, 'vmreq.unload', ['slow', 10]]");
        wait_said();
        client_sync(&c); /* the loop lives */
        client_expect_error(&d, 1, "BUSY", "maybe", "its fini has not returned");
        client_send(&c, "[0, 2, 'vmreq.unload', ['slow']]");
        client_sync(&c);
        let_go(fini_go);
        client_expect(&c, "[1,2,nil,nil]");
        n_settings = 0;
        load("slow");
}

/* ---- the end ---- */

static void test_drain_waits(void **state)
{
        (void)state;
        block_in_init();
        client_send(&c, "[0, 1, 'vmreq.load', ['slow']]");
        wait_said();
        harness_terminate(&h);
        while (!atomic_load(&h.is_stopping))
                ;
        let_go(init_go);
        assert_true(look_is(look_result(&c, 1), "name", "slow"));
        client_expect_end(&c);
        harness_join(&h);
}

static void test_drain_ends(void **state)
{
        (void)state;
        load("good");
        client_send(&c, "[0, 10, 'vmreq.call', ['t.gate', [], {'cpu': 0, 'timeout_ms': 0}]]");
        gate_wait();
        client_send(&c, "[0, 12, 'vmreq.call', ['good.one', [], {'cpu': 0}]]");
        client_send(&c, "[0, 13, 'vmreq.unload', ['good', 60000]]");
        client_sync(&c);
        harness_terminate(&h);
        client_expect_error(&c, 12, "KILLED", "no", "");
        client_expect_error(&c, 10, "KILLED", "maybe", "");
        /* Its call has ended by then, so either it was quick enough, or it is answered as well. */
        assert_non_null(client_receive(&c));
        client_expect_end(&c);
        gate_open();
        harness_join(&h);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
        const struct CMUnitTest tests[] = {
                TEST(test_load),        TEST(test_called_before),   TEST(test_modules),
                TEST(test_refused),     TEST(test_rights),          TEST(test_a_slow_init),
                TEST(test_too_many),    TEST(test_its_client_goes), TEST(test_unload),
                TEST(test_in_use),      TEST(test_nobody_waits),    TEST(test_a_kept_result),
                TEST(test_a_slow_fini), TEST(test_drain_waits),     TEST(test_drain_ends),
        };

        return HARNESS_RUN("modules", tests);
}
