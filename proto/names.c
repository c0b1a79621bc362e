/* SPDX-License-Identifier: MIT */
#include "proto/names.h"

#include <string.h>

#include "proto/limits.h"

/* Not isalpha() and friends: names do not depend on a locale. */
static bool is_lower(char c)
{
        return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
        return c >= 'A' && c <= 'Z';
}

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

bool proto_symbol_name_valid(const char *name, size_t len)
{
        size_t n_dots = 0, n_part = 0; /* parts ended so far; characters of the present one */

        if (len == 0 || len > PROTO_NAME_BYTES_MAX || !is_lower(name[0]))
                return false;
        for (size_t i = 0; i < len; i++) {
                if (name[i] == '.') {
                        if (n_part == 0)
                                return false;
                        n_dots++;
                        n_part = 0;
                } else if (is_lower(name[i]) || is_digit(name[i]) || name[i] == '_') {
                        n_part++;
                } else {
                        return false;
                }
        }
        return n_dots > 0 && n_part > 0;
}

static bool has_prefix(const char *name, size_t len, const char *prefix)
{
        size_t n = strlen(prefix);

        return len >= n && memcmp(name, prefix, n) == 0;
}

bool proto_symbol_name_reserved(const char *name, size_t len)
{
        return has_prefix(name, len, "vmreq.") || has_prefix(name, len, "nvim_");
}

bool proto_vm_name_valid(const char *name)
{
        static const char suffix[] = ".sock";
        size_t len = strnlen(name, PROTO_VM_NAME_BYTES_MAX + 1), n = sizeof(suffix) - 1;

        if (len == 0 || len > PROTO_VM_NAME_BYTES_MAX)
                return false;
        for (size_t i = 0; i < len; i++) {
                bool inner = name[i] == '_' || name[i] == '.' || name[i] == '-';

                if (!is_lower(name[i]) && !is_upper(name[i]) && !is_digit(name[i]) &&
                    !(inner && i > 0))
                        return false;
        }
        /* The socket of a VM is NAME.sock: such a name could be taken for another VM's socket. */
        return len < n || memcmp(name + len - n, suffix, n) != 0;
}
