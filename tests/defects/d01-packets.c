/* SPDX-License-Identifier: MIT */
/* D1, D29, D30, D31: packets are neither lost nor dirty, and threads do not share what they need
 * not. */
#include "defects.h"

/* ---- D1: a free list that loses part of itself when it is split ---- */

#define THREADS 16u
#define BURST   16u
#define SLAB    (THREADS * BURST)

static vmreq_vm id;
static _Atomic uint32_t owners[SLAB]; /* [packet]: who holds it; 0 = nobody */
static _Atomic uint32_t counted;

static void take_one(vmreq_handle *ret_handle, const struct vmreq_spec *spec, uint32_t me)
{
        uint32_t nobody = 0;

        /* Nobody holds more than a burst, so there is always one more. */
        CHECK(vmreq_alloc(id, spec, ret_handle) == 0);
        CHECK(ret_handle->index < SLAB);
        CHECK(atomic_compare_exchange_strong(&owners[ret_handle->index], &nobody, me));
}

static void give_back(vmreq_handle handle, uint32_t me)
{
        CHECK(atomic_exchange(&owners[handle.index], 0) == me);
        CHECK(vmreq_free(handle) == 0);
}

static void *alloc_bursts(void *arg)
{
        uint32_t me = (uint32_t)(uintptr_t)arg, rounds = DEFECTS_SLOW ? 200 : 2000;
        struct vmreq_spec spec = engine_spec(VMREQ_CPU_ANY, 0, log_callee, NULL);
        vmreq_handle handles[BURST];

        for (uint32_t round = 0; round < rounds; round++) {
                uint32_t n = round % 2 ? BURST : round % (BURST + 1);

                for (uint32_t i = 0; i < n; i++)
                        take_one(&handles[i], &spec, me);
                for (uint32_t i = 0; i < n; i++)
                        give_back(handles[i], me);
        }
        return NULL;
}

static void run_threads(void *(*fn)(void *))
{
        pthread_t threads[THREADS];

        for (uintptr_t i = 0; i < THREADS; i++)
                threads[i] = thread_start(fn, (void *)(i + 1));
        for (uint32_t i = 0; i < THREADS; i++)
                thread_end(threads[i]);
}

static vmreq_vm new_vm(uint32_t cpus, uint32_t slab, uint32_t lane_capacity)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        config.cpus = cpus;
        config.slab = slab;
        config.lane_capacity = lane_capacity;
        return engine_new_with(&config);
}

static void d01_free_list_loses_nothing(void **state)
{
        (void)state;
        id = new_vm(1, SLAB, 0);
        run_threads(alloc_bursts);
        assert_whole_slab(id);
        engine_end(id);
}

static int32_t count_callee(void *ctx, const uint64_t *args, uint32_t argc,
                            struct vmreq_reply *reply)
{
        _Atomic uint32_t *n = ctx;

        (void)args;
        (void)argc;
        (void)reply;
        atomic_fetch_add(n, 1);
        return 0;
}

static void *submit_bursts(void *arg)
{
        uint32_t rounds = DEFECTS_SLOW ? 20 : 200;
        struct vmreq_spec spec = engine_spec(VMREQ_CPU_ANY, 0, count_callee, &counted);
        vmreq_handle handles[BURST];

        (void)arg;
        for (uint32_t round = 0; round < rounds; round++) {
                /* An EMT that has just completed a request holds its packet for a moment longer. */
                for (uint32_t i = 0; i < BURST; i++)
                        UNTIL(vmreq_submit(id, &spec, &handles[i]) == 0);
                for (uint32_t i = 0; i < BURST; i++) {
                        CHECK(vmreq_wait(handles[i], VMREQ_FOREVER) == 0);
                        CHECK(vmreq_free(handles[i]) == 0);
                }
        }
        return NULL;
}

static void d01_bursts_of_requests_lose_nothing(void **state)
{
        (void)state;
        id = new_vm(2, SLAB, SLAB);
        atomic_store(&counted, 0);
        run_threads(submit_bursts);
        assert_int_equal(atomic_load(&counted), THREADS * BURST * (DEFECTS_SLOW ? 20 : 200));
        assert_whole_slab(id);
        engine_end(id);
}

/* ---- D29: a packet that is dropped when something else cannot be had ---- */

/* Whatever refuses a request after its packet was taken gives the packet back. */
static void d29_refusals_lose_no_packet(void **state)
{
        struct vmreq_spec spec = engine_spec(0, 0, count_callee, &counted);
        vmreq_handle handle, kept;
        struct gate gate;

        (void)state;
        id = new_vm(3, 64, 8);
        engine_hold(id, 0, &gate);
        for (uint32_t i = 0; i < 8; i++) {
                spec.flags = VMREQ_NO_WAIT;
                assert_int_equal(vmreq_submit(id, &spec, NULL), 0);
        }
        spec.flags = 0;
        assert_int_equal(vmreq_alloc(id, &spec, &kept), 0);
        /* Far more often than there are packets: no room in the lane, none for one child of a
         * broadcast. */
        for (uint32_t i = 0; i < 1000; i++) {
                spec.cpu = 0;
                spec.deadline_ns = i % 2 ? vmreq_now() + ENGINE_FAR_NS : 0;
                assert_int_equal(vmreq_submit(id, &spec, &handle), VMREQ_E_BUSY);
                assert_int_equal(vmreq_queue(kept, 0), VMREQ_E_BUSY);
                spec.cpu = i % 3 ? VMREQ_CPU_ALL : VMREQ_CPU_ALL_REVERSE;
                assert_int_equal(vmreq_submit(id, &spec, &handle), VMREQ_E_BUSY);
        }
        assert_int_equal(vmreq_free(kept), 0);
        /* The one that runs, and those that wait. */
        assert_int_equal(engine_stats(id).in_use, 9);
        gate_open(&gate);
        assert_whole_slab(id);
        engine_end(id);
}

static void d29_too_few_packets_for_a_broadcast(void **state)
{
        struct vmreq_spec spec = engine_spec(VMREQ_CPU_ALL, 0, count_callee, &counted);
        vmreq_handle handle;

        (void)state;
        id = new_vm(4, 4, 0); /* it takes five */
        for (uint32_t i = 0; i < 1000; i++)
                assert_int_equal(vmreq_submit(id, &spec, &handle), VMREQ_E_BUSY);
        assert_whole_slab(id);
        engine_end(id);
}

/* ---- D30: nothing is cleared, nothing is checked ---- */

static void d30_alloc_checks(void **state)
{
        struct vmreq_spec good = engine_spec(0, 0, count_callee, &counted), bad;
        vmreq_handle handle;

        (void)state;
        id = new_vm(1, 8, 0);
#define REFUSED(change)                                                                            \
        do {                                                                                       \
                bad = good;                                                                        \
                change;                                                                            \
                handle = (vmreq_handle){1, 2, 3};                                                  \
                assert_int_equal(vmreq_alloc(id, &bad, &handle), VMREQ_E_INVALID);                 \
                assert_int_equal(handle.generation, 0);                                            \
                assert_int_equal(vmreq_submit(id, &bad, &handle), VMREQ_E_INVALID);                \
        } while (0)
        REFUSED(bad.callback = NULL);
        REFUSED(bad.kind = VMREQ_FN_STATUS); /* and fn is NULL */
        REFUSED(bad.kind = (enum vmreq_kind)99);
        REFUSED(bad.argc = 1); /* and args is NULL */
        REFUSED(bad.argc = VMREQ_ARGS_MAX + 1);
        REFUSED(bad.cpu = 1);
        REFUSED(bad.cpu = VMREQ_CPU_NONE);
        REFUSED(bad.flags = 1u << 31);
        REFUSED(bad.size--);
#undef REFUSED
        assert_whole_slab(id);
        engine_end(id);
}

/* The one packet there is lives twice, and its second life shows nothing of the first. */
static void d30_nothing_left_of_the_last_life(void **state)
{
        uint64_t words[VMREQ_ARGS_MAX];
        struct vmreq_spec spec;
        struct hooked hooked;
        struct log ran = {0};
        struct vmreq_row row;
        vmreq_handle first, second;

        (void)state;
        id = new_vm(1, 1, 0);
        memset(words, 0xa5, sizeof(words));
        spec = engine_spec(0, VMREQ_PRIORITY, log_callee, &ran);
        spec.args = words;
        spec.argc = VMREQ_ARGS_MAX;
        spec.tag = 77;
        spec.deadline_ns = vmreq_now() + ENGINE_FAR_NS;
        hooked_on(&hooked, &spec);
        first = engine_submit(id, &spec);
        assert_int_equal(assert_done(first).value, words[0]);
        sem_down(&hooked.released);
        engine_until_home(id);

        spec = engine_spec(0, 0, log_callee, &ran);
        assert_int_equal(vmreq_alloc(id, &spec, &second), 0);
        assert_int_equal(second.index, first.index);
        assert_int_not_equal(second.generation, first.generation);
        row = engine_row(second);
        assert_int_equal(row.fate, VMREQ_FATE_NONE);
        assert_int_equal(row.status, 0);
        assert_int_equal(row.value, 0);
        assert_int_equal(row.take_seq, 0);
        assert_int_equal(row.queued_ns, 0);
        assert_int_equal(row.run_ns, 0);
        assert_int_equal(vmreq_queue(second, VMREQ_FOREVER), 0);
        /* No word of the first life's, so the callee returned its cpu. */
        assert_int_equal(assert_done(second).value, 0);
        engine_until_home(id);
        assert_hooked(&hooked, VMREQ_FATE_DONE);
        assert_int_equal(vmreq_free(first), VMREQ_E_HANDLE);
        engine_end(id);
}

/* ---- D31: striping that shares its lines, packets that are mostly room for words ---- */

#define APART(type, a, b)                                                                          \
        assert_true((offsetof(type, a) > offsetof(type, b)                                         \
                             ? offsetof(type, a) - offsetof(type, b)                               \
                             : offsetof(type, b) - offsetof(type, a)) >= CACHE_PAIR)

static void *note_stripe(void *arg)
{
        *(uint32_t *)arg = vm_stripe();
        return NULL;
}

static void d31_striping_unshares(void **state)
{
        uint32_t seen = 0;

        (void)state;
        APART(struct lane, tail, head);
        APART(struct lane, entries, tail);
        APART(struct pool, next, top);
        APART(struct pool_ring, tail, head);
        APART(struct pool_ring, head, entries);
        assert_int_equal(sizeof(struct pool_ring) % CACHE_PAIR, 0);
        APART(struct emt, event, state);
        APART(struct vm, asleep, earliest);
        APART(struct vm, pool.top, any[LANE_NORMAL].tail);
        assert_int_equal(sizeof(struct stripe) % CACHE_PAIR, 0);
        assert_true(_Alignof(struct stripe) >= CACHE_PAIR);
        /* As many threads as there are stripes get one each. */
        for (uint32_t i = 0; i < VM_STRIPES; i++) {
                uint32_t stripe = 0;

                thread_end(thread_start(note_stripe, &stripe));
                assert_true(stripe < VM_STRIPES);
                seen |= 1u << stripe;
        }
        assert_int_equal(seen, (1u << VM_STRIPES) - 1);
}

static void d31_words_are_those_that_can_be_used(void **state)
{
        (void)state;
        assert_int_equal(sizeof(((struct req_more *)NULL)->args),
                         VMREQ_ARGS_MAX * sizeof(uint64_t));
        assert_true(sizeof(struct req) + sizeof(struct req_more) < 576);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(d01_free_list_loses_nothing),
                cmocka_unit_test(d01_bursts_of_requests_lose_nothing),
                cmocka_unit_test(d29_refusals_lose_no_packet),
                cmocka_unit_test(d29_too_few_packets_for_a_broadcast),
                cmocka_unit_test(d30_alloc_checks),
                cmocka_unit_test(d30_nothing_left_of_the_last_life),
                cmocka_unit_test(d31_striping_unshares),
                cmocka_unit_test(d31_words_are_those_that_can_be_used),
        };

        return defects_run(argc, argv, tests, ARRAY_SIZE(tests));
}
