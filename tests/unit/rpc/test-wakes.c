/* SPDX-License-Identifier: MIT */
/* One wake-up for each destination of what the loop submits at once. */
#include "unit/rpc/harness.h"

#include <sched.h>

#include "rpc/wakes.h"
#include "vm/vm-internal.h"

static struct harness h;
static struct client c;

static struct vmreq_emt_info emt(uint32_t cpu)
{
        struct vmreq_emt_info info;

        assert_int_equal(vmreq_emt_info(h.vm, cpu, &info), 0);
        return info;
}

/* Both EMTs sleep, and do so until somebody wakes them.  By the word that a waker changes: what
 * vmreq_emt_info says of one that has just been woken may be from before. */
static void until_asleep(void)
{
        struct vm *vm = vm_pin(h.vm.id);

        assert_non_null(vm);
        for (uint32_t cpu = 0; cpu < 2; cpu++)
                while (atomic_load(&vm->emts[cpu].event.word) == 0)
                        (void)sched_yield();
        vm_unpin(vm);
}

static int start(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        atomic_store(&n_marks, 0);
        harness_start(&h, &options);
        client_connect(&c, &h);
        client_sync(&c);
        until_asleep();
        return 0;
}

static int end(void **state)
{
        (void)state;
        gates_open();
        client_close(&c);
        harness_until_idle(&h, 0);
        harness_end(&h);
        return 0;
}

static void test_flags(void **state)
{
        (void)state;
        assert_int_equal(rpc_wakes_flags(0, 0), VMREQ_MORE);
        assert_int_equal(rpc_wakes_flags(VMREQ_CPUS_MAX - 1, VMREQ_PRIORITY),
                         VMREQ_PRIORITY | VMREQ_MORE);
        assert_int_equal(rpc_wakes_flags(VMREQ_CPU_ANY, 0), VMREQ_MORE);
        assert_int_equal(rpc_wakes_flags(VMREQ_CPU_ANY_QUEUE, 0), VMREQ_MORE);
        /* These wake at once. */
        assert_int_equal(rpc_wakes_flags(0, VMREQ_POKE), VMREQ_POKE);
        assert_int_equal(rpc_wakes_flags(VMREQ_CPU_ALL, 0), 0);
        assert_int_equal(rpc_wakes_flags(VMREQ_CPU_ALL_REVERSE, VMREQ_PARALLEL), VMREQ_PARALLEL);
}

/* What a job on the loop thread owes, and what became of it. */
struct debt {
        uint32_t cpu, n;
        bool pay;
        uint32_t n_left; /* calls that wait for their wake-up */
};

static void debt_job(struct rpc_server *server, void *ctx)
{
        struct debt *debt = ctx;

        for (uint32_t i = 0; i < debt->n; i++)
                rpc_wakes_owe(server, debt->cpu);
        debt->n_left = server->wakes.n_calls;
        if (debt->pay)
                rpc_wakes_pay(server);
        if (debt->pay && server->wakes.n_calls)
                debt->n_left = UINT32_MAX;
}

static void test_paid_once(void **state)
{
        static const uint32_t cpus[] = {0, 1, VMREQ_CPU_ANY};

        (void)state;
        for (size_t i = 0; i < sizeof(cpus) / sizeof(cpus[0]); i++) {
                struct debt debt = {.cpu = cpus[i], .n = 3, .pay = true};
                uint64_t before[] = {emt(0).wakes, emt(1).wakes};

                harness_on_loop(&h, debt_job, &debt);
                assert_int_equal(debt.n_left, 3);
                assert_int_equal(emt(0).wakes + emt(1).wakes, before[0] + before[1] + 1);
                if (cpus[i] < 2)
                        assert_int_equal(emt(cpus[i]).wakes, before[cpus[i]] + 1);
                until_asleep();
        }
}

/* With so many nothing is gained by waiting. */
static void test_bounded(void **state)
{
        struct debt debt = {.cpu = 0, .n = RPC_WAKES_CALLS};
        uint64_t before = emt(0).wakes;

        (void)state;
        harness_on_loop(&h, debt_job, &debt);
        assert_int_equal(debt.n_left, 0);
        assert_int_equal(emt(0).wakes, before + 1);
}

/* Real calls that arrive together. */
static void test_calls_of_a_turn(void **state)
{
        uint64_t before[] = {emt(0).wakes, emt(1).wakes};

        (void)state;
        for (int64_t i = 0; i < 3; i++)
                client_put(&c, "[0, %d, 'vmreq.call', ['t.add', [1, %d], {'cpu': 1}]]", i, i);
        client_flush(&c);
        for (int i = 0; i < 3; i++) {
                char shown[32];

                (void)snprintf(shown, sizeof(shown), "[1,%d,nil,%d]", i, 1 + i);
                client_expect(&c, shown);
        }
        assert_int_equal(emt(0).wakes, before[0]);
        assert_int_equal(emt(1).wakes, before[1] + 1);
}

/* More of them than are held back, to all kinds of destinations: each is served. */
static void test_many(void **state)
{
        static const char *const options[] = {"{'cpu': 0}", "{'cpu': 1, 'priority': true}",
                                              "{'cpu': 'any'}", "{'cpu': 'any-queue'}",
                                              "{'cpu': 0, 'poke': true}"};
        const unsigned n = RPC_WAKES_CALLS * 3 + 1;

        (void)state;
        for (unsigned i = 0; i < n; i++) {
                char text[128];

                (void)snprintf(text, sizeof(text), "[0, %u, 'vmreq.call', ['t.add', [1, 1], %s]]",
                               i, options[i % 5]);
                client_put(&c, text);
        }
        client_flush(&c);
        for (unsigned i = 0; i < n; i++)
                assert_int_equal(client_receive(&c)->items[3].u, 2);
}

/* Broadcasts, which wake at once, and what nobody waits for. */
static void test_others(void **state)
{
        (void)state;
        client_send(&c, "[0, 1, 'vmreq.call', ['t.cpu', [], {'cpu': 'all'}]]");
        assert_int_equal(client_receive(&c)->items[3].count, 2);
        client_send(&c, "[0, 2, 'vmreq.call', ['t.cpu', [], {'cpu': 'all', 'parallel': true}]]");
        assert_int_equal(client_receive(&c)->items[3].count, 2);
        client_send(&c, "[2, 't.mark', [7]]");
        while (atomic_load(&n_marks) == 0)
                (void)sched_yield();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_flags),
                cmocka_unit_test_setup_teardown(test_paid_once, start, end),
                cmocka_unit_test_setup_teardown(test_bounded, start, end),
                cmocka_unit_test_setup_teardown(test_calls_of_a_turn, start, end),
                cmocka_unit_test_setup_teardown(test_many, start, end),
                cmocka_unit_test_setup_teardown(test_others, start, end),
        };

        return HARNESS_RUN("wakes", tests);
}
