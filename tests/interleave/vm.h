/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A VM for a scene: small, and its EMTs are threads of the scene.  One run has one VM; when it ends
 * every packet must be home.
 */
#include <string.h>

#include "interleave/scenes.h"
#include "vm/vm-internal.h"

struct scene_request {
        vmreq_handle handle;
        uint32_t ran, completed, released;
        uint32_t order; /* among those that ran in this run of the scene, from 1 on */
        enum vmreq_fate fate;
        void (*callee)(void); /* or NULL */
};

extern vmreq_vm scene_vm;
extern struct vm *scene_inside;

/* A VM with that much room; a backend is the scene's. */
void scene_begin(uint32_t cpus, uint32_t lane_capacity, uint32_t slab,
                 const struct vmreq_backend *backend);
/* Stops and frees it.  Nothing may be left. */
void scene_end(void);

/* The spec of a request that counts what happens to it. */
struct vmreq_spec scene_spec(struct scene_request *request, uint32_t cpu, uint32_t flags);
/* Submits it; it must be accepted. */
void scene_submit(struct scene_request *request, uint32_t cpu, uint32_t flags);
/* It was accepted: one completion, one release, and it ran if and only if it is DONE. */
void scene_check(const struct scene_request *request);
/* It was refused: nothing happened to it. */
void scene_check_refused(const struct scene_request *request);

/* The calling thread is that EMT until the VM is stopped: serves, halts, and so on. */
void scene_emt(uint32_t cpu);
/* The same, for `n` turns without halting. */
void scene_emt_turns(uint32_t cpu, uint32_t n);
