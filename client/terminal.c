/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/render.h"
#include "client/terminal.h"

static struct {
        bool colours;  /* on stdout */
        bool progress; /* on stderr */
        bool shown;
        int error; /* of writing stdout; 0: none, or not known */
} terminal;

void terminal_init(void)
{
        const char *name = getenv("TERM"), *no_color = getenv("NO_COLOR");
        bool clever = name && *name != '\0' && strcmp(name, "dumb") != 0;

        terminal.colours = clever && isatty(STDOUT_FILENO) && (!no_color || *no_color == '\0');
        terminal.progress = clever && isatty(STDERR_FILENO);
}

void terminal_put(FILE *out, enum terminal_paint paint, const char *data, size_t len)
{
        static const char *const codes[] = {
                [TERMINAL_GOOD] = "32", [TERMINAL_WARN] = "33", [TERMINAL_BAD] = "31",
                [TERMINAL_FAINT] = "2", [TERMINAL_HEAD] = "1",
        };
        bool painted = terminal.colours && out == stdout && paint != TERMINAL_PLAIN && len > 0;

        if (painted)
                (void)fprintf(out, "\033[%sm", codes[paint]);
        render_clean(out, data, len, true);
        if (painted)
                (void)fputs("\033[0m", out);
}

bool terminal_flush(void)
{
        bool before = ferror(stdout) != 0;

        if (fflush(stdout) == 0 && !before)
                return true;
        if (terminal.error == 0 && !before)
                terminal.error = errno;
        return false;
}

int terminal_error(void)
{
        return terminal.error;
}

void terminal_progress(const char *text)
{
        if (!terminal.progress || (!text && !terminal.shown))
                return;
        (void)fputs("\r\033[K", stderr);
        if (text)
                render_clean(stderr, text, strlen(text), true);
        (void)fflush(stderr);
        terminal.shown = text != NULL;
}
