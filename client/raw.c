/* SPDX-License-Identifier: MIT */
/*
 * Raw mode that cannot be left behind.
 *
 * A terminal that stays raw is of no use to whoever sits there, so every way out that a program can
 * see leads through putting the mode back.  Signals are handled, not waited for, because a process
 * may just be held up in writing to a terminal or a pipe that takes nothing: a handler runs there
 * too.  It uses tcsetattr, signal and raise, which are safe in one, and what is fixed while it can
 * run.
 *
 *   HUP INT QUIT TERM   put back, then what they do anyway
 *   TSTP                put back, stop; CONT: raw again, also after a SIGSTOP that nobody sees
 *
 * What none of this covers is SIGKILL, and a crash.
 */
#include "client/raw.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGCONT};
#define N_SIGNALS (sizeof(signals) / sizeof(signals[0]))

/* Fixed while the handlers are in place. */
static struct {
        int fd;
        struct termios before, raw;
        struct sigaction actions[N_SIGNALS]; /* those that were found */
        bool raw_mode;                       /* for raw_end only */
} terminal;

static void on_end(int number)
{
        (void)tcsetattr(terminal.fd, TCSANOW, &terminal.before);
        (void)signal(number, SIG_DFL);
        (void)raise(number); /* delivered when the handler returns */
}

static void on_stop(int number)
{
        int error = errno;

        (void)number;
        (void)tcsetattr(terminal.fd, TCSANOW, &terminal.before);
        (void)raise(SIGSTOP); /* SIGCONT, and its handler, end it */
        errno = error;
}

static void on_continue(int number)
{
        int error = errno;

        (void)number;
        (void)tcsetattr(terminal.fd, TCSANOW, &terminal.raw);
        errno = error;
}

static void handle(void)
{
        for (size_t i = 0; i < N_SIGNALS; i++) {
                struct sigaction action = {.sa_handler = on_end};

                if (signals[i] == SIGTSTP)
                        action.sa_handler = on_stop;
                if (signals[i] == SIGCONT)
                        action.sa_handler = on_continue;
                action.sa_flags = SA_RESTART;
                (void)sigemptyset(&action.sa_mask);
                (void)sigaction(signals[i], &action, &terminal.actions[i]);
                /* What was ignored stays so: nohup means it. */
                if (terminal.actions[i].sa_handler == SIG_IGN)
                        (void)sigaction(signals[i], &terminal.actions[i], NULL);
        }
}

/* As cfmakeraw(3) does, but for the output: a guest's \n is a new line for whoever looks. */
static void make_raw(struct termios *mode)
{
        mode->c_iflag &=
                ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
        mode->c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
        mode->c_cflag = (mode->c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
        mode->c_cc[VMIN] = 1;
        mode->c_cc[VTIME] = 0;
}

int raw_begin(int fd)
{
        int error;

        if (tcgetattr(fd, &terminal.before))
                return -errno;
        terminal.fd = fd;
        terminal.raw = terminal.before;
        make_raw(&terminal.raw);
        handle();
        terminal.raw_mode = true;
        if (tcsetattr(fd, TCSADRAIN, &terminal.raw) == 0)
                return 0;
        error = errno;
        raw_end();
        return -error;
}

void raw_end(void)
{
        if (!terminal.raw_mode)
                return;
        terminal.raw_mode = false;
        /* Drained: what the guest said last is on the screen first. */
        (void)tcsetattr(terminal.fd, TCSADRAIN, &terminal.before);
        for (size_t i = 0; i < N_SIGNALS; i++)
                (void)sigaction(signals[i], &terminal.actions[i], NULL);
}
