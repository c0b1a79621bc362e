/* SPDX-License-Identifier: MIT */
/*
 * 'vmreqctl shell': verbs over one connection, at a prompt or from a file.
 *
 * Each line is read like a command line, by the same tables, and run by the same functions; a line
 * that begins with a symbol is a call of it.  Options that choose the VM belong before 'shell'.  At
 * a terminal there are history and completion; lines that begin with a blank, and calls with an
 * argument that is declared sensitive, are not remembered.  Without a terminal the exit status is
 * that of the last line, as with sh.
 */

#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/complete.h"
#include "client/ctl.h"
#include "client/prompt.h"
#include "client/split.h"
#include "client/verbs.h"

#define LINE_BYTES_MAX ((size_t)1 << 20)

/* ---- one line -------------------------------------------------------------------------------- */

static bool is_symbol(const char *word)
{
        return strchr(word, '.') && word[0] != '-' && word[0] != '.';
}

/* argv[0] of a verb that is not there is put before the words. */
static int run_call(struct ctl *ctl, const struct split *split)
{
        char **argv = calloc(split->n + 2, sizeof(*argv));
        char name[] = "call";
        int r;

        if (!argv)
                return ctl_no_memory();
        argv[0] = name;
        memcpy(argv + 1, split->words, split->n * sizeof(*argv));
        r = verbs_run(ctl, verbs_find("call"), (int)split->n + 1, argv);
        free(argv);
        return r;
}

static int run_words(struct ctl *ctl, const struct split *split)
{
        const struct verb *verb = verbs_find(split->words[0]);

        if (verb && verb->run != verb_shell)
                return verbs_run(ctl, verb, (int)split->n, split->words);
        if (is_symbol(split->words[0]))
                return run_call(ctl, split);
        return verbs_unknown(split->words[0]);
}

static bool same(const char *a, const char *b)
{
        return a == b || (a && b && strcmp(a, b) == 0);
}

/* The options of the shell hold for every line; those of a line for that line only. */
static int run_line(struct ctl *ctl, const struct split *split)
{
        struct options options = ctl->options;
        int r;

        r = run_words(ctl, split);
        if (!same(options.socket, ctl->options.socket) ||
            !same(options.machine, ctl->options.machine) || !same(options.host, ctl->options.host))
                fprintf(stderr, "vmreqctl: shell: -s, -M and -H go before 'shell'; they changed "
                                "nothing here\n");
        ctl->options = options;
        (void)fflush(stdout);
        return r;
}

/* Runs a line; true when it was the last one. */
static bool take_line(struct ctl *ctl, const char *line, int *status)
{
        struct split split;
        bool last = false;

        ctl->sensitive = false;
        if (strlen(line) > LINE_BYTES_MAX || !split_line(&split, line, strlen(line))) {
                *status = ctl_no_memory();
                return false;
        }
        if (split.n > 0 && split.words[0][0] != '#') {
                last = strcmp(split.words[0], "exit") == 0 || strcmp(split.words[0], "quit") == 0;
                if (split.quote) {
                        fprintf(stderr, "vmreqctl: shell: a quote (%c) is not closed\n",
                                split.quote);
                        *status = CTL_USAGE;
                } else if (!last) {
                        *status = run_line(ctl, &split);
                }
        }
        split_deinit(&split);
        return last;
}

/* ---- at a terminal --------------------------------------------------------------------------- */

/* The longest beginning that all have. */
static size_t common_prefix(const struct complete_list *list)
{
        size_t len = strlen(list->items[0]);

        for (size_t i = 1; i < list->n; i++) {
                size_t n = 0;

                while (n < len && list->items[i][n] == list->items[0][n])
                        n++;
                len = n;
        }
        return len;
}

static void print_candidates(const struct complete_list *list)
{
        (void)fputc('\n', stdout);
        for (size_t i = 0; i < list->n; i++)
                printf("%s%s", list->items[i], i + 1 == list->n ? "\n" : "  ");
}

/* What is to be inserted: what all candidates have, and a blank behind the only one. */
static char *insertion(const struct complete_list *list, size_t typed, int *ret_printed)
{
        size_t common = common_prefix(list);
        const char *only = list->n == 1 ? list->items[0] : NULL;
        char *text;

        if (common < typed)
                return NULL;
        text = calloc(common - typed + 2, 1);
        if (!text)
                return NULL;
        memcpy(text, list->items[0] + typed, common - typed);
        if (only && only[strlen(only) - 1] != '=')
                text[common - typed] = ' ';
        if (!only && common == typed) {
                print_candidates(list);
                *ret_printed = 1;
        }
        return text;
}

static char *complete_line(void *arg, const char *line, size_t len, int *ret_printed)
{
        struct complete_list list = {0};
        const char **words = NULL;
        struct split split;
        char *text = NULL;
        size_t n;

        if (!split_line(&split, line, len))
                return NULL;
        words = calloc(split.n + 1, sizeof(*words));
        if (words && !split.quote) {
                memcpy((void *)words, (const void *)split.words, split.n * sizeof(*words));
                n = split.open ? split.n : split.n + 1;
                if (!split.open)
                        words[n - 1] = "";
                complete_words(arg, words, n, &list);
                if (list.n > 0)
                        text = insertion(&list, strlen(words[n - 1]), ret_printed);
        }
        complete_deinit(&list);
        free((void *)words);
        split_deinit(&split);
        return text;
}

/* ~/.local/state/vmreqctl/history, its folders made; NULL without a home. */
static const char *history_file(char *ret_path, size_t size)
{
        const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
        int n;

        if (state && *state == '/')
                n = snprintf(ret_path, size, "%s/vmreqctl/history", state);
        else if (home && *home == '/')
                n = snprintf(ret_path, size, "%s/.local/state/vmreqctl/history", home);
        else
                return NULL;
        if (n < 0 || (size_t)n >= size)
                return NULL;
        for (char *slash = strchr(ret_path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                if (mkdir(ret_path, 0700) < 0 && errno != EEXIST) {
                        *slash = '/';
                        return NULL;
                }
                *slash = '/';
        }
        return ret_path;
}

static int interactive(struct ctl *ctl)
{
        struct prompt *prompt;
        char path[PATH_MAX];
        const char *line;
        int status = CTL_DONE;
        bool last = false;

        (void)setlocale(LC_CTYPE, ""); /* what cannot be had stays as it is */
        prompt = prompt_new("vmreqctl> ", history_file(path, sizeof(path)), complete_line, ctl);
        if (!prompt) {
                fprintf(stderr, "vmreqctl: shell: no editor on this terminal\n");
                return CTL_FAILED;
        }
        while (!last && (line = prompt_read(prompt)) != NULL) {
                last = take_line(ctl, line, &status);
                if (*line != '\0' && *line != ' ' && !ctl->sensitive && !last)
                        prompt_remember(prompt, line);
        }
        if (!last)
                (void)fputc('\n', stdout);
        prompt_free(prompt);
        return CTL_DONE;
}

/* ---- from a file ----------------------------------------------------------------------------- */

static int batch(struct ctl *ctl)
{
        char *line = NULL;
        size_t cap = 0;
        int status = CTL_DONE;
        bool last = false;

        while (!last && getline(&line, &cap, stdin) >= 0)
                last = take_line(ctl, line, &status);
        free(line);
        return status;
}

int verb_shell(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        int r;

        (void)options;
        (void)argc;
        (void)argv;
        ctl_set_patience(ctl, 0);
        r = ctl_connect(ctl);
        if (r != CTL_DONE)
                return r;
        ctl->shell = true;
        return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) ? interactive(ctl) : batch(ctl);
}
