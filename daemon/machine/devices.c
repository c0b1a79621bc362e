/* SPDX-License-Identifier: MIT */
/*
 * What is plugged into the machine, at a glance.
 *
 * Made by machine.c before the backend is opened; plugged in and out by requests on any EMT while the
 * guest runs (bus.c says how that is safe).  A device itself lives as long as the machine.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/macros.h"
#include "machine/machine-internal.h"

static void set_serial_irq(void *ctx, bool level)
{
        struct machine *machine = ctx;

        if (machine->backend->set_irq)
                machine->backend->set_irq(machine, SERIAL_IRQ, level);
}

/* The devices there are, plugged in or not. */
static struct bus_range range_of(struct machine *machine, enum machine_device device)
{
        const struct bus_range ranges[MACHINE_DEVICES_N] = {
                [MACHINE_RTC] = {"rtc", RTC_PORT, RTC_SIZE, &rtc_ops, &machine->rtc},
                [MACHINE_DEBUG_TEXT] = {"debug-text", DEBUG_TEXT_PORT, 1, &debug_text_ops,
                                        &machine->debug_ports},
                [MACHINE_DEBUG_EXIT] = {"debug-exit", DEBUG_EXIT_PORT, DEBUG_EXIT_SIZE,
                                        &debug_exit_ops, &machine->debug_ports},
                [MACHINE_SERIAL] = {"serial", SERIAL_PORT, SERIAL_SIZE, &serial_ops,
                                    &machine->serial},
        };

        return ranges[device];
}

static int plug(struct machine *machine, struct machine_text *text)
{
        for (unsigned i = 0; i < MACHINE_DEVICES_N; i++) {
                struct bus_range range = range_of(machine, (enum machine_device)i);
                int r = bus_add(&machine->ports, &range);

                if (r)
                        return machine_fail(text, r, "device %s: %s", range.name, strerror(-r));
        }
        return 0;
}

enum machine_device machine_device_find(const char *name, size_t len)
{
        static const char *const names[] = {[MACHINE_RTC] = "rtc",
                                            [MACHINE_DEBUG_TEXT] = "debug-text",
                                            [MACHINE_DEBUG_EXIT] = "debug-exit",
                                            [MACHINE_SERIAL] = "serial"};
        enum machine_device device = 0;

        static_assert(ARRAY_SIZE(names) == MACHINE_DEVICES_N, "a name for each");
        while (device < MACHINE_DEVICES_N &&
               (strlen(names[device]) != len || memcmp(names[device], name, len) != 0))
                device++;
        return device;
}

int machine_plug(struct machine *machine, enum machine_device device, bool in, bool *ret_changed)
{
        struct bus_range range = range_of(machine, device);
        int r = in ? bus_add(&machine->ports, &range) : bus_remove(&machine->ports, range.start);

        *ret_changed = r == 0;
        return r == -EEXIST || r == -ENOENT ? 0 : r;
}

int devices_init(struct machine *machine, struct machine_text *text)
{
        int r = bus_init(&machine->ports, machine->cpus);

        if (r)
                return machine_fail(text, r, "devices: %s", strerror(-r));
        r = bus_init(&machine->mmio, machine->cpus);
        if (r) {
                bus_deinit(&machine->ports);
                return machine_fail(text, r, "devices: %s", strerror(-r));
        }
        /* Of these only a mutex could fail, and with the default attributes none does. */
        r = serial_init(&machine->serial, &machine->console, set_serial_irq, machine);
        r = r ? r : rtc_init(&machine->rtc, machine->memory.size);
        r = r ? r : debug_ports_init(&machine->debug_ports, machine->hooks.log, machine->hooks.ctx);
        machine->devices_made = true;
        return r ? machine_fail(text, r, "devices: %s", strerror(-r)) : plug(machine, text);
}

void devices_deinit(struct machine *machine)
{
        if (!machine->devices_made)
                return;
        bus_deinit(&machine->mmio);
        bus_deinit(&machine->ports);
        debug_ports_deinit(&machine->debug_ports);
        rtc_deinit(&machine->rtc);
        serial_deinit(&machine->serial);
        machine->devices_made = false;
}

void devices_reset(struct machine *machine)
{
        serial_reset(&machine->serial);
        rtc_reset(&machine->rtc);
        debug_ports_reset(&machine->debug_ports);
}
