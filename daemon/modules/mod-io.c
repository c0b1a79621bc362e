/* SPDX-License-Identifier: MIT */
/*
 * io.*: the devices on the guest's buses.
 *
 * The tables of who answers where change while vCPUs use them (machine/bus.h), so any EMT may plug
 * a device in or out at any time; a vCPU that is inside it finishes there.
 */
#include <errno.h>
#include <string.h>

#include "base/macros.h"
#include "modules/guest.h"

/* Fixed between init and fini; EMTs only read it. */
static const struct vmreq_host *host;

static void put_range(struct vmreq_writer *reply, const char *bus, const struct bus_range *range)
{
        host->put_map(reply, 4);
        guest_put_key(host, reply, "bus");
        guest_put_key(host, reply, bus);
        guest_put_key(host, reply, "name");
        guest_put_key(host, reply, range->name);
        guest_put_key(host, reply, "address");
        host->put_x64(reply, range->start);
        guest_put_key(host, reply, "length");
        host->put_uint(reply, range->size);
}

static int32_t io_devices(void *ctx, const struct vmreq_value *args, uint32_t argc,
                          struct vmreq_writer *reply)
{
        struct bus_range ports[BUS_RANGES_MAX], mmio[BUS_RANGES_MAX];
        uint32_t n_ports, n_mmio;
        int32_t status;
        struct machine *machine = guest_machine(host, reply, &status);

        (void)ctx;
        (void)args;
        (void)argc;
        if (!machine)
                return status;
        n_ports = bus_list(machine_ports(machine), ports, BUS_RANGES_MAX);
        n_mmio = bus_list(machine_mmio(machine), mmio, BUS_RANGES_MAX);
        host->put_array(reply, n_ports + n_mmio);
        for (uint32_t i = 0; i < n_ports; i++)
                put_range(reply, "port", &ports[i]);
        for (uint32_t i = 0; i < n_mmio; i++)
                put_range(reply, "memory", &mmio[i]);
        return 0;
}

/* Both verbs: ctx says which. */
static const bool plug_in = true, plug_out = false;

static int32_t io_plug(void *ctx, const struct vmreq_value *args, uint32_t argc,
                       struct vmreq_writer *reply)
{
        bool in = *(const bool *)ctx, changed;
        enum machine_device device;
        int32_t status;
        struct machine *machine = guest_machine(host, reply, &status);
        int r;

        (void)argc;
        if (!machine)
                return status;
        device = machine_device_find(args[0].data, args[0].len);
        if (device == MACHINE_DEVICES_N)
                return guest_fail(host, reply, VMREQ_FAIL_INVALID, NULL,
                                  "name: there is no device \"%.*s\"; they are rtc, debug-text, "
                                  "debug-exit and serial",
                                  (int)MIN(args[0].len, 32u), args[0].data);
        r = machine_plug(machine, device, in, &changed);
        if (r)
                return guest_outcome(host, reply, r);
        host->put_bool(reply, changed);
        return 0;
}

static const struct vmreq_param plug_params[] = {
        {.name = "name", .type = VMREQ_T_STR, .doc = "As io.devices names it."},
};

#define PLUG(symbol, which, text)                                                                  \
        {                                                                                          \
                .size = sizeof(struct vmreq_symbol),                                               \
                .flags = VMREQ_SYM_CHANGES_STATE | VMREQ_SYM_IDEMPOTENT, .name = (symbol),         \
                .doc = (text), .params = plug_params, .n_params = ARRAY_SIZE(plug_params),         \
                .result = VMREQ_T_BOOL, .dest = VMREQ_DEST_ANY, .function = io_plug,               \
                .ctx = (void *)(uintptr_t) & (which),                                              \
        }

static const struct vmreq_symbol symbols[] = {
        {
                .size = sizeof(struct vmreq_symbol),
                .flags = VMREQ_SYM_READ_ONLY | VMREQ_SYM_IDEMPOTENT,
                .name = "io.devices",
                .doc = "Which device answers where.\n"
                       "Result: [{bus: port or memory, name, address, length}].",
                .result = VMREQ_T_ARRAY,
                .dest = VMREQ_DEST_ANY,
                .function = io_devices,
        },
        PLUG("io.attach", plug_in,
             "Plugs a device in, where it was at the beginning.\nResult: was it out?"),
        PLUG("io.detach", plug_out,
             "Plugs a device out: the guest reads ones there.\nResult: was it in?"),
};

static int io_init(const struct vmreq_host *table, uint32_t abi,
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

static int io_fini(const struct vmreq_host *table)
{
        (void)table;
        host = NULL;
        return 0;
}

const struct vmreq_module mod_io = {
        .size = sizeof(struct vmreq_module),
        .abi = VMREQ_MODULE_ABI,
        .name = "io",
        .version = "1",
        .doc = "The guest's devices.",
        .init = io_init,
        .fini = io_fini,
};
