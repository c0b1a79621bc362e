/* SPDX-License-Identifier: MIT */
/*
 * tool-flood: attacks a vmreqd by one of the patterns of patterns.c, and says what it saw.
 *
 *   tool-flood --socket PATH [OPTION…] PATTERN
 *
 * Prints the line "ready" when each link has begun, so that whoever started it need not guess, and
 * ends after --duration-ms, after --count operations, on SIGTERM or SIGINT, or with --until-eof at
 * the end of its standard input.  Exit status: 0; 1 if the daemon sent what no client may see (an
 * answer that is not owed, a malformed frame); 2 for wrong usage; 3 if nothing could be begun.
 */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "flood.h"

#define EVENTS_MAX 256

/* Connections made in one turn. */
#define CONNECTS_MAX 64

/* How long to wait for room in the daemon's backlog. */
#define BACKLOG_NS 2000000ull

#define NS_PER_MS 1000000ull

static uint64_t now_ns(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

/* ---- options ---- */

static int usage(FILE *out, int status)
{
        const struct flood_pattern *pattern;

        fputs("usage: tool-flood --socket PATH [OPTION]... PATTERN\n"
              "  -s, --socket PATH      the daemon's socket\n"
              "  -n, --links N          connections (1)\n"
              "  -r, --rate R           operations per second and link (as fast as it goes)\n"
              "  -c, --count N          operations in all (no limit)\n"
              "  -d, --duration-ms MS   how long (until stopped)\n"
              "  -w, --window N         requests in flight per link (the pattern's)\n"
              "  -b, --size BYTES       of an argument (the pattern's)\n"
              "  -m, --method NAME      called without arguments, instead of debug.add [40, 2]\n"
              "  -u, --uid USER[:GROUP] who to be, by name or number (needs root)\n"
              "      --hold-ms MS       how long a call of quota, churn, cancel, detach lasts (1000)\n"
              "      --linger-ms MS     how long to wait at the end for answers (5000)\n"
              "      --no-read          read nothing, whatever the pattern does\n"
              "      --until-eof        end when standard input does\n"
              "      --seed N           of the random patterns (1)\n"
              "  -j, --json             the report as one JSON object\n"
              "patterns:\n",
              out);
        for (size_t i = 0; (pattern = flood_pattern_at(i)); i++)
                fprintf(out, "  %-12s %s\n", pattern->name, pattern->doc);
        return status;
}

static bool parse_number(const char *text, uint64_t max, uint64_t *ret)
{
        char *end;

        errno = 0;
        *ret = strtoull(text, &end, 10);
        return *text >= '0' && *text <= '9' && !*end && !errno && *ret <= max;
}

static bool parse_user(const char *text, struct flood_options *options)
{
        char name[64];
        size_t len = strcspn(text, ":");
        const struct passwd *user;
        const struct group *group;
        uint64_t number;

        if (len >= sizeof(name))
                return false;
        memcpy(name, text, len);
        name[len] = '\0';
        user = getpwnam(name);
        if (user) {
                options->uid = user->pw_uid;
                options->gid = user->pw_gid;
        } else if (parse_number(name, UINT32_MAX - 1, &number)) {
                options->uid = (uid_t)number;
                options->gid = (gid_t)number;
        } else {
                return false;
        }
        options->become = true;
        if (!text[len])
                return true;
        group = getgrnam(text + len + 1);
        if (group)
                options->gid = group->gr_gid;
        else if (parse_number(text + len + 1, UINT32_MAX - 1, &number))
                options->gid = (gid_t)number;
        else
                return false;
        return true;
}

enum { OPTION_HOLD = 256, OPTION_LINGER, OPTION_NO_READ, OPTION_EOF, OPTION_SEED, OPTION_HELP };

static const struct option long_options[] = {
        {"socket", required_argument, NULL, 's'},
        {"links", required_argument, NULL, 'n'},
        {"rate", required_argument, NULL, 'r'},
        {"count", required_argument, NULL, 'c'},
        {"duration-ms", required_argument, NULL, 'd'},
        {"window", required_argument, NULL, 'w'},
        {"size", required_argument, NULL, 'b'},
        {"method", required_argument, NULL, 'm'},
        {"uid", required_argument, NULL, 'u'},
        {"hold-ms", required_argument, NULL, OPTION_HOLD},
        {"linger-ms", required_argument, NULL, OPTION_LINGER},
        {"no-read", no_argument, NULL, OPTION_NO_READ},
        {"until-eof", no_argument, NULL, OPTION_EOF},
        {"seed", required_argument, NULL, OPTION_SEED},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, OPTION_HELP},
        {0},
};

static bool parse_option(int c, const char *value, struct flood_options *options)
{
        const uint64_t day_ms = 86400000;
        uint64_t n;
        char *end;

        switch (c) {
        case 's':
                options->socket = value;
                return strlen(value) < sizeof(((struct sockaddr_un *)0)->sun_path);
        case 'n':
                return parse_number(value, 1000000, &n) && (options->links = (uint32_t)n) > 0;
        case 'r':
                options->rate = strtod(value, &end);
                return !*end && options->rate > 0 && options->rate < 1e9;
        case 'c':
                return parse_number(value, UINT64_MAX - 1, &options->count);
        case 'd':
                return parse_number(value, day_ms, &options->duration_ms);
        case 'w':
                return parse_number(value, 1000000, &n) && (options->window = (uint32_t)n) > 0;
        case 'b':
                return parse_number(value, 1u << 30, &options->size);
        case 'm':
                options->method = value;
                return true;
        case 'u':
                return parse_user(value, options);
        case OPTION_HOLD:
                return parse_number(value, day_ms, &options->hold_ms);
        case OPTION_LINGER:
                return parse_number(value, day_ms, &options->linger_ms);
        case OPTION_NO_READ:
                return options->no_read = true;
        case OPTION_EOF:
                return options->until_eof = true;
        case OPTION_SEED:
                return parse_number(value, UINT64_MAX, &options->seed);
        case 'j':
                return options->json = true;
        default:
                return false;
        }
}

/* 0, or the exit status to end with; -1: end with success. */
static int parse_options(int argc, char **argv, struct flood_options *options)
{
        int c;

        while ((c = getopt_long(argc, argv, "s:n:r:c:d:w:b:m:u:j", long_options, NULL)) != -1) {
                if (c == OPTION_HELP)
                        return usage(stdout, -1);
                if (!parse_option(c, optarg, options)) {
                        if (c != '?')
                                fprintf(stderr, "tool-flood: bad value: %s\n", optarg);
                        return usage(stderr, 2);
                }
        }
        if (!options->socket || optind != argc - 1)
                return usage(stderr, 2);
        options->pattern = flood_pattern_find(argv[optind]);
        if (!options->pattern) {
                fprintf(stderr, "tool-flood: no such pattern: %s\n", argv[optind]);
                return usage(stderr, 2);
        }
        return 0;
}

/* ---- the loop ---- */

/* What the set tells apart by address: no link, but one of these. */
static char stdin_mark, signal_mark;

static uint64_t min_u64(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

static void connect_links(struct flood *flood, uint64_t *ret_wake)
{
        struct flood_link *link;

        for (int i = 0; i < CONNECTS_MAX && !flood->finishing; i++) {
                link = TAILQ_FIRST(&flood->away);
                if (!link || flood->operations_left == 0)
                        return;
                if (link->due_ns > flood->now_ns) {
                        *ret_wake = min_u64(*ret_wake, link->due_ns);
                        return;
                }
                if (!flood_link_connect(link)) {
                        flood->counters.not_connected++;
                        *ret_wake = min_u64(*ret_wake, flood->now_ns + BACKLOG_NS);
                        return;
                }
        }
        if (!flood->finishing)
                *ret_wake = flood->now_ns;
}

static void run_paced(struct flood *flood, uint64_t *ret_wake)
{
        struct flood_link *link;

        while ((link = TAILQ_FIRST(&flood->paced)) && link->due_ns <= flood->now_ns) {
                TAILQ_REMOVE(&flood->paced, link, wait_link);
                link->is_waiting = false;
                flood_link_work(link);
        }
        if (link)
                *ret_wake = min_u64(*ret_wake, link->due_ns);
}

static int timeout_of(const struct flood *flood, uint64_t wake_ns)
{
        uint64_t ms;

        if (wake_ns == UINT64_MAX)
                return -1;
        if (wake_ns <= flood->now_ns)
                return 0;
        ms = (wake_ns - flood->now_ns + NS_PER_MS - 1) / NS_PER_MS;
        return ms > 1000 ? 1000 : (int)ms;
}

/* False: its end; it stays readable then, and is of no more interest. */
static bool stdin_goes_on(struct flood *flood)
{
        char byte;

        if (read(STDIN_FILENO, &byte, 1) > 0)
                return true;
        (void)epoll_ctl(flood->epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
        return false;
}

/* False: asked to end. */
static bool turn(struct flood *flood, uint64_t wake_ns)
{
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(flood->epoll, events, EVENTS_MAX, timeout_of(flood, wake_ns));
        bool go_on = true;

        flood->now_ns = now_ns();
        for (int i = 0; i < n; i++) {
                if (events[i].data.ptr == &signal_mark)
                        go_on = false;
                else if (events[i].data.ptr == &stdin_mark)
                        go_on = stdin_goes_on(flood) && go_on;
                else
                        flood_link_on_event(events[i].data.ptr, events[i].events);
        }
        return go_on;
}

static void say_ready(struct flood *flood)
{
        printf("ready\n");
        (void)fflush(stdout);
        flood->n_begun = UINT32_MAX; /* said once */
}

static void run(struct flood *flood, uint64_t began)
{
        const struct flood_options *options = &flood->options;
        uint64_t end = UINT64_MAX, wake;

        flood->now_ns = began;
        if (options->duration_ms)
                end = began + options->duration_ms * NS_PER_MS;
        for (;;) {
                wake = end;
                connect_links(flood, &wake);
                run_paced(flood, &wake);
                if (flood->n_begun == options->links)
                        say_ready(flood);
                if (!turn(flood, wake) || flood->now_ns >= end || flood->operations_left == 0)
                        break;
        }
        flood->finishing = true;
        end = flood->now_ns + options->linger_ms * NS_PER_MS;
        /* What was begun is sent whole, and its answers awaited. */
        while ((flood->n_in_flight || flood->n_ending) && flood->now_ns < end) {
                wake = end;
                run_paced(flood, &wake);
                if (!turn(flood, wake))
                        break;
        }
}

/* ---- start ---- */

static bool become(const struct flood_options *options)
{
        if (!options->become)
                return true;
        if (setgroups(0, NULL) || setresgid(options->gid, options->gid, options->gid) ||
            setresuid(options->uid, options->uid, options->uid)) {
                fprintf(stderr, "tool-flood: cannot become uid %u: %s\n", (unsigned)options->uid,
                        strerror(errno));
                return false;
        }
        return true;
}

static void raise_descriptor_limit(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
                limit.rlim_cur = limit.rlim_max;
                (void)setrlimit(RLIMIT_NOFILE, &limit);
        }
}

static bool watch(struct flood *flood, int fd, void *mark)
{
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = mark};

        return fd >= 0 && epoll_ctl(flood->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool start(struct flood *flood)
{
        const struct flood_options *options = &flood->options;
        sigset_t signals;

        (void)sigemptyset(&signals);
        (void)sigaddset(&signals, SIGTERM);
        (void)sigaddset(&signals, SIGINT);
        (void)sigprocmask(SIG_BLOCK, &signals, NULL);
        flood->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (flood->epoll < 0 || !watch(flood, signalfd(-1, &signals, SFD_CLOEXEC), &signal_mark))
                return false;
        if (options->until_eof && !watch(flood, STDIN_FILENO, &stdin_mark))
                return false;
        TAILQ_INIT(&flood->paced);
        TAILQ_INIT(&flood->away);
        flood->operations_left = options->count ? options->count : UINT64_MAX;
        flood->period_ns = options->rate > 0 ? (uint64_t)(1e9 / options->rate) : 0;
        flood->links = calloc(options->links, sizeof(*flood->links));
        for (uint32_t i = 0; flood->links && i < options->links; i++)
                if (flood_link_init(&flood->links[i], flood, i))
                        return false;
        return flood->links;
}

static void stop(struct flood *flood)
{
        for (uint32_t i = 0; flood->links && i < flood->options.links; i++)
                flood_link_deinit(&flood->links[i]);
        free(flood->links);
        proto_arena_deinit(&flood->arena);
}

int main(int argc, char **argv)
{
        struct flood flood = {
                .options = {.links = 1, .linger_ms = 5000, .hold_ms = 1000, .seed = 1},
        };
        uint64_t began;
        int r = parse_options(argc, argv, &flood.options);

        if (r)
                return r < 0 ? 0 : r;
        raise_descriptor_limit();
        if (!become(&flood.options))
                return 3;
        if (!start(&flood)) {
                fprintf(stderr, "tool-flood: cannot start: %s\n", strerror(errno));
                stop(&flood);
                return 3;
        }
        began = now_ns();
        run(&flood, began);
        flood_report(&flood, now_ns() - began);
        r = flood_is_defect(&flood.counters) ? 1 : flood.counters.connected ? 0 : 3;
        stop(&flood);
        return r;
}
