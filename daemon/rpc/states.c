/* SPDX-License-Identifier: MIT */
#include "rpc/states.h"

#include <string.h>

#include "base/check.h"
#include "rpc/events.h"
#include "rpc/peer.h"

bool rpc_states_init(struct rpc_states *states)
{
        states->n = 0;
        states->lost = 0;
        return pthread_mutex_init(&states->lock, NULL) == 0;
}

void rpc_states_deinit(struct rpc_states *states)
{
        (void)pthread_mutex_destroy(&states->lock);
}

void rpc_states_push(struct rpc_states *states, const struct rpc_state_change *change)
{
        CHECK(pthread_mutex_lock(&states->lock) == 0);
        if (states->n == RPC_STATES_MAX) {
                /* The newest says where the VM is. */
                states->n--;
                states->lost++;
        }
        states->changes[states->n++] = *change;
        CHECK(pthread_mutex_unlock(&states->lock) == 0);
}

static void put_change(struct proto_builder *out, const struct rpc_state_change *change)
{
        proto_put_map(out, 3);
        proto_put_text(out, "state");
        proto_put_text(out, vmreq_vm_state_name(change->to));
        proto_put_text(out, "previous");
        proto_put_text(out, change->from == _VMREQ_VM_N ? NULL : vmreq_vm_state_name(change->from));
        proto_put_text(out, "reason");
        proto_put_text(out, change->reason);
}

static void tell(struct rpc_server *server, const struct rpc_state_change *change)
{
        struct proto_builder *out = rpc_event_begin(server, RPC_TOPIC_VM_STATE);

        server->vm_state = *change;
        if (!out)
                return;
        put_change(out, change);
        rpc_event_end(server, RPC_TOPIC_VM_STATE);
}

void rpc_states_drain(struct rpc_server *server, struct rpc_states *states)
{
        struct rpc_state_change changes[RPC_STATES_MAX];
        uint64_t lost;
        uint32_t n;

        CHECK(pthread_mutex_lock(&states->lock) == 0);
        n = states->n;
        lost = states->lost;
        memcpy(changes, states->changes, n * sizeof(changes[0]));
        states->n = 0;
        states->lost = 0;
        CHECK(pthread_mutex_unlock(&states->lock) == 0);
        for (uint32_t i = 0; i < n; i++) {
                /* They were lost before the newest. */
                if (i + 1 == n && lost)
                        rpc_events_skip(server, RPC_TOPIC_VM_STATE, lost);
                tell(server, &changes[i]);
        }
}

void rpc_states_put_present(struct rpc_peer *peer)
{
        rpc_event_put_head(&peer->out, RPC_TOPIC_VM_STATE);
        put_change(&peer->out, &peer->server->vm_state);
}
