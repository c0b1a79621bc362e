/* SPDX-License-Identifier: MIT */
#pragma once
/* A backend that runs nothing: for the machine around it. */

#include <errno.h>

#include "machine/machine-internal.h"
#include "unit/machine/machine-test.h"

static struct {
        uint32_t opens, closes;
        int open_result;
        uint32_t line;
        int level;
} fake;

static inline int fake_open(struct machine *machine, struct machine_text *text)
{
        fake.opens++;
        CHECK(machine->memory.size);
        return fake.open_result ? machine_fail(text, fake.open_result, "no backend today") : 0;
}

static inline void fake_close(struct machine *machine)
{
        (void)machine;
        fake.closes++;
}

static inline void fake_set_irq(struct machine *machine, uint32_t line, bool level)
{
        (void)machine;
        fake.line = line;
        fake.level = level;
}

static inline int fake_run(void *ctx, uint32_t cpu, const char **ret_reason)
{
        (void)ctx;
        (void)cpu;
        (void)ret_reason;
        return VMREQ_EXIT_HALT;
}

static inline void fake_kick(void *ctx, uint32_t cpu)
{
        (void)ctx;
        (void)cpu;
}

static const struct machine_backend fake_backend = {
        .name = "fake",
        .open = fake_open,
        .close = fake_close,
        .set_irq = fake_set_irq,
        .engine = {.size = sizeof(struct vmreq_backend), .run = fake_run, .kick = fake_kick},
};

/* Settings for it, with an image of a few bytes. */
static inline struct machine_settings fake_settings(void)
{
        struct machine_settings settings;

        machine_settings_init(&settings);
        settings.backend = &fake_backend;
        settings.memory_bytes = 1u << 20;
        (void)snprintf(settings.image, sizeof(settings.image), "%s", file_with("\xf4\xeb\xfd", 3));
        (void)snprintf(settings.console, sizeof(settings.console), "none");
        return settings;
}
