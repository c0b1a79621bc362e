/* SPDX-License-Identifier: MIT */
/*
 * A module of as many symbols as its setting `count` says, MANY.f0000 and so on, each of which
 * returns 42: what a call costs must not depend on how many others there are.  Built under several
 * names (MANY_NAME), since one module has at most 4,096.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "symbols/vmreq-module.h"

#define MANY_MAX 4096

static struct vmreq_symbol *symbols;
static char (*names)[16];

static uint64_t answer(void)
{
        return 42;
}

static int many_fini(const struct vmreq_host *host)
{
        (void)host;
        free(symbols);
        free(names);
        symbols = NULL;
        names = NULL;
        return 0;
}

static int many_init(const struct vmreq_host *host, uint32_t abi,
                     const struct vmreq_setting *settings, size_t n_settings)
{
        long count = 0;
        int r = 0;

        if (abi != VMREQ_MODULE_ABI)
                return -ENOTSUP;
        if (n_settings == 1 && strcmp(settings[0].key, "count") == 0)
                count = strtol(settings[0].value, NULL, 10);
        if (count < 1 || count > MANY_MAX)
                return -EINVAL;
        symbols = calloc((size_t)count, sizeof(*symbols));
        names = calloc((size_t)count, sizeof(*names));
        if (!symbols || !names)
                r = -ENOMEM;
        for (long i = 0; i < count && r >= 0; i++) {
                (void)snprintf(names[i], sizeof(names[i]), MANY_NAME ".f%04ld", i);
                symbols[i] = (struct vmreq_symbol){.size = sizeof(symbols[i]),
                                                   .name = names[i],
                                                   .doc = "Returns 42.",
                                                   .dest = VMREQ_DEST_ANY_QUEUE,
                                                   .flags = VMREQ_SYM_READ_ONLY,
                                                   .result = VMREQ_T_U64,
                                                   .words = (vmreq_words)answer};
                r = host->add_symbol(host, &symbols[i]);
        }
        if (r < 0)
                (void)many_fini(host); /* which is not called for an init that failed */
        return r < 0 ? r : 0;
}

VMREQ_MODULE_EXPORT = {
        .size = sizeof(struct vmreq_module),
        .abi = VMREQ_MODULE_ABI,
        .name = MANY_NAME,
        .version = "1.0",
        .doc = "Many symbols, for benchmarks.",
        .init = many_init,
        .fini = many_fini,
};
