/* SPDX-License-Identifier: MIT */
/*
 * console.*: the guest's serial console, for those who ask; the topic `console` is for those who
 * want to be told.
 *
 * The console belongs to no vCPU: any EMT may answer.  Output is kept in a ring and has positions;
 * a caller that comes again with the position that it was given misses nothing that the ring still
 * has.
 */
#include <errno.h>

#include "base/macros.h"
#include "modules/guest.h"

/* Fixed between init and fini; EMTs only read it. */
static const struct vmreq_host *host;

static int32_t console_read_symbol(void *ctx, const struct vmreq_value *args, uint32_t argc,
                                   struct vmreq_writer *reply)
{
        uint8_t bytes[CONSOLE_OUTPUT_BYTES];
        uint64_t position = args[0].u, lost;
        int32_t status;
        struct machine *machine = guest_machine(host, reply, &status);
        size_t n;

        (void)ctx;
        (void)argc;
        if (!machine)
                return status;
        n = console_read(machine_console(machine), &position, bytes,
                         (size_t)MIN(args[1].u, (uint64_t)sizeof(bytes)), &lost);
        host->put_map(reply, 3);
        guest_put_key(host, reply, "data");
        host->put_bytes(reply, bytes, n);
        guest_put_key(host, reply, "next");
        host->put_uint(reply, position);
        guest_put_key(host, reply, "lost");
        host->put_uint(reply, lost);
        return 0;
}

static int32_t console_write_symbol(void *ctx, const struct vmreq_value *args, uint32_t argc,
                                    struct vmreq_writer *reply)
{
        int32_t status;
        struct machine *machine = guest_machine(host, reply, &status);

        (void)ctx;
        (void)argc;
        if (!machine)
                return status;
        host->put_uint(reply, machine_type(machine, (const uint8_t *)args[0].data, args[0].len));
        return 0;
}

static const struct vmreq_param read_params[] = {
        {
                .name = "position",
                .type = VMREQ_T_U64,
                .flags = VMREQ_PARAM_OPTIONAL,
                .doc = "From where on; `next` of the call before.",
                .fallback = {.type = VMREQ_T_U64, .u = 0},
        },
        {
                .name = "length",
                .type = VMREQ_T_U32,
                .flags = VMREQ_PARAM_OPTIONAL | VMREQ_PARAM_RANGE,
                .doc = "At most so many bytes.",
                .max = CONSOLE_OUTPUT_BYTES,
                .fallback = {.type = VMREQ_T_U32, .u = CONSOLE_OUTPUT_BYTES},
        },
};

static const struct vmreq_param write_params[] = {
        {
                .name = "data",
                .type = VMREQ_T_STR,
                .flags = VMREQ_PARAM_SENSITIVE,
                .doc = "What is typed.",
        },
};

static const struct vmreq_symbol symbols[] = {
        {
                .size = sizeof(struct vmreq_symbol),
                .flags = VMREQ_SYM_READ_ONLY | VMREQ_SYM_IDEMPOTENT | VMREQ_SYM_CONFIDENTIAL,
                .name = "console.read",
                .doc = "What the guest has written on its serial port: the last 64 KiB of it are "
                       "kept.\n"
                       "Result: {data: bytes, next: the position behind them, lost: how many bytes "
                       "from `position` on are gone}.",
                .params = read_params,
                .n_params = ARRAY_SIZE(read_params),
                .result = VMREQ_T_MAP,
                .dest = VMREQ_DEST_ANY,
                .function = console_read_symbol,
        },
        {
                .size = sizeof(struct vmreq_symbol),
                .flags = VMREQ_SYM_POKE | VMREQ_SYM_CONFIDENTIAL,
                .name = "console.write",
                .doc = "Types on the guest's serial port.\n"
                       "Result: how many bytes there was room for; the rest was not taken.",
                .params = write_params,
                .n_params = ARRAY_SIZE(write_params),
                .result = VMREQ_T_U32,
                .dest = VMREQ_DEST_ANY,
                .function = console_write_symbol,
        },
};

static int console_init_module(const struct vmreq_host *table, uint32_t abi,
                               const struct vmreq_setting *settings, size_t n_settings)
{
        int r;

        (void)abi;
        (void)settings;
        (void)n_settings;
        if (host)
                return -EBUSY;
        r = modules_add_symbols(table, symbols, ARRAY_SIZE(symbols));
        if (r == 0)
                host = table;
        return r;
}

static int console_fini_module(const struct vmreq_host *table)
{
        (void)table;
        host = NULL;
        return 0;
}

const struct vmreq_module mod_console = {
        .size = sizeof(struct vmreq_module),
        .abi = VMREQ_MODULE_ABI,
        .name = "console",
        .version = "1",
        .doc = "The guest's serial console.",
        .init = console_init_module,
        .fini = console_fini_module,
};
