/* SPDX-License-Identifier: MIT */
/*
 * The configuration's text, read twice: by conf-file.c, which is built on inih, and by ini.c, which
 * is not.  Both must accept or refuse alike, name the same line, and leave the same settings.
 *
 * Input: the text.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config.h"
#include "ini.h"
#include "proto/limits.h"
#include "proto/names.h"
#include "vm/vmreq.h"

#define TEXT_MAX 8192

/* ---- the other reader ---- */

static bool on_setting(void *ctx, const char *section, const char *key, const char *value)
{
        char text[512] = "";
        bool ok = config_set(ctx, section, key, value, text, sizeof(text));

        FUZZ_CHECK(ok || text[0]);
        return ok;
}

/* ---- what must hold ---- */

static bool is_terminated(const char *text, size_t size)
{
        return memchr(text, 0, size) != NULL;
}

static void check_settings(const struct config *config)
{
        const struct rpc_limits *limits = &config->limits;
        char text[256] = "";

        FUZZ_CHECK(is_terminated(config->name, sizeof(config->name)));
        FUZZ_CHECK(proto_vm_name_valid(config->name));
        FUZZ_CHECK(is_terminated(config->socket, sizeof(config->socket)));
        FUZZ_CHECK(!config->socket[0] || config->socket[0] == '/');
        FUZZ_CHECK(config->module_directory[0] == '/');
        FUZZ_CHECK(config->cpus >= 1 && config->cpus <= VMREQ_CPUS_MAX);
        FUZZ_CHECK(config->slab <= VMREQ_SLAB_MAX && config->lane_capacity <= VMREQ_LANE_MAX);
        FUZZ_CHECK(config->socket_mode <= 0777);
        FUZZ_CHECK(limits->frame_bytes >= 1024 && limits->frame_bytes <= PROTO_FRAME_BYTES_MAX);
        FUZZ_CHECK(limits->connections && limits->connections_per_uid && limits->calls &&
                   limits->calls_per_connection && limits->calls_per_uid && limits->bytes &&
                   limits->bytes_per_connection && limits->bytes_per_uid && limits->timeout_ms &&
                   limits->frame_stall_ms && limits->drain_ms);
        FUZZ_CHECK(config->n_modules <= CONFIG_MODULES_MAX);
        if (!config_check(config, text, sizeof(text)))
                FUZZ_CHECK(text[0]);
}

static void check_same(const struct config *a, const struct config *b)
{
        FUZZ_CHECK(strcmp(a->name, b->name) == 0 && strcmp(a->socket, b->socket) == 0);
        FUZZ_CHECK(strcmp(a->module_directory, b->module_directory) == 0);
        FUZZ_CHECK(a->socket_mode == b->socket_mode && a->cpus == b->cpus && a->slab == b->slab &&
                   a->lane_capacity == b->lane_capacity);
        FUZZ_CHECK(memcmp(&a->limits, &b->limits, sizeof(a->limits)) == 0);
        FUZZ_CHECK(a->n_modules == b->n_modules);
        for (size_t i = 0; i < a->n_modules; i++) {
                const struct config_module *x = &a->modules[i], *y = &b->modules[i];

                FUZZ_CHECK(strcmp(x->name, y->name) == 0 && x->n_settings == y->n_settings);
                for (size_t k = 0; k < x->n_settings; k++)
                        FUZZ_CHECK(strcmp(x->settings[k].key, y->settings[k].key) == 0 &&
                                   strcmp(x->settings[k].value, y->settings[k].value) == 0);
        }
}

/* "/proc/self/fd/N:7: …" → 7. */
static unsigned line_of(const char *text)
{
        unsigned line = 0;

        FUZZ_CHECK(sscanf(text, "/proc/self/fd/%*d:%u: ", &line) == 1 && line > 0);
        return line;
}

static int file_of(const char *text, size_t len, char *path, size_t size)
{
        int fd = memfd_create("config", MFD_CLOEXEC);

        FUZZ_CHECK(fd >= 0 && write(fd, text, len) == (ssize_t)len);
        (void)snprintf(path, size, "/proc/self/fd/%d", fd);
        return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        static struct config config;
        static struct config same, fresh;
        struct ini ini = {.setting = on_setting, .ctx = &same};
        char path[64], text[2048] = "";
        unsigned refused;
        bool ok;
        int fd;

        if (len > TEXT_MAX)
                return 0;
        config_init(&config);
        config_init(&same);
        config_init(&fresh);
        fd = file_of((const char *)data, len, path, sizeof(path));

        ok = config_read(&config, path, false, text, sizeof(text));
        refused = ini_read(&ini, (const char *)data, len);
        FUZZ_CHECK(ok == (refused == 0));
        FUZZ_CHECK(ok ? !text[0] : line_of(text) == refused);
        check_settings(&config);
        if (ok) /* what a refused text leaves behind is of no use to anybody */
                check_same(&config, &same);
        FUZZ_CHECK(!ok || !config_needs_restart(&config, &same, text, sizeof(text)));
        FUZZ_CHECK(config_needs_restart(&fresh, &config, text, sizeof(text)) == (text[0] != 0));

        (void)close(fd);
        config_deinit(&config);
        config_deinit(&same);
        config_deinit(&fresh);
        return 0;
}
