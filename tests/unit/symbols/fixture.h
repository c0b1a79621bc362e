/* SPDX-License-Identifier: MIT */
#pragma once
/* What the tests of this room share: a log that remembers, and symbols and modules in few words. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "symbols/registry.h"
#include "symbols/vmreq-module.h"

/* ---- the log --------------------------------------------------------------------------------- */

struct log_record {
        char text[8192];
        size_t used;
        unsigned n_lines;
};

static inline void log_record(void *ctx, int level, const char *module, const char *text)
{
        struct log_record *log = ctx;
        int n;

        n = snprintf(log->text + log->used, sizeof(log->text) - log->used, "%d %s: %s\n", level,
                     module, text);
        assert_true(n > 0 && log->used + (size_t)n < sizeof(log->text));
        log->used += (size_t)n;
        log->n_lines++;
}

static inline void log_clear(struct log_record *log)
{
        memset(log, 0, sizeof(*log));
}

static inline void assert_has(const char *text, const char *part)
{
        if (!strstr(text, part))
                fail_msg("expected \"%s\" in \"%s\"", part, text);
}

static inline void assert_has_not(const char *text, const char *part)
{
        if (strstr(text, part))
                fail_msg("did not expect \"%s\" in \"%s\"", part, text);
}

/* ---- symbols --------------------------------------------------------------------------------- */

static inline int32_t callback_nothing(void *ctx, const struct vmreq_value *args, uint32_t argc,
                                       struct vmreq_writer *reply)
{
        (void)ctx;
        (void)args;
        (void)argc;
        (void)reply;
        return 0;
}

static inline void words_nothing(void)
{
}

#define CALLBACK(symbol)                                                                           \
        {                                                                                          \
                .size = sizeof(struct vmreq_symbol), .name = (symbol), .doc = "A test's.",         \
                .result = VMREQ_T_NIL, .dest = VMREQ_DEST_ANY, .function = callback_nothing,       \
        }

#define WORDS(symbol)                                                                              \
        {                                                                                          \
                .size = sizeof(struct vmreq_symbol), .name = (symbol), .doc = "A test's.",         \
                .result = VMREQ_T_NIL, .dest = VMREQ_DEST_ANY, .words = words_nothing,             \
        }

#define MODULE(module, init_fn, fini_fn)                                                           \
        {                                                                                          \
                .size = sizeof(struct vmreq_module), .abi = VMREQ_MODULE_ABI, .name = (module),    \
                .version = "1", .doc = "A test's.", .init = (init_fn), .fini = (fini_fn),          \
        }

/* ---- plugins --------------------------------------------------------------------------------- */

/* Is a file whose path ends in `end` mapped into this process? */
static inline int is_mapped(const char *end)
{
        FILE *file = fopen("/proc/self/maps", "re");
        char line[8192];
        int found = 0;

        assert_non_null(file);
        while (fgets(line, sizeof(line), file)) {
                line[strcspn(line, "\n")] = '\0';
                if (strlen(line) >= strlen(end) &&
                    strcmp(line + strlen(line) - strlen(end), end) == 0)
                        found = 1;
        }
        fclose(file);
        return found;
}
