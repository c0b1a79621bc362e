/* SPDX-License-Identifier: MIT */
/* Its init, and its fini, say that they have begun and wait for a byte, on descriptors that its
 * settings name: said=N, init=N, fini=N. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbols/vmreq-module.h"

#ifndef NAME
#define NAME "slow"
#endif

static int fds[3] = {-1, -1, -1};

static void wait_for(int fd)
{
        char byte = 's';

        if (fd < 0)
                return;
        (void)!write(fds[0], &byte, 1);
        while (read(fd, &byte, 1) < 0)
                ;
}

static int32_t nothing(void *ctx, const struct vmreq_value *args, uint32_t argc,
                       struct vmreq_writer *reply)
{
        (void)ctx, (void)args, (void)argc, (void)reply;
        return 0;
}

static const struct vmreq_symbol symbol = {.size = sizeof(symbol),
                                           .name = NAME ".nothing",
                                           .doc = "Nothing.",
                                           .result = VMREQ_T_NIL,
                                           .dest = VMREQ_DEST_ANY,
                                           .function = nothing};

static int init(const struct vmreq_host *host, uint32_t abi, const struct vmreq_setting *settings,
                size_t n_settings)
{
        static const char *const keys[] = {"said", "init", "fini"};

        (void)abi;
        for (size_t k = 0; k < 3; k++) {
                fds[k] = -1;
                for (size_t i = 0; i < n_settings; i++)
                        if (strcmp(settings[i].key, keys[k]) == 0)
                                fds[k] = atoi(settings[i].value);
        }
        if (host->add_symbol(host, &symbol))
                return -1;
        wait_for(fds[1]);
        return 0;
}

static int fini(const struct vmreq_host *host)
{
        (void)host;
        wait_for(fds[2]);
        return 0;
}

VMREQ_MODULE_EXPORT = {.size = sizeof(struct vmreq_module),
                       .abi = VMREQ_MODULE_ABI,
                       .name = NAME,
                       .version = "0.3",
                       .doc = "Takes its time.",
                       .flags = VMREQ_MODULE_UNMAPPABLE,
                       .init = init,
                       .fini = fini};
