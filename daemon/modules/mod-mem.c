/* SPDX-License-Identifier: MIT */
/*
 * mem.*: the guest's memory, by guest-physical addresses.
 *
 * Memory belongs to no vCPU, so any EMT may answer, while the guest runs too: it then sees the
 * guest at work, and each aligned 8 bytes whole.  What is asked for is checked as a whole before a
 * byte is copied.  mem.translate asks the page tables of the vCPU that it is sent to.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "modules/guest.h"
#include "modules/mem-dump.h"

#define READ_MAX     (4u << 20) /* half a frame */
#define STREAM_CHUNK (128u << 10)

/* Fixed between init and fini; EMTs only read it. */
static const struct vmreq_host *host;

static int32_t no_memory_there(struct vmreq_writer *reply, uint64_t address, uint64_t len)
{
        return guest_fail(host, reply, VMREQ_FAIL_INVALID, NULL,
                          "%" PRIu64 " bytes at 0x%" PRIx64
                          " are not all memory; mem.ranges says where it is",
                          len, address);
}

static int32_t mem_read(void *ctx, const struct vmreq_value *args, uint32_t argc,
                        struct vmreq_writer *reply)
{
        uint64_t address = args[0].u;
        uint32_t len = (uint32_t)args[1].u;
        int32_t status;
        struct machine *machine = guest_machine(host, reply, &status);
        void *copy;

        (void)ctx;
        (void)argc;
        if (!machine)
                return status;
        if (!memory_at(machine_memory(machine), address, len))
                return no_memory_there(reply, address, len);
        copy = malloc(len ? len : 1);
        if (!copy)
                return guest_fail(host, reply, -ENOMEM, "MEMORY", "no memory for the copy");
        (void)memory_read(machine_memory(machine), address, copy, len); /* it is there: see above */
        host->put_bytes(reply, copy, len);
        free(copy);
        return 0;
}

/* A generator: its state is how much it has sent. */
static int32_t mem_stream(void *ctx, const struct vmreq_value *args, uint32_t argc,
                          struct vmreq_writer *reply)
{
        uint64_t address = args[0].u, len = args[1].u, done = (uintptr_t)host->state(reply);
        uint8_t chunk[STREAM_CHUNK];
        size_t n = (size_t)MIN(len - done, (uint64_t)sizeof(chunk));
        int32_t status;
        struct machine *machine = guest_machine(host, reply, &status);

        (void)ctx;
        (void)argc;
        if (!machine)
                return status;
        if (!memory_at(machine_memory(machine), address, len))
                return no_memory_there(reply, address, len);
        if (n == 0)
                return 0;
        (void)memory_read(machine_memory(machine), address + done, chunk, n);
        host->put_bytes(reply, chunk, n);
        host->set_state(reply, (void *)(uintptr_t)(done + n), NULL);
        return done + n < len ? VMREQ_AGAIN : 0;
}

static int32_t mem_write(void *ctx, const struct vmreq_value *args, uint32_t argc,
                         struct vmreq_writer *reply)
{
        int32_t status;
        struct machine *machine = guest_machine(host, reply, &status);

        (void)ctx;
        (void)argc;
        if (!machine)
                return status;
        if (!memory_write(machine_memory(machine), args[0].u, args[1].data, args[1].len))
                return no_memory_there(reply, args[0].u, args[1].len);
        return 0;
}

static int32_t mem_ranges(void *ctx, const struct vmreq_value *args, uint32_t argc,
                          struct vmreq_writer *reply)
{
        const struct memory *memory;
        int32_t status;
        struct machine *machine = guest_machine(host, reply, &status);

        (void)ctx;
        (void)args;
        (void)argc;
        if (!machine)
                return status;
        memory = machine_memory(machine);
        host->put_array(reply, memory->n_ranges);
        for (uint32_t i = 0; i < memory->n_ranges; i++) {
                host->put_map(reply, 2);
                guest_put_key(host, reply, "address");
                host->put_x64(reply, memory->ranges[i].start);
                guest_put_key(host, reply, "length");
                host->put_uint(reply, memory->ranges[i].size);
        }
        return 0;
}

static int32_t mem_translate(void *ctx, const struct vmreq_value *args, uint32_t argc,
                             struct vmreq_writer *reply)
{
        struct machine_translation translation;
        int32_t status;
        struct machine *machine = guest_machine(host, reply, &status);
        int r;

        (void)ctx;
        (void)argc;
        if (!machine)
                return status;
        r = machine_translate(machine, host->cpu(host), args[0].u, &translation);
        if (r)
                return guest_outcome(host, reply, r);
        host->put_map(reply, 2);
        guest_put_key(host, reply, "mapped");
        host->put_bool(reply, translation.valid);
        guest_put_key(host, reply, "address");
        if (translation.valid)
                host->put_x64(reply, translation.physical);
        else
                host->put_nil(reply);
        return 0;
}

static int32_t mem_dump(void *ctx, const struct vmreq_value *args, uint32_t argc,
                        struct vmreq_writer *reply)
{
        int32_t status;
        struct machine *machine = guest_machine(host, reply, &status);

        (void)ctx;
        (void)args;
        (void)argc;
        return machine ? mem_dump_run(host, machine, reply) : status;
}

/* ---- the table ---- */

static const struct vmreq_param read_params[] = {
        {.name = "address", .type = VMREQ_T_X64, .doc = "Guest-physical address."},
        {
                .name = "length",
                .type = VMREQ_T_U32,
                .flags = VMREQ_PARAM_RANGE,
                .doc = "How many bytes.",
                .max = READ_MAX,
        },
};

static const struct vmreq_param stream_params[] = {
        {.name = "address", .type = VMREQ_T_X64, .doc = "Guest-physical address."},
        {.name = "length", .type = VMREQ_T_U64, .doc = "How many bytes."},
};

static const struct vmreq_param write_params[] = {
        {.name = "address", .type = VMREQ_T_X64, .doc = "Guest-physical address."},
        {
                .name = "data",
                .type = VMREQ_T_BYTES,
                .flags = VMREQ_PARAM_SENSITIVE,
                .doc = "What to write there.",
        },
};

static const struct vmreq_param translate_params[] = {
        {.name = "address", .type = VMREQ_T_X64, .doc = "Linear address, as the guest sees it."},
};

#define READS  (VMREQ_SYM_READ_ONLY | VMREQ_SYM_IDEMPOTENT)
#define SECRET VMREQ_SYM_CONFIDENTIAL

#define SYMBOL(symbol, more_flags, result_type, where, fn, text)                                   \
        .size = sizeof(struct vmreq_symbol), .flags = (more_flags), .name = (symbol),              \
        .doc = (text), .result = (result_type), .dest = (where), .function = (fn)
#define PARAMS(list) .params = (list), .n_params = ARRAY_SIZE(list)

static const struct vmreq_symbol symbols[] = {
        {SYMBOL("mem.read", READS | SECRET, VMREQ_T_BYTES, VMREQ_DEST_ANY, mem_read,
                "Reads guest memory."),
         PARAMS(read_params)},
        {SYMBOL("mem.stream", READS | SECRET | VMREQ_SYM_STREAMING, VMREQ_T_BYTES, VMREQ_DEST_ANY,
                mem_stream, "Reads much of guest memory, in chunks; use it with `stream`."),
         PARAMS(stream_params)},
        {SYMBOL("mem.write", SECRET | VMREQ_SYM_CHANGES_STATE | VMREQ_SYM_IDEMPOTENT, VMREQ_T_NIL,
                VMREQ_DEST_ANY, mem_write, "Writes guest memory: all of it, or none."),
         PARAMS(write_params)},
        {SYMBOL("mem.ranges", READS, VMREQ_T_ARRAY, VMREQ_DEST_ANY, mem_ranges,
                "Where memory is: [{address, length}].")},
        {SYMBOL("mem.translate", READS | SECRET, VMREQ_T_MAP, 0, mem_translate,
                "Where a linear address leads, by the page tables of the vCPU that it is sent to.\n"
                "Result: {mapped: bool, address: x64 or nil}."),
         PARAMS(translate_params)},
        {SYMBOL("mem.dump", READS | SECRET | VMREQ_SYM_STREAMING, VMREQ_T_BYTES, VMREQ_DEST_ANY,
                mem_dump,
                "An ELF core of a guest that does not run: its memory by physical address, and one "
                "thread for each vCPU; for gdb, readelf and crash tools.  Use it with `stream`.\n"
                "VM_STATE if the guest runs, or is let run before all of it was sent."),
         .timeout_ms = VMREQ_TIMEOUT_NONE},
};

static int mem_init(const struct vmreq_host *table, uint32_t abi,
                    const struct vmreq_setting *settings, size_t n_settings)
{
        int r;

        (void)abi;
        (void)settings;
        (void)n_settings;
        if (host)
                return -EBUSY;
        r = modules_add_symbols(table, symbols, ARRAY_SIZE(symbols));
        if (r == 0)
                host = table;
        return r;
}

static int mem_fini(const struct vmreq_host *table)
{
        (void)table;
        host = NULL;
        return 0;
}

const struct vmreq_module mod_mem = {
        .size = sizeof(struct vmreq_module),
        .abi = VMREQ_MODULE_ABI,
        .name = "mem",
        .version = "1",
        .doc = "The guest's memory.",
        .init = mem_init,
        .fini = mem_fini,
};
