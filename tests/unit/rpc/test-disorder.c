/* SPDX-License-Identifier: MIT */
/*
 * Everything at once, in an order that a seed decides: clients that come and go in the middle of
 * frames, calls, waits and answers.  What must hold: each msgid is answered at most once, with a
 * whole frame, and not unasked; who shuts its sending side behind whole frames gets all of its
 * answers; at the end every account is at zero. VMREQ_SEED=n repeats a run.
 */
#include "unit/rpc/harness.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#define N_CLIENTS 10
#define N_MSGIDS  512

static struct harness h;
static uint64_t seed;

/* One that comes and goes. */
struct actor {
        struct client c;
        bool is_open, is_shut,
                is_torn; /* torn: it sent nonsense, or stopped in the middle of a frame */
        uint32_t next_msgid;
        bool asked[N_MSGIDS], answered[N_MSGIDS];
        uint64_t ids[8]; /* of submitted calls, the last ones */
        uint32_t n_ids;
};

static struct actor actors[N_CLIENTS];
static uint64_t random_state;
static uint32_t n_results, n_errors, n_ends; /* how much really happened */

/* xorshift64* */
static uint32_t draw(uint32_t below)
{
        random_state ^= random_state >> 12;
        random_state ^= random_state << 25;
        random_state ^= random_state >> 27;
        return (uint32_t)((random_state * 0x2545f4914f6cdd1dull) >> 33) % below;
}

/* ---- reading ---- */

static void take_answer(struct actor *a, const struct proto_value *root)
{
        uint64_t msgid;

        assert_int_equal(root->type, PROTO_ARRAY);
        assert_int_equal(root->count, 4);
        assert_int_equal(root->items[0].u, 1);
        msgid = root->items[1].u;
        if (msgid >= N_MSGIDS || !a->asked[msgid])
                fail_msg("seed %llu: an answer to %llu, which was not asked",
                         (unsigned long long)seed, (unsigned long long)msgid);
        if (a->answered[msgid])
                fail_msg("seed %llu: two answers to %llu", (unsigned long long)seed,
                         (unsigned long long)msgid);
        a->answered[msgid] = true;
        if (root->items[2].type == PROTO_NIL)
                n_results++;
        else
                n_errors++;
        /* A submission's answer is its id; other unsigned answers do no harm as ids. */
        if (root->items[2].type == PROTO_NIL && root->items[3].type == PROTO_UINT)
                a->ids[a->n_ids++ % 8] = root->items[3].u;
}

/* The frames that are there.  False: the end. */
static bool read_available(struct actor *a)
{
        struct pollfd p = {.fd = a->c.fd, .events = POLLIN};

        while (a->c.in_used < a->c.in_len ||
               (poll(&p, 1, 0) == 1 && (p.revents & (POLLIN | POLLHUP)))) {
                const struct proto_value *root;
                uint8_t head;

                /* After nonsense a line of text may come: nobody reads on. */
                if (a->is_torn) {
                        static uint8_t waste[65536];

                        return recv(a->c.fd, waste, sizeof(waste), MSG_DONTWAIT) != 0;
                }
                if (a->c.in_used == a->c.in_len &&
                    recv(a->c.fd, &head, 1, MSG_DONTWAIT | MSG_PEEK) <= 0 && errno != EAGAIN)
                        return false;
                root = client_receive(&a->c);
                if (!root)
                        return false;
                take_answer(a, root);
        }
        return true;
}

/* ---- writing ---- */

/* What the socket takes of what was put. */
static void write_some(struct actor *a, size_t most)
{
        size_t n = a->c.out.len < most ? a->c.out.len : most;
        ssize_t sent = n ? send(a->c.fd, a->c.out.data, n, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

        if (sent <= 0)
                return;
        memmove(a->c.out.data, a->c.out.data + sent, a->c.out.len - (size_t)sent);
        proto_builder_rollback(&a->c.out, a->c.out.len - (size_t)sent);
}

static uint64_t some_id(struct actor *a)
{
        return draw(4) == 0 ? draw(100000) : a->ids[draw(8)];
}

static void put_request(struct actor *a)
{
        static const char *const options[] = {
                "{}",
                "{'cpu': 0}",
                "{'cpu': 1, 'priority': true}",
                "{'cpu': 'any-queue', 'timeout_ms': 1}",
                "{'timeout_ms': 5}",
                "{'cpu': 'all', 'timeout_ms': 3}",
                "{'cpu': 'all-reverse', 'parallel': true}",
                "{'cpu': 'all', 'on_error': 'continue', 'timing': true}",
                "{'timing': true}",
        };
        static const char *const calls[] = {
                "'t.add', [1, 2]",  "'t.block', []",
                "'t.big', [70000]", "'t.fail', [-1, 'E', 'x']",
                "'t.cpu', []",      "'t.echo', [[1, {'a': nil}]]",
                "'t.add', ['x']",   "'t.nowhere', []",
                "'t.gate', []",     "'t.twice', []",
        };
        const char *call = calls[draw(10)], *option = options[draw(9)];
        uint32_t msgid = a->next_msgid++;
        char text[256];

        a->asked[msgid] = true;
        switch (draw(12)) {
        case 0:
                client_put(&a->c, "[0, %u, 'vmreq.wait', [%u, %u]]", (uint64_t)msgid, some_id(a),
                           (uint64_t)draw(4));
                return;
        case 1:
                client_put(&a->c, "[0, %u, 'vmreq.release', [%u]]", (uint64_t)msgid, some_id(a));
                return;
        case 2:
                client_put(&a->c, "[0, %u, 'vmreq.cancel', [%u]]", (uint64_t)msgid, some_id(a));
                return;
        case 3:
                client_put(&a->c, "[0, %u, 'vmreq.cancel', [{'msgid': %u}]]", (uint64_t)msgid,
                           (uint64_t)draw(msgid + 1));
                return;
        case 4:
                client_put(&a->c,
                           draw(2) ? "[0, %u, 'vmreq.status', []]" : "[0, %u, 'vmreq.symbols', []]",
                           (uint64_t)msgid);
                return;
        case 5:
        case 6:
        case 7:
                (void)snprintf(text, sizeof(text), "[0, %u, 'vmreq.submit', [%s, %s]]", msgid, call,
                               option);
                break;
        default:
                (void)snprintf(text, sizeof(text), "[0, %u, 'vmreq.call', [%s, %s]]", msgid, call,
                               option);
                break;
        }
        client_put(&a->c, text);
}

static void go(struct actor *a)
{
        client_close(&a->c);
        memset(a, 0, sizeof(*a));
}

/* Who shut its side behind whole frames is owed every answer. */
static void check_owed(const struct actor *a)
{
        if (a->is_torn || !a->is_shut)
                return;
        for (uint32_t i = 0; i < a->next_msgid; i++)
                if (a->asked[i] && !a->answered[i])
                        fail_msg("seed %llu: no answer to %u of %u", (unsigned long long)seed, i,
                                 a->next_msgid);
}

static void step(struct actor *a)
{
        uint32_t what = draw(100);

        if (!a->is_open) {
                client_connect(&a->c, &h);
                a->is_open = true;
                return;
        }
        if (!read_available(a)) {
                if (a->c.out.len == 0)
                        check_owed(a);
                n_ends++;
                go(a);
        } else if (what < 45 && !a->is_shut && a->next_msgid < N_MSGIDS) {
                put_request(a);
        } else if (what < 55 && !a->is_shut) {
                client_put(&a->c, "[2, 't.add', [1, 1]]");
        } else if (what < 85) {
                write_some(a, draw(3) ? SIZE_MAX : draw(40));
        } else if (what < 90) {
                gate_open();
        } else if (what < 93 && !a->is_shut && a->c.out.len == 0) {
                (void)shutdown(a->c.fd, SHUT_WR);
                a->is_shut = true;
        } else if (what < 95 && !a->is_shut && a->c.out.len == 0) {
                (void)send(a->c.fd, "\xc1\xff garbage", 10, MSG_NOSIGNAL | MSG_DONTWAIT);
                a->is_torn = true;
        } else if (what == 99) {
                go(a);
        }
}

static void test_disorder(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;
        uint32_t steps = 60000;

        (void)state;
        options.limits.calls_per_connection = 20;
        options.limits.calls_per_uid = 60;
        options.limits.bytes_per_connection = 1u << 20;
        options.limits.bytes_per_uid = 3u << 20;
        options.lane = 64;
        options.slab = 128;
        harness_start(&h, &options);
        for (uint32_t i = 0; i < steps; i++) {
                step(&actors[draw(N_CLIENTS)]);
                if (draw(8) == 0)
                        (void)harness_figures(&h); /* a turn of the loop in between */
        }
        for (int i = 0; i < N_CLIENTS; i++)
                if (actors[i].is_open)
                        go(&actors[i]);
        for (uint32_t i = 0; i < 60; i++)
                gate_open();
        harness_until_idle(&h, 0);
        harness_end(&h);
        (void)printf("%u results, %u errors, %u ends\n", n_results, n_errors, n_ends);
        assert_true(n_results > 500 && n_errors > 500 && n_ends > 50);
}

/* The same, and the daemon goes down in the middle of it. */
static void test_disorder_and_down(void **state)
{
        struct harness_options options = HARNESS_OPTIONS_INIT;

        (void)state;
        options.limits.drain_ms = 20;
        for (int round = 0; round < 5; round++) {
                memset(actors, 0, sizeof(actors));
                harness_start(&h, &options);
                for (uint32_t i = 0; i < 1000; i++)
                        step(&actors[draw(N_CLIENTS)]);
                harness_terminate(&h);
                for (uint32_t i = 0; i < 200; i++)
                        if (actors[i % N_CLIENTS].is_open &&
                            !read_available(&actors[i % N_CLIENTS]))
                                go(&actors[i % N_CLIENTS]);
                for (int i = 0; i < N_CLIENTS; i++)
                        if (actors[i].is_open)
                                go(&actors[i]);
                harness_join(&h);
                gates_open();
                harness_end(&h);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_disorder),
                cmocka_unit_test(test_disorder_and_down),
        };
        const char *wish = getenv("VMREQ_SEED");
        struct timespec now;

        (void)clock_gettime(CLOCK_REALTIME, &now);
        seed = wish ? strtoull(wish, NULL, 0)
                    : (uint64_t)now.tv_nsec ^ ((uint64_t)now.tv_sec << 30);
        random_state = seed | 1;
        (void)printf("VMREQ_SEED=%llu\n", (unsigned long long)seed);
        return HARNESS_RUN("disorder", tests);
}
