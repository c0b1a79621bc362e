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

        _Atomic uint64_t resets;

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

/* ---- devices.c ---- */

/* Makes the devices and plugs them in.  0 or a negative errno. */
int devices_init(struct machine *machine, struct machine_text *reterr_text);
void devices_deinit(struct machine *machine);
void devices_reset(struct machine *machine);
