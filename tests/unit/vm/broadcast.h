/* SPDX-License-Identifier: MIT */
#pragma once
/* A VM of four EMTs, broadcasts with counting hooks, and what is expected of their rows. */

#include "lib/engine.h"

#define CPUS 4u

static vmreq_vm id;
static struct log ran;
static struct hooked hooked;

static inline int setup(void **state)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        (void)state;
        config.cpus = CPUS;
        config.service_wake = engine_no_service;
        id = engine_new_with(&config);
        memset(&ran, 0, sizeof(ran));
        return 0;
}

static inline int teardown(void **state)
{
        (void)state;
        engine_end(id);
        return 0;
}

/* A broadcast's spec, with counting hooks. */
static inline struct vmreq_spec all(uint32_t cpu, uint32_t flags, vmreq_callback callback,
                                    void *ctx)
{
        struct vmreq_spec spec = engine_spec(cpu, flags, callback, ctx);

        hooked_on(&hooked, &spec);
        return spec;
}

#define D VMREQ_FATE_DONE
#define C VMREQ_FATE_CANCELLED
#define E VMREQ_FATE_EXPIRED
#define K VMREQ_FATE_KILLED
#define R VMREQ_FATE_RUNNING
#define S VMREQ_FATE_SKIPPED

typedef enum vmreq_fate fates[CPUS];

static inline void assert_fates(const struct vmreq_row *rows, const fates expected)
{
        for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
                assert_int_equal(rows[cpu].cpu, cpu);
                assert_int_equal(rows[cpu].fate, expected[cpu]);
        }
}

/* Complete, with these rows, each told once; released too unless something still runs. */
static inline void assert_complete(vmreq_handle handle, bool released, const fates expected)
{
        struct vmreq_row rows[CPUS];
        uint32_t n;

        sem_down(&hooked.completed);
        assert_int_equal(hooked.result.n_rows, CPUS);
        assert_int_equal(hooked.rows, CPUS);
        assert_fates(hooked.row, expected);
        if (released) {
                sem_down(&hooked.released);
                assert_int_equal(hooked.releases, 1);
        } else {
                assert_int_equal(hooked.releases, 0);
        }
        assert_int_equal(hooked.completes, 1);
        assert_int_equal(hooked.order_broken, 0);
        if (!handle.generation)
                return;
        assert_int_equal(vmreq_wait(handle, VMREQ_FOREVER), 0);
        assert_int_equal(engine_state(handle), VMREQ_REQ_COMPLETED);
        assert_int_equal(vmreq_rows(handle, rows, CPUS, &n), 0);
        assert_int_equal(n, CPUS);
        assert_fates(rows, expected);
}
