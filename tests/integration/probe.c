/* SPDX-License-Identifier: MIT */
/*
 * A module from outside the tree: calls.py builds it with cc -shared -fPIC against vmreq-module.h
 * alone. It gives the tests one parameter of each type, defaults, ranges, and results that debug
 * does not have.
 */
#include <vmreq-module.h>

#include <stdbool.h>

static const struct vmreq_host *host;

/* One argument of each type but bool (which is the sixteenth), echoed as an array in the order of
 * declaration. */
static int32_t probe_types(void *ctx, const struct vmreq_value *args, uint32_t argc,
                           struct vmreq_writer *reply)
{
        (void)ctx;
        host->put_array(reply, argc);
        for (uint32_t i = 0; i <= 3; i++)
                host->put_int(reply, args[i].i);
        for (uint32_t i = 4; i <= 7; i++)
                host->put_uint(reply, args[i].u);
        host->put_x64(reply, args[8].u);
        host->put_float(reply, args[9].f);
        host->put_str(reply, args[10].data, args[10].len);
        host->put_bytes(reply, args[11].data, args[11].len);
        for (uint32_t i = 12; i <= 14; i++)
                host->put_raw(reply, args[i].data, args[i].len);
        return 0;
}

static int64_t probe_narrow(int8_t a, uint8_t b, int16_t c, uint16_t d)
{
        return (int64_t)a + b + c + d;
}

static int64_t probe_range(int32_t level, int64_t plus)
{
        return level + plus;
}

static bool probe_flip(bool value)
{
        return !value;
}

static uint64_t probe_top(uint64_t value)
{
        return value;
}

static int32_t probe_count(void *ctx, const struct vmreq_value *args, uint32_t argc,
                           struct vmreq_writer *reply)
{
        (void)ctx;
        (void)argc;
        host->put_uint(reply, args[0].len);
        return 0;
}

static int32_t probe_named(void *ctx, const struct vmreq_value *args, uint32_t argc,
                           struct vmreq_writer *reply)
{
        (void)ctx;
        (void)args;
        (void)argc;
        host->put_failure(reply, "E_PROBE", "the probe found nothing");
        return -7;
}

/* Returns any status. */
static int32_t probe_status(void *ctx, const struct vmreq_value *args, uint32_t argc,
                            struct vmreq_writer *reply)
{
        (void)ctx;
        (void)argc;
        host->put_failure(reply, NULL, "as it was told to");
        return (int32_t)args[0].i;
}

/* A fault: writes no value. */
static int32_t probe_nothing(void *ctx, const struct vmreq_value *args, uint32_t argc,
                             struct vmreq_writer *reply)
{
        (void)ctx;
        (void)args;
        (void)argc;
        (void)reply;
        return 0;
}

/* Nests an array so deep. */
static int32_t probe_deep(void *ctx, const struct vmreq_value *args, uint32_t argc,
                          struct vmreq_writer *reply)
{
        (void)ctx;
        (void)argc;
        for (uint64_t i = 0; i < args[0].u; i++)
                host->put_array(reply, 1);
        host->put_nil(reply);
        return 0;
}

static int32_t probe_capped(void *ctx, const struct vmreq_value *args, uint32_t argc,
                            struct vmreq_writer *reply)
{
        (void)ctx;
        (void)args;
        (void)argc;
        while (host->park(host, UINT64_MAX) != 1)
                ;
        host->put_failure(reply, "CANCELLED", "asked to end");
        return -1;
}

#define P(n, t)                                                                                    \
        {                                                                                          \
                .name = (n), .type = (t), .doc = "A value."                                        \
        }

static const struct vmreq_param types_params[] = {
        P("i8", VMREQ_T_I8),   P("i16", VMREQ_T_I16),     P("i32", VMREQ_T_I32),
        P("i64", VMREQ_T_I64), P("u8", VMREQ_T_U8),       P("u16", VMREQ_T_U16),
        P("u32", VMREQ_T_U32), P("u64", VMREQ_T_U64),     P("x64", VMREQ_T_X64),
        P("f64", VMREQ_T_F64), P("text", VMREQ_T_STR),    P("data", VMREQ_T_BYTES),
        P("any", VMREQ_T_ANY), P("array", VMREQ_T_ARRAY), P("map", VMREQ_T_MAP),
};
static const struct vmreq_param narrow_params[] = {
        P("a", VMREQ_T_I8),
        P("b", VMREQ_T_U8),
        P("c", VMREQ_T_I16),
        P("d", VMREQ_T_U16),
};
static const struct vmreq_param range_params[] = {
        {.name = "level",
         .type = VMREQ_T_I32,
         .flags = VMREQ_PARAM_RANGE,
         .min = -5,
         .max = 10,
         .doc = "how far"},
        {.name = "plus",
         .type = VMREQ_T_I64,
         .flags = VMREQ_PARAM_OPTIONAL,
         .doc = "added",
         .fallback = {.type = VMREQ_T_I64, .i = 100}},
};
static const struct vmreq_param flip_params[] = {P("value", VMREQ_T_BOOL)};
static const struct vmreq_param top_params[] = {P("value", VMREQ_T_X64)};
static const struct vmreq_param status_params[] = {P("status", VMREQ_T_I32)};
static const struct vmreq_param deep_params[] = {P("levels", VMREQ_T_U32)};
static const struct vmreq_param count_params[] = {P("data", VMREQ_T_BYTES)};

#define PARAMS(list) .params = list, .n_params = sizeof(list) / sizeof(list[0])

static const struct vmreq_symbol symbols[] = {
        {.size = sizeof(struct vmreq_symbol),
         .name = "probe.types",
         .doc = "One of each type but bool.",
         PARAMS(types_params),
         .result = VMREQ_T_ARRAY,
         .dest = VMREQ_DEST_ANY,
         .function = probe_types},
        {.size = sizeof(struct vmreq_symbol),
         .name = "probe.narrow",
         .doc = "Narrow words.",
         PARAMS(narrow_params),
         .result = VMREQ_T_I64,
         .dest = VMREQ_DEST_ANY,
         .words = (vmreq_words)probe_narrow},
        {.size = sizeof(struct vmreq_symbol),
         .name = "probe.range",
         .doc = "A range, a default.",
         PARAMS(range_params),
         .result = VMREQ_T_I64,
         .dest = 1,
         .words = (vmreq_words)probe_range},
        {.size = sizeof(struct vmreq_symbol),
         .name = "probe.flip",
         .doc = "Not.",
         PARAMS(flip_params),
         .result = VMREQ_T_BOOL,
         .dest = VMREQ_DEST_ANY,
         .words = (vmreq_words)probe_flip},
        {.size = sizeof(struct vmreq_symbol),
         .name = "probe.top",
         .doc = "An address.",
         PARAMS(top_params),
         .result = VMREQ_T_X64,
         .dest = VMREQ_DEST_ANY,
         .words = (vmreq_words)probe_top},
        {.size = sizeof(struct vmreq_symbol),
         .name = "probe.count",
         .doc = "Length of bytes.",
         PARAMS(count_params),
         .result = VMREQ_T_U64,
         .dest = VMREQ_DEST_ANY,
         .function = probe_count},
        {.size = sizeof(struct vmreq_symbol),
         .name = "probe.named",
         .doc = "Fails with a name.",
         .result = VMREQ_T_NIL,
         .dest = VMREQ_DEST_ANY,
         .function = probe_named},
        {.size = sizeof(struct vmreq_symbol),
         .name = "probe.status",
         .doc = "Returns a status.",
         PARAMS(status_params),
         .result = VMREQ_T_STATUS,
         .dest = VMREQ_DEST_ANY,
         .function = probe_status},
        {.size = sizeof(struct vmreq_symbol),
         .name = "probe.nothing",
         .doc = "A fault.",
         .result = VMREQ_T_ANY,
         .dest = VMREQ_DEST_ANY,
         .function = probe_nothing},
        {.size = sizeof(struct vmreq_symbol),
         .name = "probe.deep",
         .doc = "A nested array.",
         PARAMS(deep_params),
         .result = VMREQ_T_ANY,
         .dest = VMREQ_DEST_ANY,
         .function = probe_deep},
        {.size = sizeof(struct vmreq_symbol),
         .name = "probe.capped",
         .doc = "Sleeps too long: its time limit is 200 ms, and more is not to be had.",
         .result = VMREQ_T_NIL,
         .dest = VMREQ_DEST_ANY,
         .flags = VMREQ_SYM_CANCELLABLE,
         .timeout_max_ms = 200,
         .function = probe_capped},
};

static int probe_init(const struct vmreq_host *table, uint32_t abi,
                      const struct vmreq_setting *settings, size_t n_settings)
{
        (void)settings;
        (void)n_settings;
        if (abi != VMREQ_MODULE_ABI)
                return -1;
        host = table;
        for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
                if (host->add_symbol(host, &symbols[i]) != 0)
                        return -1;
        }
        return 0;
}

VMREQ_MODULE_EXPORT = {
        .size = sizeof(struct vmreq_module),
        .abi = VMREQ_MODULE_ABI,
        .name = "probe",
        .version = "1",
        .doc = "One of everything, for the tests.",
        .flags = VMREQ_MODULE_UNMAPPABLE,
        .init = probe_init,
};
