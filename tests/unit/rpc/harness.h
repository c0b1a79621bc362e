/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A real server in this process: VM, EMTs, symbol table with the module "t", loop on a thread of
 * its own; and raw clients on the test's thread.  Nothing waits by time: a test waits for an
 * answer, for a callee to reach its gate, or asks the loop thread until what it expects is so.  An
 * alarm bounds each program.
 */

#include <semaphore.h>
#include <unistd.h>
#include <uv.h>

#include "rpc/server-internal.h"
#include "unit/rpc/wire.h"

#define HARNESS_ALARM_S 110u

struct harness_options {
        uint32_t cpus, slab, lane;
        struct rpc_limits limits;
        bool generators;                         /* with the module "g" */
        void (*tune)(struct rpc_config *config); /* what the test wants otherwise; NULL: nothing */
        bool unserved;                           /* no thread: the test never runs the loop */
};

#define HARNESS_OPTIONS_INIT                                                                       \
        {                                                                                          \
                .cpus = 2, .limits = RPC_LIMITS_INIT                                               \
        }

struct harness {
        char dir[32], path[64];
        int listen_fd;
        struct rpc_service *service;
        vmreq_vm vm;
        struct sym_registry *registry;
        struct rpc_server *server;
        pthread_t thread;
        bool running;
        _Atomic bool is_stopping; /* the server has said so */
        _Atomic uint32_t n_reloading, n_reloaded;

        /* a function for the loop thread */
        uv_async_t job_async;
        void (*_Atomic job)(struct rpc_server *server, void *ctx);
        void *job_ctx;
        sem_t job_done;
};

void harness_start(struct harness *harness, const struct harness_options *options);
/* SIGTERM, and waits until the loop has returned. */
void harness_drain(struct harness *harness);
/* SIGTERM only. */
void harness_terminate(struct harness *harness);
/* Waits until the loop has returned. */
void harness_join(struct harness *harness);
/* Drains if need be; stops the VM; frees all, which asserts that every charge is home. */
void harness_end(struct harness *harness);

/* Runs `job` on the loop thread, and waits for it. */
void harness_on_loop(struct harness *harness, void (*job)(struct rpc_server *, void *), void *ctx);
/* Holds the loop thread until harness_loop_go: what is sent meanwhile arrives at once. */
void harness_loop_hold(struct harness *harness);
void harness_loop_go(void);
/* Asks on the loop thread until `condition` is true. */
void harness_until(struct harness *harness, bool (*condition)(struct rpc_server *, void *),
                   void *ctx);

/* As far as rights go, the one connection that there is becomes root, a member of the group, or
 * nobody in particular. */
enum harness_who { HARNESS_ROOT, HARNESS_MEMBER, HARNESS_STRANGER };
void harness_become(struct harness *harness, enum harness_who who);

/* What the loop thread sees. */
struct harness_figures {
        uint32_t n_peers, n_calls, n_open;
        uint64_t connections, calls, bytes; /* charged in all */
        uint64_t refused_notifications;
};
struct harness_figures harness_figures(struct harness *harness);
/* Waits until nothing is in flight: no call, no byte charged but what `n_peers` connections hold
 * when idle. */
void harness_until_idle(struct harness *harness, uint32_t n_peers);
void harness_until_calls(struct harness *harness, uint32_t n_calls);
/* Waits until `n` calls have begun since the last connection came, and none is in flight any more.
 */
void harness_until_begun(struct harness *harness, uint64_t n);
void harness_until_peers(struct harness *harness, uint32_t n_peers);

/* ---- the module "t" ----
 *
 * t.add(a: i64, b: i64) -> i64          words
 * t.echo(value: any) -> any
 * t.size(data: bytes) -> u64
 * t.gate() -> u32                       waits for gate_open, whatever happens; its cpu
 * t.patient() -> u32                    as t.gate, registered with 300 ms
 * t.block() -> nil                      cancellable: until asked to end, then fails as CANCELLED
 * t.mark(n: u64) -> nil                 words; notes n in the order of running
 * t.big(n: u32) -> bytes                n bytes
 * t.deep(n: u32) -> any                 nested n arrays
 * t.fail(status: i32, name: str = "", text: str = "") -> status
 * t.gated_fail(…)                       as t.fail, after a gate
 * t.status(status: i32) -> status       words
 * t.nothing() -> any                    writes no value: a fault of the module
 * t.twice() -> any                      writes two
 * t.x64(value: x64) -> x64              words
 * t.cpu() -> u32                        words
 * t.open(level: u8 in 1..9 = 3) -> u32  words, read-only
 * t.secret() -> nil                     read-only, confidential
 * t.change() -> nil                     changes state
 * t.slow() -> nil                       registered for ALL, priority, poke, 1234 ms
 */
/*
 * The module "g", with the option `generators`.  All but the last two are generators, each with a
 * state on the heap:
 *
 * g.count(n: u32) -> u64                0..n-1
 * g.gated(n: u32) -> u64                as g.count, each run with a gate as t.gate
 * g.fail(n: u32) -> u64                 as g.count, but fails with -5 where that ends
 * g.pour(n: u32, bytes: u32) -> bytes   n times so many bytes
 * g.patience(n: u32) -> str             n runs without a chunk, then one with
 * g.odd() -> any                        writes two values in a run
 * g.deep(n: u32) -> any                 one chunk, nested n arrays
 * g.big(n: u32) -> bytes                n bytes, after a gate
 * g.capped() -> nil                     as t.block, registered with a time limit of 40 ms, cap 50
 */
#define GATES_MAX 16
/* Waits until some t.gate has begun. */
void gate_wait(void);
/* Lets one t.gate go. */
void gate_open(void);
/* Lets all go from here on: for the end of a test that may have failed. */
void gates_open(void);

/* A word function that does nothing. */
void gate_nothing(void);

#define MARKS_MAX 8192
extern _Atomic uint32_t n_marks;
extern _Atomic uint64_t marks[MARKS_MAX];
/* How many t.block run or have run. */
extern _Atomic uint32_t n_blocked;
/* Runs of generators; their states that are not released. */
extern _Atomic uint32_t n_runs, n_states;

/* ---- clients ---- */

struct client {
        int fd;
        struct proto_builder out; /* what client_put has gathered */
        uint8_t *in;
        size_t in_len, in_cap, in_used;
        struct wire_value frame; /* the last one received */
};

void client_connect(struct client *client, const struct harness *harness);
void client_close(struct client *client);
/* Puts a message together without sending; client_flush sends all of them with as few writes as it
 * takes. */
void client_put(struct client *client, const char *text, ...);
void client_flush(struct client *client);
/* Sends one message. */
void client_send(struct client *client, const char *text, ...);
void client_send_raw(struct client *client, const void *data, size_t len);
/* The next frame; NULL at the end of file. */
const struct proto_value *client_receive(struct client *client);
/* The next frame must look like this. */
void client_expect(struct client *client, const char *shown);
/* The next frame is the answer to msgid, an unsigned integer: this. */
uint64_t client_receive_uint(struct client *client, uint32_t msgid);
/* Submits a call without arguments, and receives its id. */
uint64_t client_submit(struct client *client, const char *symbol, const char *options);
/* The next frame is the answer to msgid, an error in text style of that name and `ran`, its text
 * having `part`. */
void client_expect_error(struct client *client, uint32_t msgid, const char *name, const char *ran,
                         const char *part);
void client_expect_end(struct client *client);
/* Nothing stands in the socket (after something that orders it: an answer, a look at the loop). */
void client_expect_silence(struct client *client);
/* Makes a call of t.gate on EMT 0 that runs, whose client has been told TIMEOUT: open its gate some
 * time. */
void client_overdue(struct client *client, uint32_t msgid);
/* A ping and its answer: all that was sent before has been looked at. */
void client_sync(struct client *client);
/* Shuts the sending side. */
void client_shut(struct client *client);

/* Runs the tests of one program under the alarm. */
int harness_run(const char *name, const struct CMUnitTest *tests, size_t n);
#define HARNESS_RUN(name, tests) harness_run(name, tests, sizeof(tests) / sizeof((tests)[0]))
