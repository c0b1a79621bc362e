/* SPDX-License-Identifier: MIT */
#include "symbols/name.h"

#include <string.h>

/* Not <ctype.h>: its answers depend on the locale. */
static bool is_lower(char c)
{
        return c >= 'a' && c <= 'z';
}

static bool is_word(char c)
{
        return is_lower(c) || (c >= '0' && c <= '9') || c == '_';
}

/* The number of leading bytes that are [a-z0-9_]. */
static size_t word_span(const char *name, size_t len)
{
        size_t n = 0;

        while (n < len && is_word(name[n]))
                n++;
        return n;
}

size_t sym_name_len(const char *name)
{
        return name ? strnlen(name, SYM_NAME_BYTES_MAX + 1) : 0;
}

bool sym_name_is_param(const char *name, size_t len)
{
        return len > 0 && len <= SYM_NAME_BYTES_MAX && is_lower(name[0]) &&
               word_span(name, len) == len;
}

bool sym_name_is_module(const char *name, size_t len)
{
        return len <= SYM_MODULE_NAME_BYTES_MAX && sym_name_is_param(name, len);
}

bool sym_name_is_symbol(const char *name, size_t len)
{
        size_t at;

        if (len == 0 || len > SYM_NAME_BYTES_MAX || !is_lower(name[0]))
                return false;
        at = word_span(name, len);
        if (at == len)
                return false; /* one word alone is a module's name */
        while (at < len) {
                size_t n;

                if (name[at] != '.')
                        return false;
                at++;
                n = word_span(name + at, len - at);
                if (n == 0)
                        return false;
                at += n;
        }
        return true;
}

bool sym_name_is_reserved_module(const char *name, size_t len)
{
        static const char own[] = "vmreq", nvim[] = "nvim_";

        if (len == sizeof(own) - 1 && memcmp(name, own, len) == 0)
                return true;
        return len >= sizeof(nvim) - 1 && memcmp(name, nvim, sizeof(nvim) - 1) == 0;
}
