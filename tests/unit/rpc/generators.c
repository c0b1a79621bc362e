/* SPDX-License-Identifier: MIT */
/* Generators for the tests, and what else streaming needs: see harness.h.  They run on EMTs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/macros.h"
#include "unit/rpc/harness.h"
#include "unit/rpc/module.h"

static const struct vmreq_host *host;

_Atomic uint32_t n_runs, n_states;

void generator_module_reset(void)
{
        atomic_store(&n_runs, 0);
        atomic_store(&n_states, 0);
}

static void end_state(void *state)
{
        atomic_fetch_sub(&n_states, 1);
        free(state);
}

/* What the call counts its runs with. */
static uint64_t *begin_run(struct vmreq_writer *reply)
{
        uint64_t *counter = host->state(reply);

        atomic_fetch_add(&n_runs, 1);
        if (!counter) {
                counter = calloc(1, sizeof(*counter));
                CHECK(counter);
                atomic_fetch_add(&n_states, 1);
                host->set_state(reply, counter, end_state);
        }
        return counter;
}

FUNCTION(g_count)
{
        uint64_t *counter = begin_run(reply);

        (void)ctx, (void)argc;
        if (*counter == args[0].u)
                return 0;
        host->put_uint(reply, (*counter)++);
        return *counter < args[0].u ? VMREQ_AGAIN : 0;
}

FUNCTION(g_gated)
{
        gate_pass();
        return g_count(ctx, args, argc, reply);
}

FUNCTION(g_fail)
{
        int32_t status = g_count(ctx, args, argc, reply);

        if (status != 0)
                return status;
        host->put_failure(reply, "E_END", "no more");
        return -5;
}

FUNCTION(g_pour)
{
        static const char bytes[VMREQ_CHUNK_BYTES_MAX];
        uint64_t *counter = begin_run(reply);

        (void)ctx, (void)argc;
        host->put_bytes(reply, bytes, args[1].u);
        return ++*counter < args[0].u ? VMREQ_AGAIN : 0;
}

FUNCTION(g_patience)
{
        uint64_t *counter = begin_run(reply);

        (void)ctx, (void)argc;
        if ((*counter)++ < args[0].u)
                return VMREQ_AGAIN;
        host->put_str(reply, "at last", 7);
        return 0;
}

FUNCTION(g_odd)
{
        (void)ctx, (void)args, (void)argc;
        (void)begin_run(reply);
        host->put_nil(reply);
        host->put_nil(reply);
        return VMREQ_AGAIN;
}

FUNCTION(g_deep)
{
        (void)ctx, (void)argc;
        (void)begin_run(reply);
        for (uint64_t i = 0; i < args[0].u; i++)
                host->put_array(reply, 1);
        host->put_nil(reply);
        return 0;
}

FUNCTION(g_big)
{
        uint8_t *data = calloc(1, args[0].u);

        (void)ctx, (void)argc;
        gate_pass();
        CHECK(data);
        host->put_bytes(reply, data, args[0].u);
        free(data);
        return 0;
}

FUNCTION(g_capped)
{
        (void)ctx, (void)args, (void)argc;
        while (host->park(host, UINT64_MAX) != 1)
                ;
        host->put_failure(reply, "CANCELLED", "asked to end");
        return -ECANCELED;
}

static const struct vmreq_param n_params[] = {{.name = "n", .type = VMREQ_T_U32, .doc = "-"}};
static const struct vmreq_param pour_params[] = {
        {.name = "n", .type = VMREQ_T_U32, .doc = "-"},
        {.name = "bytes", .type = VMREQ_T_U32, .doc = "-"},
};

#define GENERATOR(symbol) SYMBOL(symbol), .flags = VMREQ_SYM_STREAMING

static const struct vmreq_symbol symbols[] = {
        {GENERATOR("g.count"), PARAMS(n_params), .result = VMREQ_T_U64, .function = g_count},
        {GENERATOR("g.gated"), PARAMS(n_params), .result = VMREQ_T_U64, .function = g_gated},
        {GENERATOR("g.fail"), PARAMS(n_params), .result = VMREQ_T_U64, .function = g_fail},
        {GENERATOR("g.pour"), PARAMS(pour_params), .result = VMREQ_T_BYTES, .function = g_pour},
        {GENERATOR("g.patience"), PARAMS(n_params), .result = VMREQ_T_STR, .function = g_patience},
        {GENERATOR("g.odd"), .result = VMREQ_T_ANY, .function = g_odd},
        {GENERATOR("g.deep"), PARAMS(n_params), .result = VMREQ_T_ANY, .function = g_deep},
        {SYMBOL("g.big"), PARAMS(n_params), .result = VMREQ_T_BYTES, .function = g_big},
        {SYMBOL("g.capped"), .result = VMREQ_T_NIL, .flags = VMREQ_SYM_CANCELLABLE,
         .timeout_ms = 40, .timeout_max_ms = 50, .function = g_capped},
};

static int init(const struct vmreq_host *table, uint32_t abi, const struct vmreq_setting *settings,
                size_t n_settings)
{
        (void)abi, (void)settings, (void)n_settings;
        host = table;
        for (size_t i = 0; i < ARRAY_SIZE(symbols); i++)
                if (table->add_symbol(table, &symbols[i]))
                        return -EINVAL;
        return 0;
}

const struct vmreq_module generator_module = {
        .size = sizeof(struct vmreq_module),
        .abi = VMREQ_MODULE_ABI,
        .name = "g",
        .version = "1",
        .doc = "Generators for the tests.",
        .init = init,
};
