/* SPDX-License-Identifier: MIT */
/*
 * The scheduler of a scene's threads: real ones, of which one runs.
 *
 * It has no thread of its own.  Who is about to take a step decides who goes on, and if that is
 * another hands over to him by a semaphore; so a step without a switch costs a function call.  All
 * run on one processor, which makes the hand-over cheap.
 *
 * The walk is depth first and keeps nothing but the present schedule: at each point where more than
 * one thread could go on, which of them did.  A run repeats the schedule up to its last point and
 * takes the next choice there; from there on it makes the first choice everywhere, which is to stay
 * with the thread that runs.  To leave one that could go on is a preemption, and their number is
 * bounded: most mistakes need one or two.  (M. Musuvathi, S. Qadeer: Iterative Context Bounding,
 * PLDI 2007.)
 */
#include "lib/step.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "vm/futex.h"

/* A run that takes more steps than this has no end. */
#define STEPS_MAX 20000u
#define PRINT_MAX 1000u
#define NAMES_MAX 256u
/* A program that takes longer than this has blocked behind the scheduler's back. */
#define ALARM_S 580u

#define NOBODY UINT32_MAX

enum standing {
        READY,
        BLOCKED,
        ENDED,
};

struct thread {
        pthread_t pthread;
        sem_t go;
        enum standing standing;
        const void *on;       /* BLOCKED: on a futex, a mutex, a condition */
        uint64_t deadline_ns; /* BLOCKED: UINT64_MAX, no limit */
        bool timed_out;
        const char *at;   /* the step that it is about to take, or has taken last */
        uint64_t turn_at; /* `turn` when it was there */
};

/* Somebody else could have gone on. */
struct choice {
        uint32_t decision;
        uint32_t n, taken;
        uint32_t options[STEP_THREADS_MAX];
};

struct passed {
        uint32_t thread;
        const char *name;
};

static const struct step_scene *scene;
static struct thread threads[STEP_THREADS_MAX];
static uint32_t n_threads, running;
static sem_t all_ended;
static bool playing; /* the threads of the scene run, not setup or check */

/* This run. */
static struct passed passed[STEPS_MAX];
static uint32_t steps, decisions, preemptions;
static uint64_t turn; /* counts the changes of thread */
static uint64_t now_ns;

/* The schedule: its first `known` choices are decided. */
static struct choice choices[STEPS_MAX];
static uint32_t known, at;

/* A schedule from outside instead: at that decision, that thread. */
static bool replaying;
static struct {
        uint32_t decision, thread;
} given[STEPS_MAX];
static uint32_t n_given;

static const char *names[NAMES_MAX + 1];

static _Thread_local struct thread *self;

/* ---- what failed ---- */

static void print_schedule(void)
{
        const char *comma = "";

        (void)fprintf(stderr, "schedule: %s ", scene->name);
        for (uint32_t i = 0; i < at; i++) {
                if (choices[i].options[choices[i].taken] == choices[i].options[0])
                        continue;
                (void)fprintf(stderr, "%s%u:%u", comma, choices[i].decision,
                              choices[i].options[choices[i].taken]);
                comma = ",";
        }
        (void)fprintf(stderr, "%s\n", *comma ? "" : "-");
}

static void print_steps(FILE *to)
{
        uint32_t last = NOBODY, again = 1, from = steps > PRINT_MAX ? steps - PRINT_MAX : 0;

        if (from)
                (void)fprintf(to, "(%u steps before)\n", from);
        for (uint32_t i = from; i < steps; i++) {
                bool same = i + 1 < steps && passed[i + 1].thread == passed[i].thread &&
                            passed[i + 1].name == passed[i].name;

                if (passed[i].thread != last)
                        (void)fprintf(to, "%s%u:", last == NOBODY ? "" : "\n", passed[i].thread);
                last = passed[i].thread;
                again = same ? again + 1 : again;
                if (same)
                        continue;
                (void)fprintf(to, again > 1 ? " %s*%u" : " %s", passed[i].name, again);
                again = 1;
        }
        (void)fprintf(to, "\n");
}

static void print_threads(void)
{
        static const char *const standings[] = {"ready", "blocked", "ended"};

        for (uint32_t i = 0; i < n_threads; i++)
                (void)fprintf(stderr, "thread %u: %s at %s\n", i, standings[threads[i].standing],
                              threads[i].at ? threads[i].at : "its start");
}

static _Noreturn void die(void)
{
        if (scene) {
                if (playing)
                        print_threads();
                print_steps(stderr);
                print_schedule();
        }
        (void)fflush(NULL);
        _exit(1);
}

_Noreturn void step_failed(const char *file, int line, const char *what)
{
        (void)fprintf(stderr, "%s:%d: %s\n", file, line, what);
        die();
}

/* The engine's own checks abort; a sanitizer's report comes before the signal. */
static void on_signal(int number)
{
        (void)fprintf(stderr, "signal %d\n", number);
        die();
}

/* ---- who goes on ---- */

static uint32_t index_of(const struct thread *thread)
{
        return (uint32_t)(thread - threads);
}

/* Those who could, the one that runs first: options[0] is the choice that is no preemption, or the
 * first of those that are none either. */
static uint32_t options_now(bool can_stay, uint32_t *options)
{
        bool may_leave = !can_stay || replaying || preemptions < scene->preemptions;
        uint32_t n = 0;

        if (can_stay)
                options[n++] = running;
        for (uint32_t i = 0; may_leave && i < n_threads; i++)
                if (threads[i].standing == READY && !(can_stay && i == running))
                        options[n++] = i;
        for (uint32_t i = 0; may_leave && n && scene->timeouts && i < n_threads; i++)
                if (threads[i].standing == BLOCKED && threads[i].deadline_ns != UINT64_MAX)
                        options[n++] = i;
        return n;
}

static uint32_t given_at(const uint32_t *options, uint32_t n)
{
        for (uint32_t i = 0; i < n_given; i++)
                for (uint32_t k = 0; k < n && given[i].decision == decisions; k++)
                        if (options[k] == given[i].thread)
                                return k;
        return 0;
}

static uint32_t decide(const uint32_t *options, uint32_t n)
{
        struct choice *choice = &choices[at];

        if (n == 1)
                return options[0];
        if (at < known) {
                if (choice->decision != decisions || choice->n != n ||
                    memcmp(choice->options, options, n * sizeof(options[0])) != 0)
                        step_failed(__FILE__, __LINE__, "the same schedule came to something else");
        } else {
                choice->decision = decisions;
                choice->n = n;
                choice->taken = replaying ? given_at(options, n) : 0;
                memcpy(choice->options, options, n * sizeof(options[0]));
                known++;
        }
        at++;
        return choice->options[choice->taken];
}

/* Its limit is over: the time has come to that. */
static void time_out(struct thread *thread)
{
        now_ns = thread->deadline_ns > now_ns ? thread->deadline_ns : now_ns;
        thread->timed_out = true;
        thread->standing = READY;
}

/* Nobody is ready.  Time passes, if somebody waits for that. */
static uint32_t first_limit(void)
{
        struct thread *first = NULL;

        for (uint32_t i = 0; i < n_threads; i++) {
                struct thread *thread = &threads[i];

                if (thread->standing == BLOCKED && thread->deadline_ns != UINT64_MAX &&
                    (!first || thread->deadline_ns < first->deadline_ns))
                        first = thread;
        }
        if (!first)
                step_failed(__FILE__, __LINE__, "all wait, for ever");
        time_out(first);
        return index_of(first);
}

static uint32_t choose(bool can_stay)
{
        uint32_t options[STEP_THREADS_MAX + 1], n = options_now(can_stay, options), next;

        decisions++;
        next = n ? decide(options, n) : first_limit();
        if (threads[next].standing == BLOCKED)
                time_out(&threads[next]);
        if (can_stay && next != running)
                preemptions++;
        if (next != running)
                turn++;
        running = next;
        return next;
}

/* Lets another go on, and waits for its turn. */
static void hand_over(uint32_t next)
{
        struct thread *me = self;

        if (&threads[next] == me)
                return;
        CHECK(sem_post(&threads[next].go) == 0);
        while (sem_wait(&me->go))
                ;
}

static void note_name(const char *name)
{
        uint32_t i;

        for (i = 0; i < NAMES_MAX && names[i]; i++)
                if (names[i] == name || strcmp(names[i], name) == 0)
                        return;
        if (i < NAMES_MAX)
                names[i] = name;
}

static void pass(const char *name)
{
        if (steps == STEPS_MAX)
                step_failed(__FILE__, __LINE__, "no end in sight");
        passed[steps++] = (struct passed){index_of(self), name};
        if (!self->at || self->at != name)
                note_name(name);
}

/* One more look of a loop that waits for others, when none of them has gone on: it sees what it has
 * seen, so there is nothing to decide. */
static bool looks_again(const char *name)
{
        return self->turn_at == turn && self->at == name && strcmp(name, "hole_look") == 0;
}

static bool is_left_out(const char *name)
{
        for (const char *const *out = scene->without; out && *out; out++)
                if (strcmp(*out, name) == 0)
                        return true;
        return false;
}

void vm_step_hook(const char *name)
{
        bool again;

        if (!self || !playing || is_left_out(name))
                return;
        if (scene->always) {
                playing = false; /* what it calls has no steps */
                scene->always();
                playing = true;
        }
        again = looks_again(name);
        pass(name);
        self->at = name;
        self->turn_at = turn;
        if (again)
                return;
        hand_over(choose(true));
        self->turn_at = turn;
}

/* ---- what blocks ---- */

/* True: the limit has passed. */
static bool block(const void *on, uint64_t deadline_ns)
{
        self->standing = BLOCKED;
        self->on = on;
        self->deadline_ns = deadline_ns;
        self->timed_out = false;
        hand_over(choose(false));
        self->on = NULL;
        return self->timed_out;
}

static void wake(const void *on, uint32_t n)
{
        for (uint32_t i = 0; i < n_threads && n; i++) {
                if (threads[i].standing != BLOCKED || threads[i].on != on)
                        continue;
                threads[i].standing = READY;
                n--;
        }
}

/* A step of its own, unless the engine has named it: "…_futex" stands right before. */
static void futex_step(const char *name)
{
        size_t length = self->at ? strlen(self->at) : 0;

        if (length < 6 || strcmp(self->at + length - 6, "_futex") != 0)
                vm_step_hook(name);
}

int __wrap_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns);
int __real_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns);
void __wrap_futex_wake(_Atomic uint32_t *word, int n);
void __real_futex_wake(_Atomic uint32_t *word, int n);

int __wrap_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
        if (!self)
                return __real_futex_wait(word, expected, deadline_ns);
        futex_step("futex_wait");
        if (atomic_load(word) != expected)
                return 0;
        if (deadline_ns <= now_ns)
                return 1;
        return block(word, deadline_ns);
}

void __wrap_futex_wake(_Atomic uint32_t *word, int n)
{
        if (!self) {
                __real_futex_wake(word, n);
                return;
        }
        futex_step("futex_wake");
        wake(word, (uint32_t)n);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);

static int take_mutex(pthread_mutex_t *mutex)
{
        int r;

        while ((r = pthread_mutex_trylock(mutex)) == EBUSY)
                (void)block(mutex, UINT64_MAX);
        return r;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
        if (!self)
                return __real_pthread_mutex_lock(mutex);
        vm_step_hook("mutex_lock");
        return take_mutex(mutex);
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
        int r = __real_pthread_mutex_unlock(mutex);

        if (self)
                wake(mutex, UINT32_MAX);
        return r;
}

int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __real_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until);
int __real_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until);
int __wrap_pthread_cond_signal(pthread_cond_t *cond);
int __real_pthread_cond_signal(pthread_cond_t *cond);
int __wrap_pthread_cond_broadcast(pthread_cond_t *cond);
int __real_pthread_cond_broadcast(pthread_cond_t *cond);

static int cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t deadline_ns)
{
        bool timed_out;
        int r = __wrap_pthread_mutex_unlock(mutex);

        if (r)
                return r;
        timed_out = deadline_ns <= now_ns || block(cond, deadline_ns);
        r = take_mutex(mutex);
        return r ? r : timed_out ? ETIMEDOUT : 0;
}

int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
        return self ? cond_wait(cond, mutex, UINT64_MAX) : __real_pthread_cond_wait(cond, mutex);
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until)
{
        uint64_t until_ns = (uint64_t)until->tv_sec * CLOCK_NS_PER_S + (uint64_t)until->tv_nsec;

        return self ? cond_wait(cond, mutex, until_ns)
                    : __real_pthread_cond_timedwait(cond, mutex, until);
}

int __wrap_pthread_cond_signal(pthread_cond_t *cond)
{
        if (self)
                wake(cond, 1);
        return __real_pthread_cond_signal(cond);
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *cond)
{
        if (self)
                wake(cond, UINT32_MAX);
        return __real_pthread_cond_broadcast(cond);
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
        (void)clock;
        ts->tv_sec = (time_t)(now_ns / CLOCK_NS_PER_S);
        ts->tv_nsec = (long)(now_ns % CLOCK_NS_PER_S);
        return 0;
}

/* ---- a run ---- */

static void end_thread(void)
{
        uint32_t left = 0, next;

        self->standing = ENDED;
        for (uint32_t i = 0; i < n_threads; i++)
                left += threads[i].standing != ENDED;
        if (!left) {
                CHECK(sem_post(&all_ended) == 0);
                return;
        }
        next = choose(false);
        CHECK(sem_post(&threads[next].go) == 0);
}

static void *thread_main(void *arg)
{
        self = arg;
        for (;;) {
                while (sem_wait(&self->go))
                        ;
                scene->threads[index_of(self)]();
                end_thread();
        }
        return NULL;
}

/* They live as long as the program. */
static void start_threads(void)
{
        static bool started;
        cpu_set_t here;

        if (started)
                return;
        started = true;
        CPU_ZERO(&here);
        CPU_SET((unsigned)sched_getcpu(), &here);
        (void)sched_setaffinity(0, sizeof(here), &here); /* only makes it faster */
        CHECK(sem_init(&all_ended, 0, 0) == 0);
        for (uint32_t i = 0; i < STEP_THREADS_MAX; i++) {
                CHECK(sem_init(&threads[i].go, 0, 0) == 0);
                CHECK(pthread_create(&threads[i].pthread, NULL, thread_main, &threads[i]) == 0);
        }
        (void)signal(SIGABRT, on_signal);
        (void)signal(SIGALRM, on_signal);
        (void)alarm(ALARM_S);
}

static void run(void)
{
        steps = decisions = preemptions = at = 0;
        turn = 0;
        now_ns = CLOCK_NS_PER_S;
        scene->setup();
        for (uint32_t i = 0; i < n_threads; i++) {
                threads[i].standing = READY;
                threads[i].at = NULL;
                threads[i].turn_at = UINT64_MAX;
        }
        running = NOBODY;
        playing = true;
        CHECK(sem_post(&threads[choose(false)].go) == 0);
        while (sem_wait(&all_ended))
                ;
        playing = false;
        scene->check();
}

static void begin(const struct step_scene *the_scene)
{
        start_threads();
        scene = the_scene;
        n_threads = known = 0;
        while (n_threads < STEP_THREADS_MAX && scene->threads[n_threads])
                n_threads++;
}

/* The next schedule; false: that was the last. */
static bool advance(void)
{
        for (known = at; known; known--)
                if (++choices[known - 1].taken < choices[known - 1].n)
                        return true;
        return false;
}

struct step_walk step_explore(const struct step_scene *the_scene)
{
        struct step_walk walk = {0};

        replaying = false;
        begin(the_scene);
        do {
                run();
                walk.schedules++;
                walk.longest = steps > walk.longest ? steps : walk.longest;
        } while (advance());
        return walk;
}

void step_replay(const struct step_scene *the_scene, const char *schedule)
{
        replaying = true;
        n_given = 0;
        while (n_given < STEPS_MAX &&
               sscanf(schedule, "%u:%u", &given[n_given].decision, &given[n_given].thread) == 2) {
                n_given++;
                schedule += strcspn(schedule, ",");
                schedule += *schedule == ',';
        }
        begin(the_scene);
        run();
        print_steps(stdout);
}

const char *const *step_names(void)
{
        return names;
}

uint32_t step_self(void)
{
        return self ? index_of(self) : UINT32_MAX;
}

void step_time_set(uint64_t to_ns)
{
        now_ns = to_ns > now_ns ? to_ns : now_ns;
}
