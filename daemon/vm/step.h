/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Named steps: VM_STEP(name) stands before one access to shared memory, at a place where what other
 * threads do in between matters.  The same name labels that step in a model, tests/models/NAME.pml,
 * as s_name; tests/models/labels.py compares the two.  It costs nothing, unless VMREQ_STEPS is
 * defined: then a test supplies vm_step_hook, which is called with the name, on the thread that is
 * about to take the step, and may hold it there.
 */

#ifdef VMREQ_STEPS
void vm_step_hook(const char *name);
#define VM_STEP(name) vm_step_hook(#name)
#else
#define VM_STEP(name) ((void)0)
#endif
