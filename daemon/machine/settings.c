/* SPDX-License-Identifier: MIT */
/*
 * The configuration of a machine: one table of keys.  config.c reads the file, and hands over each
 * key of [kvm] with its value as text; options come the same way.
 */
#include "machine/settings.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "machine/backend.h"
#include "machine/image.h"

#define MIB                (1ull << 20)
#define MEMORY_MIB_DEFAULT 64u
#define LOAD_ADDRESS       0x7c00u /* where a PC's firmware loads a boot sector */

void machine_settings_init(struct machine_settings *settings)
{
        *settings = (struct machine_settings){
                .backend = machine_backends[0],
                .memory_bytes = MEMORY_MIB_DEFAULT * MIB,
                .image_format = "auto",
                .load_address = LOAD_ADDRESS,
                .console = "log",
        };
}

static bool fail(char *text, size_t size, const char *key, const char *expected, const char *value)
{
        (void)snprintf(text, size, "%s: expected %s, got \"%.80s\"", key, expected, value);
        return false;
}

bool machine_settings_set_backend(struct machine_settings *settings, const char *value, char *text,
                                  size_t size)
{
        char expected[80] = "one of";

        for (size_t i = 0; machine_backends[i]; i++) {
                size_t len = strlen(expected);

                if (strcmp(value, machine_backends[i]->name) == 0) {
                        settings->backend = machine_backends[i];
                        return true;
                }
                (void)snprintf(expected + len, sizeof(expected) - len, "%s %s", i ? "," : "",
                               machine_backends[i]->name);
        }
        return fail(text, size, "backend", expected, value);
}

static bool set_irqchip(struct machine_settings *settings, const char *value)
{
        bool kernel = strcmp(value, "kernel") == 0;

        if (!kernel && strcmp(value, "off") != 0)
                return false;
        settings->irqchip = kernel ? MACHINE_IRQCHIP_KERNEL : MACHINE_IRQCHIP_OFF;
        return true;
}

static bool set_flag(bool *flag, const char *value)
{
        bool yes = strcmp(value, "yes") == 0;

        if (!yes && strcmp(value, "no") != 0)
                return false;
        *flag = yes;
        return true;
}

static bool set_sipi(struct machine_settings *settings, const char *value)
{
        return set_flag(&settings->sipi, value);
}

static bool set_huge_pages(struct machine_settings *settings, const char *value)
{
        return set_flag(&settings->huge_pages, value);
}

/* Decimal, or hexadecimal after "0x". */
static bool parse_number(const char *value, uint64_t *ret)
{
        bool hex = value[0] == '0' && (value[1] == 'x' || value[1] == 'X');
        const char *digits = hex ? value + 2 : value;
        char *end;

        if (!isxdigit((unsigned char)digits[0]))
                return false;
        errno = 0;
        *ret = strtoull(digits, &end, hex ? 16 : 10);
        return errno == 0 && *end == '\0';
}

static bool set_memory(struct machine_settings *settings, const char *value)
{
        uint64_t mib;

        if (!parse_number(value, &mib) || mib < MEMORY_SIZE_MIN / MIB ||
            mib > MEMORY_SIZE_MAX / MIB)
                return false;
        settings->memory_bytes = mib * MIB;
        return true;
}

static bool set_load_address(struct machine_settings *settings, const char *value)
{
        return parse_number(value, &settings->load_address);
}

static bool set_text(char *to, size_t size, const char *value)
{
        if (strlen(value) >= size)
                return false;
        (void)snprintf(to, size, "%s", value);
        return true;
}

static bool set_image(struct machine_settings *settings, const char *value)
{
        return value[0] == '/' && set_text(settings->image, sizeof(settings->image), value);
}

static bool set_image_format(struct machine_settings *settings, const char *value)
{
        bool known = strcmp(value, "auto") == 0;

        for (size_t i = 0; image_loaders[i]; i++)
                known = known || strcmp(value, image_loaders[i]->name) == 0;
        return known && set_text(settings->image_format, sizeof(settings->image_format), value);
}

static bool set_command_line(struct machine_settings *settings, const char *value)
{
        return set_text(settings->command_line, sizeof(settings->command_line), value);
}

static bool set_console(struct machine_settings *settings, const char *value)
{
        return (value[0] == '/' || strcmp(value, "log") == 0 || strcmp(value, "none") == 0) &&
               set_text(settings->console, sizeof(settings->console), value);
}

static const struct {
        const char *name;
        bool (*set)(struct machine_settings *settings, const char *value);
        const char *expected;
        bool is_text;
        size_t offset, size;
} keys[] = {
#define KEY(name, set, member, is_text, expected)                                                  \
        {                                                                                          \
                name, set, expected, is_text, offsetof(struct machine_settings, member),           \
                        sizeof(((struct machine_settings *)0)->member)                             \
        }
        KEY("irqchip", set_irqchip, irqchip, false, "off or kernel"),
        KEY("sipi", set_sipi, sipi, false, "yes or no"),
        KEY("memory_mib", set_memory, memory_bytes, false, "a number 1..1048576"),
        KEY("huge_pages", set_huge_pages, huge_pages, false, "yes or no"),
        KEY("image", set_image, image, true, "an absolute path"),
        KEY("image_format", set_image_format, image_format, true, "auto, elf or flat"),
        KEY("load_address", set_load_address, load_address, false, "an address, such as 0x7c00"),
        KEY("command_line", set_command_line, command_line, true, "at most 191 bytes"),
        KEY("console", set_console, console, true, "log, none or an absolute path"),
#undef KEY
};

bool machine_settings_set(struct machine_settings *settings, const char *key, const char *value,
                          char *text, size_t size)
{
        size_t len;

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                if (strcmp(key, keys[i].name) == 0)
                        return keys[i].set(settings, value) ||
                               fail(text, size, key, keys[i].expected, value);
        len = (size_t)snprintf(text, size, "unknown key \"%.64s\" in section [kvm]; its keys are",
                               key);
        for (size_t i = 0; i < ARRAY_SIZE(keys) && len < size; i++)
                len += (size_t)snprintf(text + len, size - len, "%s %s", i ? "," : "",
                                        keys[i].name);
        return false;
}

void machine_settings_compare(const struct machine_settings *a, const struct machine_settings *b,
                              void (*differs)(void *ctx, const char *key), void *ctx)
{
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                const char *one = (const char *)a + keys[i].offset;
                const char *other = (const char *)b + keys[i].offset;

                if (keys[i].is_text ? strcmp(one, other) != 0
                                    : memcmp(one, other, keys[i].size) != 0)
                        differs(ctx, keys[i].name);
        }
}

bool machine_settings_check(const struct machine_settings *settings, char *text, size_t size)
{
        const char *wrong = NULL;

        if (settings->sipi && settings->irqchip != MACHINE_IRQCHIP_KERNEL)
                wrong = "sipi: yes needs irqchip=kernel: without local APICs nobody can send one";
        else if (settings->backend->open && !settings->image[0])
                wrong = "image: the backend needs one: what shall the guest run? ([kvm] image)";
        else if (settings->huge_pages && settings->memory_bytes % MEMORY_HUGE_PAGE)
                wrong = "memory_mib: expected an even number with huge_pages=yes";
        if (wrong)
                (void)snprintf(text, size, "%s", wrong);
        return !wrong;
}
