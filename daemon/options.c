/* SPDX-License-Identifier: MIT */
/*
 * The command line: read twice, so that a configuration file applies first, wherever its option
 * stands, and the other options win over it.  An option is a setting of config.c under another
 * name; its range is checked there.
 */
#include "options.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef VMREQD_VERSION
#error "VMREQD_VERSION comes from the build"
#endif

static const char help[] =
        "Usage: vmreqd [OPTION…]\n"
        "Hosts one virtual machine and lets outside programs call functions on its EMTs.\n"
        "\n"
        "  -n, --name NAME        name of the VM (default: default)\n"
        "  -s, --socket PATH      listen here (default: a socket passed by the service manager, else\n"
        "                         /run/vmreqd/NAME.sock for root, else $XDG_RUNTIME_DIR/vmreqd/NAME.sock)\n"
        "  -c, --cpus N           number of vCPUs, and so of EMTs (default: 1)\n"
        "  -m, --module NAME      load a module: a name under the module directory, or a path; repeatable\n"
        "      --module-dir DIR   where modules are looked for by name\n"
        "  -i, --instance NAME    as the unit vmreqd@NAME: that name, and settings from /etc/vmreqd/NAME.conf\n"
        "                         and /etc/vmreqd/NAME.conf.d/*.conf, as far as they are there\n"
        "  -f, --config FILE      read settings from an INI file; options on the command line win\n"
        "      --check            check options and configuration, and leave\n"
        "      --version          print the version, and leave\n"
        "      --help             print this, and leave\n";

enum {
        OPT_MODULE_DIR = 256,
        OPT_CHECK,
        OPT_VERSION,
        OPT_HELP,
};

static const struct option long_options[] = {
        {"name", required_argument, NULL, 'n'},
        {"socket", required_argument, NULL, 's'},
        {"cpus", required_argument, NULL, 'c'},
        {"module", required_argument, NULL, 'm'},
        {"module-dir", required_argument, NULL, OPT_MODULE_DIR},
        {"instance", required_argument, NULL, 'i'},
        {"config", required_argument, NULL, 'f'},
        {"check", no_argument, NULL, OPT_CHECK},
        {"version", no_argument, NULL, OPT_VERSION},
        {"help", no_argument, NULL, OPT_HELP},
        {NULL, 0, NULL, 0},
};

/* Which setting an option is. */
static const struct {
        int option;
        const char *section, *key;
} settings[] = {
        {'n', "vm", "name"},
        {'s', "socket", "path"},
        {'c', "vm", "cpus"},
        {'m', "modules", "load"},
        {OPT_MODULE_DIR, "modules", "directory"},
};

/* Paths on a command line may be relative. */
static const char *absolute(const char *path, char *buffer, size_t size)
{
        char here[PATH_MAX];

        if (path[0] == '/' || !path[0] || !getcwd(here, sizeof(here)))
                return path;
        if ((size_t)snprintf(buffer, size, "%s/%s", here, path) >= size)
                return path;
        return buffer;
}

static bool apply(struct config *config, int option, const char *value, char *text, size_t size)
{
        char buffer[CONFIG_PATH_MAX];
        bool is_path =
                option == 's' || option == OPT_MODULE_DIR || (option == 'm' && strchr(value, '/'));

        for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
                if (settings[i].option == option)
                        return config_set(config, settings[i].section, settings[i].key,
                                          is_path ? absolute(value, buffer, sizeof(buffer)) : value,
                                          text, size);
        return false;
}

/* The file first, wherever it stands on the line, so that options win over it. */
static bool read_config_option(int argc, char **argv, struct config *config, int *ret_status)
{
        char text[1024];
        int c;

        opterr = 1;
        optind = 1;
        while ((c = getopt_long(argc, argv, "n:s:c:m:f:i:", long_options, NULL)) != -1) {
                if (c == '?') {
                        (void)fprintf(stderr, "vmreqd: try 'vmreqd --help'\n");
                        *ret_status = EXIT_USAGE;
                        return false;
                }
                if ((c == 'f' && !config_read_file(config, optarg, text, sizeof(text))) ||
                    (c == 'i' &&
                     !config_read_instance(config, CONFIG_DIRECTORY, optarg, text, sizeof(text)))) {
                        (void)fprintf(stderr, "vmreqd: %s\n", text);
                        *ret_status = EXIT_FAILURE;
                        return false;
                }
        }
        if (optind < argc) {
                (void)fprintf(stderr, "vmreqd: unexpected argument '%s'; try 'vmreqd --help'\n",
                              argv[optind]);
                *ret_status = EXIT_USAGE;
                return false;
        }
        return true;
}

bool options_read(int argc, char **argv, struct config *config, bool *ret_check_only,
                  int *ret_status)
{
        char text[1024];
        int c;

        *ret_check_only = false;
        /* Help and version answer whatever else stands there. */
        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "--version") == 0) {
                        (void)printf("%s", strcmp(argv[i], "--help") == 0 ? help
                                                                          : "vmreqd " VMREQD_VERSION
                                                                            "\n");
                        *ret_status = fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
                        return false;
                }
        }
        if (!read_config_option(argc, argv, config, ret_status))
                return false;
        optind = 1;
        while ((c = getopt_long(argc, argv, "n:s:c:m:f:i:", long_options, NULL)) != -1) {
                if (c == OPT_CHECK)
                        *ret_check_only = true;
                else if (c != 'f' && c != 'i' && !apply(config, c, optarg, text, sizeof(text))) {
                        (void)fprintf(stderr, "vmreqd: %s\n", text);
                        *ret_status = EXIT_USAGE;
                        return false;
                }
        }
        if (!config_check(config, text, sizeof(text))) {
                (void)fprintf(stderr, "vmreqd: %s\n", text);
                *ret_status = EXIT_FAILURE;
                return false;
        }
        return true;
}
