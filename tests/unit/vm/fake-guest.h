/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A backend whose guest does as the test says.  A vCPU that is entered stays in the guest until it
 * is kicked (a kick that finds nobody is kept for the next run), or until the test says with which
 * exit it shall leave.  A deaf one does not hear kicks until it is told to.
 */

#include "lib/engine.h"
#include "vm/futex.h"

enum {
        FAKE_KICK = 1u,
        FAKE_TOLD = 2u,
        FAKE_DEAF = 4u,
};

struct fake_cpu {
        _Atomic uint32_t word; /* futex: FAKE_* */
        _Atomic int told;      /* the exit that goes with FAKE_TOLD */
        _Atomic int on_kick;   /* the exit that a kick makes; 0 is VMREQ_EXIT_AGAIN */
        const char *reason;
        _Atomic uint32_t inside, inits, finis, resets, runs, kicks;
        _Atomic int init_result;
        pthread_t thread; /* of vcpu_init */
};

struct fake {
        struct fake_cpu cpus[VMREQ_CPUS_MAX];
};

static inline int fake_init(void *ctx, uint32_t cpu)
{
        struct fake_cpu *fake = &((struct fake *)ctx)->cpus[cpu];

        fake->thread = pthread_self();
        atomic_fetch_add(&fake->inits, 1);
        return atomic_load(&fake->init_result);
}

static inline void fake_fini(void *ctx, uint32_t cpu)
{
        struct fake_cpu *fake = &((struct fake *)ctx)->cpus[cpu];

        CHECK(pthread_equal(fake->thread, pthread_self()));
        CHECK(!atomic_load(&fake->inside));
        atomic_fetch_add(&fake->finis, 1);
}

static inline void fake_reset(void *ctx, uint32_t cpu)
{
        struct fake_cpu *fake = &((struct fake *)ctx)->cpus[cpu];

        CHECK(pthread_equal(fake->thread, pthread_self()));
        CHECK(!atomic_load(&fake->inside));
        atomic_fetch_add(&fake->resets, 1);
}

/* What a word makes the guest do now; -1: stay. */
static inline int fake_exit(struct fake_cpu *fake, uint32_t word)
{
        if (word & FAKE_DEAF)
                return -1;
        if (word & FAKE_KICK) {
                atomic_fetch_and(&fake->word, ~FAKE_KICK);
                return atomic_load(&fake->on_kick);
        }
        if (word & FAKE_TOLD) {
                atomic_fetch_and(&fake->word, ~FAKE_TOLD);
                return atomic_load(&fake->told);
        }
        return -1;
}

static inline int fake_run(void *ctx, uint32_t cpu, const char **ret_reason)
{
        struct fake_cpu *fake = &((struct fake *)ctx)->cpus[cpu];
        int r;

        CHECK(pthread_equal(fake->thread, pthread_self()));
        CHECK(emt_self && emt_self->cpu == cpu);
        CHECK(atomic_exchange(&fake->inside, 1) == 0);
        atomic_fetch_add(&fake->runs, 1);
        for (;;) {
                uint32_t word = atomic_load(&fake->word);

                r = fake_exit(fake, word);
                if (r != -1)
                        break;
                (void)futex_wait(&fake->word, word, UINT64_MAX);
        }
        *ret_reason = fake->reason;
        atomic_store(&fake->inside, 0);
        return r;
}

static inline void fake_kick(void *ctx, uint32_t cpu)
{
        struct fake_cpu *fake = &((struct fake *)ctx)->cpus[cpu];

        atomic_fetch_add(&fake->kicks, 1);
        atomic_fetch_or(&fake->word, FAKE_KICK);
        futex_wake(&fake->word, 1);
}

/* The guest leaves by itself, with that exit (not -1). */
static inline void fake_tell(struct fake *fake, uint32_t cpu, int exit)
{
        atomic_store(&fake->cpus[cpu].told, exit);
        atomic_fetch_or(&fake->cpus[cpu].word, FAKE_TOLD);
        futex_wake(&fake->cpus[cpu].word, 1);
}

static inline void fake_deafen(struct fake *fake, uint32_t cpu)
{
        atomic_fetch_or(&fake->cpus[cpu].word, FAKE_DEAF);
}

static inline void fake_undeafen(struct fake *fake, uint32_t cpu)
{
        atomic_fetch_and(&fake->cpus[cpu].word, ~FAKE_DEAF);
        futex_wake(&fake->cpus[cpu].word, 1);
}

static inline struct vmreq_backend fake_backend(struct fake *fake)
{
        struct vmreq_backend backend = VMREQ_BACKEND_INIT;

        backend.ctx = fake;
        backend.vcpu_init = fake_init;
        backend.vcpu_fini = fake_fini;
        backend.vcpu_reset = fake_reset;
        backend.run = fake_run;
        backend.kick = fake_kick;
        return backend;
}

/* It is in the guest, and whoever wants it must kick it. */
static inline void fake_until_inside(vmreq_vm vm, struct fake *fake, uint32_t cpu)
{
        UNTIL(atomic_load(&fake->cpus[cpu].inside) &&
              event_in_guest(&engine_inside(vm)->emts[cpu].event) &&
              !(atomic_load(&fake->cpus[cpu].word) & (FAKE_KICK | FAKE_TOLD)));
}
