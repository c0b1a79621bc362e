/* SPDX-License-Identifier: MIT */
/* Who hosts the server hears how it is: at once, then only what has changed, once a second. */
#include "unit/rpc/harness.h"

#include "base/clock.h"
#include "rpc/figures.h"

#define TOLD_MAX 64

static struct {
        pthread_mutex_t lock;
        pthread_cond_t cond;
        uint32_t n;
        struct rpc_figures figures[TOLD_MAX];
        uint64_t at_ns[TOLD_MAX];
} told = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

static void on_figures(void *ctx, const struct rpc_figures *figures)
{
        (void)ctx;
        (void)pthread_mutex_lock(&told.lock);
        if (told.n < TOLD_MAX) {
                told.figures[told.n] = *figures;
                told.at_ns[told.n] = clock_now_ns();
                told.n++;
        }
        (void)pthread_cond_broadcast(&told.cond);
        (void)pthread_mutex_unlock(&told.lock);
}

static void tune(struct rpc_config *config)
{
        config->on_figures = on_figures;
}

static void start(struct harness *d)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        options.tune = tune;
        told.n = 0;
        harness_start(d, &options);
}

/* Waits until figures with that many clients and that state were told; their place. */
static uint32_t until_told(uint32_t from, enum vmreq_vm_state state, uint32_t clients)
{
        uint32_t i = from;

        (void)pthread_mutex_lock(&told.lock);
        for (;;) {
                for (; i < told.n; i++)
                        if (told.figures[i].state == state && told.figures[i].clients == clients)
                                goto found;
                (void)pthread_cond_wait(&told.cond, &told.lock);
        }
found:
        (void)pthread_mutex_unlock(&told.lock);
        return i;
}

static void test_changes(void **state)
{
        struct harness d;
        struct client c;
        uint32_t i;

        (void)state;
        start(&d);
        i = until_told(0, VMREQ_VM_CREATED, 0);
        assert_int_equal(i, 0);
        client_connect(&c, &d);
        i = until_told(i, VMREQ_VM_CREATED, 1);
        assert_int_equal(vmreq_vm_change(d.vm, VMREQ_EVENT_POWER_ON, 0, NULL, NULL), 0);
        client_sync(&c); /* a turn of the loop */
        i = until_told(i, VMREQ_VM_RUNNING, 1);
        client_close(&c);
        (void)until_told(i, VMREQ_VM_RUNNING, 0);
        harness_end(&d);
}

/* However much happens, a second lies between two. */
static void test_rate(void **state)
{
        struct harness d;
        struct client c[8];
        uint32_t i;

        (void)state;
        start(&d);
        i = until_told(0, VMREQ_VM_CREATED, 0);
        for (size_t k = 0; k < 8; k++) {
                client_connect(&c[k], &d);
                client_sync(&c[k]);
        }
        (void)until_told(i, VMREQ_VM_CREATED, 8);
        for (size_t k = 0; k < 8; k++)
                client_close(&c[k]);
        i = until_told(i, VMREQ_VM_CREATED, 0);
        harness_end(&d);
        for (uint32_t k = 1; k < told.n; k++)
                assert_true(told.at_ns[k] - told.at_ns[k - 1] >=
                            (RPC_FIGURES_MS - 10) * CLOCK_NS_PER_MS);
        assert_true(told.n <= 4);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_changes),
                cmocka_unit_test(test_rate),
        };

        return HARNESS_RUN("figures", tests);
}
