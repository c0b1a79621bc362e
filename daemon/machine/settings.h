/* SPDX-License-Identifier: MIT */
#pragma once
/* What is configured of a machine: `[vm] backend` and the section [kvm]. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MACHINE_PATH_MAX 1024

struct machine_backend;

enum machine_irqchip {
        MACHINE_IRQCHIP_OFF,    /* HLT leaves the guest; interrupts come by request */
        MACHINE_IRQCHIP_KERNEL, /* PIC, I/O APIC, local APICs and PIT in the kernel */
};

struct machine_settings {
        const struct machine_backend *backend;
        enum machine_irqchip irqchip;
        bool sipi; /* all vCPUs but the first wait for INIT and SIPI */
        bool huge_pages;
        uint64_t memory_bytes;
        char image[MACHINE_PATH_MAX]; /* "": none was given */
        char image_format[8];         /* "auto", or a loader's name */
        uint64_t load_address;        /* of a flat image */
        char command_line[192];
        char console[MACHINE_PATH_MAX]; /* "none", "log", or a file's absolute path */
};

void machine_settings_init(struct machine_settings *settings);

/* `[vm] backend`.  False: what was expected, in reterr_text. */
bool machine_settings_set_backend(struct machine_settings *settings, const char *value,
                                  char *reterr_text, size_t size);
/* One key of [kvm].  False: likewise; also for a key that it does not have. */
bool machine_settings_set(struct machine_settings *settings, const char *key, const char *value,
                          char *reterr_text, size_t size);
/* Calls `differs` with each key of [kvm] that the two have different values for. */
void machine_settings_compare(const struct machine_settings *a, const struct machine_settings *b,
                              void (*differs)(void *ctx, const char *key), void *ctx);
/* What only makes sense together. */
bool machine_settings_check(const struct machine_settings *settings, char *reterr_text,
                            size_t size);
