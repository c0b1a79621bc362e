/* SPDX-License-Identifier: MIT */
/*
 * The command line: parsed once into what was asked for, and applied as often as the configuration
 * is loaded.  Files apply first, wherever their option stands, and the other options win over them.
 * An option is a setting of config.c under another name; its range is checked there.
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
        "  -f, --config FILE      read settings from an INI file and from FILE.d/*.conf; options on the\n"
        "                         command line win; -FILE with a dash in front may be missing\n"
        "      --policy-dir DIR   where the rules are, in *.conf (default: " VMREQD_POLICY_DIR ")\n"
        "      --check            check options, configuration and policy, and leave\n"
        "      --explain-policy USER SYMBOL\n"
        "                         say which rule decides whether USER may call SYMBOL, and leave\n"
        "      --version          print the version, and leave\n"
        "      --help             print this, and leave\n";

enum {
        OPT_MODULE_DIR = 256,
        OPT_POLICY_DIR,
        OPT_EXPLAIN,
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
        {"policy-dir", required_argument, NULL, OPT_POLICY_DIR},
        {"explain-policy", required_argument, NULL, OPT_EXPLAIN},
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
        {OPT_POLICY_DIR, "policy", "dir"},
};

/* A copy that is absolute: paths on a command line may be relative, and the working directory is
 * not ours to rely on later. */
static char *absolute(const char *path)
{
        char here[PATH_MAX], *whole;

        if (path[0] == '/' || !path[0] || !getcwd(here, sizeof(here)))
                return strdup(path);
        return asprintf(&whole, "%s/%s", here, path) < 0 ? NULL : whole;
}

static bool usage(const char *what, const char *which)
{
        (void)fprintf(stderr, "vmreqd: %s%s; try 'vmreqd --help'\n", what, which);
        return false;
}

static bool add_config(struct options *options, const char *value, bool is_instance)
{
        struct options_config *config = &options->configs[options->n_configs];

        if (options->n_configs == OPTIONS_CONFIGS_MAX)
                return usage("at most 16 times --config or --instance", "");
        config->is_instance = is_instance;
        config->may_miss = !is_instance && value[0] == '-' && value[1];
        config->name = is_instance ? strdup(value) : absolute(value + (config->may_miss ? 1 : 0));
        if (!config->name)
                return usage("no memory for ", value);
        options->n_configs++;
        return true;
}

static bool add_setting(struct options *options, int option, const char *value)
{
        struct options_setting *setting = &options->settings[options->n_settings];
        bool is_path = option == 's' || option == OPT_MODULE_DIR || option == OPT_POLICY_DIR ||
                       (option == 'm' && strchr(value, '/'));
        size_t i = 0;

        while (settings[i].option != option)
                i++;
        if (options->n_settings == OPTIONS_SETTINGS_MAX)
                return usage("more options than can be, at ", value);
        *setting = (struct options_setting){.section = settings[i].section, .key = settings[i].key};
        setting->value = is_path ? absolute(value) : strdup(value);
        if (!setting->value)
                return usage("no memory for ", value);
        options->n_settings++;
        return true;
}

/* False: reported. */
static bool take(struct options *options, int c, const char *value)
{
        switch (c) {
        case '?':
                (void)fprintf(stderr, "vmreqd: try 'vmreqd --help'\n");
                return false;
        case 'f':
        case 'i':
                return add_config(options, value, c == 'i');
        case OPT_CHECK:
                options->check = true;
                return true;
        case OPT_EXPLAIN:
                options->explain_user = value;
                return true;
        default:
                return add_setting(options, c, value);
        }
}

/* What is left: the symbol that is to be explained. */
static bool take_operands(struct options *options, int argc, char **argv, int first)
{
        if (options->explain_user) {
                if (first == argc)
                        return usage("--explain-policy takes a user and a symbol", "");
                options->explain_symbol = argv[first++];
        }
        if (first < argc)
                return usage("unexpected argument ", argv[first]);
        return true;
}

/* Help and version answer whatever else stands there. */
static bool answer_alone(int argc, char **argv, int *ret_status)
{
        for (int i = 1; i < argc; i++) {
                bool is_help = strcmp(argv[i], "--help") == 0;

                if (!is_help && strcmp(argv[i], "--version") != 0)
                        continue;
                (void)printf("%s", is_help ? help : "vmreqd " VMREQD_VERSION "\n");
                *ret_status = fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
                return true;
        }
        return false;
}

bool options_parse(int argc, char **argv, struct options *options, int *ret_status)
{
        bool ok = true;
        int c;

        *options = (struct options){0};
        if (answer_alone(argc, argv, ret_status))
                return false;
        opterr = 1;
        optind = 1;
        while (ok && (c = getopt_long(argc, argv, "n:s:c:m:f:i:", long_options, NULL)) != -1)
                ok = take(options, c, optarg);
        if (ok && take_operands(options, argc, argv, optind))
                return true;
        options_deinit(options);
        *ret_status = EXIT_USAGE;
        return false;
}

void options_deinit(struct options *options)
{
        for (size_t i = 0; i < options->n_configs; i++)
                free(options->configs[i].name);
        for (size_t i = 0; i < options->n_settings; i++)
                free(options->settings[i].value);
        *options = (struct options){0};
}

static bool load_files(const struct options_config *from, struct config *config, char *text,
                       size_t size)
{
        if (from->is_instance)
                return config_read_instance(config, CONFIG_DIRECTORY, from->name, text, size);
        return config_read(config, from->name, from->may_miss, text, size);
}

bool options_load(const struct options *options, struct config *config, char *reterr_text,
                  size_t size, int *ret_status)
{
        *ret_status = EXIT_FAILURE;
        for (size_t i = 0; i < options->n_configs; i++)
                if (!load_files(&options->configs[i], config, reterr_text, size))
                        return false;
        *ret_status = EXIT_USAGE;
        for (size_t i = 0; i < options->n_settings; i++)
                if (!config_set(config, options->settings[i].section, options->settings[i].key,
                                options->settings[i].value, reterr_text, size))
                        return false;
        *ret_status = EXIT_FAILURE;
        return config_check(config, reterr_text, size);
}
