/* SPDX-License-Identifier: MIT */
/*
 * One loop over two descriptors, the connection and a signalfd; called by the verbs that wait for
 * long (call, dump, wait, wait-state, watch; bench has a loop of its own).
 *
 * The library's own waits are not ended by signals, on purpose; so this polls its descriptor and
 * takes what has come without waiting.  Between await_begin and await_end SIGINT is blocked, and
 * between await_hold and await_settle all that end programs are; what was sent at any moment in
 * between is seen at the next turn.  A signal that is ignored, as nohup and the shell's & have it,
 * stays so.
 */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "client/await.h"

static void add(sigset_t *set, int number)
{
        struct sigaction found;

        if (sigaction(number, NULL, &found) == 0 && found.sa_handler != SIG_IGN)
                (void)sigaddset(set, number);
}

static void fill(sigset_t *set, bool held)
{
        (void)sigemptyset(set);
        add(set, SIGINT);
        if (held) {
                add(set, SIGHUP);
                add(set, SIGTERM);
        }
}

void await_begin(struct await *await, struct ctl *ctl)
{
        sigset_t set;

        *await = (struct await){.ctl = ctl, .signals = -1, .signal = SIGINT};
        fill(&set, ctl->held);
        (void)sigprocmask(SIG_BLOCK, &set, &await->before); /* fails for bad arguments only */
        await->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (await->signals < 0)
                (void)sigprocmask(SIG_SETMASK, &await->before, NULL);
}

/* True if Ctrl-C was pressed. */
static bool take_interrupt(struct await *await)
{
        struct signalfd_siginfo info;

        if (await->signals < 0 || read(await->signals, &info, sizeof(info)) != sizeof(info))
                return false;
        await->signal = (int)info.ssi_signo;
        return true;
}

void await_end(struct await *await)
{
        if (await->signals < 0)
                return;
        if (!await->ctl->held)
                (void)take_interrupt(await); /* too late for it to mean anything */
        (void)close(await->signals);
        await->signals = -1;
        (void)sigprocmask(SIG_SETMASK, &await->before, NULL);
}

static void wait_turn(struct await *await, uint64_t wait_ns)
{
        struct pollfd pollfds[2] = {
                {.fd = vmreq_client_fd(await->ctl->client),
                 .events = vmreq_client_events(await->ctl->client)},
                {.fd = await->signals, .events = POLLIN},
        };

        (void)poll(pollfds, await->signals >= 0 ? 2 : 1, ctl_poll_ms(wait_ns)); /* and look again */
}

static uint64_t left_until(uint64_t deadline_ns)
{
        uint64_t now = ctl_now();

        if (deadline_ns == UINT64_MAX)
                return UINT64_MAX;
        return now >= deadline_ns ? 0 : deadline_ns - now;
}

enum await_result await_next(struct await *await, uint64_t tick_ns,
                             struct vmreq_client_answer *ret_answer, int *ret_error)
{
        uint64_t tick_at = tick_ns == UINT64_MAX ? UINT64_MAX : ctl_now() + tick_ns;
        uint64_t give_up, tick;
        int r;

        for (;;) {
                if (take_interrupt(await))
                        return AWAIT_INTERRUPT; /* also in the middle of a flood */
                r = vmreq_client_next(await->ctl->client, 0, ret_answer);
                if (r == 0)
                        return AWAIT_ANSWER;
                if (r != VMREQ_CLIENT_E_TIMEOUT) {
                        *ret_error = r;
                        return AWAIT_ERROR;
                }
                give_up = ctl_left(await->ctl);
                tick = left_until(tick_at);
                if (give_up == 0)
                        return AWAIT_DEADLINE;
                if (tick == 0)
                        return AWAIT_TICK;
                wait_turn(await, tick < give_up ? tick : give_up);
        }
}

static void end_by(int number)
{
        (void)fflush(stdout); /* the signal would take it along */
        (void)signal(number, SIG_DFL);
        (void)raise(number);
}

int await_leave(struct await *await)
{
        struct ctl *ctl = await->ctl;

        await_end(await);
        if (ctl->held)
                ctl->signal = await->signal;
        else if (!ctl->shell)
                end_by(await->signal);
        return CTL_CANCELLED;
}

void await_hold(struct ctl *ctl, struct await_held *ret_held)
{
        sigset_t set;

        fill(&set, true);
        (void)sigprocmask(SIG_BLOCK, &set, &ret_held->before); /* fails for bad arguments only */
        ret_held->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        ctl->held = true;
        ctl->signal = 0;
}

/* What has come and nobody has looked at.  Ctrl-C in a shell is for the verb, and that is over. */
static void take_held(struct ctl *ctl, const struct await_held *held)
{
        struct signalfd_siginfo info;

        while (held->fd >= 0 && read(held->fd, &info, sizeof(info)) == sizeof(info))
                if (ctl->signal == 0 || ctl->signal == SIGINT)
                        ctl->signal = (int)info.ssi_signo;
}

void await_settle(struct ctl *ctl, struct await_held *held)
{
        take_held(ctl, held);
        if (held->fd >= 0)
                (void)close(held->fd);
        held->fd = -1;
        ctl->held = false;
        (void)fflush(stdout);
        (void)sigprocmask(SIG_SETMASK, &held->before, NULL); /* what comes now ends it here */
        if (ctl->signal != 0 && !(ctl->shell && ctl->signal == SIGINT))
                end_by(ctl->signal);
}
