/* SPDX-License-Identifier: MIT */
/*
 * Generators: one run after the other, and what they write.
 *
 * A run is a request like any other; when the engine has let go of it, the loop takes its chunk and
 * submits the next run, with the same destination and absolute deadline.  Between two runs a stream
 * may wait here, in nobody's lane: for room in its connection's output, for bytes, for a place in
 * its lane.  It then counts as queued: a cancel removes it, its deadline expires it.
 *
 * Who does not read costs nobody else anything: before a run, room for its chunk is taken
 * (`reserved`) out of RPC_STREAM_BYTES of its connection, so that no more is ever on its way.  Its
 * streams take turns, in the order in which they came to wait.
 *
 * What ends a stream that waits is told through the bridge, as if the engine had done it: the call
 * is finished at one place, rpc_calls_drain.
 */
#include "rpc/stream.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/macros.h"
#include "rpc/call-internal.h"
#include "rpc/peer.h"
#include "rpc/reply.h"
#include "symbols/vmreq-module.h"

/* How often it is looked whether a lane, or bytes that others held, have become free. */
#define RETRY_MS 10u

void rpc_streams_init(struct rpc_streams *streams)
{
        TAILQ_INIT(&streams->room);
        TAILQ_INIT(&streams->retry);
        streams->due_ns = UINT64_MAX;
}

bool rpc_stream_new(struct rpc_call *call)
{
        struct rpc_stream *stream = calloc(1, sizeof(*stream));

        if (!stream)
                return false;
        stream->call = call;
        proto_builder_init(&stream->collected, call->server->config.limits.frame_bytes);
        call->stream = stream;
        return true;
}

void rpc_stream_free(struct rpc_stream *stream)
{
        if (!stream)
                return;
        proto_builder_deinit(&stream->collected);
        free(stream);
}

/* ---- waiting ---- */

static void on_timer(uv_timer_t *timer);

static void arm(struct rpc_server *server)
{
        struct rpc_streams *streams = &server->streams;
        uint64_t now = clock_now_ns(), ms = UINT64_MAX;

        if (streams->due_ns != UINT64_MAX)
                ms = streams->due_ns <= now ? 0 : (streams->due_ns - now) / CLOCK_NS_PER_MS + 1;
        if (!TAILQ_EMPTY(&streams->retry))
                ms = MIN(ms, (uint64_t)RETRY_MS);
        if (ms == UINT64_MAX) {
                (void)uv_timer_stop(&server->stream_timer);
                return;
        }
        uv_update_time(&server->loop);
        if (uv_is_active((uv_handle_t *)&server->stream_timer) &&
            uv_timer_get_due_in(&server->stream_timer) <= ms)
                return;
        (void)uv_timer_start(&server->stream_timer, on_timer, ms, 0);
}

static void park(struct rpc_stream *stream, enum rpc_stream_place place)
{
        struct rpc_call *call = stream->call;
        struct rpc_streams *streams = &call->server->streams;

        stream->place = place;
        if (place == RPC_STREAM_ROOM) {
                TAILQ_INSERT_TAIL(&streams->room, stream, link);
                TAILQ_INSERT_TAIL(&call->peer->streams, stream, peer_link);
        } else {
                TAILQ_INSERT_TAIL(&streams->retry, stream, link);
        }
        if (call->deadline_ns)
                streams->due_ns = MIN(streams->due_ns, call->deadline_ns);
        arm(call->server);
}

static void unpark(struct rpc_stream *stream, enum rpc_stream_place to)
{
        struct rpc_streams *streams = &stream->call->server->streams;

        if (stream->place == RPC_STREAM_ROOM) {
                TAILQ_REMOVE(&streams->room, stream, link);
                TAILQ_REMOVE(&stream->call->peer->streams, stream, peer_link);
        } else {
                TAILQ_REMOVE(&streams->retry, stream, link);
        }
        stream->place = to;
}

bool rpc_stream_waits(const struct rpc_call *call)
{
        return call->stream &&
               (call->stream->place == RPC_STREAM_ROOM || call->stream->place == RPC_STREAM_RETRY);
}

/* ---- room ---- */

static uint32_t chunk_max(const struct rpc_server *server)
{
        return (uint32_t)MIN((uint64_t)VMREQ_CHUNK_BYTES_MAX, server->config.limits.frame_bytes);
}

/* Does it write to a connection, so that it needs room there? */
static bool is_sent(const struct rpc_call *call)
{
        return call->options.stream && call->peer && !call->answered;
}

static bool has_room(const struct rpc_peer *peer)
{
        uint64_t held = peer->out.len - peer->out_sent + peer->streams_reserved;

        if (peer->state >= RPC_PEER_ENDING)
                return false;
        return held == 0 || held + chunk_max(peer->server) <= RPC_STREAM_BYTES;
}

static bool reserve(struct rpc_stream *stream)
{
        struct rpc_peer *peer = stream->call->peer;
        uint32_t n = chunk_max(peer->server);
        const struct rpc_account *over;

        if (!rpc_account_charge(&peer->account, RPC_BYTES, n, &over))
                return false;
        stream->reserved = n;
        peer->streams_reserved += n;
        return true;
}

static void unreserve(struct rpc_stream *stream)
{
        struct rpc_peer *peer = stream->call->peer;

        if (!stream->reserved)
                return;
        rpc_account_release(&peer->account, RPC_BYTES, stream->reserved);
        peer->streams_reserved -= stream->reserved;
        stream->reserved = 0;
}

/* ---- chunks ---- */

enum delivery { DELIVERED, FULL, FAULTY };

static enum delivery send_chunk(struct rpc_stream *stream)
{
        struct rpc_call *call = stream->call;
        struct proto_builder *out;
        size_t mark;
        bool full;

        if (call->peer->state >= RPC_PEER_ENDING)
                return FULL;
        out = rpc_notify_begin(call->peer, "vmreq.chunk", &mark);
        proto_put_array(out, 3);
        proto_put_uint(out, call->msgid);
        proto_put_uint(out, stream->n_chunks);
        proto_put_raw(out, call->one_writer.value.data, call->one_writer.value.len);
        if (rpc_notify_end(call->peer, mark, &full))
                return DELIVERED;
        stream->fault = full ? RPC_STREAM_OK : RPC_STREAM_E_FRAME;
        return full ? FULL : FAULTY;
}

static enum delivery collect_chunk(struct rpc_stream *stream)
{
        struct rpc_call *call = stream->call;
        struct proto_builder *all = &stream->collected;
        const struct rpc_account *over;
        uint64_t more;

        proto_put_raw(all, call->one_writer.value.data, call->one_writer.value.len);
        if (all->error) {
                stream->fault = all->error == PROTO_BUILDER_E_BUDGET ? RPC_STREAM_E_COLLECTED
                                                                     : RPC_STREAM_E_MEMORY;
                return FAULTY;
        }
        more = all->cap - stream->charged;
        if (!rpc_account_charge(call->account, RPC_BYTES, more, &over)) {
                proto_builder_deinit(all);
                call->dropped = true;
                return FAULTY;
        }
        stream->charged += more;
        call->bytes += more;
        return DELIVERED;
}

/* Where the chunk in the writer goes.  FULL: it stays there. */
static enum delivery deliver(struct rpc_stream *stream)
{
        struct rpc_call *call = stream->call;
        enum delivery delivery = DELIVERED;

        if (is_sent(call))
                delivery = send_chunk(stream);
        else if (!call->options.stream && (call->kind != RPC_CALL_NO_WAIT || call->is_shared))
                delivery = collect_chunk(stream);
        if (delivery != DELIVERED)
                return delivery;
        stream->n_chunks++;
        stream->has_chunk = false;
        rpc_call_reset_writer(call, &call->one_writer);
        return DELIVERED;
}

/* What the run that has just ended left in the writer. */
static enum rpc_stream_fault look_at_chunk(struct rpc_stream *stream)
{
        struct rpc_writer *writer = &stream->call->one_writer;

        switch (rpc_writer_end_chunk(writer, 0)) {
        case RPC_WRITER_OK:
                stream->has_chunk = writer->value.len > 0;
                return RPC_STREAM_OK;
        case RPC_WRITER_E_BUDGET:
        case RPC_WRITER_E_CHUNK:
                return RPC_STREAM_E_CHUNK;
        case RPC_WRITER_E_MEMORY:
                return RPC_STREAM_E_MEMORY;
        case RPC_WRITER_E_TYPE:
                return RPC_STREAM_E_TYPE;
        default:
                return RPC_STREAM_E_BALANCE;
        }
}

/* ---- runs ---- */

/* Somebody or something wants it not to run again: the fate that it has then. */
static enum vmreq_fate wanted_fate(const struct rpc_call *call)
{
        if (call->killed)
                return VMREQ_FATE_KILLED;
        if (call->cancelled_by[0])
                return VMREQ_FATE_CANCELLED;
        if (call->deadline_ns && clock_now_ns() >= call->deadline_ns)
                return VMREQ_FATE_EXPIRED;
        return VMREQ_FATE_NONE;
}

/* Submits the next run, or waits where there is no room for what it would write.  `in_turn`: it has
 * waited, and its turn has come.  0, or the engine's error. */
static int run(struct rpc_stream *stream, bool in_turn)
{
        struct rpc_call *call = stream->call;
        int r;

        if (is_sent(call)) {
                if (!has_room(call->peer) || (!in_turn && !TAILQ_EMPTY(&call->peer->streams))) {
                        park(stream, RPC_STREAM_ROOM);
                        return 0;
                }
                if (!reserve(stream)) {
                        park(stream, RPC_STREAM_RETRY);
                        return 0;
                }
        }
        stream->place = RPC_STREAM_ENGINE;
        stream->submitted_ns = clock_now_ns();
        r = rpc_call_run(call);
        if (r)
                unreserve(stream);
        else
                stream->n_runs++;
        return r;
}

/* True: it runs, or waits.  False: it has ended. */
static bool advance(struct rpc_stream *stream, bool in_turn)
{
        struct rpc_call *call = stream->call;
        enum delivery delivery = stream->has_chunk ? deliver(stream) : DELIVERED;
        enum vmreq_fate fate;
        int r;

        if (delivery == FAULTY)
                return false;
        if (stream->is_last && delivery == DELIVERED)
                return false;
        fate = wanted_fate(call);
        if (fate != VMREQ_FATE_NONE) {
                call->row.fate = fate;
                return false;
        }
        if (delivery == FULL) {
                park(stream, has_room(call->peer) ? RPC_STREAM_RETRY : RPC_STREAM_ROOM);
                return true;
        }
        r = run(stream, in_turn);
        if (r == VMREQ_E_BUSY) {
                park(stream, RPC_STREAM_RETRY);
                return true;
        }
        if (r)
                call->row.fate = VMREQ_FATE_KILLED; /* the VM accepts nothing any more */
        return r == 0;
}

/* It has waited: on with it. */
static void go_on(struct rpc_stream *stream)
{
        if (advance(stream, true))
                return;
        stream->place = RPC_STREAM_ENDED;
        rpc_call_post_end(stream->call);
}

int rpc_stream_start(struct rpc_call *call)
{
        return run(call->stream, false);
}

bool rpc_stream_turn(struct rpc_call *call)
{
        struct rpc_stream *stream = call->stream;

        if (stream->place == RPC_STREAM_ENDED)
                return false;
        unreserve(stream);
        stream->queued_ns += call->row.queued_ns;
        stream->run_ns += call->row.run_ns;
        if (call->row.fate == VMREQ_FATE_DONE && call->one_writer.refused) {
                /* Too many results were on their way: later, then. */
                call->one_writer.refused = false;
                stream->n_runs--;
                park(stream, RPC_STREAM_RETRY);
                return true;
        }
        if (call->row.fate == VMREQ_FATE_DONE && call->row.status >= 0) {
                stream->is_last = call->row.status != VMREQ_AGAIN;
                stream->fault = look_at_chunk(stream);
        } else {
                if (call->row.fate != VMREQ_FATE_DONE)
                        stream->n_runs--; /* it did not come to it */
                stream->place = RPC_STREAM_ENDED;
                return false;
        }
        if (stream->fault == RPC_STREAM_OK && advance(stream, false))
                return true;
        stream->place = RPC_STREAM_ENDED;
        return false;
}

/* ---- from outside ---- */

bool rpc_stream_stop(struct rpc_call *call, enum vmreq_fate fate)
{
        if (!rpc_stream_waits(call))
                return false;
        unpark(call->stream, RPC_STREAM_ENDED);
        call->row.fate = fate;
        rpc_call_post_end(call);
        return true;
}

void rpc_stream_leave_peer(struct rpc_call *call)
{
        struct rpc_stream *stream = call->stream;

        if (!stream)
                return;
        unreserve(stream);
        if (stream->place != RPC_STREAM_ROOM)
                return;
        unpark(stream, RPC_STREAM_RETRY);
        TAILQ_INSERT_TAIL(&call->server->streams.retry, stream, link);
}

void rpc_stream_go_on(struct rpc_call *call)
{
        if (!rpc_stream_waits(call))
                return;
        unpark(call->stream, RPC_STREAM_ENGINE);
        go_on(call->stream);
}

void rpc_streams_resume(struct rpc_peer *peer)
{
        struct rpc_stream *stream;

        /* Each comes out at most once: what waits again does so because the room is gone, or for
         * something else. */
        while ((stream = TAILQ_FIRST(&peer->streams)) && has_room(peer)) {
                unpark(stream, RPC_STREAM_ENGINE);
                go_on(stream);
        }
}

void rpc_streams_kill(struct rpc_server *server)
{
        struct rpc_streams *streams = &server->streams;
        struct rpc_stream *stream;

        while ((stream = TAILQ_FIRST(&streams->room)) || (stream = TAILQ_FIRST(&streams->retry)))
                (void)rpc_stream_stop(stream->call, VMREQ_FATE_KILLED);
}

static void expire(struct rpc_streams *streams, struct rpc_stream_list *list, uint64_t now)
{
        struct rpc_stream *stream, *next;

        TAILQ_FOREACH_SAFE (stream, list, link, next) {
                uint64_t due_ns = stream->call->deadline_ns;

                if (due_ns && due_ns <= now)
                        (void)rpc_stream_stop(stream->call, VMREQ_FATE_EXPIRED);
                else if (due_ns)
                        streams->due_ns = MIN(streams->due_ns, due_ns);
        }
}

static void on_timer(uv_timer_t *timer)
{
        struct rpc_server *server = timer->data;
        struct rpc_streams *streams = &server->streams;
        struct rpc_stream *stream, *last;
        uint64_t now = clock_now_ns();

        if (streams->due_ns <= now) {
                streams->due_ns = UINT64_MAX;
                expire(streams, &streams->room, now);
                expire(streams, &streams->retry, now);
        }
        /* Those that stand there now; who waits again goes to the end. */
        last = TAILQ_LAST(&streams->retry, rpc_stream_list);
        while (last && (stream = TAILQ_FIRST(&streams->retry))) {
                unpark(stream, RPC_STREAM_ENGINE);
                go_on(stream);
                if (stream == last)
                        break;
        }
        arm(server);
}
