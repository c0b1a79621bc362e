/* SPDX-License-Identifier: MIT */
#pragma once
/* The settings of a daemon: defaults, then a configuration file and its drop-ins, then the command
 * line. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine/settings.h"
#include "rpc/server.h"
#include "symbols/vmreq-module.h"

#define CONFIG_MODULES_MAX         64
#define CONFIG_MODULE_SETTINGS_MAX 64
#define CONFIG_PATH_MAX            1024
#define CONFIG_DIRECTORY           "/etc/vmreqd"

struct config_module {
        char *name; /* or a path */
        bool path_allowed;
        struct vmreq_setting settings[CONFIG_MODULE_SETTINGS_MAX]; /* keys and values owned */
        size_t n_settings;
};

struct config {
        char name[80];
        char socket[CONFIG_PATH_MAX]; /* empty: passed by the service manager, or the default place
                                       */
        unsigned socket_mode;
        uint32_t cpus, slab, lane_capacity, lazy_poke_ms;
        struct machine_settings machine;
        char module_directory[CONFIG_PATH_MAX];
        struct config_module modules[CONFIG_MODULES_MAX];
        size_t n_modules;
        char policy_directory[CONFIG_PATH_MAX];
        bool policy_directory_set; /* by a setting: then it must exist */
        struct rpc_limits limits;
        /* What happens by itself. */
        bool power_on;                    /* at the start */
        bool exit_on_off, exit_on_failed; /* when the VM is OFF, or FAILED */
        bool restart_on_stuck;            /* an EMT that is stuck costs the watchdog */
        uint64_t emt_stuck_ms, exit_idle_ms;
};

void config_init(struct config *config);
void config_deinit(struct config *config);

/*
 * Reads an INI file over what is set, then the "*.conf" in PATH.d in order of their names.
 * `may_miss`: the file itself need not exist.  False: one line in reterr_text, with file and line
 * number.
 */
bool config_read(struct config *config, const char *path, bool may_miss, char *reterr_text,
                 size_t size);
/* One file alone. */
bool config_read_file(struct config *config, const char *path, char *reterr_text, size_t size);

/*
 * The settings of the unit vmreqd@NAME: NAME itself, then DIRECTORY/NAME.conf if it is there, then
 * DIRECTORY/NAME.conf.d/ *.conf in the order of their names.  Otherwise as above.
 */
bool config_read_instance(struct config *config, const char *directory, const char *name,
                          char *reterr_text, size_t size);

/* One setting, as from the command line or a file.  False: what was expected, in reterr_text. */
bool config_set(struct config *config, const char *section, const char *key, const char *value,
                char *reterr_text, size_t size);

/* What only makes sense together. */
bool config_check(const struct config *config, char *reterr_text, size_t size);

/* Names in `ret_text` the settings of `fresh` that differ from those of `running` and are looked at
 * only at the start.  False: there are none. */
bool config_needs_restart(const struct config *running, const struct config *fresh, char *ret_text,
                          size_t size);
