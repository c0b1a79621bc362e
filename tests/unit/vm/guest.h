/* SPDX-License-Identifier: MIT */
#pragma once
/* A VM of three vCPUs whose guest is a fake; the changes of its state are logged, its kicks
 * counted. */

#include "unit/vm/fake-guest.h"

#define CPUS 3u

static vmreq_vm id;
static struct fake fake;
static struct log ran, told;

/* What the hook of the state was told last. */
static const char *told_reason;

static inline void state_changed(void *ctx, enum vmreq_vm_state from, enum vmreq_vm_state to,
                                 const char *reason)
{
        CHECK(ctx == &told);
        told_reason = reason;
        log_add(&told, from * 100u + to);
}

static inline int create(uint32_t cpus, uint32_t lazy_poke_ms)
{
        struct vmreq_backend backend = fake_backend(&fake);
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        memset(&ran, 0, sizeof(ran));
        memset(&told, 0, sizeof(told));
        config.cpus = cpus;
        config.lazy_poke_ms = lazy_poke_ms;
        config.backend = &backend;
        config.state_changed = state_changed;
        config.ctx = &told;
        return vmreq_vm_create(&config, &id);
}

/* Requests without POKE leave the guest alone for ever. */
static inline int setup(void **state)
{
        (void)state;
        memset(&fake, 0, sizeof(fake));
        return create(CPUS, 0);
}

static inline int setup_lazy(void **state)
{
        (void)state;
        memset(&fake, 0, sizeof(fake));
        return create(CPUS, 5);
}

static inline int teardown(void **state)
{
        (void)state;
        engine_end(id);
        for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
                assert_int_equal(atomic_load(&fake.cpus[cpu].inits),
                                 atomic_load(&fake.cpus[cpu].finis));
                assert_int_equal(atomic_load(&fake.cpus[cpu].inside), 0);
        }
        return 0;
}

static inline void change(enum vmreq_vm_event event)
{
        assert_int_equal(vmreq_vm_change(id, event, 0, NULL, NULL), 0);
}

static inline void until_all_inside(void)
{
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                fake_until_inside(id, &fake, cpu);
}

/* Kicks are counted from here: the change itself may make some. */
static inline void count_kicks(void)
{
        until_all_inside();
        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                atomic_store(&fake.cpus[cpu].kicks, 0);
}

static inline void power_on(void)
{
        change(VMREQ_EVENT_POWER_ON);
        count_kicks();
}

static inline uint32_t all_kicks(void)
{
        uint32_t n = 0;

        for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                n += atomic_load(&fake.cpus[cpu].kicks);
        return n;
}

static inline vmreq_handle submit(uint32_t cpu, uint32_t flags)
{
        struct vmreq_spec spec = engine_spec(cpu, flags, log_callee, &ran);

        return engine_submit(id, &spec);
}

static inline void halt(uint32_t cpu)
{
        fake_until_inside(id, &fake, cpu);
        fake_tell(&fake, cpu, VMREQ_EXIT_HALT);
        engine_until_asleep(id, cpu);
}
