/* SPDX-License-Identifier: MIT */
/*
 * What people write on a command line, and what they like to read back.  Called by options.c,
 * args.c and the verbs.  Nothing here depends on the locale: a decimal point is a point in scripts
 * everywhere.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/words.h"

#define WORD_BYTES_MAX 32 /* of verbs and options: longer words are near to none of them */

int words_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

bool words_integer(const char *word, struct words_integer *ret)
{
        struct words_integer value = {.negative = *word == '-'};
        unsigned base = 10;

        if (*word == '-' || *word == '+')
                word++;
        if (word[0] == '0' && (word[1] == 'x' || word[1] == 'X')) {
                base = 16;
                word += 2;
        }
        if (*word == '\0')
                return false;
        for (; *word != '\0'; word++) {
                unsigned digit = (unsigned)words_digit(*word); /* none: more than any base */

                if (digit >= base || value.magnitude > (UINT64_MAX - digit) / base)
                        return false;
                value.magnitude = value.magnitude * base + digit;
        }
        if (value.magnitude == 0)
                value.negative = false;
        if (value.negative && value.magnitude > (uint64_t)INT64_MAX + 1)
                return false;
        *ret = value;
        return true;
}

/* How many microseconds the unit has; 0 for an unknown one. */
static uint64_t unit_us(const char *unit)
{
        static const struct {
                const char *name;
                uint64_t us;
        } units[] = {
                {"", 1000000}, {"s", 1000000},    {"sec", 1000000},  {"us", 1},
                {"ms", 1000},  {"min", 60000000}, {"h", 3600000000},
        };

        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
                if (strcmp(unit, units[i].name) == 0)
                        return units[i].us;
        }
        return 0;
}

bool words_time(const char *word, uint64_t *ret_ms)
{
        const uint64_t us_max = (uint64_t)WORDS_MS_MAX * 1000;
        uint64_t whole = 0, fraction = 0, scale = 1, unit, us;
        bool any = false, below = false;

        for (; *word >= '0' && *word <= '9'; word++, any = true) {
                whole = whole * 10 + (uint64_t)(*word - '0');
                if (whole > us_max)
                        return false;
        }
        if (*word == '.')
                word++;
        /*
         * Six digits are exact to the microsecond of a second; of the rest only whether it is zero
         * counts.
         */
        for (; *word >= '0' && *word <= '9'; word++, any = true) {
                if (scale < 1000000) {
                        fraction = fraction * 10 + (uint64_t)(*word - '0');
                        scale *= 10;
                } else if (*word != '0') {
                        below = true;
                }
        }
        unit = unit_us(word);
        if (!any || unit == 0 || whole > us_max / unit)
                return false;
        us = whole * unit + (fraction * unit + scale - 1) / scale + (below ? 1 : 0);
        if (us > us_max)
                return false;
        *ret_ms = (us + 999) / 1000;
        return true;
}

static const char *const cpu_names[] = {"any", "any-queue", "all", "all-reverse"};

bool words_cpu(const char *word, struct words_cpu *ret)
{
        struct words_integer number;

        for (size_t i = 0; i < sizeof(cpu_names) / sizeof(cpu_names[0]); i++) {
                if (strcmp(word, cpu_names[i]) == 0) {
                        *ret = (struct words_cpu){.name = cpu_names[i]};
                        return true;
                }
        }
        if (!words_integer(word, &number) || number.negative || number.magnitude > INT32_MAX)
                return false;
        *ret = (struct words_cpu){.number = (uint32_t)number.magnitude};
        return true;
}

bool words_cpu_is_broadcast(const char *name, size_t len)
{
        return (len == 3 && memcmp(name, "all", 3) == 0) ||
               (len == 11 && memcmp(name, "all-reverse", 11) == 0);
}

/* The least of what an insertion, a deletion, a replacement and a swap of neighbours would make. */
static size_t step(const char *a, const char *b, size_t i, size_t j,
                   size_t rows[3][WORD_BYTES_MAX + 1])
{
        const size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);

        if (above[j] + 1 < best)
                best = above[j] + 1;
        if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
            above2[j - 2] + 1 < best)
                best = above2[j - 2] + 1;
        return best;
}

/* Mistakes between two short words, counted in the usual table, of which three rows are kept. */
static size_t distance(const char *a, const char *b)
{
        size_t a_len = strlen(a), b_len = strlen(b), rows[3][WORD_BYTES_MAX + 1];

        if (a_len > WORD_BYTES_MAX || b_len > WORD_BYTES_MAX)
                return SIZE_MAX;
        for (size_t j = 0; j <= b_len; j++)
                rows[0][j] = j;
        for (size_t i = 1; i <= a_len; i++) {
                rows[i % 3][0] = i;
                for (size_t j = 1; j <= b_len; j++)
                        rows[i % 3][j] = step(a, b, i, j, rows);
        }
        return rows[a_len % 3][b_len];
}

const char *words_nearest(const char *word, const char *const *names, size_t n)
{
        const char *nearest = NULL;
        size_t least = SIZE_MAX;

        for (size_t i = 0; i < n; i++) {
                size_t d = distance(word, names[i]);

                /* A third of the letters may be wrong; more is another word. */
                if (d < least && 3 * d <= strlen(names[i]) + 1) {
                        least = d;
                        nearest = names[i];
                }
        }
        return nearest;
}

void words_duration(uint64_t ms, char *ret_text, size_t size)
{
        uint64_t s = ms / 1000, min = s / 60, h = min / 60;

        if (ms < 1000)
                (void)snprintf(ret_text, size, "%" PRIu64 " ms", ms);
        else if (s < 60)
                (void)snprintf(ret_text, size, "%" PRIu64 ".%" PRIu64 " s", s, ms % 1000 / 100);
        else if (min < 60)
                (void)snprintf(ret_text, size, "%" PRIu64 " min %" PRIu64 " s", min, s % 60);
        else if (h < 24)
                (void)snprintf(ret_text, size, "%" PRIu64 " h %" PRIu64 " min", h, min % 60);
        else
                (void)snprintf(ret_text, size, "%" PRIu64 " d %" PRIu64 " h", h / 24, h % 24);
}
