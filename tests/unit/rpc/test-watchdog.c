/* SPDX-License-Identifier: MIT */
/* When the watchdog is fed: while the loop turns, or only while every EMT is fresh. */
#include "unit/rpc/harness.h"

#include "rpc/watchdog.h"

static sem_t fed;
static bool emts;
static uint64_t stuck_ms;

static void on_alive(void *ctx)
{
        (void)ctx;
        (void)sem_post(&fed);
}

static void tune(struct rpc_config *config)
{
        config->watchdog_ms = 4;
        config->watchdog_emts = emts;
        config->emt_stuck_ms = stuck_ms;
        config->on_alive = on_alive;
}

static void start(struct harness *d, bool with_emts, uint64_t ms)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        emts = with_emts;
        stuck_ms = ms;
        options.tune = tune;
        assert_int_equal(sem_init(&fed, 0, 0), 0);
        harness_start(d, &options);
}

static void until_fed(unsigned times)
{
        while (times--)
                while (sem_wait(&fed))
                        ;
}

static bool is_hungry(struct rpc_server *server, void *ctx)
{
        (void)ctx;
        return server->watchdog_hungry;
}

static void hold_emt(struct harness *d, struct client *c)
{
        client_connect(c, d);
        client_send(c, "[0, 1, 'vmreq.call', ['t.gate', [], {'cpu': 1, 'timeout_ms': nil}]]");
        gate_wait();
}

static void test_idle(void **state)
{
        struct harness d;

        (void)state;
        start(&d, true, 60000);
        until_fed(50);
        harness_end(&d);
}

/* A stuck EMT is no reason, unless it is to be. */
static void test_stuck(void **state)
{
        struct harness d;
        struct client c;

        (void)state;
        start(&d, false, 1);
        hold_emt(&d, &c);
        until_fed(20);
        gate_open();
        client_close(&c);
        harness_end(&d);

        start(&d, true, 1);
        hold_emt(&d, &c);
        harness_until(&d, is_hungry, NULL);
        gate_open();
        client_expect(&c, "[1,1,nil,1]");
        while (sem_trywait(&fed) == 0)
                ;
        until_fed(5); /* it is back */
        client_close(&c);
        harness_end(&d);
}

/* Within its limit, a request that runs is no stuck EMT. */
static void test_long_but_legal(void **state)
{
        struct harness d;
        struct client c;

        (void)state;
        start(&d, true, 600000);
        hold_emt(&d, &c);
        until_fed(50);
        gate_open();
        client_close(&c);
        harness_end(&d);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_idle),
                cmocka_unit_test(test_stuck),
                cmocka_unit_test(test_long_but_legal),
        };

        return HARNESS_RUN("watchdog", tests);
}
