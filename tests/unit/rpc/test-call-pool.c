/* SPDX-License-Identifier: MIT */
/* Calls that are kept: as good as new, not more than the bound, and given back. */
#include "unit/rpc/wire.h"

#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "rpc/call-internal.h"

#define N (RPC_CALLS_SPARE_MAX + 3)

static bool refuse;
static unsigned n_allocations;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
        n_allocations++;
        return refuse ? NULL : __real_malloc(size);
}

static struct rpc_server server;

static void expect_new(struct rpc_call *call)
{
        static const struct rpc_call zero;

        assert_non_null(call);
        assert_ptr_equal(call->server, &server);
        call->server = NULL;
        assert_memory_equal(call, &zero, offsetof(struct rpc_call, args));
        call->server = &server;
        assert_int_equal(call->args.n, 0);
        assert_int_equal(call->args.n_bytes, 0);
        assert_ptr_equal(call->args.bytes, call->args.inline_bytes);
}

/* What one call leaves behind is not found by the next. */
static void test_as_new(void **state)
{
        struct rpc_call *call = rpc_call_take(&server);

        (void)state;
        expect_new(call);
        memset(call, 0xa5, sizeof(*call));
        call->server = &server;
        rpc_call_give(call);
        call = rpc_call_take(&server);
        expect_new(call);
        rpc_call_give(call);
        rpc_call_pool_trim(&server.spare_calls, 0);
        assert_null(server.spare_calls.first);
}

static void test_bound(void **state)
{
        static struct rpc_call *calls[N];

        (void)state;
        for (unsigned round = 0; round < 2; round++) {
                n_allocations = 0;
                for (unsigned i = 0; i < N; i++)
                        expect_new(calls[i] = rpc_call_take(&server));
                assert_int_equal(n_allocations, round ? N - RPC_CALLS_SPARE_MAX : N);
                for (unsigned i = 0; i < N; i++)
                        rpc_call_give(calls[i]);
                assert_int_equal(server.spare_calls.n, RPC_CALLS_SPARE_MAX);
        }
        rpc_call_pool_trim(&server.spare_calls, 1);
        assert_int_equal(server.spare_calls.n, MIN(1u, RPC_CALLS_SPARE_MAX));
        rpc_call_pool_trim(&server.spare_calls, 0);
        assert_int_equal(server.spare_calls.n, 0);
}

static void test_no_memory(void **state)
{
        (void)state;
        refuse = true;
        assert_null(rpc_call_take(&server));
        refuse = false;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_as_new),
                cmocka_unit_test(test_bound),
                cmocka_unit_test(test_no_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
