/* SPDX-License-Identifier: MIT */
/*
 * A client of several servers, so that they are measured alike: one thread, non-blocking sockets,
 * each connection keeps DEPTH calls in flight, as many new ones are sent with one write as answers
 * came with one read, and every answer is parsed and checked.
 *
 *   bench-socket PROTOCOL PATH CLIENTS DEPTH SECONDS [PID]
 *
 * PROTOCOL: vmreq (debug.add), flood (the same, whatever is answered), many:N (N symbols of the
 * modules many0, many1, ..., one after the other), ping (vmreq.ping), redis (PING), nvim
 * (nvim_strwidth), qmp (query-status), echo (8 bytes there and back).  Prints one JSON object:
 * calls, rate, latencies in microseconds and how often each came, and with PID the CPU time of that
 * process per call.
 *
 *   bench-socket serve PATH
 *
 * The floor: a server of one thread that sends back what comes, until SIGTERM.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define DEPTH_MAX   120 /* slots are msgids of one byte */
#define CLIENTS_MAX 20000
#define IN_BYTES    65536
#define MANY_EACH   4096 /* symbols of one of the modules many0, many1, ... */
#define MANY_MAX    12288

struct connection {
        int fd;
        uint32_t have;  /* bytes of an unfinished answer */
        uint32_t first; /* in-order protocols: the oldest slot in flight */
        uint64_t sent_ns[DEPTH_MAX];
        uint8_t in[IN_BYTES];
};

/* Answers found in `data`: for each its slot, or -1 for "the oldest".  Returns bytes used up, or
 * -1: that is no right answer. */
typedef ssize_t (*parse_fn)(const uint8_t *data, size_t n, int *ret_slot);

struct protocol {
        const char *name;
        size_t (*put)(uint8_t *to, unsigned slot);
        parse_fn parse;
        const char *greeting; /* sent first; its answers end at `until` */
        const char *until;
};

static uint64_t now_ns(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

__attribute__((noreturn)) static void die(const char *what)
{
        (void)fprintf(stderr, "bench-socket: %s: %s\n", what, strerror(errno));
        exit(1);
}

/* ---- protocols ---- */

static size_t put_call(uint8_t *to, unsigned slot, const char *method, const char *args,
                       size_t n_args)
{
        size_t len = strlen(method);

        to[0] = 0x94;
        to[1] = 0;
        to[2] = (uint8_t)slot;
        to[3] = (uint8_t)(0xa0 | len);
        memcpy(to + 4, method, len);
        memcpy(to + 4 + len, args, n_args);
        return 4 + len + n_args;
}

/* [1, slot, nil, ANSWER] */
static ssize_t parse_rpc(const uint8_t *data, size_t n, int *ret_slot, const char *answer,
                         size_t n_answer)
{
        if (n < 4 + n_answer)
                return 0;
        if (data[0] != 0x94 || data[1] != 1 || data[2] >= DEPTH_MAX || data[3] != 0xc0 ||
            memcmp(data + 4, answer, n_answer) != 0)
                return -1;
        *ret_slot = data[2];
        return (ssize_t)(4 + n_answer);
}

static size_t put_vmreq(uint8_t *to, unsigned slot)
{
        return put_call(to, slot, "debug.add", "\x92\x28\x02", 3);
}

static unsigned n_many; /* "many:N" */

static size_t put_many(uint8_t *to, unsigned slot)
{
        static unsigned next;
        char method[16];

        (void)snprintf(method, sizeof(method), "many%u.f%04u", next / MANY_EACH % 10,
                       next % MANY_EACH);
        next = (next + 1) % n_many;
        return put_call(to, slot, method, "\x90", 1);
}

static ssize_t parse_vmreq(const uint8_t *data, size_t n, int *ret_slot)
{
        return parse_rpc(data, n, ret_slot, "\x2a", 1);
}

static size_t put_ping(uint8_t *to, unsigned slot)
{
        return put_call(to, slot, "vmreq.ping", "\x90", 1);
}

static ssize_t parse_ping(const uint8_t *data, size_t n, int *ret_slot)
{
        return parse_rpc(data, n, ret_slot, "\xa4pong", 5);
}

/* Answers of any kind: the flood does not care.  Each ends where the next begins: [1, slot, …]. */
static ssize_t parse_any(const uint8_t *data, size_t n, int *ret_slot)
{
        const uint8_t *next = n > 1 ? memmem(data + 1, n - 1, "\x94\x01", 2) : NULL;

        *ret_slot = n > 2 && data[2] < DEPTH_MAX ? data[2] : 0;
        if (next)
                return next - data;
        return n > 4 ? (ssize_t)n : 0;
}

static size_t put_nvim(uint8_t *to, unsigned slot)
{
        return put_call(to, slot, "nvim_strwidth", "\x91\xa2xy", 4);
}

static ssize_t parse_nvim(const uint8_t *data, size_t n, int *ret_slot)
{
        return parse_rpc(data, n, ret_slot, "\x02", 1);
}

static size_t put_redis(uint8_t *to, unsigned slot)
{
        (void)slot;
        memcpy(to, "*1\r\n$4\r\nPING\r\n", 14);
        return 14;
}

static ssize_t parse_redis(const uint8_t *data, size_t n, int *ret_slot)
{
        *ret_slot = -1;
        if (n < 7)
                return 0;
        return memcmp(data, "+PONG\r\n", 7) == 0 ? 7 : -1;
}

static size_t put_qmp(uint8_t *to, unsigned slot)
{
        (void)slot;
        return (size_t)sprintf((char *)to, "{\"execute\":\"query-status\"}\n");
}

static ssize_t parse_qmp(const uint8_t *data, size_t n, int *ret_slot)
{
        const uint8_t *end = memchr(data, '\n', n);

        *ret_slot = -1;
        if (!end)
                return 0;
        return memmem(data, (size_t)(end - data), "\"return\"", 8) ? end + 1 - data : -1;
}

static size_t put_echo(uint8_t *to, unsigned slot)
{
        memcpy(to, "echo....", 8);
        to[7] = (uint8_t)slot;
        return 8;
}

static ssize_t parse_echo(const uint8_t *data, size_t n, int *ret_slot)
{
        if (n < 8)
                return 0;
        *ret_slot = data[7];
        return memcmp(data, "echo...", 7) == 0 && data[7] < DEPTH_MAX ? 8 : -1;
}

static const struct protocol protocols[] = {
        {"vmreq", put_vmreq, parse_vmreq, NULL, NULL},
        {"many", put_many, parse_vmreq, NULL, NULL},
        {"ping", put_ping, parse_ping, NULL, NULL},
        {"flood", put_vmreq, parse_any, NULL, NULL},
        {"redis", put_redis, parse_redis, NULL, NULL},
        {"nvim", put_nvim, parse_nvim, NULL, NULL},
        {"qmp", put_qmp, parse_qmp, "{\"execute\":\"qmp_capabilities\"}\n", "{\"return\": {}}\r\n"},
        {"echo", put_echo, parse_echo, NULL, NULL},
};

/* ---- latencies ---- */

/* Buckets of 1/16 of a power of two, up to 2^40 ns. */
#define BUCKETS (41 * 16)
static uint64_t buckets[BUCKETS], n_latencies;

static void note(uint64_t ns)
{
        unsigned top = ns < 16 ? 4 : 63 - (unsigned)__builtin_clzll(ns);
        unsigned i = top * 16 + (unsigned)((ns >> (top - 4)) & 15);

        buckets[i < BUCKETS ? i : BUCKETS - 1]++;
        n_latencies++;
}

static double bucket_us(unsigned i)
{
        return (double)((16ull + i % 16) << (i / 16 - 4)) * (1 + 1.0 / 32) / 1000;
}

static double percentile_us(double part)
{
        uint64_t rank = (uint64_t)((double)n_latencies * part), seen = 0;

        for (unsigned i = 0; i < BUCKETS; i++) {
                seen += buckets[i];
                if (seen > rank)
                        return bucket_us(i);
        }
        return 0;
}

static void print_latencies(void)
{
        const char *comma = "";

        (void)printf("\"latencies\": [");
        for (unsigned i = 0; i < BUCKETS; i++) {
                if (!buckets[i])
                        continue;
                (void)printf("%s[%.3f, %llu]", comma, bucket_us(i), (unsigned long long)buckets[i]);
                comma = ", ";
        }
        (void)printf("], ");
}

static double cpu_seconds(long pid)
{
        char path[64], text[1024], *p;
        unsigned long long user, kernel;
        FILE *in;
        size_t n;

        if (!pid)
                return 0;
        (void)snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
        in = fopen(path, "re");
        if (!in)
                die(path);
        n = fread(text, 1, sizeof(text) - 1, in);
        (void)fclose(in);
        text[n] = '\0';
        p = strrchr(text, ')');
        if (!p || sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
                         &kernel) != 2)
                die("stat");
        return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

/* ---- connections ---- */

static const struct protocol *protocol;
static unsigned depth;
static uint64_t answered;

/* False: there is nobody to send to. */
static bool try_send_all(int fd, const uint8_t *data, size_t n)
{
        while (n) {
                ssize_t sent = send(fd, data, n, MSG_NOSIGNAL);

                if (sent < 0 && errno == EAGAIN) {
                        struct pollfd ready = {.fd = fd, .events = POLLOUT};

                        (void)poll(&ready, 1, -1);
                        continue;
                }
                if (sent <= 0)
                        return false;
                data += sent;
                n -= (size_t)sent;
        }
        return true;
}

static void send_all(int fd, const uint8_t *data, size_t n)
{
        if (!try_send_all(fd, data, n))
                die("send");
}

static void greet(int fd)
{
        char text[4096];
        size_t n = 0;

        if (!protocol->greeting)
                return;
        send_all(fd, (const uint8_t *)protocol->greeting, strlen(protocol->greeting));
        do {
                ssize_t got = recv(fd, text + n, sizeof(text) - n - 1, 0);

                if (got <= 0)
                        die("greeting");
                n += (size_t)got;
                text[n] = '\0';
        } while (!strstr(text, protocol->until));
}

static struct connection *connect_to(const char *path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        struct connection *c = calloc(1, sizeof(*c));

        if (!c)
                die("memory");
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof(address)))
                die(path);
        greet(c->fd);
        return c;
}

static void fill(struct connection *c, const unsigned *slots, unsigned n, uint64_t now)
{
        uint8_t out[DEPTH_MAX * 64];
        size_t len = 0;

        for (unsigned i = 0; i < n; i++) {
                c->sent_ns[slots[i]] = now;
                len += protocol->put(out + len, slots[i]);
        }
        send_all(c->fd, out, len);
}

/* Takes in what is there, and sends as many calls as answers came. */
static void turn(struct connection *c, bool again)
{
        unsigned slots[DEPTH_MAX], n = 0;
        size_t used = 0;
        ssize_t got = recv(c->fd, c->in + c->have, sizeof(c->in) - c->have, 0);
        uint64_t now;

        if (got < 0 && errno == EAGAIN)
                return;
        if (got <= 0)
                die("the server closed a connection");
        c->have += (uint32_t)got;
        now = now_ns();
        for (;;) {
                int slot = -1;
                ssize_t step = protocol->parse(c->in + used, c->have - used, &slot);

                if (step < 0)
                        die("a wrong answer");
                if (step == 0)
                        break;
                used += (size_t)step;
                if (slot < 0) {
                        slot = (int)c->first;
                        c->first = (c->first + 1) % depth;
                }
                note(now - c->sent_ns[slot]);
                answered++;
                slots[n++] = (unsigned)slot;
        }
        memmove(c->in, c->in + used, c->have - used);
        c->have -= (uint32_t)used;
        if (again && n)
                fill(c, slots, n, now);
}

static void start(struct connection *c)
{
        unsigned slots[DEPTH_MAX];

        for (unsigned i = 0; i < depth; i++)
                slots[i] = i;
        c->first = 0;
        fill(c, slots, depth, now_ns());
}

static void run_one(struct connection *c, uint64_t until)
{
        while (now_ns() < until)
                turn(c, true);
}

static void run_many(struct connection **c, unsigned n, uint64_t until)
{
        int epoll = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event events[256];

        for (unsigned i = 0; i < n; i++) {
                struct epoll_event event = {.events = EPOLLIN, .data.ptr = c[i]};

                if (fcntl(c[i]->fd, F_SETFL, O_NONBLOCK) ||
                    epoll_ctl(epoll, EPOLL_CTL_ADD, c[i]->fd, &event))
                        die("epoll");
        }
        while (now_ns() < until) {
                int ready = epoll_wait(epoll, events, 256, 1000);

                for (int i = 0; i < ready; i++)
                        turn(events[i].data.ptr, true);
        }
        (void)close(epoll);
}

/* ---- the floor ---- */

static int serve(const char *path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        struct epoll_event event = {.events = EPOLLIN}, events[64];
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int epoll = epoll_create1(EPOLL_CLOEXEC);
        static uint8_t data[65536];

        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        event.data.fd = listener;
        if (listener < 0 || epoll < 0 ||
            bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 512) ||
            epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event))
                die(path);
        for (;;) {
                int n = epoll_wait(epoll, events, 64, -1);

                for (int i = 0; i < n; i++) {
                        int fd = events[i].data.fd;
                        ssize_t got;

                        if (fd == listener) {
                                event.data.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                                (void)epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
                                continue;
                        }
                        got = recv(fd, data, sizeof(data), 0);
                        if (got <= 0 || !try_send_all(fd, data, (size_t)got))
                                (void)close(fd);
                }
        }
}

static unsigned number(const char *text, unsigned max)
{
        char *end;
        unsigned long n = strtoul(text, &end, 10);

        if (*end || n < 1 || n > max) {
                (void)fprintf(stderr, "bench-socket: expected a number 1..%u, got %s\n", max, text);
                exit(2);
        }
        return (unsigned)n;
}

int main(int argc, char **argv)
{
        struct connection **c;
        uint64_t began, ended;
        unsigned clients;
        double seconds, cpu;
        long pid;

        if (argc == 3 && strcmp(argv[1], "serve") == 0)
                return serve(argv[2]);
        if (argc < 6) {
                (void)fprintf(stderr,
                              "usage: bench-socket PROTOCOL PATH CLIENTS DEPTH SECONDS [PID]\n");
                return 2;
        }
        if (strncmp(argv[1], "many:", 5) == 0) {
                n_many = number(argv[1] + 5, MANY_MAX);
                argv[1][4] = '\0';
        }
        for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
                if (strcmp(argv[1], protocols[i].name) == 0)
                        protocol = &protocols[i];
        if (!protocol) {
                (void)fprintf(stderr, "bench-socket: no protocol %s\n", argv[1]);
                return 2;
        }
        clients = number(argv[3], CLIENTS_MAX);
        depth = number(argv[4], DEPTH_MAX);
        seconds = strtod(argv[5], NULL);
        pid = argc > 6 ? strtol(argv[6], NULL, 10) : 0;
        c = calloc(clients, sizeof(struct connection *));
        if (!c)
                die("memory");
        for (unsigned i = 0; i < clients; i++)
                c[i] = connect_to(argv[2]);
        for (unsigned i = 0; i < clients; i++)
                start(c[i]);
        /* A fifth of the time to warm up. */
        if (clients == 1)
                run_one(c[0], now_ns() + (uint64_t)(seconds * 2e8));
        else
                run_many(c, clients, now_ns() + (uint64_t)(seconds * 2e8));
        memset(buckets, 0, sizeof(buckets));
        n_latencies = answered = 0;
        cpu = cpu_seconds(pid);
        began = now_ns();
        if (clients == 1)
                run_one(c[0], began + (uint64_t)(seconds * 1e9));
        else
                run_many(c, clients, began + (uint64_t)(seconds * 1e9));
        ended = now_ns();
        cpu = cpu_seconds(pid) - cpu;
        (void)printf(
                "{\"protocol\": \"%s\", \"clients\": %u, \"depth\": %u, \"calls\": %llu, "
                "\"rate\": %.1f, \"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"p999\": %.3f, ",
                protocol->name, clients, depth, (unsigned long long)answered,
                (double)answered / ((double)(ended - began) / 1e9), percentile_us(0.5),
                percentile_us(0.9), percentile_us(0.99), percentile_us(0.999));
        print_latencies();
        (void)printf("\"cpu_us\": %.4f}\n", answered ? cpu * 1e6 / (double)answered : 0);
        return 0;
}
