/* SPDX-License-Identifier: MIT */
/*
 * Between the built-in modules and the machine.
 *
 * main says once which machine there is, before it loads the modules, and that it is gone after
 * they have ended; in between it is only read.  A VM without a guest has the same symbols: a caller
 * is told that this VM has no guest, not that there is no such name.
 */
#include "modules/guest.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Fixed while modules are loaded; EMTs only read it. */
static struct machine *the_machine;

void modules_set_machine(struct machine *machine)
{
        the_machine = machine;
}

int32_t guest_fail(const struct vmreq_host *host, struct vmreq_writer *reply, int32_t status,
                   const char *name, const char *format, ...)
{
        char text[256];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        host->put_failure(reply, name, text);
        return status;
}

struct machine *guest_machine(const struct vmreq_host *host, struct vmreq_writer *reply,
                              int32_t *ret_status)
{
        if (the_machine && machine_has_guest(the_machine))
                return the_machine;
        *ret_status = guest_fail(host, reply, VMREQ_FAIL_UNSUPPORTED, NULL,
                                 "it needs a guest, and this VM has none ([vm] backend=none)");
        return NULL;
}

static void name_states(char *text, size_t size, unsigned states)
{
        text[0] = '\0';
        for (unsigned i = 0; i < _VMREQ_VM_N; i++) {
                size_t len = strlen(text);

                if (states & 1u << i)
                        (void)snprintf(text + len, size - len, "%s%s", len ? ", " : "",
                                       vmreq_vm_state_name((enum vmreq_vm_state)i));
        }
}

int32_t guest_need_state(const struct vmreq_host *host, struct vmreq_writer *reply, unsigned states)
{
        enum vmreq_vm_state now = vmreq_vm_state(sym_host_vm(host));
        char legal[128];

        if (states & 1u << now)
                return 0;
        name_states(legal, sizeof(legal), states);
        return guest_fail(host, reply, VMREQ_FAIL_STATE, NULL, "not legal in state %s; legal in %s",
                          vmreq_vm_state_name(now), legal);
}

int32_t guest_outcome(const struct vmreq_host *host, struct vmreq_writer *reply, int outcome)
{
        switch (outcome) {
        case _MACHINE_E_SUCCESS:
                return 0;
        case MACHINE_E_UNSUPPORTED:
                return guest_fail(host, reply, VMREQ_FAIL_UNSUPPORTED, NULL, "this backend cannot");
        case MACHINE_E_RANGE:
                return guest_fail(host, reply, VMREQ_FAIL_INVALID, NULL, "out of range");
        case MACHINE_E_TIMEOUT:
                return guest_fail(host, reply, VMREQ_FAIL_TIMEOUT, NULL,
                                  "it did not end in time; the guest is where it got to");
        case MACHINE_E_ENDED:
                return guest_fail(host, reply, VMREQ_FAIL_STATE, NULL,
                                  "the guest has ended on this vCPU");
        case MACHINE_E_HALTED:
                return guest_fail(host, reply, VMREQ_FAIL_STATE, NULL,
                                  "this vCPU is halted: it waits for an interrupt");
        default:
                return guest_fail(host, reply, outcome < 0 ? outcome : -outcome, "KERNEL", "%s",
                                  strerror(outcome < 0 ? -outcome : outcome));
        }
}

void guest_put_key(const struct vmreq_host *host, struct vmreq_writer *reply, const char *key)
{
        host->put_str(reply, key, strlen(key));
}
