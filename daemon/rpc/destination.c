/* SPDX-License-Identifier: MIT */
#include "rpc/destination.h"

#include <assert.h>

#include "base/macros.h"
#include "symbols/vmreq-module.h"
#include "vm/vmreq.h"

/* Symbols register these, the engine takes those. */
static_assert(VMREQ_DEST_ANY == VMREQ_CPU_ANY && VMREQ_DEST_ANY_QUEUE == VMREQ_CPU_ANY_QUEUE &&
                      VMREQ_DEST_ALL == VMREQ_CPU_ALL &&
                      VMREQ_DEST_ALL_REVERSE == VMREQ_CPU_ALL_REVERSE,
              "one set of numbers");

static const struct {
        const char *word;
        uint32_t cpu;
} words[] = {
        {"any", VMREQ_CPU_ANY},
        {"any-queue", VMREQ_CPU_ANY_QUEUE},
        {"all", VMREQ_CPU_ALL},
        {"all-reverse", VMREQ_CPU_ALL_REVERSE},
};

bool rpc_destination_read(const struct proto_value *value, uint32_t cpus, uint32_t *ret_cpu)
{
        if (value->type == PROTO_UINT && value->u < cpus) {
                *ret_cpu = (uint32_t)value->u;
                return true;
        }
        for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
                if (proto_value_is_text(value, words[i].word)) {
                        *ret_cpu = words[i].cpu;
                        return true;
                }
        }
        return false;
}

void rpc_destination_put(struct proto_builder *out, uint32_t cpu)
{
        for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
                if (words[i].cpu == cpu) {
                        proto_put_text(out, words[i].word);
                        return;
                }
        }
        proto_put_uint(out, cpu);
}
