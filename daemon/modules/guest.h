/* SPDX-License-Identifier: MIT */
#pragma once
/* What modules that ask the machine share: the machine, and how its answers become failures. */

#include <stdbool.h>

#include "machine/machine.h"
#include "modules/modules.h"
#include "symbols/host.h"

/* Sets of enum vmreq_vm_state. */
#define GUEST_STATE(state) (1u << VMREQ_VM_##state)
/* The guest is there, and not at its beginning or end. */
#define GUEST_LIVES (GUEST_STATE(RUNNING) | GUEST_STATE(SUSPENDED))

/* The machine; NULL if it has no guest, or nobody set one: `reply` then says so, and *ret_status is
 * what to return. */
struct machine *guest_machine(const struct vmreq_host *host, struct vmreq_writer *reply,
                              int32_t *ret_status);
/* Is the VM in one of the states of the set?  Else `reply` says in which it would have to be; 0 or
 * the status to return. */
int32_t guest_need_state(const struct vmreq_host *host, struct vmreq_writer *reply,
                         unsigned states);
/* A failure with a text. */
int32_t guest_fail(const struct vmreq_host *host, struct vmreq_writer *reply, int32_t status,
                   const char *name, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* What a function of machine.h answered; 0 stays 0. */
int32_t guest_outcome(const struct vmreq_host *host, struct vmreq_writer *reply, int outcome);

/* A key of a map. */
void guest_put_key(const struct vmreq_host *host, struct vmreq_writer *reply, const char *key);
