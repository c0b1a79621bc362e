/* SPDX-License-Identifier: MIT */
/*
 * In-process benchmarks of the engine, each beside its floor or peer in the same run, in
 * alternating rounds:
 *
 *   1  call_wait round trip, EMT awake: a spinning, futex-free ping-pong of two threads
 *   2  call_wait round trip, EMT asleep: a sleeping ping-pong by futexes
 *   3  NO_WAIT, submission to completion, 1 and 4 producers: liburcu's wfcqueue moving packets of
 *      the same size, taken from and returned to a free list, the callee called by the consumer
 *   4  cost per request with 1,000,000 queued, of a fresh and an aged slab: with 1,000 queued
 *
 * In rows 1 to 3 who submits is pinned to one processor and who serves to another, on both sides
 * alike.
 *
 * Prints medians and spread; never fails on speed.  Arguments: the rows to run (default: all).
 *
 * "bench-engine backlog N" prints one point of the curve of row 4: N, and the median, least and
 * most nanoseconds per request of the rounds.
 *
 * "bench-engine count BACKLOG TOTAL" measures nothing itself: it serves TOTAL requests, BACKLOG of
 * them queued at a time, and no thread spins, so that an instruction counter outside sees the same
 * work in each run.
 */
#define _LGPL_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <urcu/wfcqueue.h>

#include "pin.h"
#include "vm/vmreq.h"

#define ROUNDS 7

static void die(const char *what)
{
        fprintf(stderr, "bench-engine: %s\n", what);
        exit(1);
}

static void relax(void)
{
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
}

static int compare(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return x < y ? -1 : x > y;
}

/* One row: `ours` and `theirs` hold a figure per round. */
static void print_row(const char *row, const char *what, const char *unit, double *ours,
                      double *theirs, const char *target)
{
        double ratio[ROUNDS];

        for (int i = 0; i < ROUNDS; i++)
                ratio[i] = ours[i] / theirs[i];
        qsort(ours, ROUNDS, sizeof(double), compare);
        qsort(theirs, ROUNDS, sizeof(double), compare);
        qsort(ratio, ROUNDS, sizeof(double), compare);
        printf("%-3s %-46s ours %10.1f  peer %10.1f %-6s ratio %.2f (%.2f..%.2f)  target %s\n", row,
               what, ours[ROUNDS / 2], theirs[ROUNDS / 2], unit, ratio[ROUNDS / 2], ratio[0],
               ratio[ROUNDS - 1], target);
        fflush(stdout);
}

/* ---- ping-pong of two threads ---- */

struct pingpong {
        _Alignas(128) _Atomic uint32_t ping;
        _Alignas(128) _Atomic uint32_t pong;
        bool sleeping;
        uint32_t n;
};

static void await(_Atomic uint32_t *word, uint32_t value, bool sleeping)
{
        uint32_t seen;

        while ((seen = atomic_load_explicit(word, memory_order_acquire)) != value) {
                if (sleeping)
                        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
                else
                        relax();
        }
}

static void set(_Atomic uint32_t *word, uint32_t value, bool sleeping)
{
        atomic_store_explicit(word, value, memory_order_release);
        if (sleeping)
                syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *ponger(void *arg)
{
        struct pingpong *pp = arg;

        pin(1);
        for (uint32_t i = 1; i <= pp->n; i++) {
                await(&pp->ping, i, pp->sleeping);
                set(&pp->pong, i, pp->sleeping);
        }
        return NULL;
}

/* ns per round trip; the first one, in which the other thread starts, is not counted. */
static double pingpong(bool sleeping, uint32_t n)
{
        static struct pingpong pp;
        pthread_t thread;
        uint64_t begin;

        memset(&pp, 0, sizeof(pp));
        pp.sleeping = sleeping;
        pp.n = n + 1;
        /* With real-time priority it would never run where this thread spins. */
        unpin();
        if (pthread_create(&thread, NULL, ponger, &pp))
                die("no thread");
        pin(0);
        set(&pp.ping, 1, sleeping);
        await(&pp.pong, 1, sleeping);
        begin = vmreq_now();
        for (uint32_t i = 2; i <= n + 1; i++) {
                set(&pp.ping, i, sleeping);
                await(&pp.pong, i, sleeping);
        }
        begin = vmreq_now() - begin;
        pthread_join(thread, NULL);
        return (double)begin / n;
}

/* ---- ours ---- */

static int32_t nothing(uint64_t a, uint64_t b)
{
        return (int32_t)(a + b) & 1;
}

static vmreq_vm vm_new(uint64_t spin_ns, uint32_t slab, uint32_t lane)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;
        vmreq_vm vm;

        config.spin_ns = spin_ns;
        config.slab = slab;
        config.lane_capacity = lane;
        if (vmreq_vm_create(&config, &vm))
                die("no VM");
        return vm;
}

static void vm_end(vmreq_vm vm)
{
        if (vmreq_vm_stop(vm, VMREQ_FOREVER, NULL, 0) || vmreq_vm_free(vm))
                die("the VM does not stop");
}

/* The EMT's own thread pins itself, so that both sides of a row stand alike. */
static int32_t pin_emt(uint64_t cpu)
{
        pin((int)cpu);
        return 0;
}

static double call_wait(uint64_t spin_ns, uint32_t n)
{
        vmreq_vm vm;
        uint64_t begin;

        unpin();
        vm = vm_new(spin_ns, 0, 0);
        pin(0);
        (void)vmreq_call_wait(vm, 0, (vmreq_fn)pin_emt, 1, VMREQ_W(1));
        for (uint32_t i = 0; i < 1000; i++)
                (void)vmreq_call_wait(vm, 0, (vmreq_fn)nothing, 2, VMREQ_W(1), VMREQ_W(2));
        begin = vmreq_now();
        for (uint32_t i = 0; i < n; i++)
                if (vmreq_call_wait(vm, 0, (vmreq_fn)nothing, 2, VMREQ_W(1), VMREQ_W(2)) < 0)
                        die("call_wait failed");
        begin = vmreq_now() - begin;
        vm_end(vm);
        return (double)begin / n;
}

static void row_1(void)
{
        double ours[ROUNDS], theirs[ROUNDS];

        for (int i = 0; i < ROUNDS; i++) {
                theirs[i] = pingpong(false, 300000);
                ours[i] = call_wait(1000000, 300000);
        }
        print_row("1", "call_wait, EMT awake / spinning ping-pong", "ns", ours, theirs, "<= 1.5");
}

static void row_2(void)
{
        double ours[ROUNDS], theirs[ROUNDS];

        for (int i = 0; i < ROUNDS; i++) {
                theirs[i] = pingpong(true, 20000);
                ours[i] = call_wait(VMREQ_FOREVER, 20000);
        }
        print_row("2", "call_wait, EMT asleep / sleeping ping-pong", "ns", ours, theirs, "<= 1.1");
}

/* ---- throughput ---- */

#define BATCH_TOTAL 2000000u

static _Atomic uint64_t sum;

static int32_t count_one(uint64_t a, uint64_t b)
{
        /* The only writer is the consumer. */
        atomic_store_explicit(&sum, atomic_load_explicit(&sum, memory_order_relaxed) + 1,
                              memory_order_relaxed);
        return (int32_t)(a ^ b) & 0;
}

struct producer {
        pthread_t thread;
        vmreq_vm vm;
        uint32_t n;
        int cpu;
};

static void *produce(void *arg)
{
        struct producer *producer = arg;
        struct vmreq_spec spec = VMREQ_SPEC_INIT;
        uint64_t args[2] = {1, 2};

        pin(producer->cpu);
        spec.cpu = 0;
        spec.flags = VMREQ_NO_WAIT;
        spec.kind = VMREQ_FN_STATUS;
        spec.fn = (vmreq_fn)count_one;
        spec.args = args;
        spec.argc = 2;
        for (uint32_t i = 0; i < producer->n; i++) {
                int r;

                args[0] = i;
                while ((r = vmreq_submit(producer->vm, &spec, NULL)) == VMREQ_E_BUSY)
                        relax();
                if (r)
                        die("submit failed");
        }
        return NULL;
}

/* requests per second */
static double throughput(int producers)
{
        struct producer p[8];
        vmreq_vm vm;
        uint64_t begin;

        unpin();
        vm = vm_new(1000000, 8192, 4096);
        (void)vmreq_call_wait(vm, 0, (vmreq_fn)pin_emt, 1, VMREQ_W(1));
        atomic_store(&sum, 0);
        begin = vmreq_now();
        for (int i = 0; i < producers; i++) {
                p[i] = (struct producer){
                        .vm = vm, .n = BATCH_TOTAL / (uint32_t)producers, .cpu = 0};
                if (pthread_create(&p[i].thread, NULL, produce, &p[i]))
                        die("no thread");
        }
        for (int i = 0; i < producers; i++)
                pthread_join(p[i].thread, NULL);
        while (atomic_load_explicit(&sum, memory_order_acquire) != BATCH_TOTAL)
                relax();
        begin = vmreq_now() - begin;
        vm_end(vm);
        return BATCH_TOTAL * 1e9 / (double)begin;
}

/* The peer: a packet of the engine's size (struct req: two cache lines), from a free list through a
 * wfcqueue to a consumer and back. */
struct packet {
        struct cds_wfcq_node node;
        _Atomic(struct packet *) next_free;
        int32_t (*fn)(uint64_t a, uint64_t b);
        uint64_t args[4];
        uint64_t fill[9];
};

_Static_assert(sizeof(struct packet) == 128, "as large as struct req");

struct peer {
        struct __cds_wfcq_head head;
        _Alignas(128) struct cds_wfcq_tail tail;
        _Alignas(128) _Atomic uint64_t top; /* tag << 32 | index + 1 */
        struct packet *packets;
        _Atomic bool stop;
        uint32_t n;
        int cpu;
};

#define PEER_PACKETS 4096u

static struct packet *peer_get(struct peer *peer)
{
        uint64_t top = atomic_load_explicit(&peer->top, memory_order_acquire);

        while ((uint32_t)top) {
                struct packet *packet = &peer->packets[(uint32_t)top - 1];
                struct packet *next =
                        atomic_load_explicit(&packet->next_free, memory_order_relaxed);
                uint64_t index = next ? (uint64_t)(next - peer->packets) + 1 : 0;

                if (atomic_compare_exchange_weak_explicit(
                            &peer->top, &top, (top & ~0xffffffffull) | index, memory_order_acquire,
                            memory_order_acquire))
                        return packet;
        }
        return NULL;
}

static void peer_put(struct peer *peer, struct packet *packet)
{
        uint64_t top = atomic_load_explicit(&peer->top, memory_order_relaxed), next;

        do {
                uint32_t index = (uint32_t)top;

                atomic_store_explicit(&packet->next_free, index ? &peer->packets[index - 1] : NULL,
                                      memory_order_relaxed);
                next = ((top >> 32) + 1) << 32 | (uint64_t)(packet - peer->packets + 1);
        } while (!atomic_compare_exchange_weak_explicit(
                &peer->top, &top, next, memory_order_release, memory_order_relaxed));
}

static void *peer_consume(void *arg)
{
        struct peer *peer = arg;

        pin(1);
        for (;;) {
                struct cds_wfcq_node *node = __cds_wfcq_dequeue_blocking(&peer->head, &peer->tail);

                if (!node) {
                        if (atomic_load_explicit(&peer->stop, memory_order_acquire))
                                return NULL;
                        relax();
                        continue;
                }
                struct packet *packet = caa_container_of(node, struct packet, node);

                (void)packet->fn(packet->args[0], packet->args[1]);
                peer_put(peer, packet);
        }
}

static void *peer_produce(void *arg)
{
        struct peer *peer = arg;

        pin(0);
        for (uint32_t i = 0; i < peer->n; i++) {
                struct packet *packet;

                while (!(packet = peer_get(peer)))
                        relax();
                packet->fn = count_one;
                packet->args[0] = i;
                packet->args[1] = 2;
                cds_wfcq_node_init(&packet->node);
                cds_wfcq_enqueue((cds_wfcq_head_ptr_t)&peer->head, &peer->tail, &packet->node);
        }
        return NULL;
}

static double peer_throughput(int producers)
{
        struct peer *peer = aligned_alloc(128, (sizeof(*peer) + 127) / 128 * 128);
        pthread_t consumer, threads[8];
        uint64_t begin;

        memset(peer, 0, sizeof(*peer));
        __cds_wfcq_init(&peer->head, &peer->tail);
        peer->packets = aligned_alloc(128, PEER_PACKETS * sizeof(*peer->packets));
        memset(peer->packets, 0, PEER_PACKETS * sizeof(*peer->packets));
        for (uint32_t i = 0; i < PEER_PACKETS; i++)
                peer_put(peer, &peer->packets[i]);
        peer->n = BATCH_TOTAL / (uint32_t)producers;
        atomic_store(&sum, 0);
        begin = vmreq_now();
        if (pthread_create(&consumer, NULL, peer_consume, peer))
                die("no thread");
        for (int i = 0; i < producers; i++)
                if (pthread_create(&threads[i], NULL, peer_produce, peer))
                        die("no thread");
        for (int i = 0; i < producers; i++)
                pthread_join(threads[i], NULL);
        while (atomic_load_explicit(&sum, memory_order_acquire) != BATCH_TOTAL)
                relax();
        begin = vmreq_now() - begin;
        atomic_store_explicit(&peer->stop, true, memory_order_release);
        pthread_join(consumer, NULL);
        free(peer->packets);
        free(peer);
        return BATCH_TOTAL * 1e9 / (double)begin;
}

static void row_3(void)
{
        static const int producers[] = {1, 4};

        for (int k = 0; k < 2; k++) {
                double ours[ROUNDS], theirs[ROUNDS];
                char what[64];

                for (int i = 0; i < ROUNDS; i++) {
                        theirs[i] = peer_throughput(producers[k]) / 1e6;
                        ours[i] = throughput(producers[k]) / 1e6;
                }
                snprintf(what, sizeof(what), "NO_WAIT, %d producer%s / wfcqueue", producers[k],
                         producers[k] > 1 ? "s" : "");
                print_row("3", what, "M/s", ours, theirs, ">= 0.8");
        }
}

/* ---- backlog ---- */

static int32_t hold(uint64_t unused)
{
        (void)unused;
        return vmreq_park(VMREQ_FOREVER);
}

/* ns per request: `backlog` queued behind a held EMT, then served. */
static double backlog_cost(vmreq_vm vm, uint32_t backlog)
{
        struct producer producer = {.vm = vm, .n = backlog, .cpu = 0};
        uint64_t begin, taken;

        (void)vmreq_call_nowait(vm, 0, (vmreq_fn)hold, 1, VMREQ_W(0));
        atomic_store(&sum, 0);
        begin = vmreq_now();
        (void)produce(&producer);
        taken = vmreq_now() - begin;
        begin = vmreq_now();
        (void)vmreq_unpark(vm, 0);
        while (atomic_load_explicit(&sum, memory_order_acquire) != backlog)
                relax();
        return (double)(taken + vmreq_now() - begin) / backlog;
}

/* Packets and places come back in the order in which four producers and the EMT happened to leave
 * them. */
static void age(vmreq_vm vm)
{
        atomic_store(&sum, 0);
        for (int round = 0; round < 4; round++) {
                struct producer p[4];

                for (int i = 0; i < 4; i++) {
                        p[i] = (struct producer){.vm = vm, .n = 200000, .cpu = i & 1};
                        if (pthread_create(&p[i].thread, NULL, produce, &p[i]))
                                die("no thread");
                }
                for (int i = 0; i < 4; i++)
                        pthread_join(p[i].thread, NULL);
        }
        while (atomic_load_explicit(&sum, memory_order_acquire) != 16u * 200000)
                relax();
}

static double backlog_many(uint32_t backlog, uint32_t total, bool aged)
{
        vmreq_vm vm;
        double cost = 0;

        unpin();
        vm = vm_new(1000000, 1 << 20, 1 << 20);
        if (aged)
                age(vm);
        for (uint32_t i = 0; i < total / backlog; i++)
                cost += backlog_cost(vm, backlog);
        vm_end(vm);
        return cost / (total / backlog);
}

static void row_4(void)
{
        for (int aged = 0; aged < 2; aged++) {
                double ours[ROUNDS], theirs[ROUNDS];

                for (int i = 0; i < ROUNDS; i++) {
                        theirs[i] = backlog_many(1000, 1000000, aged);
                        ours[i] = backlog_many(1000000, 1000000, aged);
                }
                print_row("4",
                          aged ? "1,000,000 queued / 1,000, aged"
                               : "1,000,000 queued / 1,000, fresh",
                          "ns", ours, theirs, aged ? "none" : "<= 1.5");
        }
}

/* One point of a curve: the median of a fresh slab's rounds. */
static int print_backlog(uint32_t backlog)
{
        double ns[ROUNDS];

        if (!backlog || backlog > 1000000)
                die("backlog N: 1 to 1,000,000");
        for (int i = 0; i < ROUNDS; i++)
                ns[i] = backlog_many(backlog, 1000000, false);
        qsort(ns, ROUNDS, sizeof(double), compare);
        printf("%u %.1f %.1f %.1f\n", backlog, ns[ROUNDS / 2], ns[0], ns[ROUNDS - 1]);
        return 0;
}

/* ---- for an instruction counter ---- */

static int count(uint32_t backlog, uint32_t total)
{
        struct producer producer = {.n = backlog, .cpu = 0};

        if (!backlog || backlog > 1000000 || total % backlog)
                die("count BACKLOG TOTAL: 1 to 1,000,000, and a multiple of it");
        producer.vm = vm_new(VMREQ_FOREVER, 1 << 20, 1 << 20);
        for (uint32_t i = 0; i < total / backlog; i++) {
                (void)vmreq_call_nowait(producer.vm, 0, (vmreq_fn)hold, 1, VMREQ_W(0));
                (void)produce(&producer);
                (void)vmreq_unpark(producer.vm, 0);
                /* First in, first out: when this one is back, so are the others. */
                if (vmreq_call_wait(producer.vm, 0, (vmreq_fn)nothing, 2, VMREQ_W(0), VMREQ_W(0)))
                        die("call_wait failed");
        }
        vm_end(producer.vm);
        return 0;
}

int main(int argc, char **argv)
{
        void (*const rows[])(void) = {row_1, row_2, row_3, row_4};

        if (pin_begin() < 2)
                die("needs two processors");
        if (argc == 4 && !strcmp(argv[1], "count"))
                return count((uint32_t)atol(argv[2]), (uint32_t)atol(argv[3]));
        if (argc == 3 && !strcmp(argv[1], "backlog"))
                return print_backlog((uint32_t)atol(argv[2]));
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                bool wanted = argc < 2;

                for (int k = 1; k < argc; k++)
                        wanted |= (size_t)atoi(argv[k]) == i + 1;
                if (wanted)
                        rows[i]();
        }
        return 0;
}
