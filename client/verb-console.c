/* SPDX-License-Identifier: MIT */
/*
 * 'vmreqctl console': standard output shows what the guest writes on its serial port, byte by byte
 * as it is, and standard input is typed there.
 *
 *   1. Output comes as events of the topic `console`, from the last few KiB of the past on.  The
 *      server sends a change of the VM's state behind what the guest had written by then, so when
 *      the VM is off, nothing is missing.
 *   2. At a terminal: raw mode, one key leaves, and messages say what is going on.  What the guest
 *      has no room for is dropped beyond a buffer, so that the key that leaves is always seen.
 *   3. From a pipe or a file: what the guest has no room for is not read yet.  The end of the input
 *      ends the typing only; --hang-up makes it the end of all.
 *   4. Between any two pieces of output the input is looked at: a guest that floods keeps nobody.
 *
 * Many may do this at a time; each sees all, and what they type goes to the one guest.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/ctl.h"
#include "client/fields.h"
#include "client/raw.h"
#include "client/render.h"
#include "client/report.h"
#include "client/terminal.h"
#include "client/topics.h"
#include "client/typing.h"
#include "client/verbs.h"
#include "proto/codes.h"

#define ESCAPE_DEFAULT 0x1d /* Ctrl-], as in telnet and virsh */
#define NO_KEY         (-1)
#define NS_PER_MS      UINT64_C(1000000)
#define READ_BYTES     1024
#define LEAVE_NS       (500 * NS_PER_MS) /* for what was typed right before leaving; picked */

struct console {
        struct ctl *ctl;
        struct typing typing;
        int in;      /* standard input; -1: no more of it */
        int escape;  /* the byte that leaves, at a terminal; NO_KEY */
        bool at_tty; /* standard input is a terminal, in raw mode */
        bool stay, hang_up;
        bool mute;         /* may not type: that has been said, and what is typed is dropped */
        bool deaf;         /* that the guest does not read what is typed has been said */
        bool ready;        /* what the topic vm.state tells from here on is new */
        bool left;         /* done, with `status` */
        uint64_t leave_ns; /* the key was pressed: until when what was typed before it may take */
        int status;
};

static void leave(struct console *console, int status)
{
        console->left = true;
        console->status = status;
}

/* ---- what comes ------------------------------------------------------------------------------ */

/* On a line of its own, behind whatever the guest left on this one. */
static void begin_message(const struct console *console)
{
        fprintf(stderr, "%svmreqctl: ", console->at_tty ? "\n" : "");
}

static void show(struct console *console, struct field_text text)
{
        (void)fwrite(text.data, 1, text.len, stdout);
        if (!terminal_flush())
                leave(console, CTL_USAGE); /* nobody reads; main says why */
}

static void on_output(struct console *console, const struct proto_value *data)
{
        struct field_text ended = field_text(data, "ended");
        uint64_t lost;

        if (field_uint(data, "lost", &lost)) {
                begin_message(console);
                fprintf(stderr,
                        "%" PRIu64 " bytes were lost: they came faster than they were read\n",
                        lost);
        } else if (ended.len > 0) {
                begin_message(console);
                fprintf(stderr, "the console has been taken away: ");
                render_clean(stderr, ended.data, ended.len, true);
                fputc('\n', stderr);
                leave(console, CTL_REFUSED);
        } else {
                show(console, field_text(data, "data"));
        }
}

static bool is_text(struct field_text text, const char *word)
{
        return text.len == strlen(word) && memcmp(text.data, word, text.len) == 0;
}

static void on_state(struct console *console, const struct proto_value *data)
{
        struct field_text state = field_text(data, "state"), reason = field_text(data, "reason");
        bool running = is_text(state, "RUNNING");
        bool over =
                is_text(state, "OFF") || is_text(state, "FAILED") || is_text(state, "DESTROYED");

        if (field_true(data, "ready")) {
                console->ready = true;
                return;
        }
        /* What it passes through on its way is not worth a line. */
        if (console->ready ? !over : !console->at_tty || running)
                return;
        begin_message(console);
        fprintf(stderr, "the VM is ");
        render_clean(stderr, state.data, state.len, true);
        if (reason.len > 0) {
                fprintf(stderr, ": ");
                render_clean(stderr, reason.data, reason.len, true);
        }
        fputc('\n', stderr);
        if (console->ready && !console->stay)
                leave(console, CTL_DONE);
}

static void on_event(struct console *console, struct ctl_value *value)
{
        if (!ctl_decode(value))
                leave(console, ctl_no_memory());
        else if (strcmp(value->answer.name, "console") == 0)
                on_output(console, value->root);
        else if (strcmp(value->answer.name, "vm.state") == 0)
                on_state(console, value->root);
}

/* What was typed is lost: who sits there may go on looking, a script may not believe it arrived. */
static void on_reply(struct console *console, const struct vmreq_client_answer *answer)
{
        int r;

        if (answer->failed && console->at_tty)
                fputc('\n', stderr);
        r = typing_replied(&console->typing, answer, ctl_now());
        if (r != CTL_DONE && !console->at_tty)
                leave(console, r);
        if (answer->failed && answer->code == PROTO_NOT_FOUND)
                console->mute = true;
        if (console->typing.backoff_ms == 0)
                console->deaf = false;
}

/* Takes one answer.  True if there was one. */
static bool take(struct console *console)
{
        struct ctl_value value = CTL_VALUE_NULL;
        int r = vmreq_client_next(console->ctl->client, 0, &value.answer);

        if (r == VMREQ_CLIENT_E_TIMEOUT)
                return false;
        if (r != 0) {
                if (console->at_tty)
                        fputc('\n', stderr);
                leave(console, report_client(console->ctl, r));
                if (console->at_tty)
                        fprintf(stderr, "vmreqctl: 'vmreqctl console' attaches again when the "
                                        "daemon is back\n");
                return false;
        }
        if (value.answer.kind == VMREQ_CLIENT_EVENT)
                on_event(console, &value);
        else if (value.answer.kind == VMREQ_CLIENT_REPLY && console->typing.sent > 0 &&
                 value.answer.msgid == console->typing.msgid)
                on_reply(console, &value.answer);
        ctl_value_deinit(&value);
        return true;
}

/* ---- what is typed --------------------------------------------------------------------------- */

static void end_of_input(struct console *console)
{
        console->in = -1;
        if (console->at_tty)
                leave(console, CTL_DONE); /* the terminal has gone */
}

static void put_typed(struct console *console, const uint8_t *bytes, size_t n)
{
        if (console->mute || typing_put(&console->typing, bytes, n) == n || console->deaf)
                return;
        console->deaf = true;
        begin_message(console);
        fprintf(stderr, "the guest reads nothing: what is typed now is dropped\n");
}

/* Poll said that there is something. */
static void read_input(struct console *console)
{
        uint8_t bytes[READ_BYTES], *key = NULL;
        size_t room = console->at_tty ? sizeof(bytes) : typing_room(&console->typing);
        ssize_t n;

        n = read(console->in, bytes, room < sizeof(bytes) ? room : sizeof(bytes));
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return;
        if (n <= 0) {
                end_of_input(console);
                return;
        }
        if (console->at_tty && console->escape != NO_KEY)
                key = memchr(bytes, console->escape, (size_t)n);
        put_typed(console, bytes, key ? (size_t)(key - bytes) : (size_t)n);
        if (key && console->leave_ns == UINT64_MAX)
                console->leave_ns = ctl_now() + LEAVE_NS;
        else if (key)
                leave(console, CTL_DONE); /* pressed again */
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* How long nothing is to be done; 0 if something is. */
static uint64_t idle_ns(const struct console *console)
{
        uint64_t left = ctl_left(console->ctl), due = typing_due(&console->typing);
        uint64_t now = ctl_now();

        due = due < console->leave_ns ? due : console->leave_ns;
        if (due == UINT64_MAX)
                return left;
        due = due > now ? due - now : 0;
        return due < left ? due : left;
}

static void wait_turn(struct console *console, bool busy)
{
        bool reads = console->in >= 0 && (console->at_tty || typing_room(&console->typing) > 0);
        struct pollfd pollfds[2] = {
                {.fd = vmreq_client_fd(console->ctl->client),
                 .events = vmreq_client_events(console->ctl->client)},
                {.fd = reads ? console->in : -1, .events = POLLIN},
        };

        if (poll(pollfds, 2, busy ? 0 : ctl_poll_ms(idle_ns(console))) > 0 && pollfds[1].revents)
                read_input(console);
}

/* Everything that was typed has been taken, or will not be. */
static bool may_leave(const struct console *console)
{
        const struct typing *typing = &console->typing;

        if (console->in < 0 && console->hang_up)
                return typing->len == 0;
        if (console->leave_ns == UINT64_MAX)
                return false;
        return typing->len == 0 || typing->backoff_ms > 0 || ctl_now() >= console->leave_ns;
}

static int loop(struct console *console)
{
        while (!console->left) {
                bool busy = take(console);
                int r;

                if (console->left)
                        break;
                r = typing_send(&console->typing, console->ctl, ctl_now());
                if (r != CTL_DONE)
                        return r;
                if (may_leave(console))
                        return CTL_DONE;
                if (ctl_left(console->ctl) == 0) {
                        fprintf(stderr, "vmreqctl: TIMEOUT: the time of --timeout is over\n");
                        return CTL_TIMEOUT;
                }
                wait_turn(console, busy);
        }
        return console->status;
}

/* ---- the verb -------------------------------------------------------------------------------- */

/* "^]", "^a", one character, "none".  False: none of these. */
static bool read_key(const char *word, int *ret_key)
{
        size_t len = strlen(word);

        if (strcmp(word, "none") == 0)
                *ret_key = NO_KEY;
        else if (len == 1)
                *ret_key = (unsigned char)word[0];
        else if (len == 2 && word[0] == '^' && word[1] >= '@' && word[1] <= 'z')
                *ret_key = word[1] & 0x1f;
        else
                return false;
        return true;
}

static int subscribe(struct ctl *ctl)
{
        static const char *const console = "console";
        int r;

        ctl_set_limit(ctl, TOPICS_MS); /* --timeout is of what follows */
        r = ctl_connect(ctl);
        if (r == CTL_DONE)
                r = topics_try(ctl, "vm.state"); /* who may not see that may still read */
        if (r == CTL_DONE)
                r = topics_subscribe(ctl, &console, 1);
        ctl_set_endless(ctl);
        if (ctl->options.has_timeout && ctl->options.timeout_ms > 0)
                ctl_set_limit(ctl, ctl->options.timeout_ms);
        return r;
}

static int begin_raw(struct console *console, const char *key)
{
        int r = raw_begin(STDIN_FILENO); /* before anybody is told to type */

        if (r < 0) {
                fprintf(stderr, "vmreqctl: console: the terminal: %s\n", strerror(-r));
                return CTL_FAILED;
        }
        fprintf(stderr, "vmreqctl: the console of ");
        render_clean(stderr, console->ctl->socket, strlen(console->ctl->socket), true);
        if (console->escape == NO_KEY)
                fprintf(stderr, "; no key leaves\n");
        else
                fprintf(stderr, "; %s leaves\n", key);
        return CTL_DONE;
}

static int check(const struct ctl *ctl, const char *key, int *ret_escape)
{
        if (ctl->options.json != OPTIONS_TEXT)
                fprintf(stderr,
                        "vmreqctl: console: it is bytes as they are; 'vmreqctl --json watch "
                        "console' gives JSON\n");
        else if (!read_key(key, ret_escape))
                fprintf(stderr, "vmreqctl: console: --escape is ^] or the like, one character, or "
                                "none\n");
        else if (ctl->shell && !isatty(STDIN_FILENO))
                fprintf(stderr, "vmreqctl: console: the input is the shell's own; use 'vmreqctl "
                                "console' by itself\n");
        else
                return CTL_DONE;
        return CTL_USAGE;
}

int verb_console(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        const char *key = options->escape ? options->escape : "^]";
        struct console console = {.ctl = ctl,
                                  .leave_ns = UINT64_MAX,
                                  .escape = ESCAPE_DEFAULT,
                                  .stay = options->stay,
                                  .hang_up = options->hang_up};
        int r;

        (void)argc;
        (void)argv;
        /* Now: if it is closed, the connection may get its number. */
        console.in = fcntl(STDIN_FILENO, F_GETFD) < 0 ? -1 : STDIN_FILENO;
        console.at_tty = isatty(STDIN_FILENO) != 0;
        r = check(ctl, key, &console.escape);
        if (r == CTL_DONE)
                r = subscribe(ctl);
        if (r != CTL_DONE)
                return r;
        if (console.at_tty)
                r = begin_raw(&console, options->escape ? key : "Ctrl-]");
        if (r == CTL_DONE)
                r = loop(&console);
        if (console.typing.sent > 0)
                (void)vmreq_client_forget(ctl->client, console.typing.msgid); /* may be lost */
        raw_end();
        if (console.at_tty && r == CTL_DONE)
                fprintf(stderr, "\nvmreqctl: left the console\n");
        topics_unsubscribe(ctl);
        return r;
}
