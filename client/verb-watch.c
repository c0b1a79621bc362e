/* SPDX-License-Identifier: MIT */
/*
 * 'vmreqctl watch' and 'wait-state': subscriptions.
 *
 * A subscription begins with the present state, then says that it is ready, then brings changes; so
 * wait-state misses nothing between looking and waiting.  Events that were lost because nobody read
 * them are shown as how many.  Ctrl-C ends a watch; within our own shell the connection goes on, so
 * the subscription is taken back.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "client/await.h"
#include "client/fields.h"
#include "client/records.h"
#include "client/render.h"
#include "client/report.h"
#include "client/terminal.h"
#include "client/topics.h"
#include "client/verbs.h"
#include "client/words.h"

static const char *const topics[] = {"vm.state", "emt.stuck", "request", "console"};
#define N_TOPICS   (sizeof(topics) / sizeof(topics[0]))
#define N_DEFAULTS 3 /* not the console: it is what the guest says, not what happens to it */

static const char *const states[] = {
        "CREATED",   "POWERING_ON",  "RUNNING", "SUSPENDING", "SUSPENDED", "RESUMING",
        "RESETTING", "POWERING_OFF", "OFF",     "FAILED",     "DESTROYED",
};
#define N_STATES (sizeof(states) / sizeof(states[0]))

/* ---- events for people ----------------------------------------------------------------------- */

static void put_time(void)
{
        struct timespec now = {0, 0};
        struct tm local;
        char text[16];

        (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail on Linux */
        if (!localtime_r(&now.tv_sec, &local) ||
            strftime(text, sizeof(text), "%H:%M:%S", &local) == 0)
                return;
        printf("%s.%03ld  ", text, now.tv_nsec / 1000000);
}

static void put_us(const char *before, const struct proto_value *data, const char *key)
{
        uint64_t us;

        if (field_uint(data, key, &us))
                printf("%s%" PRIu64 ".%03" PRIu64 " ms", before, us / 1000, us % 1000);
}

static void put_state(const struct proto_value *data)
{
        struct field_text state = field_text(data, "state");

        render_behind(stdout, "", field_text(data, "previous"));
        if (field_get(data, "previous"))
                (void)fputs(" -> ", stdout);
        terminal_put(stdout, TERMINAL_HEAD, state.data, state.len);
        render_behind(stdout, ", ", field_text(data, "reason"));
}

static void put_stuck(const struct proto_value *data)
{
        bool stuck = field_true(data, "stuck");
        const char *word = stuck ? "stuck" : "free again";
        uint64_t cpu;

        if (field_uint(data, "cpu", &cpu))
                printf("cpu %" PRIu64 " ", cpu);
        terminal_put(stdout, stuck ? TERMINAL_BAD : TERMINAL_GOOD, word, strlen(word));
        if (!field_get(data, "id"))
                return;
        (void)fputs(": ", stdout);
        records_render_line(stdout, data);
}

static void put_request(const struct proto_value *data)
{
        char caller[64];
        int64_t status;
        uint64_t id;

        if (field_uint(data, "id", &id))
                printf("#%" PRIu64 " ", id);
        render_behind(stdout, "", field_text(data, "symbol"));
        render_behind(stdout, " ", field_text(data, "fate"));
        if (field_int(data, "status", &status) && status != 0)
                printf(" status %" PRId64, status);
        put_us(", queued ", data, "queued_us");
        put_us(", ran ", data, "run_us");
        records_caller(field_get(data, "caller"), caller, sizeof(caller));
        if (caller[0] != '\0')
                printf(", of %s", caller);
}

/*
 * What the guest writes, as it would be on its own console, without what drives one; a file gets
 * the bytes as they are.  False for another event of the topic, which is told like all others.
 */
static bool put_console(const struct proto_value *data)
{
        struct field_text text = field_text(data, "data");

        if (text.len == 0)
                return field_true(data, "ready");
        if (!isatty(STDOUT_FILENO)) {
                (void)fwrite(text.data, 1, text.len, stdout);
                return true;
        }
        while (text.len > 0) {
                const char *end = memchr(text.data, '\r', text.len);
                size_t n = end ? (size_t)(end - text.data) : text.len;

                render_clean(stdout, text.data, n, false);
                text.data += n + (end != NULL);
                text.len -= n + (end != NULL);
        }
        return true;
}

static void print_event(const char *topic, const struct proto_value *data)
{
        uint64_t lost;

        if (strcmp(topic, "console") == 0 && put_console(data))
                return;
        put_time();
        terminal_put(stdout, TERMINAL_FAINT, topic, strlen(topic));
        (void)fputs("  ", stdout);
        if (field_uint(data, "lost", &lost))
                printf("%" PRIu64 " %s were lost: they came faster than they were read", lost,
                       strcmp(topic, "console") == 0 ? "bytes" : "events");
        else if (field_true(data, "ready"))
                (void)fputs("ready: what is above was so, what follows is new", stdout);
        else if (strcmp(topic, "vm.state") == 0 && field_get(data, "state"))
                put_state(data);
        else if (strcmp(topic, "emt.stuck") == 0 && field_get(data, "stuck"))
                put_stuck(data);
        else if (strcmp(topic, "request") == 0 && field_get(data, "id"))
                put_request(data);
        else
                render_inline(stdout, data);
        (void)fputc('\n', stdout);
}

/* {"topic": …, "data": …}, one line */
static int print_json(const char *topic, const struct proto_value *data)
{
        struct proto_value pairs[4] = {
                {.type = PROTO_STR, .count = 5, .data = "topic"},
                {.type = PROTO_STR, .count = (uint32_t)strlen(topic), .data = topic},
                {.type = PROTO_STR, .count = 4, .data = "data"},
                *data,
        };
        struct proto_value map = {.type = PROTO_MAP, .count = 2, .items = pairs};

        return render_json(stdout, &map, false) == 0 ? CTL_DONE : ctl_no_memory();
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* What is done with an event; *ret_done ends the loop. */
typedef int (*watcher)(void *arg, struct ctl *ctl, const char *topic,
                       const struct proto_value *data, bool *ret_done);

static int take(struct ctl *ctl, struct ctl_value *value, watcher watch, void *arg, bool *ret_done)
{
        int r = CTL_DONE;

        if (value->answer.kind == VMREQ_CLIENT_EVENT) {
                r = ctl_decode(value) ? watch(arg, ctl, value->answer.name, value->root, ret_done)
                                      : ctl_no_memory();
                if (r == CTL_DONE && !terminal_flush())
                        r = CTL_USAGE; /* nobody reads; main says why */
        }
        ctl_value_deinit(value);
        return r;
}

static int loop(struct ctl *ctl, struct await *await, watcher watch, void *arg)
{
        int error = 0, r = CTL_DONE;
        bool done = false;

        while (r == CTL_DONE && !done) {
                struct ctl_value value = CTL_VALUE_NULL;

                switch (await_next(await, UINT64_MAX, &value.answer, &error)) {
                case AWAIT_ANSWER:
                        r = take(ctl, &value, watch, arg, &done);
                        break;
                case AWAIT_INTERRUPT:
                        return await_leave(await);
                case AWAIT_ERROR:
                        r = report_client(ctl, error);
                        break;
                case AWAIT_TICK:
                case AWAIT_DEADLINE:
                        fprintf(stderr, "vmreqctl: TIMEOUT: it has not happened within the time of "
                                        "--timeout\n");
                        r = CTL_TIMEOUT;
                        break;
                }
        }
        return r;
}

/* Subscribes, and loops under --timeout if that was given, else without a limit. */
static int watch(struct ctl *ctl, const char *const *names, size_t n, watcher on_event, void *arg)
{
        struct await await;
        int r;

        ctl_set_limit(ctl, TOPICS_MS); /* --timeout is of what follows */
        r = ctl_connect(ctl);
        if (r == CTL_DONE)
                r = topics_subscribe(ctl, names, n);
        if (r != CTL_DONE)
                return r;
        ctl_set_endless(ctl);
        if (ctl->options.has_timeout && ctl->options.timeout_ms > 0)
                ctl_set_limit(ctl, ctl->options.timeout_ms);
        await_begin(&await, ctl);
        r = loop(ctl, &await, on_event, arg);
        await_end(&await);
        topics_unsubscribe(ctl);
        return r;
}

/* ---- watch ----------------------------------------------------------------------------------- */

struct show {
        uint64_t left; /* changes to show; UINT64_MAX: all */
        size_t ready;  /* topics whose present state is complete */
        size_t n_topics;
};

static int show(void *arg, struct ctl *ctl, const char *topic, const struct proto_value *data,
                bool *ret_done)
{
        struct show *state = arg;
        int r = CTL_DONE;

        if (ctl->options.json != OPTIONS_TEXT)
                r = print_json(topic, data);
        else
                print_event(topic, data);
        if (field_true(data, "ready"))
                state->ready++;
        else if (state->ready >= state->n_topics && state->left != UINT64_MAX && state->left > 0)
                state->left--;
        *ret_done = state->left == 0 && state->ready >= state->n_topics;
        return r;
}

static bool check_topics(int n, char **names)
{
        for (int i = 0; i < n; i++) {
                const char *nearest;
                size_t j = 0;

                while (j < N_TOPICS && strcmp(topics[j], names[i]) != 0)
                        j++;
                if (j < N_TOPICS)
                        continue;
                nearest = words_nearest(names[i], topics, N_TOPICS);
                fprintf(stderr, "vmreqctl: watch: unknown topic '%.80s'", names[i]);
                if (nearest)
                        fprintf(stderr, "; did you mean '%s'?", nearest);
                fprintf(stderr, "; there are: vm.state emt.stuck request console\n");
                return false;
        }
        return true;
}

int verb_watch(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        struct show state = {.left = options->count.set ? options->count.value : UINT64_MAX};

        if (!check_topics(argc, argv))
                return CTL_USAGE;
        state.n_topics = argc > 0 ? (size_t)argc : N_DEFAULTS;
        if (argc > 0)
                return watch(ctl, (const char *const *)(uintptr_t)argv, state.n_topics, show,
                             &state);
        return watch(ctl, topics, state.n_topics, show, &state);
}

/* ---- wait-state ------------------------------------------------------------------------------ */

struct wanted {
        char **names;
        int n;
};

static int wait_for(void *arg, struct ctl *ctl, const char *topic, const struct proto_value *data,
                    bool *ret_done)
{
        const struct wanted *wanted = arg;
        struct field_text state = field_text(data, "state");

        if (strcmp(topic, "vm.state") != 0)
                return CTL_DONE;
        for (int i = 0; i < wanted->n && !*ret_done; i++)
                *ret_done = strlen(wanted->names[i]) == state.len &&
                            strncasecmp(wanted->names[i], state.data, state.len) == 0;
        if (!*ret_done)
                return CTL_DONE;
        return ctl_print(ctl, field_get(data, "state"));
}

int verb_wait_state(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        struct wanted wanted = {argv, argc};

        (void)options;
        for (int i = 0; i < argc; i++) {
                const char *nearest;
                size_t j = 0;

                while (j < N_STATES && strcasecmp(states[j], argv[i]) != 0)
                        j++;
                if (j < N_STATES)
                        continue;
                nearest = words_nearest(argv[i], states, N_STATES);
                fprintf(stderr, "vmreqctl: wait-state: unknown state '%.80s'", argv[i]);
                if (nearest)
                        fprintf(stderr, "; did you mean '%s'?", nearest);
                fprintf(stderr, "; there are:");
                for (j = 0; j < N_STATES; j++)
                        fprintf(stderr, " %s", states[j]);
                fputc('\n', stderr);
                return CTL_USAGE;
        }
        return watch(ctl, topics, 1, wait_for, &wanted);
}
