/* SPDX-License-Identifier: MIT */
/* Who is alone and has no guest leaves; who has a client, a call or a guest stays. */
#include "unit/rpc/harness.h"

#include "rpc/idle.h"

static uint64_t exit_idle_ms;

static void tune(struct rpc_config *config)
{
        config->exit_idle_ms = exit_idle_ms;
}

static void start(struct harness *d, uint64_t ms)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        exit_idle_ms = ms;
        options.tune = tune;
        harness_start(d, &options);
}

static void is_counting(struct rpc_server *server, void *ctx)
{
        *(bool *)ctx = uv_is_active((uv_handle_t *)&server->idle_timer);
}

static bool counts(struct harness *d)
{
        bool active;

        harness_on_loop(d, is_counting, &active);
        return active;
}

/* Alone from the start: the loop ends by itself. */
static void test_alone(void **state)
{
        struct harness d;

        (void)state;
        start(&d, 1);
        harness_join(&d);
        assert_true(atomic_load(&d.is_stopping));
        harness_end(&d);
}

static void test_client_leaves(void **state)
{
        struct harness d;
        struct client c;

        (void)state;
        start(&d, 200);
        client_connect(&c, &d);
        client_sync(&c);
        assert_false(counts(&d));
        assert_false(atomic_load(&d.is_stopping));
        client_close(&c);
        harness_join(&d);
        harness_end(&d);
}

/* A call that outlives its client, and a guest, keep it. */
static void test_in_use(void **state)
{
        struct harness d;
        struct client c;

        (void)state;
        start(&d, 3600000);
        client_connect(&c, &d);
        client_send(&c, "[2, 't.gate', []]");
        gate_wait();
        client_close(&c);
        harness_until_peers(&d, 0);
        assert_false(counts(&d));
        gate_open();
        harness_until_idle(&d, 0);
        assert_true(counts(&d));

        assert_int_equal(vmreq_vm_change(d.vm, VMREQ_EVENT_POWER_ON, 0, NULL, NULL), 0);
        (void)counts(&d); /* a turn of the loop */
        assert_false(counts(&d));
        assert_int_equal(vmreq_vm_change(d.vm, VMREQ_EVENT_POWER_OFF, 0, NULL, NULL), 0);
        (void)counts(&d);
        assert_true(counts(&d));
        harness_end(&d);
}

static void test_never(void **state)
{
        struct harness d;

        (void)state;
        start(&d, 0);
        assert_false(counts(&d));
        harness_end(&d);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_alone),
                cmocka_unit_test(test_client_leaves),
                cmocka_unit_test(test_in_use),
                cmocka_unit_test(test_never),
        };

        return HARNESS_RUN("idle", tests);
}
