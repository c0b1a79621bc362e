/* SPDX-License-Identifier: MIT */
/*
 * The door of inih: see conf-file.h for why it is one.  inih asks for lines by a function of ours
 * and calls back for each setting before it asks for the next line, so the count of lines handed
 * out is the line of the setting at hand.  inih itself goes on behind a line that it does not
 * understand, and returns the number of the first such line at the end; the first mistake of all is
 * told.
 *
 * May block: files are read when the daemon starts, and later on a thread of the pool.
 */
#include "conf-file.h"

#include <errno.h>
#include <ini.h>
#include <string.h>
#include <sys/stat.h>

#define BLANKS " \t\r"

struct reading {
        const struct conf_handler *handler;
        FILE *file;
        unsigned line;
        size_t bytes;
        unsigned failed_line; /* 0: nothing is wrong */
        char why[768];
};

static void refuse(struct reading *reading, unsigned line, const char *why)
{
        if (reading->failed_line && reading->failed_line <= line)
                return;
        reading->failed_line = line;
        (void)snprintf(reading->why, sizeof(reading->why), "%s", why);
}

/* ---- lines ---- */

/* The bytes of the next line, its end not among them; -1: there is none, or it is refused. */
static int take_line(struct reading *reading, char *line, int size)
{
        int n = 0, c;

        for (c = getc(reading->file); c != EOF && c != '\n'; c = getc(reading->file)) {
                if ((c < ' ' && c != '\t' && c != '\r') || c == 0x7f) {
                        refuse(reading, reading->line, "a control byte");
                        return -1;
                }
                if (n >= CONF_LINE_BYTES - 1 || n >= size - 2) {
                        refuse(reading, reading->line, "a line longer than 189 bytes");
                        return -1;
                }
                line[n++] = (char)c;
        }
        reading->bytes += (size_t)n + (c == '\n');
        if (reading->bytes > CONF_FILE_BYTES_MAX) {
                refuse(reading, reading->line, "the file is larger than 1 MiB");
                return -1;
        }
        line[n] = 0;
        return c == EOF && n == 0 ? -1 : n;
}

/* What inih would drop without a word, or take for a line's going on: indentation, and on the first
 * line an editor's mark. */
static void strip_front(struct reading *reading, char *line)
{
        static const char mark[] = "\xef\xbb\xbf";
        size_t skip = strspn(line, BLANKS);

        while (reading->line == 1 && strncmp(line + skip, mark, strlen(mark)) == 0) {
                skip += strlen(mark);
                skip += strspn(line + skip, BLANKS);
        }
        memmove(line, line + skip, strlen(line + skip) + 1);
}

/* A section's header, if `line` is one and inih will understand it as such. */
static bool check_section(struct reading *reading, const char *line)
{
        char name[CONF_SECTION_BYTES_MAX + 1], why[512];
        const char *end = strchr(line, ']'), *rest;
        size_t len;

        if (line[0] != '[' || !end)
                return true; /* inih says what it is */
        len = (size_t)(end - line) - 1;
        if (len > CONF_SECTION_BYTES_MAX) {
                refuse(reading, reading->line, "the name of a section has at most 49 bytes");
                return false;
        }
        rest = end + 1 + strspn(end + 1, BLANKS);
        if (*rest && *rest != ';' && *rest != '#') {
                refuse(reading, reading->line, "nothing may follow a section's name");
                return false;
        }
        memcpy(name, line + 1, len);
        name[len] = 0;
        if (!reading->handler->section ||
            reading->handler->section(reading->handler->ctx, reading->line, name, why, sizeof(why)))
                return true;
        refuse(reading, reading->line, why);
        return false;
}

/* inih's reader: the next line, with its end; NULL at the end, and once something is wrong. */
static char *next_line(char *line, int size, void *ctx)
{
        struct reading *reading = ctx;
        size_t len;

        if (reading->failed_line)
                return NULL;
        reading->line++;
        if (take_line(reading, line, size) < 0)
                return NULL;
        strip_front(reading, line);
        if (!check_section(reading, line))
                return NULL;
        len = strlen(line);
        line[len] = '\n';
        line[len + 1] = 0;
        return line;
}

static int on_setting(void *ctx, const char *section, const char *key, const char *value)
{
        struct reading *reading = ctx;
        char why[512];

        if (reading->failed_line)
                return 0;
        if (reading->handler->setting(reading->handler->ctx, reading->line, section, key, value,
                                      why, sizeof(why)))
                return 1;
        refuse(reading, reading->line, why);
        return 0;
}

bool conf_read(FILE *file, const char *name, const struct conf_handler *handler, char *reterr_text,
               size_t size)
{
        struct reading reading = {.handler = handler, .file = file};
        int r = ini_parse_stream(next_line, &reading, on_setting, &reading);

        if (r > 0) /* unless that is the line whose setting was refused */
                refuse(&reading, (unsigned)r, "expected \"[section]\" or \"key = value\"");
        else if (r < 0)
                refuse(&reading, reading.line + 1, "no memory to parse it");
        if (ferror(file))
                refuse(&reading, reading.line ? reading.line : 1, "cannot be read");
        if (reading.failed_line)
                (void)snprintf(reterr_text, size, "%s:%u: %s", name, reading.failed_line,
                               reading.why);
        return reading.failed_line == 0;
}

static bool fail(char *text, size_t size, const char *path, const char *why)
{
        (void)snprintf(text, size, "%s: %s", path, why);
        return false;
}

bool conf_read_file(const char *path, const struct conf_handler *handler, char *reterr_text,
                    size_t size)
{
        FILE *file = fopen(path, "re");
        struct stat st;
        bool ok;

        if (!file)
                return fail(reterr_text, size, path, strerror(errno));
        if (fstat(fileno(file), &st) == 0 && S_ISDIR(st.st_mode))
                ok = fail(reterr_text, size, path, strerror(EISDIR));
        else
                ok = conf_read(file, path, handler, reterr_text, size);
        (void)fclose(file);
        return ok;
}
