/* SPDX-License-Identifier: MIT */
/*
 * vm.*: the state of the machine as a whole.
 *
 * Each verb is one event of the engine's state machine.  The function runs on an EMT, as a priority
 * request, so that it is also taken while the VM is between two states; there it asks the engine
 * for the change and takes part itself in the two rendezvous that the change consists of.  vm.state
 * only reads.
 *
 * What the engine answers is what the function returns: the front end knows STATE, DEADLOCK and
 * TIMEOUT by their numbers.  The text is made here, because only here is it known which verb was
 * asked for.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "modules/modules.h"
#include "symbols/host.h"

/* Fixed between init and fini; EMTs only read it. */
static const struct vmreq_host *host;

struct verb {
        const char *name; /* of the symbol */
        enum vmreq_vm_event event;
        const char *legal; /* the states it leads out of; being there already is no failure */
};

static const struct verb verbs[] = {
        {"vm.power_on", VMREQ_EVENT_POWER_ON, "CREATED, OFF"},
        {"vm.suspend", VMREQ_EVENT_SUSPEND, "RUNNING"},
        {"vm.resume", VMREQ_EVENT_RESUME, "SUSPENDED"},
        {"vm.reset", VMREQ_EVENT_RESET, "RUNNING, SUSPENDED"},
        {"vm.power_off", VMREQ_EVENT_POWER_OFF, "CREATED, RUNNING, SUSPENDED, FAILED"},
};

static void put_text(struct vmreq_writer *reply, const char *text)
{
        host->put_str(reply, text, strlen(text));
}

static void put_change_failure(struct vmreq_writer *reply, const struct verb *verb, int error,
                               enum vmreq_vm_state state)
{
        char text[160];

        switch (error) {
        case VMREQ_E_STATE:
                (void)snprintf(text, sizeof(text), "%s is not legal in state %s; legal in %s",
                               verb->name, vmreq_vm_state_name(state), verb->legal);
                host->put_failure(reply, "VM_STATE", text);
                break;
        case VMREQ_E_TIMEOUT:
                (void)snprintf(text, sizeof(text),
                               "%s: not all vCPUs arrived in time; the state is %s", verb->name,
                               vmreq_vm_state_name(state));
                host->put_failure(reply, "TIMEOUT", text);
                break;
        default:
                (void)snprintf(text, sizeof(text), "%s failed in state %s", verb->name,
                               vmreq_vm_state_name(state));
                host->put_failure(reply, vmreq_error_name(error), text);
                break;
        }
}

static int32_t vm_change(void *ctx, const struct vmreq_value *args, uint32_t argc,
                         struct vmreq_writer *reply)
{
        const struct verb *verb = ctx;
        vmreq_vm vm = sym_host_vm(host);
        enum vmreq_vm_state state = _VMREQ_VM_N;
        int changed = 0, r;

        (void)args;
        (void)argc;
        r = vmreq_vm_change(vm, verb->event, 0, &changed, &state);
        if (state == _VMREQ_VM_N)
                state = vmreq_vm_state(vm); /* not every answer comes with the state */
        if (r != VMREQ_OK) {
                put_change_failure(reply, verb, r, state);
                return r;
        }
        host->put_map(reply, 2);
        put_text(reply, "changed");
        host->put_bool(reply, changed);
        put_text(reply, "state");
        put_text(reply, vmreq_vm_state_name(state));
        return 0;
}

static int32_t vm_state(void *ctx, const struct vmreq_value *args, uint32_t argc,
                        struct vmreq_writer *reply)
{
        (void)ctx;
        (void)args;
        (void)argc;
        put_text(reply, vmreq_vm_state_name(vmreq_vm_state(sym_host_vm(host))));
        return 0;
}

#define VERB(index, symbol, more_flags, text)                                                      \
        {                                                                                          \
                .size = sizeof(struct vmreq_symbol),                                               \
                .flags = VMREQ_SYM_PRIORITY | VMREQ_SYM_CHANGES_STATE | (more_flags),              \
                .name = (symbol), .doc = (text), .result = VMREQ_T_MAP, .dest = VMREQ_DEST_ANY,    \
                .function = vm_change, .ctx = (void *)(uintptr_t)&verbs[index],                    \
        }

#define RESULT_DOC                                                                                 \
        "\nResult: {changed: bool, state: str}; changed is false if the VM was there already.  "   \
        "VM_STATE if the change is not legal now."

static const struct vmreq_symbol symbols[] = {
        {
                .size = sizeof(struct vmreq_symbol),
                .flags = VMREQ_SYM_READ_ONLY,
                .name = "vm.state",
                .doc = "The state of the VM: CREATED, RUNNING, SUSPENDED, OFF, FAILED or one between.",
                .result = VMREQ_T_STR,
                .dest = VMREQ_DEST_ANY,
                .function = vm_state,
        },
        VERB(0, "vm.power_on", VMREQ_SYM_IDEMPOTENT, "Starts the guest." RESULT_DOC),
        VERB(1, "vm.suspend", VMREQ_SYM_IDEMPOTENT,
             "Stops the guest where it is, so that it can be resumed." RESULT_DOC),
        VERB(2, "vm.resume", VMREQ_SYM_IDEMPOTENT, "Lets a suspended guest go on." RESULT_DOC),
        VERB(3, "vm.reset", 0,
             "Puts the guest back to its beginning; it stays running or suspended." RESULT_DOC),
        VERB(4, "vm.power_off", VMREQ_SYM_IDEMPOTENT,
             "Ends the guest without asking it." RESULT_DOC),
};

static int vm_init(const struct vmreq_host *table, uint32_t abi,
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

static int vm_fini(const struct vmreq_host *table)
{
        (void)table;
        host = NULL;
        return 0;
}

const struct vmreq_module mod_vm = {
        .size = sizeof(struct vmreq_module),
        .abi = VMREQ_MODULE_ABI,
        .name = "vm",
        .version = "1",
        .doc = "The state of the virtual machine.",
        .init = vm_init,
        .fini = vm_fini,
};
