/* SPDX-License-Identifier: MIT */
/* Changes of the VM's state on their way to the loop: in order, bounded, the newest never lost. */
#include "rpc/states.h"

#include <pthread.h>

#include "rpc/peer.h"
#include "unit/rpc/look.h"
#include "unit/rpc/one.h"

static void subscribe(void)
{
        client_send(&c, "[0, 1, 'vmreq.subscribe', ['vm.state']]");
        assert_non_null(client_receive(&c));
        assert_non_null(client_receive(&c));
        client_expect(&c, "[2,'vmreq.event',['vm.state',{'ready':true}]]");
}

static void test_reason(void **state)
{
        (void)state;
        subscribe();
        rpc_service_state_changed(h.service, VMREQ_VM_RUNNING, VMREQ_VM_FAILED, "triple fault");
        client_expect(
                &c, "[2,'vmreq.event',['vm.state',{'state':'FAILED','previous':'RUNNING','reason':"
                    "'triple fault'}]]");
}

/* While the loop is held, more changes come than are kept. */
static void test_too_many(void **state)
{
        uint64_t seen = 0, lost = 0;
        const struct proto_value *data;

        (void)state;
        subscribe();
        harness_loop_hold(&h);
        for (unsigned i = 0; i < RPC_STATES_MAX + 9; i++)
                rpc_service_state_changed(h.service, VMREQ_VM_RUNNING, VMREQ_VM_SUSPENDING, NULL);
        rpc_service_state_changed(h.service, VMREQ_VM_SUSPENDING, VMREQ_VM_SUSPENDED, NULL);
        harness_loop_go();
        do {
                data = &client_receive(&c)->items[2].items[1];
                if (proto_value_map_get(data, "lost"))
                        lost += look_number(data, "lost");
                else
                        seen++;
        } while (proto_value_map_get(data, "lost") || !look_is(data, "state", "SUSPENDED"));
        assert_int_equal(seen, RPC_STATES_MAX);
        assert_int_equal(seen + lost, RPC_STATES_MAX + 10);
}

static void test_push(void **state)
{
        struct rpc_states states;

        (void)state;
        assert_true(rpc_states_init(&states));
        rpc_states_push(&states, &(struct rpc_state_change){VMREQ_VM_CREATED, VMREQ_VM_OFF, "x"});
        assert_int_equal(states.n, 1);
        assert_int_equal(states.changes[0].to, VMREQ_VM_OFF);
        rpc_states_deinit(&states);
}

#define THREADS 4
#define EACH    200

static void *pusher(void *arg)
{
        (void)arg;
        for (int i = 0; i < EACH; i++)
                rpc_service_state_changed(h.service, VMREQ_VM_RUNNING, VMREQ_VM_RESETTING, NULL);
        return NULL;
}

static void test_many_threads(void **state)
{
        pthread_t threads[THREADS];
        uint64_t n = 0;

        (void)state;
        subscribe();
        for (int i = 0; i < THREADS; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, pusher, NULL), 0);
        while (n < THREADS * EACH) {
                const struct proto_value *data = &client_receive(&c)->items[2].items[1];

                n += proto_value_map_get(data, "lost") ? look_number(data, "lost") : 1;
        }
        assert_int_equal(n, THREADS * EACH);
        for (int i = 0; i < THREADS; i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
        const struct CMUnitTest tests[] = {
                TEST(test_reason),
                TEST(test_too_many),
                cmocka_unit_test(test_push),
                TEST(test_many_threads),
        };

        return HARNESS_RUN("states", tests);
}
