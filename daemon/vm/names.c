/* SPDX-License-Identifier: MIT */
/* Enumerators and errors as words. */
#include "vm/vm-internal.h"

#define NAME(table, index)                                                                         \
        ((unsigned)(index) < ARRAY_SIZE(table) && table[index] ? table[index] : "UNKNOWN")

const char *vmreq_error_name(int error)
{
        static const char *const names[] = {
                "INVALID", "HANDLE", "BUSY",     "TIMEOUT", "CANCELLED", "EXPIRED", "KILLED",
                "CLOSED",  "STATE",  "DEADLOCK", "MEMORY",  "SYSTEM",    "SKIPPED", "NOT_EMT",
        };

        static_assert(VMREQ_E_INVALID - VMREQ_E_NOT_EMT + 1 == ARRAY_SIZE(names), "one name each");
        if (error == VMREQ_OK)
                return "OK";
        if (error > VMREQ_E_INVALID || error < VMREQ_E_NOT_EMT)
                return "UNKNOWN";
        return names[VMREQ_E_INVALID - error];
}

const char *vmreq_fate_name(enum vmreq_fate fate)
{
        static const char *const names[_VMREQ_FATE_N] = {
                "NONE", "DONE", "CANCELLED", "EXPIRED", "KILLED", "RUNNING", "SKIPPED",
        };

        return NAME(names, fate);
}

const char *vmreq_req_state_name(enum vmreq_req_state state)
{
        static const char *const names[_VMREQ_REQ_N] = {
                "FREE",      "ALLOCATED", "QUEUED",  "RUNNING",
                "COMPLETED", "CANCELLED", "EXPIRED", "KILLED",
        };

        return NAME(names, state);
}

const char *vmreq_vm_state_name(enum vmreq_vm_state state)
{
        static const char *const names[_VMREQ_VM_N] = {
                "CREATED",   "POWERING_ON",  "RUNNING", "SUSPENDING", "SUSPENDED", "RESUMING",
                "RESETTING", "POWERING_OFF", "OFF",     "FAILED",     "DESTROYED",
        };

        return NAME(names, state);
}

const char *vmreq_vm_event_name(enum vmreq_vm_event event)
{
        static const char *const names[_VMREQ_EVENT_N] = {
                "power_on", "suspend", "resume", "reset", "power_off",
        };

        return NAME(names, event);
}

const char *vmreq_verdict_name(enum vmreq_verdict verdict)
{
        static const char *const names[_VMREQ_VERDICT_N] = {
                "removed",
                "running",
                "finished",
                "unknown",
        };

        return NAME(names, verdict);
}

const char *vmreq_emt_state_name(enum vmreq_emt_state state)
{
        static const char *const names[_VMREQ_EMT_N] = {
                "awake", "asleep", "running", "parked", "guest", "ended",
        };

        return NAME(names, state);
}
