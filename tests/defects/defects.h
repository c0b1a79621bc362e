/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What the tests of upstream's defects share.  A test is named after its defect, dNN_…, and asserts
 * the behaviour in which upstream fails; where the defect cannot exist here, it asserts the
 * property that stands in its place. tests/mutants brings some of the defects back in a copy of the
 * engine, and runs the test by its name.
 *
 * A test that fails ends the program: an EMT may be held in a callee.
 */

#include <errno.h>
#include <time.h>

#include "lib/engine.h"

/* Under a sanitizer a request takes ten times as long and several times the memory. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DEFECTS_SLOW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define DEFECTS_SLOW 1
#endif
#endif
#ifndef DEFECTS_SLOW
#define DEFECTS_SLOW 0
#endif

/* After how many seconds a program has hung; the mutants' runner is less patient. */
static inline unsigned defects_alarm_s(void)
{
        const char *text = getenv("VMREQ_ALARM_S");
        unsigned long s = text ? strtoul(text, NULL, 10) : 0;

        return s > 0 && s <= ENGINE_ALARM_S ? (unsigned)s : ENGINE_ALARM_S;
}

/* For waits that are over at once unless something hangs; below the alarm, so that a failure says
 * where. */
static inline uint64_t defects_soon_ns(void)
{
        return defects_alarm_s() * CLOCK_NS_PER_S / 2;
}

/* Runs the tests, or those that match the pattern in argv[1]. */
static inline int defects_run(int argc, char **argv, const struct CMUnitTest *tests, size_t n)
{
        engine_fail_fast();
        (void)alarm(defects_alarm_s());
        if (argc > 1)
                cmocka_set_test_filter(argv[1]);
        return _cmocka_run_group_tests("defects", tests, n, NULL, NULL);
}

/* False: nobody posted it. */
static inline bool sem_soon(sem_t *sem)
{
        struct timespec until;
        int r;

        CHECK(clock_gettime(CLOCK_REALTIME, &until) == 0);
        until.tv_sec += (time_t)(defects_soon_ns() / CLOCK_NS_PER_S);
        do {
                r = sem_timedwait(sem, &until);
        } while (r && errno == EINTR);
        return r == 0;
}

/* ---- on an EMT ---- */

struct errand {
        int32_t (*fn)(void *ctx);
        void *ctx;
};

static inline int32_t errand_callee(void *ctx, const uint64_t *args, uint32_t argc,
                                    struct vmreq_reply *reply)
{
        struct errand *errand = ctx;

        (void)args;
        (void)argc;
        (void)reply;
        return errand->fn(errand->ctx);
}

/* Runs fn on an EMT; returns what it returned. */
static inline int32_t on_emt(vmreq_vm vm, uint32_t cpu, int32_t (*fn)(void *ctx), void *ctx)
{
        struct errand errand = {fn, ctx};
        struct vmreq_spec spec = engine_spec(cpu, 0, errand_callee, &errand);
        vmreq_handle handle = engine_submit(vm, &spec);
        struct vmreq_row row;

        assert_int_equal(vmreq_wait(handle, defects_soon_ns()), 0);
        row = engine_finish(handle);
        assert_int_equal(row.fate, VMREQ_FATE_DONE);
        return row.status;
}

/* Complete soon and DONE; gives it back, returns its row. */
static inline struct vmreq_row assert_done(vmreq_handle handle)
{
        struct vmreq_row row;

        assert_int_equal(vmreq_wait(handle, defects_soon_ns()), 0);
        row = engine_finish(handle);
        assert_int_equal(row.fate, VMREQ_FATE_DONE);
        return row;
}

/* ---- packets ---- */

/* Every packet of the slab is at home, and each can be had exactly once. */
static inline void assert_whole_slab(vmreq_vm vm)
{
        struct vmreq_spec spec = engine_spec(VMREQ_CPU_ANY, 0, log_callee, NULL);
        uint32_t slab = engine_stats(vm).slab;
        vmreq_handle *handles = calloc(slab, sizeof(*handles)), extra;
        bool *seen = calloc(slab, sizeof(*seen));

        assert_non_null(handles);
        assert_non_null(seen);
        engine_until_home(vm);
        for (uint32_t i = 0; i < slab; i++) {
                assert_int_equal(vmreq_alloc(vm, &spec, &handles[i]), 0);
                assert_true(handles[i].index < slab);
                assert_false(seen[handles[i].index]);
                seen[handles[i].index] = true;
        }
        assert_int_equal(vmreq_alloc(vm, &spec, &extra), VMREQ_E_BUSY);
        for (uint32_t i = 0; i < slab; i++)
                assert_int_equal(vmreq_free(handles[i]), 0);
        assert_int_equal(engine_stats(vm).in_use, 0);
        free(seen);
        free(handles);
}

/* ---- processor time ---- */

static inline uint64_t defects_clock_ns(clockid_t id)
{
        struct timespec ts;

        CHECK(clock_gettime(id, &ts) == 0);
        return (uint64_t)ts.tv_sec * CLOCK_NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* What a thread has used. */
static inline uint64_t thread_used_ns(pthread_t thread)
{
        clockid_t id;

        CHECK(pthread_getcpuclockid(thread, &id) == 0);
        return defects_clock_ns(id);
}

/* Uses this much of the processor: as long as whoever spins beside it uses some as well. */
static inline void burn(uint64_t ns)
{
        uint64_t end = defects_clock_ns(CLOCK_THREAD_CPUTIME_ID) + ns;

        while (defects_clock_ns(CLOCK_THREAD_CPUTIME_ID) < end)
                ;
}
