/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Interleavings, one step at a time.  The threads of a scene run the engine's own code, compiled
 * with VMREQ_STEPS, and only one of them runs at any moment: at each named step (VM_STEP) the
 * scheduler decides who takes his next one.  It walks through every schedule with at most a given
 * number of preemptions, one run of the scene for each; a schedule that fails is printed, and
 * repeats exactly.
 *
 * What blocks is the scheduler's too: futex_wait and futex_wake, mutexes and conditions are wrapped
 * by the linker.  Threads that all wait for ever are a failure, and so is a run without an end. The
 * time stands still; when nobody can go on, it jumps to the first limit that somebody waits for.
 */

#include <stdbool.h>
#include <stdint.h>

#define STEP_THREADS_MAX 3u

struct step_scene {
        const char *name;
        uint32_t preemptions; /* the bound */
        bool timeouts;        /* waits with a limit may also end by it while others could go on */
        const char *const *without; /* names that are no steps here, ended by NULL; or NULL */
        void (*setup)(void);
        void (*threads[STEP_THREADS_MAX])(void); /* the unused ones are NULL */
        void (*always)(
                void);       /* before each step, on the thread that is about to take it, or NULL */
        void (*check)(void); /* all threads have ended */
};

/* What a walk came to. */
struct step_walk {
        uint64_t schedules;
        uint32_t longest; /* steps in one of them */
};

/* Walks through a scene.  Does not return if some schedule fails. */
struct step_walk step_explore(const struct step_scene *scene);

/* One run: `schedule` is what a failure printed, "DECISION:THREAD,…".  Prints the steps taken. */
void step_replay(const struct step_scene *scene, const char *schedule);

/* The names of the steps that were taken so far, each once; NULL ends it. */
const char *const *step_names(void);

/* Which thread of the scene this is; UINT32_MAX for setup and check. */
uint32_t step_self(void);

/* A step of the test's own, like VM_STEP. */
void vm_step_hook(const char *name);

/* The time that the engine reads, in ns; it only grows. */
void step_time_set(uint64_t now_ns);

_Noreturn void step_failed(const char *file, int line, const char *what);

/* Anywhere in a scene. */
#define STEP_CHECK(condition) ((condition) ? (void)0 : step_failed(__FILE__, __LINE__, #condition))
