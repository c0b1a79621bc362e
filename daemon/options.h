/* SPDX-License-Identifier: MIT */
#pragma once
/* The command line of vmreqd. */

#include <stdbool.h>

#include "config.h"

enum {
        EXIT_USAGE = 2, /* the command line is wrong; EXIT_FAILURE: it could not start */
};

#define OPTIONS_CONFIGS_MAX  16
#define OPTIONS_SETTINGS_MAX 128

struct options {
        struct options_config {
                char *name; /* a path, or of an instance; owned */
                bool is_instance, may_miss;
        } configs[OPTIONS_CONFIGS_MAX];
        size_t n_configs;
        struct options_setting {
                const char *section, *key; /* static */
                char *value;               /* owned */
        } settings[OPTIONS_SETTINGS_MAX];
        size_t n_settings;
        bool check;
        const char *explain_user, *explain_symbol; /* of argv; NULL: not asked for */
};

/* Reads the command line.  True: go on.  False: leave with *ret_status (help, version, or a mistake
 * that was reported); nothing is to be freed. */
bool options_parse(int argc, char **argv, struct options *options, int *ret_status);
void options_deinit(struct options *options);

/*
 * What files and command line say, into a configuration as config_init left it; legal any number of
 * times, on any thread.  False: one line in reterr_text, and *ret_status is the exit status.
 */
bool options_load(const struct options *options, struct config *config, char *reterr_text,
                  size_t size, int *ret_status);
