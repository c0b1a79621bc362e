/* SPDX-License-Identifier: MIT */
/*
 * Whole sessions: two connections to a real server with a VM of two EMTs, in one process and in an
 * order that the input alone decides.  Input: 1 byte of settings, then steps, each of one byte:
 * send a value, turn the loop, let an EMT run, read, half-close, hang up, and so on; the guest
 * writes to its console, and the VM changes its state.
 *
 * At the end both clients shut their sending side, all is served, and then nothing may be left:
 * every request answered once, no call, no connection, no byte charged to anybody.  What a client
 * checks of each answer stands in session-client.c.
 */
#include <string.h>

#include "base/clock.h"
#include "session.h"

#define CLIENTS   2u
#define STEPS_MAX 400u

/* Rounds in which everything in flight has to end; each serves every EMT. */
#define ROUNDS_MAX 20000u

struct session {
        struct session_server *server;
        struct session_client *clients;
        struct fuzz_input input;
        bool is_lasting; /* something may outlive its connection */
        bool has_policy; /* not the one that it began with */
};

/* ---- steps ---- */

/* The next value of the input; where there is none, the next few bytes. */
static struct fuzz_input take_value(struct session *session)
{
        size_t n = proto_frame_skip(session->input.data, session->input.len, 0);

        return fuzz_take(&session->input, n ? n : 16);
}

static void send_to(struct session *session, struct session_client *client,
                    const struct fuzz_input *piece)
{
        if (memmem(piece->data, piece->len, "detach", 6) ||
            memmem(piece->data, piece->len, "key", 3))
                session->is_lasting = true;
        session_client_send(client, piece->data, piece->len);
}

static void send_slowly(struct session *session, struct session_client *client, uint8_t step)
{
        struct fuzz_input piece = take_value(session);

        step = step ? step : 1;
        while (piece.len > 0) {
                struct fuzz_input part = fuzz_take(&piece, step);

                send_to(session, client, &part);
                session_turn(session->server);
        }
}

static void send_many(struct session *session, struct session_client *client, uint8_t times)
{
        struct fuzz_input piece = take_value(session);

        for (unsigned i = 0; i <= times % 64u; i++)
                send_to(session, client, &piece);
}

/* At the bound of connections, one that never completed a frame makes room: only such a one. */
static void reopen(struct session *session, struct session_client *client, bool as_nobody)
{
        const struct rpc_server *server = session->server->server;
        uint64_t evicted = server->counted.peers_evicted;

        session_client_close(client);
        session_client_open(client, session->server, as_nobody);
        for (uint32_t i = 0; i < CLIENTS && server->counted.peers_evicted != evicted; i++)
                session->clients[i].is_closing |= !session->clients[i].was_answered;
}

static void let_pass(struct session *session, uint8_t how_long)
{
        static const uint64_t ms[] = {1, 5, 100, 1000, 11000, 31000, 61000, 660000};

        fuzz_pass(ms[how_long % 8] * CLOCK_NS_PER_MS);
        for (uint32_t i = 0; ms[how_long % 8] >= 1000 && i < CLIENTS; i++)
                session_client_wait(&session->clients[i]);
        session_turn(session->server);
}

/* Up to 255 KiB of one value, or of many; the last of them may be none. */
static size_t put_body(uint8_t *to, size_t n, uint8_t form)
{
        size_t count = form < 2 ? n : n / 5;

        to[0] = form < 2 ? 0xc6 : 0xdd; /* bin, array */
        for (unsigned i = 0; i < 4; i++)
                to[1 + i] = (uint8_t)(count >> (24 - 8 * i));
        memset(to + 5, 0, n);
        for (size_t i = 0; form >= 2 && i < count; i++)
                to[5 + 5 * i] = 0xce;
        if (form == 3 && n > 0)
                to[5 + n - 5] = 0xc1;
        return 5 + (form < 2 ? n : 5 * count);
}

/* A large message, or its beginning: a request, a notification, or none at all. */
static void send_large(struct session *session, struct session_client *client, uint8_t form)
{
        static const char *const heads[] = {
                "\x94\x00\x07\xa9"
                "fuzz.echo\x91",
                "\x93\x02\xa9"
                "fuzz.echo\x91",
                "\x94\x09\x07\xa9"
                "fuzz.echo\x91",
        };
        static const size_t lengths[] = {14, 13, 14};
        static uint8_t frame[257 << 10];
        size_t n = (size_t)fuzz_byte(&session->input) << 10, len = lengths[form / 4 % 3];
        unsigned part = fuzz_byte(&session->input) + 1u;
        struct fuzz_input piece;

        memcpy(frame, heads[form / 4 % 3], len);
        len += put_body(frame + len, n, form % 4);
        piece = (struct fuzz_input){frame, len * part / 256};
        send_to(session, client, &piece);
        session_turn(session->server);
}

/* What is rarer. */
static void step_beside(struct session *session, struct session_client *client)
{
        uint8_t which = fuzz_byte(&session->input);

        switch (which % 4) {
        case 0:
                session_console(session->server, (size_t)fuzz_byte(&session->input) * 64);
                break;
        case 1:
                session_states(session->server, fuzz_byte(&session->input));
                break;
        case 2:
                send_large(session, client, which / 4);
                break;
        default:
                session_client_read(client, (size_t)fuzz_byte(&session->input) * 64);
                break;
        }
}

static void step(struct session *session)
{
        uint8_t op = fuzz_byte(&session->input);
        uint32_t which = op >> 7;
        struct session_client *client = &session->clients[which];
        struct fuzz_input piece;

        if ((op & 0x3c) == 0x30) {
                step_beside(session, client);
                return;
        }
        switch (op & 15) {
        default:
                piece = take_value(session);
                send_to(session, client, &piece);
                if (op & 0x40)
                        session_turn(session->server);
                break;
        case 4:
                session_set_policy(session->server, &session->input);
                session->has_policy = true;
                break;
        case 5:
                piece = fuzz_take(&session->input, fuzz_byte(&session->input));
                send_to(session, client, &piece);
                break;
        case 6:
                send_slowly(session, client, fuzz_byte(&session->input));
                break;
        case 7:
                send_many(session, client, fuzz_byte(&session->input));
                break;
        case 8:
                session_turn(session->server);
                break;
        case 9:
        case 10:
                session_serve(session->server, which);
                break;
        case 11:
                session_client_read(client, SIZE_MAX);
                break;
        case 12:
                session_client_shut(client);
                break;
        case 13:
                reopen(session, client, op & 0x40);
                break;
        case 15:
                let_pass(session, fuzz_byte(&session->input));
                break;
        case 14: /* a round of everything */
                session_turn(session->server);
                session_serve(session->server, 0);
                session_serve(session->server, 1);
                session_turn(session->server);
                session_client_read(client, SIZE_MAX);
                break;
        }
}

/* ---- the end ---- */

static void round_of_all(struct session *session)
{
        fuzz_pass(CLOCK_NS_PER_MS); /* some look again only after a while */
        session_turn(session->server);
        for (uint32_t cpu = 0; cpu < SESSION_CPUS; cpu++)
                session_serve(session->server, cpu);
        session_turn(session->server);
        for (uint32_t i = 0; i < CLIENTS; i++)
                session_client_read(&session->clients[i], SIZE_MAX);
}

static bool has_ended(const struct session *session)
{
        const struct rpc_server *server = session->server->server;

        if (server->n_peers > 0 || server->n_open > 0 ||
            (server->n_calls > 0 && !session->is_lasting))
                return false;
        for (uint32_t i = 0; i < CLIENTS; i++)
                if (session->clients[i].fd >= 0 && !session->clients[i].at_end)
                        return false;
        return true;
}

static void end(struct session *session)
{
        const struct rpc_server *server = session->server->server;
        unsigned rounds = 0;

        for (uint32_t i = 0; i < CLIENTS; i++)
                session_client_shut(&session->clients[i]);
        while (!has_ended(session)) {
                round_of_all(session);
                FUZZ_CHECK(++rounds < ROUNDS_MAX);
        }
        for (uint32_t i = 0; i < CLIENTS; i++)
                session_client_close(&session->clients[i]);
        FUZZ_CHECK(server->quota.all.used[RPC_CONNECTIONS] == 0);
        if (session->is_lasting)
                return;
        FUZZ_CHECK(server->quota.all.used[RPC_CALLS] == 0);
        FUZZ_CHECK(server->quota.all.used[RPC_BYTES] == 0);
        FUZZ_CHECK(atomic_load(&server->results_held) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        static struct session_server servers[SESSION_KINDS];
        static struct session_client clients[CLIENTS];
        static bool started[SESSION_KINDS];
        struct session session = {.clients = clients, .input = {data, len}};
        uint8_t settings = fuzz_byte(&session.input);
        unsigned kind = settings & 0x80 ? 2 : settings & 1;
        bool drains = (settings & 0x30) == 0x30;

        session.server = &servers[kind];
        if (!started[kind])
                session_server_start(session.server, kind);
        started[kind] = true;
        session.server->server->next_id = 0; /* the ids of an input are always the same */
        for (uint32_t i = 0; i < CLIENTS; i++)
                session_client_open(&clients[i], session.server, settings >> (1 + i) & 1);

        for (unsigned i = 0; i < STEPS_MAX && session.input.len > 0; i++)
                step(&session);
        if (drains)
                session_drain(session.server, settings & 0x40);
        end(&session);
        if (session.is_lasting && !drains)
                session_drain(session.server, true);
        if (drains || session.is_lasting || session.has_policy) {
                session_server_stop(session.server);
                started[kind] = false;
        }
        return 0;
}
