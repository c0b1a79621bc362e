/* SPDX-License-Identifier: MIT */
/*
 * sd-bus peer to peer, as others measure it: a server process, a client, a socket pair, a method
 * that adds two numbers.
 *
 *   bench-sdbus DEPTH SECONDS
 *
 * Prints the same JSON object as bench-socket.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#define DEPTH_MAX 120

static uint64_t now_ns(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int check(int r, const char *what)
{
        if (r < 0) {
                (void)fprintf(stderr, "bench-sdbus: %s: %s\n", what, strerror(-r));
                exit(1);
        }
        return r;
}

static int method_add(sd_bus_message *message, void *ctx, sd_bus_error *error)
{
        int64_t a, b;
        int r = sd_bus_message_read(message, "xx", &a, &b);

        (void)ctx;
        (void)error;
        return r < 0 ? r : sd_bus_reply_method_return(message, "x", a + b);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Add", "xx", "x", method_add, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static void serve(int fd)
{
        sd_bus *bus;
        sd_id128_t id;
        int r;

        check(sd_id128_randomize(&id), "id");
        check(sd_bus_new(&bus), "new");
        check(sd_bus_set_fd(bus, fd, fd), "fd");
        check(sd_bus_set_server(bus, 1, id), "server");
        check(sd_bus_set_anonymous(bus, 1), "anonymous");
        check(sd_bus_add_object_vtable(bus, NULL, "/bench", "org.bench", vtable, NULL), "vtable");
        check(sd_bus_start(bus), "start");
        while ((r = sd_bus_process(bus, NULL)) >= 0)
                if (r == 0 && sd_bus_wait(bus, UINT64_MAX) < 0)
                        break;
        exit(0);
}

static uint64_t answered, latency_sum;
static sd_bus *client;

static void ask(uint64_t *sent);

static int on_answer(sd_bus_message *message, void *ctx, sd_bus_error *error)
{
        uint64_t *sent = ctx, now = now_ns();
        int64_t sum = 0;

        (void)error;
        check(sd_bus_message_read(message, "x", &sum), "answer");
        if (sum != 42)
                check(-EBADMSG, "answer");
        answered++;
        latency_sum += now - *sent;
        ask(sent);
        return 0;
}

static void ask(uint64_t *sent)
{
        *sent = now_ns();
        check(sd_bus_call_method_async(client, NULL, NULL, "/bench", "org.bench", "Add", on_answer,
                                       sent, "xx", (int64_t)40, (int64_t)2),
              "call");
}

static void run(uint64_t until)
{
        while (now_ns() < until) {
                int r = check(sd_bus_process(client, NULL), "process");

                if (r == 0)
                        check(sd_bus_wait(client, 1000000), "wait");
        }
}

int main(int argc, char **argv)
{
        static uint64_t sent[DEPTH_MAX];
        int fds[2], depth = argc > 1 ? atoi(argv[1]) : 0;
        double seconds = argc > 2 ? strtod(argv[2], NULL) : 0;
        uint64_t began;
        pid_t pid;

        if (depth < 1 || depth > DEPTH_MAX || seconds <= 0) {
                (void)fprintf(stderr, "usage: bench-sdbus DEPTH SECONDS\n");
                return 2;
        }
        check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), "socketpair");
        pid = fork();
        if (pid == 0)
                serve(fds[1]);
        (void)close(fds[1]);
        check(sd_bus_new(&client), "new");
        check(sd_bus_set_fd(client, fds[0], fds[0]), "fd");
        check(sd_bus_set_anonymous(client, 1), "anonymous");
        check(sd_bus_start(client), "start");
        for (int i = 0; i < depth; i++)
                ask(&sent[i]);
        run(now_ns() + (uint64_t)(seconds * 2e8));
        answered = latency_sum = 0;
        began = now_ns();
        run(began + (uint64_t)(seconds * 1e9));
        (void)printf("{\"protocol\": \"sd-bus\", \"clients\": 1, \"depth\": %d, \"calls\": %llu, "
                     "\"rate\": %.1f, \"p50\": %.3f}\n",
                     depth, (unsigned long long)answered,
                     (double)answered / ((double)(now_ns() - began) / 1e9),
                     answered ? (double)latency_sum / (double)answered / 1000 : 0);
        (void)sd_bus_close_unref(client);
        (void)kill(pid, SIGTERM);
        (void)waitpid(pid, NULL, 0);
        return 0;
}
