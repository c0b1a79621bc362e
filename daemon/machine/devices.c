/* SPDX-License-Identifier: MIT */
/* What is plugged into the machine, at a glance. */
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

static int plug(struct machine *machine, struct machine_text *text)
{
        const struct bus_range ranges[] = {
                {"rtc", RTC_PORT, RTC_SIZE, &rtc_ops, &machine->rtc},
                {"debug-text", DEBUG_TEXT_PORT, 1, &debug_text_ops, &machine->debug_ports},
                {"debug-exit", DEBUG_EXIT_PORT, DEBUG_EXIT_SIZE, &debug_exit_ops,
                 &machine->debug_ports},
                {"serial", SERIAL_PORT, SERIAL_SIZE, &serial_ops, &machine->serial},
        };

        for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
                int r = bus_add(&machine->ports, &ranges[i]);

                if (r)
                        return machine_fail(text, r, "device %s: %s", ranges[i].name, strerror(-r));
        }
        return 0;
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
