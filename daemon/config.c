/* SPDX-License-Identifier: MIT */
/*
 * The configuration: one table of keys, filled by the checking reader of INI files (conf-file.c)
 * and by the command line (options.c).  Called before there are other threads, and, to read it
 * again, on a thread of the pool with a configuration of its own.
 */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"
#include "conf-file.h"
#include "conf-folder.h"
#include "proto/limits.h"
#include "proto/names.h"
#include "vm/vmreq.h"

#ifndef VMREQD_MODULE_DIR
#define VMREQD_MODULE_DIR "/usr/lib/vmreqd/modules"
#endif

void config_init(struct config *config)
{
        *config = (struct config){.cpus = 1,
                                  .lazy_poke_ms = 10,
                                  .socket_mode = 0660,
                                  .limits = RPC_LIMITS_INIT,
                                  .emt_stuck_ms = 30000};
        machine_settings_init(&config->machine);
        (void)snprintf(config->name, sizeof(config->name), "default");
        (void)snprintf(config->module_directory, sizeof(config->module_directory), "%s",
                       VMREQD_MODULE_DIR);
        (void)snprintf(config->policy_directory, sizeof(config->policy_directory), "%s",
                       VMREQD_POLICY_DIR);
}

void config_deinit(struct config *config)
{
        for (size_t i = 0; i < config->n_modules; i++) {
                struct config_module *module = &config->modules[i];

                free(module->name);
                for (size_t k = 0; k < module->n_settings; k++) {
                        free((char *)module->settings[k].key);
                        free((char *)module->settings[k].value);
                }
        }
        config->n_modules = 0;
}

/* ---- values ---- */

static bool parse_number(const char *value, uint64_t min, uint64_t max, uint64_t *ret)
{
        char *end;
        unsigned long long n;

        if (!isdigit((unsigned char)value[0]))
                return false;
        errno = 0;
        n = strtoull(value, &end, 10);
        if (errno || *end || n < min || n > max)
                return false;
        *ret = n;
        return true;
}

static bool fail(char *text, size_t size, const char *key, const char *expected, const char *value)
{
        (void)snprintf(text, size, "%s: expected %s, got \"%.80s\"", key, expected, value);
        return false;
}

/* Every key whose value is a number: where it goes, and its range. */
static const struct number_key {
        const char *section, *key;
        size_t offset;
        size_t width;
        uint64_t min, max;
} number_keys[] = {
#define NUMBER(section, key, member, min, max)                                                     \
        {                                                                                          \
                section, key, offsetof(struct config, member),                                     \
                        sizeof(((struct config *)0)->member), min, max                             \
        }
        NUMBER("vm", "cpus", cpus, 1, VMREQ_CPUS_MAX),
        NUMBER("vm", "request_slab", slab, 16, VMREQ_SLAB_MAX),
        NUMBER("vm", "lane_capacity", lane_capacity, 1, VMREQ_LANE_MAX),
        NUMBER("vm", "emt_stuck_ms", emt_stuck_ms, 1, 3600000),
        NUMBER("vm", "exit_idle_ms", exit_idle_ms, 0, 1000000000),
        NUMBER("vm", "lazy_poke_ms", lazy_poke_ms, 0, 60000),
#define LIMIT(limit, fallback, min, max) NUMBER("limits", #limit, limits.limit, min, max),
        RPC_LIMITS(LIMIT)
#undef LIMIT
#undef NUMBER
};

static bool set_number(struct config *config, const struct number_key *number, const char *value,
                       char *text, size_t size)
{
        char expected[80];
        uint64_t n;

        if (!parse_number(value, number->min, number->max, &n)) {
                (void)snprintf(expected, sizeof(expected), "a number %llu..%llu",
                               (unsigned long long)number->min, (unsigned long long)number->max);
                return fail(text, size, number->key, expected, value);
        }
        if (number->width == sizeof(uint32_t))
                *(uint32_t *)((char *)config + number->offset) = (uint32_t)n;
        else
                *(uint64_t *)((char *)config + number->offset) = n;
        return true;
}

/* Every key whose value is one of two words. */
static const struct word_key {
        const char *section, *key;
        size_t offset; /* of a bool */
        const char *no, *yes;
} word_keys[] = {
#define WORD(section, key, member, no, yes)                                                        \
        {                                                                                          \
                section, key, offsetof(struct config, member), no, yes                             \
        }
        WORD("vm", "power_on", power_on, "manual", "start"),
        WORD("vm", "on_off", exit_on_off, "stay", "exit"),
        WORD("vm", "on_failed", exit_on_failed, "stay", "exit"),
        WORD("vm", "emt_stuck", restart_on_stuck, "event", "restart"),
#undef WORD
};

static bool set_word(struct config *config, const struct word_key *word, const char *value,
                     char *text, size_t size)
{
        bool *to = (bool *)((char *)config + word->offset);
        char expected[80];

        *to = strcmp(value, word->yes) == 0;
        if (*to || strcmp(value, word->no) == 0)
                return true;
        (void)snprintf(expected, sizeof(expected), "%s or %s", word->no, word->yes);
        return fail(text, size, word->key, expected, value);
}

static bool set_path(char *to, const char *key, const char *value, char *text, size_t size)
{
        if (value[0] != '/' || strlen(value) >= CONFIG_PATH_MAX)
                return fail(text, size, key, "an absolute path", value);
        (void)snprintf(to, CONFIG_PATH_MAX, "%s", value);
        return true;
}

static bool set_name(struct config *config, const char *value, char *text, size_t size)
{
        if (!proto_vm_name_valid(value))
                return fail(text, size, "name",
                            "a VM name: [A-Za-z0-9][A-Za-z0-9_.-]{0,63}, not ending in .sock",
                            value);
        (void)snprintf(config->name, sizeof(config->name), "%s", value);
        return true;
}

static bool set_backend(struct config *config, const char *value, char *text, size_t size)
{
        return machine_settings_set_backend(&config->machine, value, text, size);
}

static bool set_socket_path(struct config *config, const char *value, char *text, size_t size)
{
        return set_path(config->socket, "path", value, text, size);
}

static bool set_module_directory(struct config *config, const char *value, char *text, size_t size)
{
        return set_path(config->module_directory, "directory", value, text, size);
}

static bool set_policy_directory(struct config *config, const char *value, char *text, size_t size)
{
        if (!set_path(config->policy_directory, "dir", value, text, size))
                return false;
        config->policy_directory_set = true;
        return true;
}

static bool set_mode(struct config *config, const char *value, char *text, size_t size)
{
        char *end;
        unsigned long mode = strtoul(value, &end, 8);

        if (!isdigit((unsigned char)value[0]) || *end || mode > 0777)
                return fail(text, size, "mode", "an octal mode 0..0777", value);
        config->socket_mode = (unsigned)mode;
        return true;
}

static struct config_module *module_find(struct config *config, const char *name)
{
        for (size_t i = 0; i < config->n_modules; i++)
                if (strcmp(config->modules[i].name, name) == 0)
                        return &config->modules[i];
        return NULL;
}

static bool add_module(struct config *config, const char *name, char *text, size_t size)
{
        struct config_module *module;

        if (!name[0] || strlen(name) >= CONFIG_PATH_MAX)
                return fail(text, size, "module", "a module name or a path", name);
        if (module_find(config, name))
                return true;
        if (config->n_modules == CONFIG_MODULES_MAX)
                return fail(text, size, "module", "at most 64 modules", name);
        module = &config->modules[config->n_modules];
        *module = (struct config_module){.name = strdup(name), .path_allowed = true};
        if (!module->name)
                return fail(text, size, "module", "memory", name);
        config->n_modules++;
        return true;
}

/* Every other key. */
static const struct other_key {
        const char *section, *key;
        bool (*set)(struct config *config, const char *value, char *text, size_t size);
} other_keys[] = {
        {"vm", "name", set_name},
        {"vm", "backend", set_backend},
        {"socket", "path", set_socket_path},
        {"socket", "mode", set_mode},
        {"policy", "dir", set_policy_directory},
        {"modules", "directory", set_module_directory},
        {"modules", "load", add_module},
};

/* Section [module NAME]: a setting that goes to that module's init. */
static bool add_module_setting(struct config *config, const char *name, const char *key,
                               const char *value, char *text, size_t size)
{
        struct config_module *module = module_find(config, name);
        struct vmreq_setting *setting;

        if (!module) {
                (void)snprintf(
                        text, size,
                        "section [module %.64s]: no such module is loaded above it ([modules] "
                        "load=)",
                        name);
                return false;
        }
        if (module->n_settings == CONFIG_MODULE_SETTINGS_MAX)
                return fail(text, size, key, "at most 64 settings a module", value);
        setting = &module->settings[module->n_settings];
        setting->key = strdup(key);
        setting->value = strdup(value);
        if (!setting->key || !setting->value) {
                free((char *)setting->key);
                free((char *)setting->value);
                return fail(text, size, key, "memory", value);
        }
        module->n_settings++;
        return true;
}

static void name_key(char *keys, size_t size, const char *section, const char *of, const char *key)
{
        size_t len = strlen(keys);

        if (strcmp(section, of) == 0)
                (void)snprintf(keys + len, size - len, "%s%s", len ? ", " : "", key);
}

/* Says what there is instead: sections, or this section's keys. */
static bool fail_unknown(char *text, size_t size, const char *section, const char *key)
{
        static const char sections[] = "vm, kvm, socket, policy, modules, limits and module NAME";
        char keys[400] = "";

        for (size_t i = 0; i < ARRAY_SIZE(number_keys); i++)
                name_key(keys, sizeof(keys), section, number_keys[i].section, number_keys[i].key);
        for (size_t i = 0; i < ARRAY_SIZE(word_keys); i++)
                name_key(keys, sizeof(keys), section, word_keys[i].section, word_keys[i].key);
        for (size_t i = 0; i < ARRAY_SIZE(other_keys); i++)
                name_key(keys, sizeof(keys), section, other_keys[i].section, other_keys[i].key);
        if (keys[0])
                (void)snprintf(text, size, "unknown key \"%.64s\" in section [%s]; its keys are %s",
                               key, section, keys);
        else if (section[0])
                (void)snprintf(text, size, "unknown section [%.64s]; the sections are %s", section,
                               sections);
        else
                (void)snprintf(text, size,
                               "\"%.64s\" stands before the first section; the sections are %s",
                               key, sections);
        return false;
}

bool config_set(struct config *config, const char *section, const char *key, const char *value,
                char *text, size_t size)
{
        static const char module_prefix[] = "module ";

        for (size_t i = 0; i < ARRAY_SIZE(number_keys); i++)
                if (strcmp(section, number_keys[i].section) == 0 &&
                    strcmp(key, number_keys[i].key) == 0)
                        return set_number(config, &number_keys[i], value, text, size);
        for (size_t i = 0; i < ARRAY_SIZE(word_keys); i++)
                if (strcmp(section, word_keys[i].section) == 0 &&
                    strcmp(key, word_keys[i].key) == 0)
                        return set_word(config, &word_keys[i], value, text, size);
        for (size_t i = 0; i < ARRAY_SIZE(other_keys); i++)
                if (strcmp(section, other_keys[i].section) == 0 &&
                    strcmp(key, other_keys[i].key) == 0)
                        return other_keys[i].set(config, value, text, size);
        if (strcmp(section, "kvm") == 0)
                return machine_settings_set(&config->machine, key, value, text, size);
        if (strncmp(section, module_prefix, strlen(module_prefix)) == 0)
                return add_module_setting(config, section + strlen(module_prefix), key, value, text,
                                          size);
        return fail_unknown(text, size, section, key);
}

bool config_check(const struct config *config, char *text, size_t size)
{
        if (config->slab && config->slab < config->cpus + 1) {
                (void)snprintf(text, size,
                               "request_slab %u is too small: a broadcast to %u vCPUs takes %u",
                               config->slab, config->cpus, config->cpus + 1);
                return false;
        }
        return machine_settings_check(&config->machine, text, size);
}

static uint64_t number_of(const struct config *config, const struct number_key *number)
{
        const char *at = (const char *)config + number->offset;

        return number->width == sizeof(uint32_t) ? *(const uint32_t *)at : *(const uint64_t *)at;
}

static void name_setting(char *text, size_t size, const char *section, const char *key)
{
        size_t len = strlen(text);

        (void)snprintf(text + len, size - len, "%s[%s] %s", len ? ", " : "", section, key);
}

struct differences {
        char *text;
        size_t size;
};

static void name_difference(void *ctx, const char *key)
{
        const struct differences *differences = ctx;

        name_setting(differences->text, differences->size, "kvm", key);
}

static bool modules_differ(const struct config *a, const struct config *b)
{
        if (a->n_modules != b->n_modules)
                return true;
        for (size_t i = 0; i < a->n_modules; i++)
                if (strcmp(a->modules[i].name, b->modules[i].name) != 0)
                        return true;
        return false;
}

bool config_needs_restart(const struct config *running, const struct config *fresh, char *ret_text,
                          size_t size)
{
        ret_text[0] = 0;
        for (size_t i = 0; i < ARRAY_SIZE(number_keys); i++)
                if (strcmp(number_keys[i].section, "limits") != 0 &&
                    number_of(running, &number_keys[i]) != number_of(fresh, &number_keys[i]))
                        name_setting(ret_text, size, number_keys[i].section, number_keys[i].key);
        if (strcmp(running->name, fresh->name) != 0)
                name_setting(ret_text, size, "vm", "name");
        if (strcmp(running->socket, fresh->socket) != 0)
                name_setting(ret_text, size, "socket", "path");
        if (running->socket_mode != fresh->socket_mode)
                name_setting(ret_text, size, "socket", "mode");
        if (running->machine.backend != fresh->machine.backend)
                name_setting(ret_text, size, "vm", "backend");
        machine_settings_compare(&running->machine, &fresh->machine, name_difference,
                                 &(struct differences){ret_text, size});
        if (modules_differ(running, fresh))
                name_setting(ret_text, size, "modules", "load");
        return ret_text[0];
}

/* ---- the files ---- */

static bool on_setting(void *ctx, unsigned line, const char *section, const char *key,
                       const char *value, char *why, size_t size)
{
        (void)line;
        return config_set(ctx, section, key, value, why, size);
}

bool config_read_file(struct config *config, const char *path, char *reterr_text, size_t size)
{
        const struct conf_handler handler = {.setting = on_setting, .ctx = config};

        return conf_read_file(path, &handler, reterr_text, size);
}

bool config_read(struct config *config, const char *path, bool may_miss, char *reterr_text,
                 size_t size)
{
        char folder_path[CONFIG_PATH_MAX + 2];
        struct conf_folder folder;
        bool ok = true;

        if (!(may_miss && access(path, F_OK) && errno == ENOENT) &&
            !config_read_file(config, path, reterr_text, size))
                return false;
        (void)snprintf(folder_path, sizeof(folder_path), "%.*s.d", CONFIG_PATH_MAX - 1, path);
        if (!conf_folder_list(folder_path, &folder, reterr_text, size))
                return false;
        for (size_t i = 0; ok && i < folder.n; i++)
                ok = config_read_file(config, folder.paths[i], reterr_text, size);
        conf_folder_deinit(&folder);
        return ok;
}

bool config_read_instance(struct config *config, const char *directory, const char *name,
                          char *reterr_text, size_t size)
{
        char path[CONFIG_PATH_MAX];

        if (!config_set(config, "vm", "name", name, reterr_text, size))
                return false;
        if ((size_t)snprintf(path, sizeof(path), "%s/%s.conf", directory, name) >= sizeof(path)) {
                (void)snprintf(reterr_text, size, "%s: the path is too long", directory);
                return false;
        }
        return config_read(config, path, true, reterr_text, size);
}
