/* SPDX-License-Identifier: MIT */
/* D4, D6, D16, D26, D28: what a call answers, and that submission, fate and result stay three
 * things. */
#include "defects.h"

static vmreq_vm id;
static _Atomic uint32_t ran;

static void count_void(void)
{
        atomic_fetch_add(&ran, 1);
}

static int32_t count_fail(void)
{
        atomic_fetch_add(&ran, 1);
        return -5;
}

static int setup(void **state)
{
        (void)state;
        id = engine_new(2);
        atomic_store(&ran, 0);
        return 0;
}

/* Everything that one of the forms refuses must look the same in all of them. */
#define ALL_FORMS(X)                                                                               \
        X(vmreq_call_wait)                                                                         \
        X(vmreq_call_void_wait)                                                                    \
        X(vmreq_call_nowait)                                                                       \
        X(vmreq_call_void_nowait)                                                                  \
        X(vmreq_priority_call_wait)                                                                \
        X(vmreq_priority_call_void_wait)                                                           \
        X(vmreq_priority_call_nowait)                                                              \
        X(vmreq_priority_call_void_nowait)

typedef int (*form)(vmreq_vm vm, uint32_t cpu, vmreq_fn fn, uint32_t argc, ...);

#define FORM(name) name,
static const form forms[] = {ALL_FORMS(FORM)};

/* ---- D4: a refused call frees a packet it never had ---- */

static void d04_refused_forms_free_nothing(void **state)
{
        static const uint32_t bad_cpus[] = {2, 255, 1u << 31, VMREQ_CPU_NONE};
        vmreq_vm nowhere = {id.id + 1}, none = {0};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
                assert_int_equal(forms[i](id, 0, NULL, 0), VMREQ_E_INVALID);
                assert_int_equal(forms[i](none, 0, count_void, 0), VMREQ_E_HANDLE);
                assert_int_equal(forms[i](nowhere, 0, count_void, 0), VMREQ_E_HANDLE);
                for (size_t c = 0; c < ARRAY_SIZE(bad_cpus); c++)
                        assert_int_equal(forms[i](id, bad_cpus[c], count_void, 0), VMREQ_E_INVALID);
        }
        assert_int_equal(atomic_load(&ran), 0);
        assert_whole_slab(id);
        engine_end(id);
}

static void d04_refused_call_gives_no_handle(void **state)
{
        vmreq_vm nowhere = {id.id + 1};
        vmreq_handle handle;

        (void)state;
#define REFUSED(error, ...)                                                                        \
        do {                                                                                       \
                handle = (vmreq_handle){~0u, ~0u, ~0ull};                                          \
                assert_int_equal(vmreq_call(__VA_ARGS__), error);                                  \
                assert_int_equal(handle.generation, 0);                                            \
                assert_int_equal(vmreq_free(handle), VMREQ_E_HANDLE);                              \
        } while (0)
        REFUSED(VMREQ_E_INVALID, id, 0, &handle, VMREQ_FOREVER, 0, NULL, 0);
        REFUSED(VMREQ_E_INVALID, id, 0, &handle, VMREQ_FOREVER, 1u << 30, count_void, 0);
        REFUSED(VMREQ_E_INVALID, id, 0, &handle, VMREQ_FOREVER, VMREQ_PARALLEL, count_void, 0);
        REFUSED(VMREQ_E_INVALID, id, 99, &handle, VMREQ_FOREVER, 0, count_void, 0);
        REFUSED(VMREQ_E_HANDLE, nowhere, 0, &handle, VMREQ_FOREVER, 0, count_void, 0);
#undef REFUSED
        assert_int_equal(vmreq_call(id, 0, NULL, VMREQ_FOREVER, 0, count_void, 0), VMREQ_E_INVALID);
        assert_int_equal(vmreq_submit(id, NULL, &handle), VMREQ_E_INVALID);
        assert_int_equal(vmreq_alloc(id, NULL, &handle), VMREQ_E_INVALID);
        assert_int_equal(atomic_load(&ran), 0);
        assert_whole_slab(id);
        engine_end(id);
}

/* ---- D6: a failure that may mean "never submitted" or "ran and failed" ---- */

/* A payload that has one owner: the caller until the request is accepted, the release hook
 * afterwards. */
struct payload {
        _Atomic uint32_t freed;
        sem_t gone;
};

static void payload_release(void *user)
{
        struct payload *payload = user;

        atomic_fetch_add(&payload->freed, 1);
        CHECK(sem_post(&payload->gone) == 0);
}

/* As a caller does that frees its payload when the call fails. */
static int send_payload(uint32_t cpu, struct payload *payload)
{
        struct vmreq_spec spec = VMREQ_SPEC_INIT;
        int r;

        spec.cpu = cpu;
        spec.flags = VMREQ_NO_WAIT;
        spec.kind = VMREQ_FN_STATUS;
        spec.fn = (vmreq_fn)count_fail;
        spec.user = payload;
        spec.release = payload_release;
        r = vmreq_submit(id, &spec, NULL);
        if (r)
                payload_release(payload);
        return r;
}

static int32_t send_from_emt(void *ctx)
{
        struct payload *payloads = ctx;

        /* Inline, inline, queued: the callee fails, the submission does not. */
        CHECK(send_payload(0, &payloads[0]) == 0);
        CHECK(send_payload(VMREQ_CPU_ANY, &payloads[1]) == 0);
        CHECK(send_payload(VMREQ_CPU_ANY_QUEUE, &payloads[2]) == 0);
        CHECK(send_payload(7, &payloads[3]) == VMREQ_E_INVALID);
        CHECK(vmreq_call_nowait(id, 0, (vmreq_fn)count_fail, 0) == 0);
        CHECK(vmreq_call_nowait(id, VMREQ_CPU_ANY, (vmreq_fn)count_fail, 0) == 0);
        return 0;
}

static void d06_failing_callee_is_no_refusal(void **state)
{
        struct payload payloads[6] = {0};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(payloads); i++)
                assert_int_equal(sem_init(&payloads[i].gone, 0, 0), 0);
        assert_int_equal(on_emt(id, 0, send_from_emt, payloads), 0);
        assert_int_equal(send_payload(0, &payloads[4]), 0);
        for (size_t i = 0; i < 5; i++)
                sem_down(&payloads[i].gone);
        assert_int_equal(atomic_load(&ran), 4 + 2);
        engine_until_home(id);
        assert_int_equal(vmreq_vm_stop(id, VMREQ_FOREVER, NULL, 0), 0);
        assert_int_equal(send_payload(0, &payloads[5]), VMREQ_E_CLOSED);
        for (size_t i = 0; i < ARRAY_SIZE(payloads); i++)
                assert_int_equal(atomic_load(&payloads[i].freed), 1);
        engine_end(id);
}

/* ---- D16: more words than a callee can take are found out on the EMT ---- */

static void d16_too_many_words_are_refused_at_submission(void **state)
{
        static const uint32_t too_many[] = {16, 17, 63, 64, 65, 256, UINT32_MAX};
        uint64_t words[64] = {0};
        struct vmreq_spec spec = VMREQ_SPEC_INIT;
        uint64_t done = engine_emt(id, 0).done;
        vmreq_handle handle;

        (void)state;
        spec.cpu = 0;
        spec.fn = count_void;
        spec.args = words;
        for (size_t i = 0; i < ARRAY_SIZE(too_many); i++) {
                for (size_t f = 0; f < ARRAY_SIZE(forms); f++)
                        assert_int_equal(forms[f](id, 0, count_void, too_many[i]), VMREQ_E_INVALID);
                assert_int_equal(vmreq_call(id, 0, &handle, 0, 0, count_void, too_many[i]),
                                 VMREQ_E_INVALID);
                spec.argc = too_many[i];
                for (int kind = VMREQ_FN_VOID; kind <= VMREQ_FN_CALLBACK; kind++) {
                        spec.kind = (enum vmreq_kind)kind;
                        spec.callback = errand_callee;
                        assert_int_equal(vmreq_submit(id, &spec, &handle), VMREQ_E_INVALID);
                        assert_int_equal(vmreq_alloc(id, &spec, &handle), VMREQ_E_INVALID);
                }
        }
        assert_int_equal(engine_emt(id, 0).done, done);
        assert_whole_slab(id);
        engine_end(id);
}

static uint64_t sum15(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f,
                      uint64_t g, uint64_t h, uint64_t i, uint64_t j, uint64_t k, uint64_t l,
                      uint64_t m, uint64_t n, uint64_t o)
{
        return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i + 10 * j + 11 * k +
               12 * l + 13 * m + 14 * n + 15 * o;
}

static void d16_fifteen_words_arrive(void **state)
{
        uint64_t words[VMREQ_ARGS_MAX], expected = 0;
        struct vmreq_spec spec = VMREQ_SPEC_INIT;

        (void)state;
        for (uint32_t i = 0; i < VMREQ_ARGS_MAX; i++) {
                words[i] = 0x0123456789abcdefull * (i + 1);
                expected += (i + 1) * words[i];
        }
        spec.cpu = 1;
        spec.kind = VMREQ_FN_U64;
        spec.fn = (vmreq_fn)sum15;
        spec.args = words;
        spec.argc = VMREQ_ARGS_MAX;
        assert_int_equal(assert_done(engine_submit(id, &spec)).value, expected);
        engine_end(id);
}

/* ---- D26: a callee without a status is taken for one with ---- */

/* What a void callee leaves in the register is nobody's status, and no command for the EMT. */
static void d26_void_callee_has_no_status(void **state)
{
        struct vmreq_spec spec = VMREQ_SPEC_INIT;
        struct vmreq_row row;

        (void)state;
        assert_int_equal(vmreq_call_void_wait(id, 0, (vmreq_fn)count_fail, 0), 0);
        assert_int_equal(vmreq_priority_call_void_wait(id, VMREQ_CPU_ANY, (vmreq_fn)count_fail, 0),
                         0);
        /* And it stops no broadcast. */
        assert_int_equal(vmreq_call_void_wait(id, VMREQ_CPU_ALL, (vmreq_fn)count_fail, 0), 0);
        assert_int_equal(atomic_load(&ran), 4);
        spec.cpu = 0;
        spec.kind = VMREQ_FN_VOID;
        spec.fn = (vmreq_fn)count_fail;
        row = assert_done(engine_submit(id, &spec));
        assert_int_equal(row.status, 0);
        assert_int_equal(row.value, 0);
        engine_end(id);
}

static int64_t minus_48(void)
{
        return -48;
}

static void d26_only_a_status_can_fail(void **state)
{
        static const struct {
                enum vmreq_kind kind;
                int32_t status;
                uint64_t value;
        } expected[] = {
                {VMREQ_FN_VOID, 0, 0},
                {VMREQ_FN_STATUS, -48, 0},
                {VMREQ_FN_BOOL, 0, 1},
                {VMREQ_FN_I32, 0, (uint64_t)-48},
                {VMREQ_FN_U32, 0, (uint32_t)-48},
                {VMREQ_FN_I64, 0, (uint64_t)-48},
                {VMREQ_FN_U64, 0, (uint64_t)-48},
        };
        struct vmreq_spec spec = VMREQ_SPEC_INIT;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
                struct vmreq_row row;

                spec.kind = expected[i].kind;
                spec.fn = (vmreq_fn)minus_48;
                row = assert_done(engine_submit(id, &spec));
                assert_int_equal(row.status, expected[i].status);
                assert_int_equal(row.value, expected[i].value);
        }
        engine_end(id);
}

/* Upstream's range of commands to an EMT is a range of statuses like any other. */
static int32_t return_it(int32_t status)
{
        return status;
}

static void d26_no_status_commands_the_emt(void **state)
{
        (void)state;
        for (int32_t status = 1095; status <= 1125; status++) {
                assert_int_equal(vmreq_call_wait(id, 0, (vmreq_fn)return_it, 1, VMREQ_W(status)),
                                 status);
                assert_int_equal(
                        vmreq_call_wait(id, VMREQ_CPU_ANY, (vmreq_fn)return_it, 1, VMREQ_W(status)),
                        status);
        }
        assert_int_equal(vmreq_vm_state(id), VMREQ_VM_CREATED);
        for (uint32_t cpu = 0; cpu < 2; cpu++) {
                assert_int_equal(vmreq_call_void_wait(id, cpu, count_void, 0), 0);
                assert_int_not_equal(engine_emt(id, cpu).state, VMREQ_EMT_ENDED);
        }
        engine_end(id);
}

/* ---- D28: what came of an inline run reaches only the caller, who may drop it ---- */

static const int32_t statuses[] = {0, 1, 1100, 1110, 1120, INT32_MAX, -1, -5, -1919, INT32_MIN};

/* The answers of one call: of vmreq_call, of its row, and of the folding form. */
struct answers {
        int submission[ARRAY_SIZE(statuses)], folded[ARRAY_SIZE(statuses)];
        struct vmreq_row row[ARRAY_SIZE(statuses)];
};

static int32_t ask(void *ctx)
{
        struct answers *answers = ctx;

        for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
                vmreq_handle handle;

                answers->submission[i] = vmreq_call(id, 0, &handle, VMREQ_FOREVER, 0,
                                                    (vmreq_fn)return_it, 1, VMREQ_W(statuses[i]));
                CHECK(vmreq_status(handle, NULL, &answers->row[i]) == 0);
                CHECK(vmreq_free(handle) == 0);
                answers->folded[i] =
                        vmreq_call_wait(id, 0, (vmreq_fn)return_it, 1, VMREQ_W(statuses[i]));
        }
        return 0;
}

static void d28_inline_and_queued_answer_alike(void **state)
{
        struct answers from[3];

        (void)state;
        (void)ask(&from[0]);
        assert_int_equal(on_emt(id, 0, ask, &from[1]), 0); /* inline */
        assert_int_equal(on_emt(id, 1, ask, &from[2]), 0); /* queued, from another EMT */
        for (size_t f = 0; f < ARRAY_SIZE(from); f++)
                for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
                        assert_int_equal(from[f].submission[i], 0);
                        assert_int_equal(from[f].row[i].fate, VMREQ_FATE_DONE);
                        assert_int_equal(from[f].row[i].status, statuses[i]);
                        assert_int_equal(from[f].row[i].cpu, 0);
                        assert_int_equal(from[f].folded[i], statuses[i]);
                }
        engine_end(id);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(d04_refused_forms_free_nothing, setup),
                cmocka_unit_test_setup(d04_refused_call_gives_no_handle, setup),
                cmocka_unit_test_setup(d06_failing_callee_is_no_refusal, setup),
                cmocka_unit_test_setup(d16_too_many_words_are_refused_at_submission, setup),
                cmocka_unit_test_setup(d16_fifteen_words_arrive, setup),
                cmocka_unit_test_setup(d26_void_callee_has_no_status, setup),
                cmocka_unit_test_setup(d26_only_a_status_can_fail, setup),
                cmocka_unit_test_setup(d26_no_status_commands_the_emt, setup),
                cmocka_unit_test_setup(d28_inline_and_queued_answer_alike, setup),
        };

        return defects_run(argc, argv, tests, ARRAY_SIZE(tests));
}
