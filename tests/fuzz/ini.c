/* SPDX-License-Identifier: MIT */
/*
 * inih bends some input without a word (long lines, long names, lines that continue a value), which
 * conf-file.c's reader is there to refuse.  This one takes one line at a time, as vmreqd.conf(5)
 * describes it, and never looks back.
 */
#include "ini.h"

#include <ctype.h>
#include <string.h>

/* A part of a line without the blanks around it. */
static void trimmed(char *to, size_t size, const char *from, size_t n)
{
        while (n > 0 && isspace((unsigned char)from[0])) {
                from++;
                n--;
        }
        while (n > 0 && isspace((unsigned char)from[n - 1]))
                n--;
        FUZZ_CHECK(n < size);
        memcpy(to, from, n);
        to[n] = 0;
}

/* Where a comment begins that stands behind something: a ';' after a blank. */
static size_t without_comment(const char *text, size_t n)
{
        for (size_t i = 1; i < n; i++)
                if (text[i] == ';' && isspace((unsigned char)text[i - 1]))
                        return i;
        return n;
}

static bool take_section(struct ini *ini, const char *line, size_t n)
{
        const char *end = memchr(line, ']', n);

        /* A comment ends a line wherever it stands, before a bracket too. */
        if (!end || (size_t)(end - line) > without_comment(line, n))
                return false;
        if (end - line - 1 > 49)
                return false;
        /* Behind the bracket there is nothing but a remark. */
        for (const char *rest = end + 1; rest < line + n && *rest != ';' && *rest != '#'; rest++)
                if (!isspace((unsigned char)*rest))
                        return false;
        memcpy(ini->in_section, line + 1, (size_t)(end - line - 1));
        ini->in_section[end - line - 1] = 0;
        return !ini->section || ini->section(ini->ctx, ini->line, ini->in_section);
}

static bool take_setting(struct ini *ini, const char *line, size_t n)
{
        char key[256], value[256];
        size_t to = without_comment(line, n), at = 0;

        while (at < to && line[at] != '=' && line[at] != ':')
                at++;
        if (at == to)
                return false;
        trimmed(key, sizeof(key), line, at);
        n = n - at - 1;
        line += at + 1;
        trimmed(value, sizeof(value), line, without_comment(line, n));
        return ini->setting(ini->ctx, ini->in_section, key, value);
}

static bool take_line(struct ini *ini, const char *line, size_t n)
{
        char text[256];

        if (n > 189)
                return false;
        for (size_t i = 0; i < n; i++)
                if (((unsigned char)line[i] < ' ' && line[i] != '\t' && line[i] != '\r') ||
                    line[i] == 0x7f)
                        return false;
        while (ini->line == 1 && n > 0) {
                if (n >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
                        line += 3; /* a byte order mark */
                        n -= 3;
                } else if (isspace((unsigned char)line[0])) {
                        line++;
                        n--;
                } else {
                        break;
                }
        }
        trimmed(text, sizeof(text), line, n);
        if (!text[0] || text[0] == ';' || text[0] == '#')
                return true;
        return text[0] == '[' ? take_section(ini, text, strlen(text))
                              : take_setting(ini, text, strlen(text));
}

unsigned ini_read(struct ini *ini, const char *text, size_t len)
{
        while (len > 0) {
                const char *end = memchr(text, '\n', len);
                size_t n = end ? (size_t)(end - text) : len;

                ini->line++;
                if (!take_line(ini, text, n))
                        return ini->line;
                text += n + (end ? 1 : 0);
                len -= n + (end ? 1 : 0);
        }
        return 0;
}
