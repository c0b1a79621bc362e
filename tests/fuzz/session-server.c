/* SPDX-License-Identifier: MIT */
/*
 * The real server, driven by hand.  Its loop is turned by whoever calls session_turn; its EMTs are
 * threads of their own (a request from the loop has to be queued, as in the daemon), but each runs
 * only between session_serve's two semaphores, one at a time and while the loop stands still.  So
 * the order of everything follows from the input alone, and an input does the same each time.
 *
 * fuzz.hold gives way in the middle of a request: that is how a call gets to run while its client
 * cancels, hangs up, or waits for it.
 */
#include "session.h"

#include "base/clock.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The EMT of the calling thread. */
static _Thread_local struct session_emt *emt_of_this_thread;

static void sem_down(sem_t *sem)
{
        while (sem_wait(sem))
                FUZZ_CHECK(errno == EINTR);
}

static void sem_up(sem_t *sem)
{
        FUZZ_CHECK(sem_post(sem) == 0);
}

static void *emt_main(void *arg)
{
        struct session_emt *emt = arg;

        emt_of_this_thread = emt;
        FUZZ_CHECK(vmreq_emt_attach(emt->vm, emt->cpu) == 0);
        for (sem_up(&emt->done);;) {
                sem_down(&emt->go);
                if (emt->ending)
                        break;
                FUZZ_CHECK(vmreq_process(emt->vm, 0) >= 0 ||
                           vmreq_vm_state(emt->vm) != VMREQ_VM_DESTROYED);
                sem_up(&emt->done);
        }
        while (vmreq_process(emt->vm, 0) != VMREQ_E_CLOSED)
                (void)vmreq_halt(emt->vm, VMREQ_FOREVER);
        FUZZ_CHECK(vmreq_emt_detach(emt->vm) == 0);
        return NULL;
}

uint32_t session_emt_cpu(void)
{
        return emt_of_this_thread->cpu;
}

void session_emt_yield(void)
{
        struct session_emt *emt = emt_of_this_thread;

        sem_up(&emt->done);
        sem_down(&emt->go);
}

void session_serve(struct session_server *server, uint32_t cpu)
{
        struct session_emt *emt = &server->emts[cpu];

        sem_up(&emt->go);
        sem_down(&emt->done);
}

void session_turn(struct session_server *server)
{
        (void)uv_run(&server->server->loop, UV_RUN_NOWAIT);
}

/* ---- the console ---- */

/* Not more than this is kept of what the guest wrote. */
#define CONSOLE_BYTES 8192u

static size_t console_read(void *ctx, uint64_t *position, void *to, size_t size, uint64_t *ret_lost)
{
        const struct session_server *server = ctx;
        uint64_t end = server->console_end, begin = end > CONSOLE_BYTES ? end - CONSOLE_BYTES : 0;
        size_t n;

        *ret_lost = *position < begin ? begin - *position : 0;
        *position += *ret_lost;
        n = end - *position < size ? (size_t)(end - *position) : size;
        memset(to, 'c', n);
        *position += n;
        return n;
}

static uint64_t console_begin(void *ctx)
{
        const struct session_server *server = ctx;

        return server->console_end > CONSOLE_BYTES ? server->console_end - CONSOLE_BYTES : 0;
}

static uint64_t console_end(void *ctx)
{
        return ((const struct session_server *)ctx)->console_end;
}

void session_console(struct session_server *server, size_t n)
{
        server->console_end += n;
        rpc_service_console_news(server->service);
}

void session_states(struct session_server *server, unsigned n)
{
        static const enum vmreq_vm_state states[] = {VMREQ_VM_CREATED, VMREQ_VM_RUNNING,
                                                     VMREQ_VM_SUSPENDED};

        for (unsigned i = 0; i < n; i++)
                rpc_service_state_changed(server->service, states[i % 3], states[(i + 1) % 3],
                                          i & 1 ? "fuzz" : NULL);
}

/* ---- the server ---- */

static void on_log(void *ctx, int level, const char *module, const char *text)
{
        (void)ctx, (void)level, (void)module, (void)text;
}

/* Nobody connects there: connections are handed over as descriptors. */
static int listen_nowhere(void)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX}; /* an abstract name of the kernel's */
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        FUZZ_CHECK(fd >= 0);
        FUZZ_CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address.sun_family)) == 0);
        FUZZ_CHECK(listen(fd, 1) == 0);
        return fd;
}

static void start_vm(struct session_server *server, unsigned kind)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        config.cpus = SESSION_CPUS;
        config.flags = VMREQ_CONFIG_ATTACH;
        config.slab = kind == 1 ? 10 : 64;
        config.lane_capacity = kind == 0 ? 4 : 64;
        config.batch = 1;
        config.spin_ns = VMREQ_FOREVER;
        config.service_wake = rpc_service_wake;
        config.ctx = server->service;
        FUZZ_CHECK(vmreq_vm_create(&config, &server->vm) == 0);
        for (uint32_t cpu = 0; cpu < SESSION_CPUS; cpu++) {
                struct session_emt *emt = &server->emts[cpu];

                *emt = (struct session_emt){.vm = server->vm, .cpu = cpu};
                FUZZ_CHECK(sem_init(&emt->go, 0, 0) == 0 && sem_init(&emt->done, 0, 0) == 0);
                FUZZ_CHECK(pthread_create(&emt->thread, NULL, emt_main, emt) == 0);
                sem_down(&emt->done);
        }
}

/* The first meets the bounds of a connection, the second those of a uid and of all together; the
 * third has room for what is large: long frames, and many streams of one connection. */
static struct rpc_limits limits_of(unsigned kind)
{
        struct rpc_limits limits = RPC_LIMITS_INIT;

        limits.connections = 24;
        limits.connections_per_uid = 3;
        limits.frame_bytes = kind == 0 ? 4096 : kind == 1 ? 64 << 10 : 256 << 10;
        limits.kept_per_uid = 4;
        limits.calls = kind == 0 ? 24 : 96;
        limits.calls_per_connection = kind == 0 ? 6 : 64;
        limits.calls_per_uid = kind == 0 ? 8 : 70;
        limits.bytes = kind == 0 ? 1 << 20 : kind == 1 ? 170 << 10 : 3 << 20;
        limits.bytes_per_connection = kind == 0 ? 70 << 10 : kind == 1 ? 400 << 10 : 2 << 20;
        limits.bytes_per_uid = kind == 0 ? 300 << 10 : kind == 1 ? 150 << 10 : 5 << 19;
        return limits;
}

void session_server_start(struct session_server *server, unsigned kind)
{
        struct rpc_config config;
        char text[256] = "";

        *server = (struct session_server){0};
        log_init(-1, 0);
        server->listen_fd = listen_nowhere();
        server->service = rpc_service_new();
        FUZZ_CHECK(server->service);
        start_vm(server, kind);
        FUZZ_CHECK(sym_registry_new(server->vm, on_log, NULL, &server->registry) == 0);
        FUZZ_CHECK(sym_registry_add_builtin(server->registry, &session_module, NULL, 0, text,
                                            sizeof(text)) == SYM_LOAD_OK);
        config = (struct rpc_config){
                .vm_name = "fuzz",
                .version = "0.fuzz",
                .vm = server->vm,
                .registry = server->registry,
                .limits = limits_of(kind),
                .listen_fd = server->listen_fd,
                .emt_stuck_ms = 1000,
        };
        FUZZ_CHECK(rpc_server_new(&config, &server->server) == 0);
        rpc_server_set_service(server->server, server->service);
        server->console = (struct rpc_feed){
                .read = console_read, .begin = console_begin, .end = console_end, .ctx = server};
        rpc_server_offer_console(server->server, &server->console);
        /* As on a machine with more processors than the VM has vCPUs. */
        if (kind == 2)
                server->server->bridge.spin_ns = server->server->bridge.spin_ns_max = 600;
}

/* One rule out of five bytes; what is 0 is not said. */
static void add_rule(struct rpc_rules *rules, struct fuzz_input *input)
{
        static const char *const symbols[] = {NULL,       "fuzz.*",  "fuzz.echo", "vmreq.*",
                                              "vmreq.s*", "fuzz.a*", "nvim_*",    "*"};
        static const uint32_t flags[] = {0, VMREQ_PRIORITY, VMREQ_POKE};
        uint8_t action = fuzz_byte(input), symbol = fuzz_byte(input) % 8,
                who = fuzz_byte(input) % 4, cpus = fuzz_byte(input) % 4,
                flag = fuzz_byte(input) % 3;

        FUZZ_CHECK(!rpc_rules_add(rules, "rule", 1));
        rpc_rules_set_action(rules, action & 1);
        if (symbol)
                FUZZ_CHECK(!rpc_rules_add_symbol(rules, symbols[symbol]));
        if (who)
                FUZZ_CHECK(!rpc_rules_add_subject(rules,
                                                  who == 3 ? RPC_SUBJECT_GID : RPC_SUBJECT_UID,
                                                  who == 1 ? SESSION_NOBODY : 0));
        if (cpus)
                rpc_rules_add_cpus(rules, cpus == 2, cpus >= 2);
        if (flag)
                rpc_rules_add_flag(rules, flags[flag]);
}

void session_set_policy(struct session_server *server, struct fuzz_input *input)
{
        struct rpc_policy_host host = server->server->policy.host;
        uint8_t n = fuzz_byte(input) % 4;
        struct rpc_rules *rules = n ? rpc_rules_new() : NULL;

        FUZZ_CHECK(!n || (rules && rpc_rules_begin_file(rules, "file")));
        for (; n > 0; n--)
                add_rule(rules, input);
        rpc_policy_replace(&server->server->policy, &host, rules);
        rpc_events_review(server->server);
}

void session_drain(struct session_server *server, bool serves)
{
        rpc_drain_begin(server->server);
        while (server->server->phase == RPC_DRAINING) {
                session_turn(server);
                fuzz_pass(CLOCK_NS_PER_MS * 1000);
                for (uint32_t cpu = 0; serves && cpu < SESSION_CPUS; cpu++)
                        session_serve(server, cpu);
        }
}

void session_server_stop(struct session_server *server)
{
        for (uint32_t cpu = 0; cpu < SESSION_CPUS; cpu++) {
                server->emts[cpu].ending = true;
                sem_up(&server->emts[cpu].go);
        }
        FUZZ_CHECK(vmreq_vm_stop(server->vm, VMREQ_FOREVER, NULL, 0) == 0);
        for (uint32_t cpu = 0; cpu < SESSION_CPUS; cpu++) {
                struct session_emt *emt = &server->emts[cpu];

                FUZZ_CHECK(pthread_join(emt->thread, NULL) == 0);
                FUZZ_CHECK(sem_destroy(&emt->go) == 0 && sem_destroy(&emt->done) == 0);
        }
        FUZZ_CHECK(rpc_server_settle(server->server));
        (void)rpc_server_free(server->server);
        (void)sym_registry_free(server->registry);
        FUZZ_CHECK(vmreq_vm_free(server->vm) == 0);
        rpc_service_free(server->service);
        (void)close(server->listen_fd);
}
