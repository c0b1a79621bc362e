/* SPDX-License-Identifier: MIT */
/* Functions for the tests: see harness.h.  They run on EMTs. */
#include "unit/rpc/module.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/macros.h"
#include "unit/rpc/harness.h"

static const struct vmreq_host *host;
static sem_t gate_in, gate_out;
static bool has_gates;

_Atomic uint32_t n_marks;
_Atomic uint64_t marks[MARKS_MAX];
_Atomic uint32_t n_blocked;

static void sem_down(sem_t *sem)
{
        while (sem_wait(sem))
                ;
}

void gate_wait(void)
{
        sem_down(&gate_in);
}

void gate_open(void)
{
        CHECK(sem_post(&gate_out) == 0);
}

void gate_nothing(void)
{
}

void gate_pass(void)
{
        CHECK(sem_post(&gate_in) == 0);
        sem_down(&gate_out);
}

void gates_open(void)
{
        for (unsigned i = 0; i < 1000; i++)
                gate_open();
}

void test_module_reset(void)
{
        if (has_gates) {
                (void)sem_destroy(&gate_in);
                (void)sem_destroy(&gate_out);
        }
        CHECK(sem_init(&gate_in, 0, 0) == 0 && sem_init(&gate_out, 0, 0) == 0);
        has_gates = true;
        atomic_store(&n_marks, 0);
        atomic_store(&n_blocked, 0);
}

/* ---- words ---- */

static int64_t t_add(int64_t a, int64_t b)
{
        return (int64_t)((uint64_t)a + (uint64_t)b);
}

static void t_mark(uint64_t n)
{
        uint32_t i = atomic_fetch_add(&n_marks, 1);

        if (i < MARKS_MAX)
                atomic_store(&marks[i], n);
}

static int32_t t_status(int32_t status)
{
        return status;
}

static uint64_t t_x64(uint64_t value)
{
        return value;
}

static uint32_t t_cpu(void)
{
        return host->cpu(host);
}

static uint32_t t_open(uint8_t level)
{
        return level;
}

static void t_nil(void)
{
}

/* ---- callbacks ---- */

FUNCTION(t_echo)
{
        (void)ctx, (void)argc;
        host->put_raw(reply, args[0].data, args[0].len);
        return 0;
}

FUNCTION(t_size)
{
        (void)ctx, (void)argc;
        host->put_uint(reply, args[0].len);
        return 0;
}

FUNCTION(t_gate)
{
        (void)ctx, (void)args, (void)argc;
        gate_pass();
        host->put_uint(reply, host->cpu(host));
        return 0;
}

FUNCTION(t_block)
{
        (void)ctx, (void)args, (void)argc;
        atomic_fetch_add(&n_blocked, 1);
        while (host->park(host, UINT64_MAX) != 1)
                ;
        host->put_failure(reply, "CANCELLED", "asked to end");
        return -ECANCELED;
}

FUNCTION(t_big)
{
        uint8_t *data = malloc(args[0].u ? args[0].u : 1);

        (void)ctx, (void)argc;
        CHECK(data);
        memset(data, 'b', args[0].u);
        host->put_bytes(reply, data, args[0].u);
        free(data);
        return 0;
}

FUNCTION(t_deep)
{
        (void)ctx, (void)argc;
        for (uint64_t i = 0; i < args[0].u; i++)
                host->put_array(reply, 1);
        host->put_nil(reply);
        return 0;
}

FUNCTION(t_fail)
{
        (void)ctx, (void)argc;
        if (args[0].i < 0)
                host->put_failure(reply, args[1].data, args[2].data);
        return (int32_t)args[0].i;
}

FUNCTION(t_gated_fail)
{
        gate_pass();
        return t_fail(ctx, args, argc, reply);
}

FUNCTION(t_nothing)
{
        (void)ctx, (void)args, (void)argc, (void)reply;
        return 0;
}

FUNCTION(t_twice)
{
        (void)ctx, (void)args, (void)argc;
        host->put_nil(reply);
        host->put_nil(reply);
        return 0;
}

/* ---- the table ---- */

static const struct vmreq_param add_params[] = {
        {.name = "a", .type = VMREQ_T_I64, .doc = "one"},
        {.name = "b", .type = VMREQ_T_I64, .doc = "other"},
};
static const struct vmreq_param any_params[] = {{.name = "value", .type = VMREQ_T_ANY, .doc = "-"}};
static const struct vmreq_param size_params[] = {
        {.name = "data", .type = VMREQ_T_BYTES, .doc = "-"}};
static const struct vmreq_param mark_params[] = {{.name = "n", .type = VMREQ_T_U64, .doc = "-"}};
static const struct vmreq_param n_params[] = {{.name = "n", .type = VMREQ_T_U32, .doc = "-"}};
static const struct vmreq_param status_params[] = {
        {.name = "status", .type = VMREQ_T_I32, .doc = "-"}};
static const struct vmreq_param x64_params[] = {{.name = "value", .type = VMREQ_T_X64, .doc = "-"}};
static const struct vmreq_param open_params[] = {
        {.name = "level",
         .type = VMREQ_T_U8,
         .doc = "how far",
         .min = 1,
         .max = 9,
         .flags = VMREQ_PARAM_OPTIONAL | VMREQ_PARAM_RANGE,
         .fallback = {.type = VMREQ_T_U8, .u = 3}},
};
static const struct vmreq_param fail_params[] = {
        {.name = "status", .type = VMREQ_T_I32, .doc = "-"},
        {.name = "name",
         .type = VMREQ_T_STR,
         .doc = "-",
         .flags = VMREQ_PARAM_OPTIONAL,
         .fallback = {.type = VMREQ_T_STR, .data = ""}},
        {.name = "text",
         .type = VMREQ_T_STR,
         .doc = "-",
         .flags = VMREQ_PARAM_OPTIONAL | VMREQ_PARAM_SENSITIVE,
         .fallback = {.type = VMREQ_T_STR, .data = ""}},
};

#define WORDS(fn) .words = (vmreq_words)(fn)

static const struct vmreq_symbol symbols[] = {
        {SYMBOL("t.add"), PARAMS(add_params), .result = VMREQ_T_I64, WORDS(t_add)},
        {SYMBOL("t.mark"), PARAMS(mark_params), .result = VMREQ_T_NIL, WORDS(t_mark)},
        {SYMBOL("t.status"), PARAMS(status_params), .result = VMREQ_T_STATUS, WORDS(t_status)},
        {SYMBOL("t.x64"), PARAMS(x64_params), .result = VMREQ_T_X64, WORDS(t_x64)},
        {SYMBOL("t.cpu"), .result = VMREQ_T_U32, WORDS(t_cpu)},
        {SYMBOL("t.open"), PARAMS(open_params), .result = VMREQ_T_U32,
         .flags = VMREQ_SYM_READ_ONLY | VMREQ_SYM_IDEMPOTENT, .since = "0.9", .deprecated = "t.add",
         WORDS(t_open)},
        {SYMBOL("t.secret"), .result = VMREQ_T_NIL,
         .flags = VMREQ_SYM_READ_ONLY | VMREQ_SYM_CONFIDENTIAL, WORDS(t_nil)},
        {SYMBOL("t.change"), .result = VMREQ_T_NIL, .flags = VMREQ_SYM_CHANGES_STATE, WORDS(t_nil)},
        {.size = sizeof(struct vmreq_symbol),
         .name = "t.slow",
         .doc = "Everywhere.",
         .result = VMREQ_T_NIL,
         .dest = VMREQ_DEST_ALL,
         .timeout_ms = 1234,
         .flags = VMREQ_SYM_PRIORITY | VMREQ_SYM_POKE,
         WORDS(t_nil)},
        {SYMBOL("t.echo"), PARAMS(any_params), .result = VMREQ_T_ANY, .function = t_echo},
        {SYMBOL("t.size"), PARAMS(size_params), .result = VMREQ_T_U64, .function = t_size},
        {SYMBOL("t.gate"), .result = VMREQ_T_U32, .function = t_gate},
        {.size = sizeof(struct vmreq_symbol),
         .name = "t.patient",
         .doc = "A gate with a time limit of its own.",
         .result = VMREQ_T_U32,
         .dest = VMREQ_DEST_ANY,
         .timeout_ms = 300,
         .function = t_gate},
        {SYMBOL("t.block"), .result = VMREQ_T_NIL, .flags = VMREQ_SYM_CANCELLABLE,
         .function = t_block},
        {SYMBOL("t.big"), PARAMS(n_params), .result = VMREQ_T_BYTES, .function = t_big},
        {SYMBOL("t.deep"), PARAMS(n_params), .result = VMREQ_T_ANY, .function = t_deep},
        {SYMBOL("t.fail"), PARAMS(fail_params), .result = VMREQ_T_STATUS, .function = t_fail},
        {SYMBOL("t.gated_fail"), PARAMS(fail_params), .result = VMREQ_T_STATUS,
         .function = t_gated_fail},
        {SYMBOL("t.nothing"), .result = VMREQ_T_ANY, .function = t_nothing},
        {SYMBOL("t.twice"), .result = VMREQ_T_ANY, .function = t_twice},
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

const struct vmreq_module test_module = {
        .size = sizeof(struct vmreq_module),
        .abi = VMREQ_MODULE_ABI,
        .name = "t",
        .version = "2.1",
        .doc = "Functions for the tests.",
        .init = init,
};
