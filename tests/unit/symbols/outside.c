/* SPDX-License-Identifier: MIT */
/* A module as its author has it: somewhere else, beside one header.  test-outside compiles it
 * there. */
#include "vmreq-module.h"

static const struct vmreq_host *host;

static int32_t outside_greet(void *ctx, const struct vmreq_value *args, uint32_t argc,
                             struct vmreq_writer *reply)
{
        (void)ctx;
        (void)argc;
        host->put_map(reply, 1);
        host->put_str(reply, "hello", 5);
        host->put_str(reply, args[0].data, args[0].len);
        return 0;
}

static const struct vmreq_param greet_params[] = {
        {.name = "whom", .type = VMREQ_T_STR, .doc = "Whom to greet."},
};

static const struct vmreq_symbol greet = {
        .size = sizeof(struct vmreq_symbol),
        .name = "outside.greet",
        .doc = "Greets.",
        .params = greet_params,
        .n_params = 1,
        .result = VMREQ_T_MAP,
        .dest = VMREQ_DEST_ANY,
        .function = outside_greet,
};

static int outside_init(const struct vmreq_host *table, uint32_t abi,
                        const struct vmreq_setting *settings, size_t n_settings)
{
        (void)abi;
        (void)settings;
        (void)n_settings;
        host = table;
        return table->add_symbol(table, &greet);
}

VMREQ_MODULE_EXPORT = {
        .size = sizeof(struct vmreq_module),
        .abi = VMREQ_MODULE_ABI,
        .name = "outside",
        .version = "1",
        .doc = "Compiled out of the tree.",
        .flags = VMREQ_MODULE_UNMAPPABLE,
        .init = outside_init,
};
