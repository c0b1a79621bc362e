/* SPDX-License-Identifier: MIT */
/* SIGHUP: settings are read on another thread, taken over whole or not at all, never on the loop.
 */
#include "unit/rpc/harness.h"

#include <signal.h>

#include "base/check.h"
#include "rpc/peer.h"

static struct harness h;
static struct client c;

/* What the next reading brings; it waits for `go` and says `began`. */
static sem_t began, go;
static _Atomic bool gated, fails;
static _Atomic uint32_t n_readings, calls_limit;
static const char *_Atomic allowed;

static void sem_down(sem_t *sem)
{
        while (sem_wait(sem))
                ;
}

static bool reload(void *ctx, struct rpc_settings *settings, char *text, size_t size)
{
        (void)ctx;
        atomic_fetch_add(&n_readings, 1);
        if (atomic_load(&gated)) {
                CHECK(sem_post(&began) == 0);
                sem_down(&go);
        }
        if (atomic_load(&fails)) {
                (void)snprintf(text, size, "/etc/x.conf:3: no");
                return false;
        }
        settings->limits = (struct rpc_limits)RPC_LIMITS_INIT;
        if (atomic_load(&calls_limit))
                settings->limits.calls_per_connection = atomic_load(&calls_limit);
        settings->rules = rpc_rules_new();
        CHECK(settings->rules && rpc_rules_begin_file(settings->rules, "x.conf"));
        if (atomic_load(&allowed)) {
                CHECK(!rpc_rules_add(settings->rules, "r", 1));
                CHECK(!rpc_rules_add_symbol(settings->rules, atomic_load(&allowed)));
                rpc_rules_set_action(settings->rules, true);
        }
        return true;
}

static void tune(struct rpc_config *config)
{
        config->reload = reload;
}

static int start(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        options.tune = tune;
        atomic_store(&gated, false);
        atomic_store(&fails, false);
        atomic_store(&calls_limit, 0);
        atomic_store(&allowed, NULL);
        atomic_store(&n_readings, 0);
        assert_int_equal(sem_init(&began, 0, 0), 0);
        assert_int_equal(sem_init(&go, 0, 0), 0);
        harness_start(&h, &options);
        client_connect(&c, &h);
        client_sync(&c);
        harness_become(&h, HARNESS_STRANGER);
        return 0;
}

static int end(void **state)
{
        (void)state;
        gates_open();
        client_close(&c);
        harness_until_idle(&h, 0);
        harness_end(&h);
        return 0;
}

static void hang_up(void)
{
        assert_int_equal(kill(getpid(), SIGHUP), 0);
}

static bool has_reloaded(struct rpc_server *server, void *ctx)
{
        (void)server;
        return atomic_load(&h.n_reloaded) == *(uint32_t *)ctx;
}

static void until_reloaded(uint32_t n)
{
        harness_until(&h, has_reloaded, &n);
}

static void test_rights_and_limits_change(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 't.add', [40, 2]]");
        client_expect_error(&c, 1, "NOT_FOUND", "no", "t.add");
        atomic_store(&allowed, "t.*");
        atomic_store(&calls_limit, 5);
        hang_up();
        until_reloaded(1);
        assert_int_equal(atomic_load(&h.n_reloading), 1);
        client_send(&c, "[0, 2, 't.add', [40, 2]]"); /* the same connection */
        client_expect(&c, "[1,2,nil,42]");
        client_send(&c, "[0, 3, 'vmreq.hello', []]");
        assert_int_equal(
                proto_value_map_get(proto_value_map_get(&client_receive(&c)->items[3], "limits"),
                                    "calls_per_connection")
                        ->u,
                5);
        atomic_store(&allowed, NULL);
        hang_up();
        until_reloaded(2);
        client_send(&c, "[0, 4, 't.add', [40, 2]]");
        client_expect_error(&c, 4, "NOT_FOUND", "no", "t.add");
}

static void test_what_is_wrong_changes_nothing(void **state)
{
        (void)state;
        atomic_store(&allowed, "t.*");
        hang_up();
        until_reloaded(1);
        atomic_store(&fails, true);
        atomic_store(&allowed, NULL);
        hang_up();
        until_reloaded(2);
        client_send(&c, "[0, 1, 't.add', [40, 2]]");
        client_expect(&c, "[1,1,nil,42]");
}

/* The loop serves while a reading takes its time; signals that come meanwhile make one more. */
static void test_while_it_takes_its_time(void **state)
{
        (void)state;
        atomic_store(&gated, true);
        hang_up();
        sem_down(&began);
        client_sync(&c);
        for (int i = 0; i < 10; i++) {
                hang_up();
                client_sync(&c);
        }
        assert_int_equal(atomic_load(&n_readings), 1);
        atomic_store(&allowed, "t.*"); /* what was written after the first reading began */
        assert_int_equal(sem_post(&go), 0);
        sem_down(&began);
        assert_int_equal(atomic_load(&h.n_reloaded), 0);
        assert_int_equal(sem_post(&go), 0);
        until_reloaded(1);
        assert_int_equal(atomic_load(&n_readings), 2);
        assert_int_equal(atomic_load(&h.n_reloading), 1);
        client_send(&c, "[0, 1, 't.add', [40, 2]]");
        client_expect(&c, "[1,1,nil,42]");
}

/* Going down does not wait for whoever reads; what was read then is thrown away. */
static void test_stop_meanwhile(void **state)
{
        (void)state;
        atomic_store(&gated, true);
        atomic_store(&allowed, "t.*");
        hang_up();
        sem_down(&began);
        client_close(&c);
        harness_drain(&h);
        assert_false(rpc_server_settle(h.server)); /* nothing may be freed yet */
        assert_int_equal(sem_post(&go), 0);
        assert_int_equal(uv_run(&h.server->loop, UV_RUN_NOWAIT) >= 0, 1);
        while (!rpc_server_settle(h.server))
                (void)uv_run(&h.server->loop, UV_RUN_ONCE);
        hang_up(); /* is not looked at any more */
        harness_end(&h);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_rights_and_limits_change),
                TEST(test_what_is_wrong_changes_nothing),
                TEST(test_while_it_takes_its_time),
                cmocka_unit_test_setup(test_stop_meanwhile, start),
        };

        return HARNESS_RUN("reload", tests);
}
