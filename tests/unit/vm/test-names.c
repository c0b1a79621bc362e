/* SPDX-License-Identifier: MIT */
/* Every enumerator has its word, and numbers outside have one too. */
#include "lib/engine.h"

#define ASSERT_NAMES(fn, type, names)                                                              \
        do {                                                                                       \
                for (size_t i_ = 0; i_ < ARRAY_SIZE(names); i_++)                                  \
                        assert_string_equal(fn((type)i_), names[i_]);                              \
                assert_string_equal(fn((type)ARRAY_SIZE(names)), "UNKNOWN");                       \
                assert_string_equal(fn((type)-1), "UNKNOWN");                                      \
        } while (0)

static void test_errors(void **state)
{
        static const struct {
                int error;
                const char *name;
        } rows[] = {
                {0, "OK"},
                {VMREQ_E_INVALID, "INVALID"},
                {VMREQ_E_HANDLE, "HANDLE"},
                {VMREQ_E_BUSY, "BUSY"},
                {VMREQ_E_TIMEOUT, "TIMEOUT"},
                {VMREQ_E_CANCELLED, "CANCELLED"},
                {VMREQ_E_EXPIRED, "EXPIRED"},
                {VMREQ_E_KILLED, "KILLED"},
                {VMREQ_E_CLOSED, "CLOSED"},
                {VMREQ_E_STATE, "STATE"},
                {VMREQ_E_DEADLOCK, "DEADLOCK"},
                {VMREQ_E_MEMORY, "MEMORY"},
                {VMREQ_E_SYSTEM, "SYSTEM"},
                {VMREQ_E_SKIPPED, "SKIPPED"},
                {VMREQ_E_NOT_EMT, "NOT_EMT"},
                {1, "UNKNOWN"},
                {-1, "UNKNOWN"},
                {VMREQ_E_INVALID + 1, "UNKNOWN"},
                {VMREQ_E_NOT_EMT - 1, "UNKNOWN"},
                {INT32_MIN, "UNKNOWN"},
                {INT32_MAX, "UNKNOWN"},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                assert_string_equal(vmreq_error_name(rows[i].error), rows[i].name);
}

static void test_enumerators(void **state)
{
        static const char *const fates[] = {"NONE",   "DONE",    "CANCELLED", "EXPIRED",
                                            "KILLED", "RUNNING", "SKIPPED"};
        static const char *const requests[] = {"FREE",      "ALLOCATED", "QUEUED",  "RUNNING",
                                               "COMPLETED", "CANCELLED", "EXPIRED", "KILLED"};
        static const char *const vms[] = {"CREATED",   "POWERING_ON", "RUNNING",   "SUSPENDING",
                                          "SUSPENDED", "RESUMING",    "RESETTING", "POWERING_OFF",
                                          "OFF",       "FAILED",      "DESTROYED"};
        static const char *const events[] = {"power_on", "suspend", "resume", "reset", "power_off"};
        static const char *const verdicts[] = {"removed", "running", "finished", "unknown"};
        static const char *const emts[] = {"awake",  "asleep", "running",
                                           "parked", "guest",  "ended"};

        (void)state;
        ASSERT_NAMES(vmreq_fate_name, enum vmreq_fate, fates);
        ASSERT_NAMES(vmreq_req_state_name, enum vmreq_req_state, requests);
        ASSERT_NAMES(vmreq_vm_state_name, enum vmreq_vm_state, vms);
        ASSERT_NAMES(vmreq_vm_event_name, enum vmreq_vm_event, events);
        ASSERT_NAMES(vmreq_verdict_name, enum vmreq_verdict, verdicts);
        ASSERT_NAMES(vmreq_emt_state_name, enum vmreq_emt_state, emts);
        assert_int_equal(ARRAY_SIZE(fates), _VMREQ_FATE_N);
        assert_int_equal(ARRAY_SIZE(requests), _VMREQ_REQ_N);
        assert_int_equal(ARRAY_SIZE(vms), _VMREQ_VM_N);
        assert_int_equal(ARRAY_SIZE(events), _VMREQ_EVENT_N);
        assert_int_equal(ARRAY_SIZE(verdicts), _VMREQ_VERDICT_N);
        assert_int_equal(ARRAY_SIZE(emts), _VMREQ_EMT_N);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_errors),
                cmocka_unit_test(test_enumerators),
        };

        return engine_run(tests, ARRAY_SIZE(tests));
}
