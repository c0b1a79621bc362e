/* SPDX-License-Identifier: MIT */
/*
 * The conveniences: variadic words, and the fold of submission, fate and result into one number, as
 * upstream has it. They add nothing to the engine: each is a vmreq_submit, a vmreq_wait and a look
 * at the row, or the same in one (submit_and_wait).
 */
#include "vm/vm-internal.h"

static int read_words(uint64_t *words, uint32_t argc, va_list args)
{
        if (argc > VMREQ_ARGS_MAX)
                return VMREQ_E_INVALID;
        for (uint32_t i = 0; i < argc; i++)
                words[i] = va_arg(args, uint64_t);
        return 0;
}

/* The spec of a call whose words are in `words`. */
static struct vmreq_spec call_spec(uint32_t cpu, uint32_t flags, vmreq_fn fn, uint32_t argc,
                                   const uint64_t *words)
{
        struct vmreq_spec spec = VMREQ_SPEC_INIT;

        spec.cpu = cpu;
        spec.flags = flags;
        spec.kind = flags & VMREQ_VOID ? VMREQ_FN_VOID : VMREQ_FN_STATUS;
        spec.fn = fn;
        spec.args = words;
        spec.argc = argc;
        return spec;
}

int vmreq_callv(vmreq_vm vm, uint32_t cpu, vmreq_handle *ret_handle, uint64_t wait_ns,
                uint32_t flags, vmreq_fn fn, uint32_t argc, va_list args)
{
        uint64_t words[VMREQ_ARGS_MAX];
        struct vmreq_spec spec;
        vmreq_handle handle;
        int r;

        if (ret_handle)
                *ret_handle = VMREQ_HANDLE_NONE;
        if ((!ret_handle || (flags & VMREQ_MORE)) && !(flags & VMREQ_NO_WAIT))
                return VMREQ_E_INVALID;
        r = read_words(words, argc, args);
        if (r)
                return r;
        spec = call_spec(cpu, flags, fn, argc, words);
        r = vmreq_submit(vm, &spec, &handle);
        if (r || (flags & VMREQ_NO_WAIT))
                return r;
        *ret_handle = handle;
        return vmreq_wait(handle, wait_ns);
}

int vmreq_call(vmreq_vm vm, uint32_t cpu, vmreq_handle *ret_handle, uint64_t wait_ns,
               uint32_t flags, vmreq_fn fn, uint32_t argc, ...)
{
        va_list args;
        int r;

        va_start(args, argc);
        r = vmreq_callv(vm, cpu, ret_handle, wait_ns, flags, fn, argc, args);
        va_end(args);
        return r;
}

/* A broadcast's rows, folded: the first failing status in order of cpu, else the first fate that is
 * no success; SKIPPED last, because it is only what came of another row. */
static int fold_rows(vmreq_handle handle)
{
        struct vmreq_row rows[VMREQ_CPUS_MAX];
        uint32_t n;
        int r = vmreq_rows(handle, rows, VMREQ_CPUS_MAX, &n);
        static const int fate_errors[_VMREQ_FATE_N] = {
                [VMREQ_FATE_CANCELLED] = VMREQ_E_CANCELLED, [VMREQ_FATE_EXPIRED] = VMREQ_E_EXPIRED,
                [VMREQ_FATE_KILLED] = VMREQ_E_KILLED,       [VMREQ_FATE_RUNNING] = VMREQ_E_TIMEOUT,
                [VMREQ_FATE_SKIPPED] = VMREQ_E_SKIPPED,
        };

        if (r)
                return r;
        for (uint32_t i = 0; i < n; i++)
                if (rows[i].fate == VMREQ_FATE_DONE && rows[i].status < 0)
                        return rows[i].status;
        for (uint32_t i = 0; i < n; i++) {
                int error = fate_errors[rows[i].fate];

                if (error && (r == 0 || r == VMREQ_E_SKIPPED))
                        r = error;
        }
        return r;
}

static int fold(vmreq_handle handle, bool broadcast)
{
        enum vmreq_req_state state;
        struct vmreq_row row;
        int r = vmreq_status(handle, &state, &row);

        if (r)
                return r;
        switch (state) {
        case VMREQ_REQ_CANCELLED:
                return VMREQ_E_CANCELLED;
        case VMREQ_REQ_EXPIRED:
                return VMREQ_E_EXPIRED;
        case VMREQ_REQ_KILLED:
                return VMREQ_E_KILLED;
        default:
                return broadcast ? fold_rows(handle) : row.status;
        }
}

static int call_single(vmreq_vm vm, uint32_t cpu, uint32_t flags, vmreq_fn fn, uint32_t argc,
                       va_list args)
{
        uint64_t words[VMREQ_ARGS_MAX];
        struct vmreq_spec spec;
        int r = read_words(words, argc, args);

        if (r)
                return r;
        spec = call_spec(cpu, flags, fn, argc, words);
        return submit_and_wait(vm, &spec);
}

static int call_wait(vmreq_vm vm, uint32_t cpu, uint32_t flags, vmreq_fn fn, uint32_t argc,
                     va_list args)
{
        vmreq_handle handle;
        int r;

        /* An EMT, of whatever VM, may have to serve meanwhile. */
        if (!emt_self && !submit_is_broadcast(cpu))
                return call_single(vm, cpu, flags, fn, argc, args);
        r = vmreq_callv(vm, cpu, &handle, VMREQ_FOREVER, flags, fn, argc, args);
        if (r == 0)
                r = fold(handle, submit_is_broadcast(cpu));
        if (handle.generation)
                (void)vmreq_free(handle);
        return r;
}

#define WAIT_FORM(name, flags)                                                                     \
        int name(vmreq_vm vm, uint32_t cpu, vmreq_fn fn, uint32_t argc, ...)                       \
        {                                                                                          \
                va_list args;                                                                      \
                int r;                                                                             \
                                                                                                   \
                va_start(args, argc);                                                              \
                r = call_wait(vm, cpu, flags, fn, argc, args);                                     \
                va_end(args);                                                                      \
                return r;                                                                          \
        }

#define NOWAIT_FORM(name, flags)                                                                   \
        int name(vmreq_vm vm, uint32_t cpu, vmreq_fn fn, uint32_t argc, ...)                       \
        {                                                                                          \
                va_list args;                                                                      \
                int r;                                                                             \
                                                                                                   \
                va_start(args, argc);                                                              \
                r = vmreq_callv(vm, cpu, NULL, 0, (flags) | VMREQ_NO_WAIT, fn, argc, args);        \
                va_end(args);                                                                      \
                return r;                                                                          \
        }

WAIT_FORM(vmreq_call_wait, 0)
WAIT_FORM(vmreq_call_void_wait, VMREQ_VOID)
WAIT_FORM(vmreq_priority_call_wait, VMREQ_PRIORITY)
WAIT_FORM(vmreq_priority_call_void_wait, VMREQ_PRIORITY | VMREQ_VOID)
NOWAIT_FORM(vmreq_call_nowait, 0)
NOWAIT_FORM(vmreq_call_void_nowait, VMREQ_VOID)
NOWAIT_FORM(vmreq_priority_call_nowait, VMREQ_PRIORITY)
NOWAIT_FORM(vmreq_priority_call_void_nowait, VMREQ_PRIORITY | VMREQ_VOID)
