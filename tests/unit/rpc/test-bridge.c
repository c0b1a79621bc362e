/* SPDX-License-Identifier: MIT */
/* EMT → loop: nothing is lost, the order of each pusher stands, wake-ups coalesce. */
#include "unit/rpc/wire.h"

#include <pthread.h>
#include <unistd.h>

#include "base/check.h"
#include "rpc/bridge.h"
#include "rpc/call.h"

#define N_PUSHERS 6
#define N_EACH    3000

static uv_loop_t loop;
static struct rpc_bridge bridge;
static uint32_t n_drains, n_taken;
static uint64_t last[N_PUSHERS];
static bool out_of_order;

/* caller_uid: the pusher; id: its number there, from 1. */
static void drain(uv_async_t *async)
{
        (void)async;
        n_drains++;
        for (struct rpc_call *call = rpc_bridge_take(&bridge); call; call = call->bridge_next) {
                out_of_order |= call->id != last[call->caller_uid] + 1;
                last[call->caller_uid] = call->id;
                n_taken++;
        }
        if (n_taken == N_PUSHERS * N_EACH)
                uv_stop(&loop);
}

static int start(void **state)
{
        (void)state;
        n_drains = n_taken = 0;
        memset(last, 0, sizeof(last));
        out_of_order = false;
        assert_int_equal(uv_loop_init(&loop), 0);
        return rpc_bridge_init(&bridge, &loop, drain, 1000000);
}

static int end(void **state)
{
        (void)state;
        uv_close((uv_handle_t *)&bridge.async, NULL);
        (void)uv_run(&loop, UV_RUN_DEFAULT);
        return uv_loop_close(&loop);
}

static void test_empty(void **state)
{
        (void)state;
        assert_null(rpc_bridge_take(&bridge));
        (void)uv_run(&loop, UV_RUN_NOWAIT);
        assert_int_equal(n_drains, 0);
}

static void test_order_and_coalescing(void **state)
{
        static struct rpc_call calls[100];

        (void)state;
        for (uint32_t i = 0; i < 100; i++) {
                calls[i].id = i + 1;
                rpc_bridge_push(&bridge, &calls[i]);
        }
        (void)uv_run(&loop, UV_RUN_NOWAIT);
        assert_int_equal(n_drains, 1);
        assert_int_equal(n_taken, 100);
        assert_false(out_of_order);
        assert_null(rpc_bridge_take(&bridge));
        /* The same call may come again once it was taken. */
        calls[0].id = 101;
        rpc_bridge_push(&bridge, &calls[0]);
        (void)uv_run(&loop, UV_RUN_NOWAIT);
        assert_int_equal(n_drains, 2);
        assert_int_equal(n_taken, 101);
}

/* A loop that is awake is not woken, and looks before it sleeps. */
static void test_awake(void **state)
{
        static struct rpc_call call;

        (void)state;
        assert_true(rpc_bridge_sleep(&bridge));
        rpc_bridge_awake(&bridge);
        assert_false(rpc_bridge_spin(&bridge));
        call.id = 1;
        rpc_bridge_push(&bridge, &call);
        (void)uv_run(&loop, UV_RUN_NOWAIT);
        assert_int_equal(n_drains, 0);
        assert_true(rpc_bridge_spin(&bridge));
        assert_false(rpc_bridge_sleep(&bridge));
        assert_ptr_equal(rpc_bridge_take(&bridge), &call);
        assert_true(rpc_bridge_sleep(&bridge));
        rpc_bridge_push(&bridge, &call);
        (void)uv_run(&loop, UV_RUN_NOWAIT);
        assert_int_equal(n_drains, 1);
}

static void *pusher(void *arg)
{
        struct rpc_call *calls = arg;

        for (uint32_t i = 0; i < N_EACH; i++)
                rpc_bridge_push(&bridge, &calls[i]);
        return NULL;
}

static void test_many_pushers(void **state)
{
        pthread_t threads[N_PUSHERS];
        struct rpc_call *calls[N_PUSHERS];

        (void)state;
        for (uint32_t p = 0; p < N_PUSHERS; p++) {
                calls[p] = calloc(N_EACH, sizeof(*calls[p]));
                assert_non_null(calls[p]);
                for (uint32_t i = 0; i < N_EACH; i++) {
                        calls[p][i].caller_uid = p;
                        calls[p][i].id = i + 1;
                }
        }
        for (uint32_t p = 0; p < N_PUSHERS; p++)
                assert_int_equal(pthread_create(&threads[p], NULL, pusher, calls[p]), 0);
        (void)uv_run(&loop, UV_RUN_DEFAULT); /* until all are there */
        for (uint32_t p = 0; p < N_PUSHERS; p++)
                assert_int_equal(pthread_join(threads[p], NULL), 0);
        assert_int_equal(n_taken, N_PUSHERS * N_EACH);
        assert_true(n_drains <= n_taken);
        assert_false(out_of_order);
        assert_null(rpc_bridge_take(&bridge));
        for (uint32_t p = 0; p < N_PUSHERS; p++)
                free(calls[p]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_empty, start, end),
                cmocka_unit_test_setup_teardown(test_order_and_coalescing, start, end),
                cmocka_unit_test_setup_teardown(test_awake, start, end),
                cmocka_unit_test_setup_teardown(test_many_pushers, start, end),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("bridge", tests, NULL, NULL);
}
