/* SPDX-License-Identifier: MIT */
/* D2, D3: first in, first out with any number of takers, at a cost that does not grow with the
 * backlog. */
#include "defects.h"

/* ---- D2: the ANY queue is not first-in first-out with two takers ---- */

struct step {
        struct log *log;
        sem_t *came;
        struct gate gate;
        uint64_t number;
};

static int32_t step_callee(void *ctx, const uint64_t *args, uint32_t argc,
                           struct vmreq_reply *reply)
{
        struct step *step = ctx;

        (void)args;
        (void)argc;
        (void)reply;
        log_add(step->log, step->number);
        CHECK(sem_post(step->came) == 0);
        gate_pass(&step->gate);
        return 0;
}

static void assert_next(struct log *log, sem_t *came, uint32_t n)
{
        sem_down(came);
        assert_int_equal(atomic_load(&log->n), n);
        for (uint32_t i = 0; i < n; i++)
                assert_int_equal(atomic_load(&log->items[i]), i + 1);
}

/*
 * The example in which upstream runs 5 before 2: three requests wait, one taker starts the first
 * and is kept in it, two more come, another taker starts.  Each callee is held, so the order of
 * starting is the order of takes.
 */
static void d02_two_takers_in_order(void **state)
{
        vmreq_vm id = engine_new(2);
        struct gate held[2];
        struct step steps[5];
        struct log log = {0};
        sem_t came;

        (void)state;
        assert_int_equal(sem_init(&came, 0, 0), 0);
        engine_hold(id, 0, &held[0]);
        engine_hold(id, 1, &held[1]);
        for (uint32_t i = 0; i < 5; i++) {
                struct vmreq_spec spec =
                        engine_spec(VMREQ_CPU_ANY, VMREQ_NO_WAIT, step_callee, &steps[i]);

                steps[i] = (struct step){.log = &log, .came = &came, .number = i + 1};
                gate_init(&steps[i].gate);
                if (i == 3) {
                        gate_open(&held[0]);
                        assert_next(&log, &came, 1);
                }
                assert_int_equal(vmreq_submit(id, &spec, NULL), 0);
        }
        gate_open(&held[1]);
        assert_next(&log, &came, 2);
        for (uint32_t i = 0; i < 3; i++) {
                gate_open(&steps[i].gate);
                assert_next(&log, &came, i + 3);
        }
        gate_open(&steps[3].gate);
        gate_open(&steps[4].gate);
        engine_end(id);
}

#define PRODUCERS   4u
#define EACH        (DEFECTS_SLOW ? 10000u : 50000u)
#define ALL_OF_THEM (PRODUCERS * EACH)

/* Instants of one clock: before the submission began, after it had returned. */
struct ticket {
        uint64_t before, after, take_seq;
};

static struct {
        vmreq_vm id;
        uint32_t flags;
        struct ticket *tickets;
        _Atomic uint64_t clock;
        _Atomic uint32_t done;
        sem_t all_done;
} order;

static void note_take(void *user, const struct vmreq_result *result)
{
        struct ticket *ticket = user;

        ticket->take_seq = result->row.take_seq;
        if (atomic_fetch_add(&order.done, 1) + 1 == ALL_OF_THEM)
                CHECK(sem_post(&order.all_done) == 0);
}

static void nothing(void)
{
}

static void *produce(void *arg)
{
        struct ticket *tickets = arg;
        struct vmreq_spec spec = VMREQ_SPEC_INIT;

        spec.cpu = VMREQ_CPU_ANY;
        spec.flags = order.flags | VMREQ_NO_WAIT;
        spec.kind = VMREQ_FN_VOID;
        spec.fn = nothing;
        spec.complete = note_take;
        for (uint32_t i = 0; i < EACH; i++) {
                spec.user = &tickets[i];
                for (;;) {
                        int r;

                        tickets[i].before = atomic_fetch_add(&order.clock, 1);
                        r = vmreq_submit(order.id, &spec, NULL);
                        if (r == 0)
                                break;
                        CHECK(r == VMREQ_E_BUSY);
                        (void)sched_yield();
                }
                tickets[i].after = atomic_fetch_add(&order.clock, 1);
        }
        return NULL;
}

static int by_take(const void *a, const void *b)
{
        const struct ticket *left = a, *right = b;

        return left->take_seq < right->take_seq ? -1 : left->take_seq > right->take_seq;
}

/* Requests that were taken after another one although their submission was over before the other's
 * began. */
static uint32_t count_overtaken(void)
{
        uint64_t earliest_after = UINT64_MAX;
        uint32_t n = 0;

        qsort(order.tickets, ALL_OF_THEM, sizeof(order.tickets[0]), by_take);
        for (uint32_t i = ALL_OF_THEM; i-- > 0;) {
                const struct ticket *ticket = &order.tickets[i];

                assert_true(ticket->take_seq != 0);
                assert_true(i == 0 || ticket->take_seq != order.tickets[i - 1].take_seq);
                n += earliest_after < ticket->before;
                earliest_after = MIN(earliest_after, ticket->after);
        }
        return n;
}

static void fifo_by_take(uint32_t cpus, uint32_t flags)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;
        pthread_t threads[PRODUCERS];

        config.cpus = cpus;
        order.id = engine_new_with(&config);
        order.flags = flags;
        order.tickets = calloc(ALL_OF_THEM, sizeof(order.tickets[0]));
        assert_non_null(order.tickets);
        atomic_store(&order.done, 0);
        assert_int_equal(sem_init(&order.all_done, 0, 0), 0);
        for (uint32_t i = 0; i < PRODUCERS; i++)
                threads[i] = thread_start(produce, &order.tickets[i * EACH]);
        for (uint32_t i = 0; i < PRODUCERS; i++)
                thread_end(threads[i]);
        sem_down(&order.all_done);
        assert_int_equal(count_overtaken(), 0);
        free(order.tickets);
        engine_end(order.id);
}

static void d02_fifo_by_take_with_two_emts(void **state)
{
        (void)state;
        fifo_by_take(2, 0);
}

static void d02_fifo_by_take_with_four_emts(void **state)
{
        (void)state;
        fifo_by_take(4, VMREQ_PRIORITY);
}

/* ---- D3: each take walks the backlog ---- */

static struct {
        uint64_t first_ns, last_ns;
        uint32_t next, disordered;
} backlog;

static void eat(uint32_t number, uint32_t n)
{
        if (number == 0)
                backlog.first_ns = defects_clock_ns(CLOCK_THREAD_CPUTIME_ID);
        if (number != backlog.next)
                backlog.disordered++;
        backlog.next++;
        if (number == n - 1)
                backlog.last_ns = defects_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/*
 * Queues `n` while the EMT is held; what the EMT's processor then spends on each, in nanoseconds.
 */
static uint64_t cost_of_each(uint32_t n)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;
        struct gate gate;
        vmreq_vm id;

        config.slab = n + 2;
        config.lane_capacity = n + 1;
        id = engine_new_with(&config);
        memset(&backlog, 0, sizeof(backlog));
        engine_hold(id, 0, &gate);
        for (uint32_t i = 0; i < n; i++)
                assert_int_equal(
                        vmreq_call_void_nowait(id, 0, (vmreq_fn)eat, 2, VMREQ_W(i), VMREQ_W(n)), 0);
        assert_int_equal(engine_emt(id, 0).depth[LANE_NORMAL], n);
        gate_open(&gate);
        assert_int_equal(vmreq_call_void_wait(id, 0, nothing, 0), 0);
        assert_int_equal(backlog.next, n);
        assert_int_equal(backlog.disordered, 0);
        engine_end(id);
        return (backlog.last_ns - backlog.first_ns) / n + 1;
}

/*
 * A thousand times the backlog.  A walk would make each request a thousand times as dear; caches
 * and pages make it a few times.
 */
static void d03_cost_does_not_grow_with_the_backlog(void **state)
{
        uint64_t small, large;

        (void)state;
        (void)cost_of_each(1000); /* the first touch of everything */
        small = cost_of_each(1000);
        large = cost_of_each(DEFECTS_SLOW ? 200000 : 1000000);
        print_message("each of 1,000: %llu ns, of the many: %llu ns\n", (unsigned long long)small,
                      (unsigned long long)large);
        assert_true(large < 40 * small);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(d02_two_takers_in_order),
                cmocka_unit_test(d02_fifo_by_take_with_two_emts),
                cmocka_unit_test(d02_fifo_by_take_with_four_emts),
                cmocka_unit_test(d03_cost_does_not_grow_with_the_backlog),
        };

        return defects_run(argc, argv, tests, ARRAY_SIZE(tests));
}
