/* SPDX-License-Identifier: MIT */
/*
 * The door to libedit, for the verb 'shell'.
 *
 * libedit reads a character at a time through a function of ours, which waits for the keyboard and
 * for SIGINT together: Ctrl-C drops the line, as in other shells, and does not end the program.
 * SIGINT is blocked while a line is being read, and only then.
 */

#include <errno.h>
#include <histedit.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <wchar.h>

#include "client/prompt.h"

#define HISTORY_MAX 1000
#define KILL_LINE   0x15 /* Ctrl-U */

struct prompt {
        EditLine *edit;
        History *history;
        char *text, *line;
        char file[PATH_MAX]; /* "": no history is kept */
        prompt_completer complete;
        void *arg;
        int signals; /* while a line is read; else -1 */
};

static struct prompt *prompt_of(EditLine *edit)
{
        struct prompt *prompt = NULL;

        (void)el_get(edit, EL_CLIENTDATA, &prompt); /* it was set when `edit` was made */
        return prompt;
}

static char *prompt_text(EditLine *edit)
{
        return prompt_of(edit)->text;
}

/* ---- characters ------------------------------------------------------------------------------ */

/* True if Ctrl-C came first. */
static bool wait_key(struct prompt *prompt)
{
        struct pollfd pollfds[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                    {.fd = prompt->signals, .events = POLLIN}};
        struct signalfd_siginfo info;

        while (poll(pollfds, prompt->signals >= 0 ? 2 : 1, -1) < 0 && errno == EINTR)
                ;
        return prompt->signals >= 0 && read(prompt->signals, &info, sizeof(info)) > 0;
}

/* One character of the locale's encoding.  1; 0 at the end; what is no character is skipped. */
static int read_character(wchar_t *ret)
{
        mbstate_t state;
        wchar_t wide = 0;
        ssize_t n;
        char c;

        memset(&state, 0, sizeof(state));
        for (;;) {
                n = read(STDIN_FILENO, &c, 1);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return 0;
                switch (mbrtowc(&wide, &c, 1, &state)) {
                case (size_t)-2:
                        continue; /* more of it to come */
                case (size_t)-1:
                        memset(&state, 0, sizeof(state));
                        continue;
                default:
                        *ret = wide;
                        return 1;
                }
        }
}

static int get_character(EditLine *edit, wchar_t *ret)
{
        if (!wait_key(prompt_of(edit)))
                return read_character(ret);
        (void)fputs("^C\n", stdout);
        (void)el_set(edit, EL_REFRESH);
        *ret = KILL_LINE;
        return 1;
}

/* ---- completion ------------------------------------------------------------------------------ */

static unsigned char complete(EditLine *edit, int key)
{
        struct prompt *prompt = prompt_of(edit);
        const LineInfo *line = el_line(edit);
        int printed = 0, inserted = 0;
        char *text;

        (void)key;
        text = prompt->complete(prompt->arg, line->buffer, (size_t)(line->cursor - line->buffer),
                                &printed);
        if (text && *text != '\0')
                inserted = el_insertstr(edit, text) == 0;
        free(text);
        if (printed)
                return CC_REDISPLAY;
        return inserted ? CC_REFRESH : CC_ERROR;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void load_history(struct prompt *prompt)
{
        HistEvent event;

        (void)history(prompt->history, &event, H_SETSIZE, HISTORY_MAX);
        (void)history(prompt->history, &event, H_SETUNIQUE, 1);
        if (prompt->file[0] != '\0')
                (void)history(prompt->history, &event, H_LOAD, prompt->file); /* may not be there */
}

struct prompt *prompt_new(const char *text, const char *file, prompt_completer completer, void *arg)
{
        struct prompt *prompt = calloc(1, sizeof(*prompt));

        if (!prompt)
                return NULL;
        prompt->signals = -1;
        prompt->complete = completer;
        prompt->arg = arg;
        if (file)
                (void)snprintf(prompt->file, sizeof(prompt->file), "%s", file);
        prompt->text = strdup(text);
        prompt->history = history_init();
        prompt->edit = el_init("vmreqctl", stdin, stdout, stderr);
        if (!prompt->text || !prompt->history || !prompt->edit) {
                prompt_free(prompt);
                return NULL;
        }
        load_history(prompt);
        (void)el_set(prompt->edit, EL_CLIENTDATA, prompt);
        (void)el_set(prompt->edit, EL_PROMPT, prompt_text);
        (void)el_set(prompt->edit, EL_EDITOR, "emacs");
        (void)el_set(prompt->edit, EL_HIST, history, prompt->history);
        (void)el_set(prompt->edit, EL_GETCFN, get_character);
        (void)el_set(prompt->edit, EL_ADDFN, "complete-word", "Complete a word", complete);
        (void)el_set(prompt->edit, EL_BIND, "^I", "complete-word", NULL);
        (void)el_source(prompt->edit, NULL); /* ~/.editrc, if there is one */
        return prompt;
}

void prompt_free(struct prompt *prompt)
{
        HistEvent event;

        if (!prompt)
                return;
        if (prompt->edit)
                el_end(prompt->edit);
        if (prompt->history && prompt->file[0] != '\0')
                (void)history(prompt->history, &event, H_SAVE, prompt->file);
        if (prompt->history)
                history_end(prompt->history);
        free(prompt->text);
        free(prompt->line);
        free(prompt);
}

const char *prompt_read(struct prompt *prompt)
{
        sigset_t set, before;
        const char *line;
        int len = 0;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGINT);
        (void)sigprocmask(SIG_BLOCK, &set, &before); /* fails for bad arguments only */
        prompt->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        /* Raw before the prompt shows, which libedit would write first: whoever sees it may type,
         * and a Ctrl-D that met the terminal's own line discipline would be lost. */
        (void)el_set(prompt->edit, EL_PREP_TERM, 1);
        line = el_gets(prompt->edit, &len);
        if (prompt->signals >= 0)
                (void)close(prompt->signals);
        prompt->signals = -1;
        (void)sigprocmask(SIG_SETMASK, &before, NULL);

        free(prompt->line);
        prompt->line = NULL;
        if (!line || len <= 0)
                return NULL;
        prompt->line = strndup(line, (size_t)len);
        if (prompt->line)
                prompt->line[strcspn(prompt->line, "\r\n")] = '\0';
        return prompt->line;
}

void prompt_remember(struct prompt *prompt, const char *line)
{
        HistEvent event;

        (void)history(prompt->history, &event, H_ENTER, line); /* short of memory: not remembered */
}
