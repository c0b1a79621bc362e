/* SPDX-License-Identifier: MIT */
#pragma once
/* What the plugins that the tests load are made of. */

#include <stddef.h>

#include "symbols/vmreq-module.h"

static inline int32_t nothing(void *ctx, const struct vmreq_value *args, uint32_t argc,
                              struct vmreq_writer *reply)
{
        (void)ctx;
        (void)args;
        (void)argc;
        (void)reply;
        return 0;
}

#define SYMBOL(symbol)                                                                             \
        {                                                                                          \
                .size = sizeof(struct vmreq_symbol), .name = (symbol), .doc = "A test's.",         \
                .result = VMREQ_T_NIL, .dest = VMREQ_DEST_ANY, .function = nothing,                \
        }

/* An init that registers `symbols`, ends with `result` and says so; a fini that says so and ends
 * with `end`. */
#define INIT(result)                                                                               \
        static int init(const struct vmreq_host *host, uint32_t abi,                               \
                        const struct vmreq_setting *settings, size_t n_settings)                   \
        {                                                                                          \
                (void)abi;                                                                         \
                (void)settings;                                                                    \
                for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++)                  \
                        (void)host->add_symbol(host, &symbols[i]);                                 \
                host->log(host, VMREQ_LOG_INFO, "init with %zu settings", n_settings);             \
                return (result);                                                                   \
        }
#define FINI(end)                                                                                  \
        static int fini(const struct vmreq_host *host)                                             \
        {                                                                                          \
                host->log(host, VMREQ_LOG_INFO, "fini");                                           \
                return (end);                                                                      \
        }
#define MODULE(...)                                                                                \
        VMREQ_MODULE_EXPORT = {.size = sizeof(struct vmreq_module),                                \
                               .abi = VMREQ_MODULE_ABI,                                            \
                               .version = "1",                                                     \
                               .doc = "A test's.",                                                 \
                               .init = init,                                                       \
                               .fini = fini,                                                       \
                               __VA_ARGS__}
