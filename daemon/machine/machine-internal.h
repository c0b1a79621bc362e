/* SPDX-License-Identifier: MIT */
#pragma once
/* The layout of a machine.  Only machine/ and its unit tests include this. */

#include <stdatomic.h>

#include "machine/backend.h"
#include "machine/boot.h"
#include "machine/bus.h"
#include "machine/console-sink.h"
#include "machine/console.h"
#include "machine/debug-ports.h"
#include "machine/image.h"
#include "machine/machine.h"
#include "machine/memory.h"
#include "machine/rtc.h"
#include "machine/serial.h"

struct machine {
        /* fixed after init */
        struct machine_settings settings;
        const struct machine_backend *backend;
        struct vmreq_backend engine;
        struct machine_hooks hooks;
        uint32_t cpus;
        vmreq_vm vm; /* written by machine_set_vm, before any guest runs */
        void *backend_data;
        _Atomic bool faulted;      /* an EMT has claimed `fault` */
        struct machine_text fault; /* why its vCPU could not be made */

        struct memory memory;
        struct image image;
        struct boot boot;
        struct bus ports, mmio;

        struct console console;
        struct console_sink sink;
        struct serial serial;
        struct rtc rtc;
        struct debug_ports debug_ports;
        bool devices_made, console_made;
};

/* In the rendezvous of a power_on or reset, once, while no vCPU runs: memory, image and devices as
 * they were at the beginning.  0 or a negative errno. */
int machine_reset_shared(struct machine *machine);
/* An EMT's vCPU could not be made: what machine_fault will say, if nobody was first. */
void machine_set_fault(struct machine *machine, const struct machine_text *text);
/* One line for the log. */
void machine_log(const struct machine *machine, int level, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* ---- devices.c ---- */

/* Makes the devices and plugs them in.  0 or a negative errno. */
int devices_init(struct machine *machine, struct machine_text *reterr_text);
void devices_deinit(struct machine *machine);
void devices_reset(struct machine *machine);
