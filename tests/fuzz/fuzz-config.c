/* SPDX-License-Identifier: MIT */
/*
 * The configuration's text.  inih bends some input without a word (long lines, long names, lines
 * that continue a value), which conf-file.c's reader is there to refuse; so the same text is read
 * by a simple reader of this file's own, which takes one line at a time as the man page describes
 * it. Both must accept or refuse alike, name the same line, and leave the same settings.
 *
 * Input: the text.
 */
#include <ctype.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config.h"
#include "fuzz.h"
#include "proto/limits.h"
#include "proto/names.h"
#include "vm/vmreq.h"

#define TEXT_MAX 8192

/* ---- the other reader ---- */

struct reader {
        struct config config;
        char section[256];
        unsigned line;
};

/* A part of a line without the blanks around it. */
static void trimmed(char *to, size_t size, const char *from, size_t n)
{
        while (n > 0 && isspace((unsigned char)from[0])) {
                from++;
                n--;
        }
        while (n > 0 && isspace((unsigned char)from[n - 1]))
                n--;
        FUZZ_CHECK(n < size);
        memcpy(to, from, n);
        to[n] = 0;
}

/* Where a comment begins that stands behind something: a ';' after a blank. */
static size_t without_comment(const char *text, size_t n)
{
        for (size_t i = 1; i < n; i++)
                if (text[i] == ';' && isspace((unsigned char)text[i - 1]))
                        return i;
        return n;
}

static bool take_section(struct reader *reader, const char *line, size_t n)
{
        const char *end = memchr(line, ']', n);

        /* A comment ends a line wherever it stands, before a bracket too. */
        if (!end || (size_t)(end - line) > without_comment(line, n))
                return false;
        if (end - line - 1 > 49)
                return false;
        /* Behind the bracket there is nothing but a remark. */
        for (const char *rest = end + 1; rest < line + n && *rest != ';' && *rest != '#'; rest++)
                if (!isspace((unsigned char)*rest))
                        return false;
        memcpy(reader->section, line + 1, (size_t)(end - line - 1));
        reader->section[end - line - 1] = 0;
        return true;
}

static bool take_setting(struct reader *reader, const char *line, size_t n)
{
        char key[256], value[256], text[512] = "";
        size_t to = without_comment(line, n), at = 0;

        while (at < to && line[at] != '=' && line[at] != ':')
                at++;
        if (at == to)
                return false;
        trimmed(key, sizeof(key), line, at);
        n = n - at - 1;
        line += at + 1;
        trimmed(value, sizeof(value), line, without_comment(line, n));
        if (config_set(&reader->config, reader->section, key, value, text, sizeof(text)))
                return true;
        FUZZ_CHECK(text[0]);
        return false;
}

static bool take_line(struct reader *reader, const char *line, size_t n)
{
        char text[256];

        if (n > 189)
                return false;
        for (size_t i = 0; i < n; i++)
                if (((unsigned char)line[i] < ' ' && line[i] != '\t' && line[i] != '\r') ||
                    line[i] == 0x7f)
                        return false;
        while (reader->line == 1 && n > 0) {
                if (n >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
                        line += 3; /* a byte order mark */
                        n -= 3;
                } else if (isspace((unsigned char)line[0])) {
                        line++;
                        n--;
                } else {
                        break;
                }
        }
        trimmed(text, sizeof(text), line, n);
        if (!text[0] || text[0] == ';' || text[0] == '#')
                return true;
        return text[0] == '[' ? take_section(reader, text, strlen(text))
                              : take_setting(reader, text, strlen(text));
}

/* 0: all taken; else the number of the first line that is not. */
static unsigned read_text(struct reader *reader, const char *text, size_t len)
{
        while (len > 0) {
                const char *end = memchr(text, '\n', len);
                size_t n = end ? (size_t)(end - text) : len;

                reader->line++;
                if (!take_line(reader, text, n))
                        return reader->line;
                text += n + (end ? 1 : 0);
                len -= n + (end ? 1 : 0);
        }
        return 0;
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
        static struct reader reader;
        char path[64], text[2048] = "";
        unsigned refused;
        bool ok;
        int fd;

        if (len > TEXT_MAX)
                return 0;
        config_init(&config);
        memset(&reader, 0, sizeof(reader));
        config_init(&reader.config);
        fd = file_of((const char *)data, len, path, sizeof(path));

        ok = config_read(&config, path, false, text, sizeof(text));
        refused = read_text(&reader, (const char *)data, len);
        FUZZ_CHECK(ok == (refused == 0));
        FUZZ_CHECK(ok ? !text[0] : line_of(text) == refused);
        check_settings(&config);
        if (ok) /* what a refused text leaves behind is of no use to anybody */
                check_same(&config, &reader.config);
        FUZZ_CHECK(!ok || !config_needs_restart(&config, &reader.config, text, sizeof(text)));

        (void)close(fd);
        config_deinit(&config);
        config_deinit(&reader.config);
        return 0;
}
