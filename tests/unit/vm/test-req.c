/* SPDX-License-Identifier: MIT */
/* The packet's word by itself: life, references, generations, flags, rows. */
#include "lib/engine.h"

static vmreq_vm id;
static struct vm *vm;

static int setup(void **state)
{
        (void)state;
        id = engine_new(2);
        vm = engine_inside(id);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        engine_end(id);
        return 0;
}

static void test_new_is_clean(void **state)
{
        struct req *req = req_new(vm, REQ_F_OWNED), *again;
        struct req_more *more = req_more(vm, req);
        uint64_t word = req_load(req);
        vmreq_handle handle = req_handle(vm, req, word);

        (void)state;
        assert_int_equal(REQ_STATE(word), VMREQ_REQ_ALLOCATED);
        assert_int_equal(REQ_REFS(word), 1);
        assert_true(word & REQ_F_OWNED);
        assert_int_not_equal(handle.generation, 0);
        /* What one life leaves behind must not be the next one's. */
        req->start_ns = req->end_ns = 7;
        req->ran_on = 1;
        req->place = 12345;
        more->uses = 3;
        more->first_child = more->next_sibling = more->parent = 4;
        req_unref(vm, req);
        assert_int_equal(REQ_STATE(req_load(req)), VMREQ_REQ_FREE);
        again = req_new(vm, REQ_F_CHILD);
        assert_ptr_equal(again, req);
        assert_int_equal(REQ_GENERATION(req_load(again)), REQ_GENERATION(word) + 1);
        assert_false(req_load(again) & REQ_F_OWNED);
        assert_int_equal(req->start_ns | req->end_ns | req->place, 0);
        assert_int_equal(more->uses | more->first_child | more->next_sibling | more->parent, 0);
        assert_int_equal(req->ran_on, VMREQ_CPU_NONE);
        req_unref(vm, again);
}

static void test_find(void **state)
{
        struct req *req = req_new(vm, 0);
        uint64_t word = req_load(req), got;
        vmreq_handle good = req_handle(vm, req, word), bad;

        (void)state;
        assert_ptr_equal(req_find(vm, good, &got), req);
        assert_int_equal(got, word);
        bad = good;
        bad.vm++;
        assert_null(req_find(vm, bad, &got));
        bad = good;
        bad.generation++;
        assert_null(req_find(vm, bad, &got));
        bad.generation = 0;
        assert_null(req_find(vm, bad, &got));
        bad = good;
        bad.index = pool_high_water(&vm->pool);
        assert_null(req_find(vm, bad, &got));
        bad.index = UINT32_MAX;
        assert_null(req_find(vm, bad, &got));
        req_unref(vm, req);
        assert_null(req_find(vm, good, &got));
        /* The generation that will be next is not yet anybody's. */
        bad = good;
        bad.generation++;
        assert_null(req_find(vm, bad, &got));
}

static void test_references(void **state)
{
        struct req *req = req_new(vm, 0);
        uint64_t generation = REQ_GENERATION(req_load(req));
        uint32_t n = 1;

        (void)state;
        assert_false(req_ref(req, generation + 1));
        while (req_ref(req, generation))
                n++;
        /* Bounded below what the field holds: the engine's own references still fit. */
        assert_int_equal(n, REQ_REFS_MAX);
        assert_true(REQ_REFS_MAX + VMREQ_CPUS_MAX / 8 < 0x1000);
        assert_int_equal(REQ_REFS(req_load(req)), REQ_REFS_MAX);
        while (--n)
                req_unref(vm, req);
        assert_int_equal(REQ_STATE(req_load(req)), VMREQ_REQ_ALLOCATED);
        req_unref(vm, req);
        assert_int_equal(REQ_STATE(req_load(req)), VMREQ_REQ_FREE);
        assert_false(req_ref(req, generation));
        assert_false(req_ref(req, generation + 1));
}

static void set_state(struct req *req, uint32_t state)
{
        uint64_t word = req_load(req);

        assert_true(req_swap(req, &word, req_with_state(word, state)));
}

static void test_recycled_when_life_is_over(void **state)
{
        struct req *req = req_new(vm, 0);
        uint64_t generation = REQ_GENERATION(req_load(req)), word;

        (void)state;
        req->deadline_ns = 0;
        req->has = 0;
        set_state(req, VMREQ_REQ_QUEUED);
        req_unref(vm, req);
        /* In flight without a reference: stays. */
        word = req_load(req);
        assert_int_equal(REQ_STATE(word), VMREQ_REQ_QUEUED);
        assert_int_equal(REQ_REFS(word), 0);
        assert_true(req_end_queued(vm, req, word, VMREQ_REQ_CANCELLED));
        word = req_load(req);
        assert_int_equal(REQ_STATE(word), VMREQ_REQ_FREE);
        assert_int_equal(REQ_GENERATION(word), generation + 1);
        /* Lost: another generation, or not queued. */
        assert_false(req_end_queued(vm, req, word, VMREQ_REQ_EXPIRED));
        req = req_new(vm, 0);
        set_state(req, VMREQ_REQ_QUEUED);
        word = req_load(req) - (1ull << REQ_GENERATION_SHIFT);
        assert_false(req_end_queued(vm, req, word, VMREQ_REQ_EXPIRED));
        set_state(req, VMREQ_REQ_ALLOCATED);
        req_unref(vm, req);
}

static void test_flag_running(void **state)
{
        struct req *req = req_new(vm, 0);
        uint64_t word = req_load(req), stale;

        (void)state;
        assert_false(req_flag_running(req, &word, REQ_F_CANCEL, 0));
        set_state(req, VMREQ_REQ_RUNNING);
        stale = word = req_load(req);
        assert_true(req_flag_running(req, &word, REQ_F_CANCEL, 1));
        assert_int_equal(word, req_load(req));
        assert_true(word & REQ_F_CANCEL);
        assert_int_equal(REQ_REFS(word), 2);
        /* Set once: the second does not count another reference. */
        word = stale;
        assert_false(req_flag_running(req, &word, REQ_F_CANCEL, 1));
        assert_int_equal(word, req_load(req));
        word = req_load(req) + (1ull << REQ_GENERATION_SHIFT);
        stale = word;
        assert_false(req_flag_running(req, &stale, REQ_F_LATE, 1));
        assert_false(req_load(req) & REQ_F_LATE);
        set_state(req, VMREQ_REQ_COMPLETED);
        req_unref(vm, req);
        req_unref(vm, req);
}

/* The place of the take with that number. */
static uint64_t lane_place(uint64_t take_seq)
{
        return take_seq - lane_take_seq(&vm->any[LANE_NORMAL], 0);
}

static void test_rows(void **state)
{
        static const struct {
                uint32_t state;
                uint64_t flags;
                enum vmreq_fate fate;
        } rows[] = {
                {VMREQ_REQ_ALLOCATED, 0, VMREQ_FATE_NONE},
                {VMREQ_REQ_QUEUED, 0, VMREQ_FATE_NONE},
                {VMREQ_REQ_RUNNING, 0, VMREQ_FATE_NONE},
                {VMREQ_REQ_RUNNING, REQ_F_LATE, VMREQ_FATE_NONE},
                {VMREQ_REQ_RUNNING, REQ_F_LATE | REQ_F_CHILD, VMREQ_FATE_RUNNING},
                {VMREQ_REQ_COMPLETED, 0, VMREQ_FATE_DONE},
                {VMREQ_REQ_COMPLETED, REQ_F_LATE, VMREQ_FATE_DONE},
                {VMREQ_REQ_COMPLETED, REQ_F_LATE | REQ_F_CHILD, VMREQ_FATE_RUNNING},
                {VMREQ_REQ_CANCELLED, 0, VMREQ_FATE_CANCELLED},
                {VMREQ_REQ_EXPIRED, 0, VMREQ_FATE_EXPIRED},
                {VMREQ_REQ_KILLED, 0, VMREQ_FATE_KILLED},
                {REQ_SKIPPED, REQ_F_CHILD, VMREQ_FATE_SKIPPED},
        };
        struct req *req = req_new(vm, 0);
        struct vmreq_row row;

        (void)state;
        req->cpu = 1;
        req->queued_ns = 100;
        req->start_ns = 130;
        req->end_ns = 137;
        req->place = lane_place(9);
        req->status = -3;
        req->value = 4;
        req->ran_on = 0;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                bool done = rows[i].fate == VMREQ_FATE_DONE;

                req_row(vm, req, rows[i].state | rows[i].flags, &row);
                assert_int_equal(row.fate, rows[i].fate);
                assert_int_equal(row.cpu, 0);
                assert_int_equal(row.status, done ? -3 : 0);
                assert_int_equal(row.value, done ? 4 : 0);
                assert_int_equal(row.take_seq, rows[i].state == VMREQ_REQ_RUNNING ||
                                                               rows[i].state == VMREQ_REQ_COMPLETED
                                                       ? 9
                                                       : 0);
                if (rows[i].state != VMREQ_REQ_ALLOCATED && rows[i].state != REQ_SKIPPED) {
                        assert_int_equal(row.queued_ns, 30);
                        assert_int_equal(row.run_ns, 7);
                }
        }
        /* Never started: the whole time is queueing. */
        req->start_ns = 0;
        req_row(vm, req, VMREQ_REQ_EXPIRED, &row);
        assert_int_equal(row.queued_ns, 37);
        assert_int_equal(row.run_ns, 0);
        req_unref(vm, req);
}

/* Never ran, but the header promises where it would have. */
static void test_row_names_the_destination(void **state)
{
        struct req *req = req_new(vm, 0);
        struct vmreq_row row;

        (void)state;
        req->cpu = 1;
        req_row(vm, req, VMREQ_REQ_CANCELLED, &row);
        assert_int_equal(row.cpu, 1);
        req->cpu = VMREQ_CPU_ANY;
        req_row(vm, req, VMREQ_REQ_CANCELLED, &row);
        assert_int_equal(row.cpu, VMREQ_CPU_NONE);
        req_unref(vm, req);
}

/*
 * A dead slot names a packet that lives again.  Its new submitter has made it QUEUED and was
 * preempted before the push: the EMT that skips the dead slot must not take it for the new request,
 * least of all on another lane.
 */
static void test_dead_slot_and_next_life(void **state)
{
        struct log ran = {0};
        struct vmreq_spec spec = engine_spec(0, 0, log_callee, &ran);
        struct gate gate;
        vmreq_handle dead, next;
        struct req *req;

        (void)state;
        engine_hold(id, 0, &gate);
        dead = engine_submit(id, &spec);
        assert_int_equal(vmreq_cancel(dead), VMREQ_VERDICT_REMOVED);
        assert_int_equal(vmreq_free(dead), 0);

        spec.cpu = 1;
        assert_int_equal(vmreq_alloc(id, &spec, &next), 0);
        assert_int_equal(next.index, dead.index);
        req = req_at(vm, next.index);
        set_state(req, VMREQ_REQ_QUEUED);
        gate_open(&gate);
        UNTIL(engine_emt(id, 0).skipped + engine_emt(id, 0).done == 2);
        assert_int_equal(engine_emt(id, 0).skipped, 1);
        assert_int_equal(engine_state(next), VMREQ_REQ_QUEUED);
        assert_int_equal(atomic_load(&ran.n), 0);
        set_state(req, VMREQ_REQ_ALLOCATED);
        assert_int_equal(vmreq_free(next), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_new_is_clean, setup, teardown),
                cmocka_unit_test_setup_teardown(test_find, setup, teardown),
                cmocka_unit_test_setup_teardown(test_references, setup, teardown),
                cmocka_unit_test_setup_teardown(test_recycled_when_life_is_over, setup, teardown),
                cmocka_unit_test_setup_teardown(test_flag_running, setup, teardown),
                cmocka_unit_test_setup_teardown(test_rows, setup, teardown),
                cmocka_unit_test_setup_teardown(test_row_names_the_destination, setup, teardown),
                cmocka_unit_test_setup_teardown(test_dead_slot_and_next_life, setup, teardown),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
