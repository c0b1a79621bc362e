/* SPDX-License-Identifier: MIT */
/* Turns of the loop: who is alone gets all, who is not leaves time for the others. */
#include "unit/rpc/two.h"

#include "base/check.h"
#include "base/clock.h"
#include "rpc/peer.h"
#include "rpc/turn.h"

/* ---- the rules, by a clock of their own: nothing of this is ever about real time ---- */

struct rules {
        void (*check)(struct rules *rules, struct rpc_peer *peer, struct rpc_peer *other);
        bool good;
};

#define EXPECT(rules, what)                                                                        \
        do {                                                                                       \
                if (!(what)) {                                                                     \
                        (void)fprintf(stderr, "not so: %s\n", #what);                              \
                        (rules)->good = false;                                                     \
                }                                                                                  \
        } while (0)

static void forget(struct rpc_server *server)
{
        uint64_t number = server->turn.number;

        server->turn = (struct rpc_turn){.number = number};
}

static void rules_job(struct rpc_server *server, void *ctx)
{
        struct rpc_peer *peer = TAILQ_FIRST(&server->peers);
        struct rules *rules = ctx;

        forget(server);
        rules->check(rules, peer, TAILQ_NEXT(peer, link));
}

/* `check`: on the loop's thread, with the two connections, of one uid. */
static void assert_rules(void (*check)(struct rules *, struct rpc_peer *, struct rpc_peer *))
{
        struct rules rules = {.check = check, .good = true};

        harness_on_loop(&h, rules_job, &rules);
        assert_true(rules.good);
}

static void alone(struct rules *rules, struct rpc_peer *peer, struct rpc_peer *other)
{
        struct rpc_server *server = peer->server;

        (void)other;
        EXPECT(rules, rpc_turn_begin(peer) == 0); /* no clock is looked at */
        EXPECT(rules, rpc_turn_begin(peer) == 0);
        EXPECT(rules, !rpc_turn_is_used_up(server, 1000, 0));
        rpc_turn_end(peer, 1000, 0);
        EXPECT(rules, !rpc_turn_must_wait(peer));
}

static void test_alone(void **state)
{
        (void)state;
        assert_rules(alone);
}

static void one_uid(struct rules *rules, struct rpc_peer *peer, struct rpc_peer *other)
{
        struct rpc_server *server = peer->server;
        uint64_t began, long_ago = clock_now_ns() - CLOCK_NS_PER_S;

        (void)rpc_turn_begin(peer);
        began = rpc_turn_begin(other);
        EXPECT(rules, began != 0);
        EXPECT(rules, !rpc_turn_is_used_up(server, 0, long_ago)); /* one frame always */
        EXPECT(rules,
               !rpc_turn_is_used_up(server, 3, long_ago)); /* the clock is looked at now and then */
        EXPECT(rules, rpc_turn_is_used_up(server, 4, long_ago));
        /* Of the same uid: nobody has to wait. */
        rpc_turn_end(other, 1000, long_ago);
        EXPECT(rules, !rpc_turn_must_wait(other) && !rpc_turn_must_wait(peer));
        /* The first counts as active for a while. */
        EXPECT(rules, rpc_turn_begin(other) != 0);
}

static void test_connections_of_one_uid(void **state)
{
        (void)state;
        assert_rules(one_uid);
}

static void two_uids(struct rules *rules, struct rpc_peer *peer, struct rpc_peer *other)
{
        struct rpc_server *server = peer->server;
        struct rpc_account *account = other->account.parent, another = {.what = "uid"};
        uid_t uid = other->identity.uid;
        uint64_t long_ago = clock_now_ns() - CLOCK_NS_PER_S;

        other->identity.uid = uid + 1;
        other->account.parent = &another;
        (void)rpc_turn_begin(peer);
        (void)rpc_turn_begin(other);
        EXPECT(rules, !rpc_turn_must_wait(other));
        rpc_turn_end(other, 1000, long_ago);
        EXPECT(rules, rpc_turn_must_wait(other));
        EXPECT(rules, !rpc_turn_must_wait(peer)); /* it has its own time */
        rpc_turn_next(server);
        EXPECT(rules, !rpc_turn_must_wait(other));
        rpc_turn_end(other, 1000, clock_now_ns());
        EXPECT(rules, !rpc_turn_must_wait(other)); /* it begins anew with each turn */
        other->identity.uid = uid;
        other->account.parent = account;
}

static void test_uids(void **state)
{
        (void)state;
        assert_rules(two_uids);
}

static void light_and_heavy(struct rules *rules, struct rpc_peer *heavy, struct rpc_peer *light)
{
        struct rpc_server *server = heavy->server;
        uint64_t now = clock_now_ns(), ago = now - CLOCK_NS_PER_S, recently = now - 30000;

        (void)rpc_turn_begin(light);
        EXPECT(rules, rpc_turn_begin(heavy) != 0);
        /* They all send much: no rest. */
        heavy->rest_ns = light->rest_ns = UINT64_MAX;
        EXPECT(rules, !rpc_turn_must_wait(heavy));
        rpc_turn_end(heavy, 5, ago); /* more than somebody light sends */
        EXPECT(rules, server->turn.light_until_ms == 0 && heavy->rest_ns == UINT64_MAX);
        /* Somebody who sends one and awaits its answer: who has worked rests, and he does not. */
        light->n_unanswered = 5;
        rpc_turn_end(light, 1, now);
        EXPECT(rules, server->turn.light_until_ms == 0);
        light->n_unanswered = 0;
        rpc_turn_end(light, 0, now); /* a part of a frame says nothing */
        EXPECT(rules, server->turn.light_until_ms == 0);
        rpc_turn_end(light, 1, clock_now_ns());
        EXPECT(rules, server->turn.light_until_ms != 0 && light->rest_ns != UINT64_MAX);
        EXPECT(rules, rpc_turn_is_used_up(server, 4, recently)); /* a slice is shorter */
        now = clock_now_ns();
        rpc_turn_end(heavy, 1000, ago);
        EXPECT(rules, heavy->rest_ns >= now + 1000 && heavy->rest_ns < clock_now_ns() + 100000);
        heavy->rest_ns = UINT64_MAX; /* a clock that does not go on */
        EXPECT(rules, rpc_turn_must_wait(heavy));
        light->rest_ns = 0;
        EXPECT(rules, !rpc_turn_must_wait(light));
        server->turn.light_until_ms = 0; /* he has gone */
        EXPECT(rules, !rpc_turn_must_wait(heavy));
        heavy->rest_ns = light->rest_ns = 0;
}

/* Beside somebody who awaits each answer. */
static void test_light(void **state)
{
        (void)state;
        assert_rules(light_and_heavy);
}

static void light_of_another(struct rules *rules, struct rpc_peer *peer, struct rpc_peer *other)
{
        struct rpc_server *server = peer->server;
        struct rpc_account *account = other->account.parent, another = {.what = "uid"};
        uid_t uid = other->identity.uid;

        other->identity.uid = uid + 1;
        other->account.parent = &another;
        (void)rpc_turn_begin(peer);
        (void)rpc_turn_begin(other);
        server->turn.light_until_ms = UINT64_MAX;
        rpc_turn_end(other, 1000, clock_now_ns() - CLOCK_NS_PER_S);
        EXPECT(rules, another.rest_ns > 0);
        other->rest_ns = 0;
        another.rest_ns = UINT64_MAX;
        rpc_turn_next(server);
        EXPECT(rules, rpc_turn_must_wait(other)); /* the whole uid rests, in later turns, too */
        EXPECT(rules, !rpc_turn_must_wait(peer));
        forget(server);
        other->identity.uid = uid;
        other->account.parent = account;
}

static void test_light_of_another_uid(void **state)
{
        (void)state;
        assert_rules(light_of_another);
}

/* ---- whoever has to wait is served all the same, in order ---- */

static void exhaust_job(struct rpc_server *server, void *ctx)
{
        struct rpc_account *uid = TAILQ_FIRST(&server->peers)->account.parent;

        (void)ctx;
        /* As if another uid were active, and this one had had its time: also in the next turn. */
        server->turn.uids_until_ms = uv_now(&server->loop) + 10000;
        uid->turn = server->turn.number + 1;
        uid->turn_ns = UINT32_MAX;
}

static void test_waiting_for_the_next_turn(void **state)
{
        (void)state;
        for (uint32_t i = 0; i < 200; i++) {
                harness_on_loop(&h, exhaust_job, NULL);
                client_send(&c, "[0, %u, 't.add', [1, 2]]", 2 * i + 1);
                client_send(&d, "[0, 5, 'vmreq.ping', []]");
                assert_int_equal(client_receive(&c)->items[1].u, 2 * i + 1);
                client_expect(&d, "[1,5,nil,'pong']");
        }
}

/* Many frames in pieces, two clients at once: each answer, and in order. */
static void test_two_at_once(void **state)
{
        (void)state;
        for (uint32_t i = 0; i < 3000; i++) {
                client_put(&c, "[0, %u, 'vmreq.ping', []]", i);
                client_put(&d, "[0, %u, 'vmreq.ping', []]", i);
        }
        client_flush(&c);
        client_flush(&d);
        for (uint32_t i = 0; i < 3000; i++) {
                assert_int_equal(client_receive(&c)->items[1].u, i);
                assert_int_equal(client_receive(&d)->items[1].u, i);
        }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_alone),
                TEST(test_connections_of_one_uid),
                TEST(test_uids),
                TEST(test_light),
                TEST(test_light_of_another_uid),
                TEST(test_waiting_for_the_next_turn),
                TEST(test_two_at_once),
        };

        return HARNESS_RUN("turn", tests);
}
