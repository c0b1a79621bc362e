/* SPDX-License-Identifier: MIT */
/*
 * debug: functions to try a daemon with, and the example for authors of modules.
 *
 * It includes nothing of the daemon's but one header, which is installed as <vmreq/vmreq-module.h>,
 * and links nothing of it: cc -shared -fPIC makes it.  What it asks of the daemon goes through the
 * table that its init is given.
 *
 * A module's functions run on the EMTs: several at once, each on its own thread, never two
 * on the same vCPU.  So what is written after init is either one vCPU's own or atomic.  A function
 * that waits does so in park(), where the daemon can ask it to end; one that computes for long
 * looks at cancel_requested() now and then - debug.spin does not, because being out of reach is
 * what it is for.
 *
 * Three forms are shown.  Word functions (add, sum15, whoami, unblock, spin) are plain C: integers
 * in, one integer or nothing out.  Callbacks read checked arguments and write their result.
 * Generators (count, pour) are callbacks that are run again and again, each time for one piece of
 * their result.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "symbols/vmreq-module.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#define SPIN_MS_MAX                                                                                \
        60000 /* nobody can stop it: a minute is long enough to see what happens then              \
               */
#define NS_PER_MS      1000000u
#define POUR_BYTES_MAX (VMREQ_CHUNK_BYTES_MAX - 5) /* with the head of a msgpack bin: a chunk */

/* One per vCPU.  OPEN → BLOCKED by its own EMT; BLOCKED → RELEASED by unblock, on any; back to OPEN
 * by its own EMT.  unblock says true exactly if it made the second step, and block keeps to it. */
enum gate_state {
        GATE_OPEN,
        GATE_BLOCKED,
        GATE_RELEASED,
};

/* fixed between init and fini */
static const struct vmreq_host *host;
static uint32_t n_gates;
static _Atomic uint32_t *gates; /* enum gate_state; shared, atomic */

static uint64_t now_ns(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
        return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* For functions that somebody asked to end before they were through. */
static int32_t fail_cancelled(struct vmreq_writer *reply)
{
        host->put_failure(reply, "CANCELLED", "asked to end early");
        return -ECANCELED;
}

/* ---- word functions -------------------------------------------------------------------------- */

/* Unsigned, because a signed sum that overflows is not C; clients see it wrap. */
static int64_t debug_add(int64_t a, int64_t b)
{
        return (int64_t)((uint64_t)a + (uint64_t)b);
}

static int64_t debug_sum15(int64_t a, int64_t b, int64_t c, int64_t d, int64_t e, int64_t f,
                           int64_t g, int64_t h, int64_t i, int64_t j, int64_t k, int64_t l,
                           int64_t m, int64_t n, int64_t o)
{
        const int64_t words[] = {a, b, c, d, e, f, g, h, i, j, k, l, m, n, o};
        uint64_t sum = 0;

        for (size_t at = 0; at < COUNT_OF(words); at++)
                sum += (uint64_t)words[at];
        return (int64_t)sum;
}

static uint32_t debug_whoami(void)
{
        return host->cpu(host);
}

static void debug_spin(uint32_t ms)
{
        uint64_t end = now_ns() + (uint64_t)ms * NS_PER_MS;

        while (now_ns() < end)
                ; /* burns the vCPU's time, on purpose */
}

static _Bool debug_unblock(uint32_t cpu)
{
        uint32_t state = GATE_BLOCKED;

        if (cpu >= n_gates)
                return 0;
        /* acq_rel: pairs with the exchange and the load in debug_block. */
        if (!atomic_compare_exchange_strong_explicit(&gates[cpu], &state, GATE_RELEASED,
                                                     memory_order_acq_rel, memory_order_relaxed))
                return 0;
        host->unpark(host, cpu); /* after the word is given: the woken EMT looks for it */
        return 1;
}

/* ---- callbacks ------------------------------------------------------------------------------- */

static int32_t debug_echo(void *ctx, const struct vmreq_value *args, uint32_t argc,
                          struct vmreq_writer *reply)
{
        (void)ctx;
        (void)argc;
        host->put_raw(reply, args[0].data, args[0].len);
        return 0;
}

static int32_t debug_fail(void *ctx, const struct vmreq_value *args, uint32_t argc,
                          struct vmreq_writer *reply)
{
        int32_t status = (int32_t)args[0].i;

        (void)ctx;
        (void)argc;
        if (status < 0)
                host->put_failure(reply, NULL, args[1].data);
        else
                host->put_nil(reply);
        return status;
}

static int32_t debug_sleep(void *ctx, const struct vmreq_value *args, uint32_t argc,
                           struct vmreq_writer *reply)
{
        uint64_t end = now_ns() + args[0].u * NS_PER_MS;

        (void)ctx;
        (void)argc;
        /* park may return because of an unpark that was meant for somebody before us: only the
         * clock counts. */
        for (uint64_t now = now_ns(); now < end; now = now_ns())
                if (host->park(host, end - now) == 1)
                        return fail_cancelled(reply);
        host->put_nil(reply);
        return 0;
}

/* 1: released; 0: asked to end. */
static int gate_wait(_Atomic uint32_t *gate)
{
        while (atomic_load_explicit(gate, memory_order_acquire) != GATE_RELEASED)
                if (host->park(host, UINT64_MAX) == 1)
                        break;
        /* One swap decides between a release and a cancel that come together: who was told
         * "true" is right. */
        return atomic_exchange_explicit(gate, GATE_OPEN, memory_order_acq_rel) == GATE_RELEASED;
}

static int32_t debug_block(void *ctx, const struct vmreq_value *args, uint32_t argc,
                           struct vmreq_writer *reply)
{
        uint32_t cpu = host->cpu(host);

        (void)ctx;
        (void)args;
        (void)argc;
        if (cpu >= n_gates)
                return -ENXIO; /* not on an EMT */
        atomic_store_explicit(&gates[cpu], GATE_BLOCKED, memory_order_release);
        if (!gate_wait(&gates[cpu]))
                return fail_cancelled(reply);
        host->put_nil(reply);
        return 0;
}

/* ---- generators ------------------------------------------------------------------------------ */

/* What debug.count remembers from run to run.  One number would fit into the pointer itself, as in
 * debug.pour; this is how it goes with more. */
struct counter {
        uint64_t next;
};

static struct counter *counter_of(struct vmreq_writer *reply)
{
        struct counter *counter = host->state(reply);

        if (!counter) { /* the first run */
                counter = calloc(1, sizeof(*counter));
                if (counter)
                        host->set_state(reply, counter, free); /* however the call ends */
        }
        return counter;
}

static int32_t debug_count(void *ctx, const struct vmreq_value *args, uint32_t argc,
                           struct vmreq_writer *reply)
{
        struct counter *counter = counter_of(reply);
        uint64_t n = args[0].u, delay_ns = args[1].u * NS_PER_MS;

        (void)ctx;
        (void)argc;
        if (!counter)
                return -ENOMEM;
        if (counter->next == n)
                return 0; /* there is nothing (more) to count */
        /* Waiting here holds the EMT up, as in debug.sleep: this is for trying that out. */
        for (uint64_t end = now_ns() + delay_ns, now = now_ns(); delay_ns > 0 && now < end;
             now = now_ns())
                if (host->park(host, end - now) == 1)
                        return fail_cancelled(reply);
        host->put_uint(reply, counter->next++);
        return counter->next < n ? VMREQ_AGAIN : 0;
}

static int32_t debug_pour(void *ctx, const struct vmreq_value *args, uint32_t argc,
                          struct vmreq_writer *reply)
{
        static const char zeros[POUR_BYTES_MAX];
        uintptr_t done = (uintptr_t)host->state(reply);

        (void)ctx;
        (void)argc;
        if (done == args[0].u)
                return 0;
        host->put_bytes(reply, zeros, args[1].u);
        host->set_state(reply, (void *)(done + 1), NULL);
        return done + 1 < args[0].u ? VMREQ_AGAIN : 0;
}

/* ---- what it offers -------------------------------------------------------------------------- */

#define I64(letter)                                                                                \
        {                                                                                          \
                .name = (letter), .type = VMREQ_T_I64, .doc = "A summand."                         \
        }

static const struct vmreq_param add_params[] = {I64("a"), I64("b")};

static const struct vmreq_param sum15_params[] = {
        I64("a"), I64("b"), I64("c"), I64("d"), I64("e"), I64("f"), I64("g"), I64("h"),
        I64("i"), I64("j"), I64("k"), I64("l"), I64("m"), I64("n"), I64("o"),
};

static const struct vmreq_param echo_params[] = {
        {.name = "value", .type = VMREQ_T_ANY, .doc = "Anything."},
};

static const struct vmreq_param sleep_params[] = {
        {.name = "ms", .type = VMREQ_T_U32, .doc = "For how long, in milliseconds."},
};

static const struct vmreq_param spin_params[] = {
        {
                .name = "ms",
                .type = VMREQ_T_U32,
                .flags = VMREQ_PARAM_RANGE,
                .doc = "For how long, in milliseconds.",
                .min = 0,
                .max = SPIN_MS_MAX,
        },
};

static const struct vmreq_param unblock_params[] = {
        {.name = "cpu", .type = VMREQ_T_U32, .doc = "The vCPU that debug.block blocks."},
};

static const struct vmreq_param fail_params[] = {
        {.name = "status", .type = VMREQ_T_I32, .doc = "What to return; negative is a failure."},
        {
                .name = "text",
                .type = VMREQ_T_STR,
                .flags = VMREQ_PARAM_OPTIONAL,
                .doc = "What the caller shall read about the failure.",
                .fallback = {.type = VMREQ_T_STR, .len = 0, .data = ""},
        },
};

static const struct vmreq_param count_params[] = {
        {.name = "n", .type = VMREQ_T_U32, .doc = "How many numbers."},
        {
                .name = "delay_ms",
                .type = VMREQ_T_U32,
                .flags = VMREQ_PARAM_OPTIONAL,
                .doc = "How long to wait before each of them, in milliseconds.",
                .fallback = {.type = VMREQ_T_U32, .u = 0},
        },
};

static const struct vmreq_param pour_params[] = {
        {.name = "n", .type = VMREQ_T_U32, .doc = "How many chunks."},
        {
                .name = "bytes",
                .type = VMREQ_T_U32,
                .flags = VMREQ_PARAM_OPTIONAL | VMREQ_PARAM_RANGE,
                .doc = "How many bytes in each.",
                .max = POUR_BYTES_MAX,
                .fallback = {.type = VMREQ_T_U32, .u = 65536},
        },
};

/* What every entry of the table below begins with. */
#define SYMBOL(symbol, text)                                                                       \
        .size = sizeof(struct vmreq_symbol), .name = (symbol), .doc = (text), .dest = VMREQ_DEST_ANY
#define PARAMS(array) .params = (array), .n_params = COUNT_OF(array)

static const struct vmreq_symbol symbols[] = {
        {
                SYMBOL("debug.add", "The sum of two integers; wraps on overflow."),
                PARAMS(add_params),
                .flags = VMREQ_SYM_READ_ONLY | VMREQ_SYM_IDEMPOTENT,
                .result = VMREQ_T_I64,
                .words = (vmreq_words)debug_add,
        },
        {
                SYMBOL("debug.sum15", "The sum of as many words as a function can take."),
                PARAMS(sum15_params),
                .flags = VMREQ_SYM_READ_ONLY | VMREQ_SYM_IDEMPOTENT,
                .result = VMREQ_T_I64,
                .words = (vmreq_words)debug_sum15,
        },
        {
                SYMBOL("debug.whoami", "The number of the vCPU that runs this call."),
                .flags = VMREQ_SYM_READ_ONLY,
                .result = VMREQ_T_U32,
                .words = (vmreq_words)debug_whoami,
        },
        {
                SYMBOL("debug.echo", "Gives its argument back."),
                PARAMS(echo_params),
                .flags = VMREQ_SYM_READ_ONLY | VMREQ_SYM_IDEMPOTENT,
                .result = VMREQ_T_ANY,
                .function = debug_echo,
        },
        {
                SYMBOL("debug.fail", "Returns the given status."),
                PARAMS(fail_params),
                .flags = VMREQ_SYM_READ_ONLY | VMREQ_SYM_IDEMPOTENT,
                .result = VMREQ_T_STATUS,
                .function = debug_fail,
        },
        {
                SYMBOL("debug.sleep", "Waits on its EMT, and can be asked to end."),
                PARAMS(sleep_params),
                .flags = VMREQ_SYM_CANCELLABLE,
                .result = VMREQ_T_NIL,
                .function = debug_sleep,
        },
        {
                SYMBOL("debug.spin", "Burns its vCPU's time, and cannot be asked to end."),
                PARAMS(spin_params),
                .result = VMREQ_T_NIL,
                .words = (vmreq_words)debug_spin,
        },
        {
                SYMBOL("debug.block", "Blocks its EMT until debug.unblock, or until asked to end."),
                .flags = VMREQ_SYM_CANCELLABLE,
                .result = VMREQ_T_NIL,
                .function = debug_block,
        },
        {
                SYMBOL("debug.unblock",
                       "Ends the debug.block of a vCPU; says whether there was one.\n"
                       "Has to run on another vCPU: with a single one, cancel the call instead."),
                PARAMS(unblock_params),
                .result = VMREQ_T_BOOL,
                .words = (vmreq_words)debug_unblock,
        },
        {
                SYMBOL("debug.count", "Counts from 0, one number at a time."),
                PARAMS(count_params),
                .flags = VMREQ_SYM_READ_ONLY | VMREQ_SYM_IDEMPOTENT | VMREQ_SYM_CANCELLABLE |
                         VMREQ_SYM_STREAMING,
                .result = VMREQ_T_U64,
                .function = debug_count,
        },
        {
                SYMBOL("debug.pour", "As many zero bytes as wanted, one chunk at a time."),
                PARAMS(pour_params),
                .flags = VMREQ_SYM_READ_ONLY | VMREQ_SYM_IDEMPOTENT | VMREQ_SYM_STREAMING,
                .result = VMREQ_T_BYTES,
                .function = debug_pour,
        },
};

/* ---- its life -------------------------------------------------------------------------------- */

static int debug_init(const struct vmreq_host *table, uint32_t abi,
                      const struct vmreq_setting *settings, size_t n_settings)
{
        if (abi != VMREQ_MODULE_ABI)
                return -ENOTSUP;
        if (n_settings > 0) {
                table->log(table, VMREQ_LOG_ERROR, "unknown setting %s", settings[0].key);
                return -EINVAL;
        }
        n_gates = table->cpus(table);
        gates = calloc(n_gates > 0 ? n_gates : 1, sizeof(*gates)); /* all GATE_OPEN */
        if (!gates)
                return -ENOMEM;
        host = table;
        for (size_t i = 0; i < COUNT_OF(symbols); i++) {
                int r = table->add_symbol(table, &symbols[i]);

                if (r < 0) {
                        /* fini is not called for an init that failed. */
                        free(gates);
                        gates = NULL;
                        return r;
                }
        }
        return 0;
}

static int debug_fini(const struct vmreq_host *table)
{
        (void)table;
        free(gates);
        gates = NULL;
        return 0;
}

VMREQ_MODULE_EXPORT = {
        .size = sizeof(struct vmreq_module),
        .abi = VMREQ_MODULE_ABI,
        .name = "debug",
        .version = "1.0",
        .doc = "Functions to try a daemon with.",
        .flags = VMREQ_MODULE_UNMAPPABLE, /* no thread, no exit handler: nothing is left behind */
        .init = debug_init,
        .fini = debug_fini,
};
