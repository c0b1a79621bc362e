/* SPDX-License-Identifier: MIT */
/* Functions to call: every type of argument and result, every way to end.  They run on EMTs. */
#include "session.h"

#include <errno.h>
#include <string.h>

#include "base/macros.h"

/* A copy: servers come and go, and what is called of it does not depend on which one it is. */
static struct vmreq_host host;

static int64_t do_add(int64_t a, int64_t b)
{
        return (int64_t)((uint64_t)a + (uint64_t)b);
}

static int32_t do_status(int32_t status)
{
        return status;
}

static uint64_t do_x64(uint64_t value)
{
        return value;
}

static uint32_t do_cpu(void)
{
        return session_emt_cpu();
}

static void do_nil(void)
{
}

#define FUNCTION(name)                                                                             \
        static int32_t name(void *ctx, const struct vmreq_value *args, uint32_t argc,              \
                            struct vmreq_writer *reply)

FUNCTION(do_echo)
{
        (void)ctx, (void)argc;
        host.put_raw(reply, args[0].data, args[0].len);
        return 0;
}

/* Takes one of each, and gives them back. */
FUNCTION(do_types)
{
        (void)ctx;
        FUZZ_CHECK(argc == 6);
        host.put_map(reply, 3);
        host.put_str(reply, "sum", 3);
        host.put_int(reply, (int64_t)(args[0].u + args[1].u));
        host.put_str(reply, args[2].data, strlen(args[2].data) < 64 ? strlen(args[2].data) : 64);
        host.put_bytes(reply, args[3].data, args[3].len);
        host.put_str(reply, "f", 1);
        host.put_array(reply, 3);
        host.put_float(reply, args[4].f);
        host.put_bool(reply, args[5].u != 0);
        host.put_x64(reply, args[0].u);
        return 0;
}

/* Stands on its EMT until that is served again, n times, or until it is asked to end. */
FUNCTION(do_hold)
{
        (void)ctx, (void)argc;
        for (uint64_t i = 0; i <= args[0].u; i++) {
                session_emt_yield();
                if (!host.cancel_requested(&host))
                        continue;
                host.put_failure(reply, "CANCELLED", "asked to end");
                return -ECANCELED;
        }
        host.put_uint(reply, args[0].u);
        return 0;
}

FUNCTION(do_big)
{
        static char bytes[1 << 16];

        (void)ctx, (void)argc;
        host.put_bytes(reply, bytes, args[0].u < sizeof(bytes) ? args[0].u : sizeof(bytes));
        return 0;
}

FUNCTION(do_deep)
{
        (void)ctx, (void)argc;
        for (uint64_t i = 0; i < args[0].u % 64; i++)
                host.put_array(reply, 1);
        host.put_nil(reply);
        return 0;
}

FUNCTION(do_fail)
{
        (void)ctx, (void)argc;
        if (args[0].i < 0)
                host.put_failure(reply, args[1].data, args[2].data);
        return (int32_t)args[0].i;
}

/* Faults of a module: no value, or two. */
FUNCTION(do_count)
{
        (void)ctx, (void)argc;
        for (uint64_t i = 0; i < args[0].u % 4; i++)
                host.put_nil(reply);
        return 0;
}

static void put_deep(struct vmreq_writer *reply, unsigned levels)
{
        while (levels-- > 0)
                host.put_array(reply, 1);
        host.put_nil(reply);
}

/* A chunk of some size or shape, good or not. */
static void put_chunk(struct vmreq_writer *reply, uint64_t kind, uint8_t at)
{
        static const char bytes[300 << 10];

        switch (kind) {
        case 8:
                host.put_bytes(reply, bytes, 3000);
                break;
        case 9:
                host.put_bytes(reply, bytes, 60000);
                break;
        case 10:
                put_deep(reply, 27);
                break;
        case 11: /* one value is missing */
                host.put_array(reply, 1);
                break;
        case 12: /* larger than a chunk may be */
                host.put_bytes(reply, bytes, sizeof(bytes));
                break;
        default:
                if (at % 2 == 0)
                        host.put_array(reply, 1), host.put_uint(reply, at);
                else if (at == 3)
                        host.put_str(reply, "text", 4);
                break;
        }
}

/* A generator of n % 8 chunks, of which it keeps count in memory of its own; what is in them
 * depends on n / 8, and n 200 fails in between. */
FUNCTION(do_stream)
{
        uint8_t *at = host.state(reply);

        (void)ctx, (void)argc;
        if (!at) {
                at = calloc(1, 1);
                FUZZ_CHECK(at);
                host.set_state(reply, at, free);
        }
        if (args[0].u == 200 && *at == 2) {
                host.put_failure(reply, NULL, "in the middle");
                return VMREQ_FAIL_STATE;
        }
        put_chunk(reply, args[0].u / 8, *at);
        return (*at)++ < args[0].u % 8 ? VMREQ_AGAIN : 0;
}

/* Writes something else than it declares. */
FUNCTION(do_lie)
{
        (void)ctx, (void)argc;
        host.put_uint(reply, args[0].u);
        return 0;
}

#define PARAM(letter, t)                                                                           \
        {                                                                                          \
                .name = (letter), .type = VMREQ_T_##t, .doc = "-"                                  \
        }

static const struct vmreq_param add_params[] = {PARAM("a", I64), PARAM("b", I64)};
static const struct vmreq_param status_params[] = {PARAM("status", I32)};
static const struct vmreq_param x64_params[] = {PARAM("value", X64)};
static const struct vmreq_param any_params[] = {PARAM("value", ANY)};
static const struct vmreq_param n_params[] = {PARAM("n", U32)};
static const struct vmreq_param hold_params[] = {
        {
                .name = "times",
                .type = VMREQ_T_U8,
                .doc = "-",
                .max = 3,
                .flags = VMREQ_PARAM_OPTIONAL | VMREQ_PARAM_RANGE,
                .fallback = {.type = VMREQ_T_U8, .u = 1},
        },
};
static const struct vmreq_param stream_params[] = {
        {
                .name = "chunks",
                .type = VMREQ_T_U8,
                .doc = "-",
                .flags = VMREQ_PARAM_OPTIONAL,
                .fallback = {.type = VMREQ_T_U8, .u = 3},
        },
};
static const struct vmreq_param type_params[] = {
        PARAM("a", U8),
        PARAM("b", U64),
        PARAM("text", STR),
        PARAM("data", BYTES),
        {
                .name = "f",
                .type = VMREQ_T_F64,
                .doc = "-",
                .flags = VMREQ_PARAM_OPTIONAL,
                .fallback = {.type = VMREQ_T_F64, .f = 0.5},
        },
        {
                .name = "yes",
                .type = VMREQ_T_BOOL,
                .doc = "-",
                .flags = VMREQ_PARAM_OPTIONAL,
                .fallback = {.type = VMREQ_T_BOOL, .u = 1},
        },
};
static const struct vmreq_param fail_params[] = {
        PARAM("status", I32),
        {
                .name = "name",
                .type = VMREQ_T_STR,
                .doc = "-",
                .flags = VMREQ_PARAM_OPTIONAL,
                .fallback = {.type = VMREQ_T_STR, .data = ""},
        },
        {
                .name = "text",
                .type = VMREQ_T_STR,
                .doc = "-",
                .flags = VMREQ_PARAM_OPTIONAL | VMREQ_PARAM_SENSITIVE,
                .fallback = {.type = VMREQ_T_STR, .data = ""},
        },
};

#define SYMBOL(symbol)                                                                             \
        .size = sizeof(struct vmreq_symbol), .name = (symbol), .doc = "For the fuzzer.",           \
        .dest = VMREQ_DEST_ANY
#define PARAMS(array) .params = (array), .n_params = ARRAY_SIZE(array)
#define WORDS(fn)     .words = (vmreq_words)(fn)

static const struct vmreq_symbol symbols[] = {
        {SYMBOL("fuzz.add"), PARAMS(add_params), .result = VMREQ_T_I64, WORDS(do_add),
         .flags = VMREQ_SYM_READ_ONLY | VMREQ_SYM_IDEMPOTENT, .since = "1", .deprecated = "none"},
        {SYMBOL("fuzz.status"), PARAMS(status_params), .result = VMREQ_T_STATUS, WORDS(do_status)},
        {SYMBOL("fuzz.x64"), PARAMS(x64_params), .result = VMREQ_T_X64, WORDS(do_x64)},
        {SYMBOL("fuzz.cpu"), .result = VMREQ_T_U32, WORDS(do_cpu)},
        {SYMBOL("fuzz.nil"), .result = VMREQ_T_NIL, .flags = VMREQ_SYM_CHANGES_STATE,
         WORDS(do_nil)},
        {SYMBOL("fuzz.secret"), .result = VMREQ_T_NIL,
         .flags = VMREQ_SYM_READ_ONLY | VMREQ_SYM_CONFIDENTIAL, WORDS(do_nil)},
        {SYMBOL("fuzz.echo"), PARAMS(any_params), .result = VMREQ_T_ANY, .function = do_echo},
        {SYMBOL("fuzz.types"), PARAMS(type_params), .result = VMREQ_T_MAP, .function = do_types},
        {SYMBOL("fuzz.hold"), PARAMS(hold_params), .result = VMREQ_T_U64,
         .flags = VMREQ_SYM_CANCELLABLE, .function = do_hold},
        {SYMBOL("fuzz.stay"), PARAMS(hold_params), .result = VMREQ_T_U64, .function = do_hold},
        {SYMBOL("fuzz.big"), PARAMS(n_params), .result = VMREQ_T_BYTES, .function = do_big},
        {SYMBOL("fuzz.deep"), PARAMS(n_params), .result = VMREQ_T_ANY, .function = do_deep},
        {SYMBOL("fuzz.fail"), PARAMS(fail_params), .result = VMREQ_T_STATUS, .function = do_fail},
        {SYMBOL("fuzz.count"), PARAMS(n_params), .result = VMREQ_T_ANY, .function = do_count},
        {SYMBOL("fuzz.stream"), PARAMS(stream_params), .result = VMREQ_T_ANY,
         .flags = VMREQ_SYM_STREAMING, .function = do_stream},
        {SYMBOL("fuzz.lie"), PARAMS(n_params), .result = VMREQ_T_STR, .function = do_lie},
        {SYMBOL("fuzz.lies"), PARAMS(n_params), .result = VMREQ_T_STR, .flags = VMREQ_SYM_STREAMING,
         .function = do_lie},
        {.size = sizeof(struct vmreq_symbol),
         .name = "fuzz.all",
         .doc = "Everywhere.",
         .result = VMREQ_T_U32,
         .dest = VMREQ_DEST_ALL,
         .timeout_ms = 60000,
         .flags = VMREQ_SYM_PRIORITY | VMREQ_SYM_POKE,
         WORDS(do_cpu)},
};

static int init(const struct vmreq_host *table, uint32_t abi, const struct vmreq_setting *settings,
                size_t n_settings)
{
        (void)abi, (void)settings, (void)n_settings;
        host = *table;
        for (size_t i = 0; i < ARRAY_SIZE(symbols); i++)
                if (table->add_symbol(table, &symbols[i]))
                        return -EINVAL;
        return 0;
}

const struct vmreq_module session_module = {
        .size = sizeof(struct vmreq_module),
        .abi = VMREQ_MODULE_ABI,
        .name = "fuzz",
        .version = "1",
        .doc = "Functions for the fuzzer.",
        .init = init,
};
