/* SPDX-License-Identifier: MIT */
/*
 * Just enough msgpack for {name: number}.
 *
 * A module sees no decoder: what is neither a word nor text reaches it as bytes, and msgpack-c's
 * door is proto's.  This reads the few forms that a map of registers can have, and refuses the rest
 * by saying what it expected; it trusts no length that it has not checked itself.
 */
#include "modules/map-reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
        FIXMAP = 0x80,
        FIXSTR = 0xa0,
        UINT8 = 0xcc, /* and 16, 32, 64 */
        INT8 = 0xd0,  /* likewise */
        STR8 = 0xd9,  /* and 16, 32 */
        MAP16 = 0xde, /* and 32 */
};

static const char key_wanted[] = "names as keys";
static const char value_wanted[] = "numbers from 0 to 2^64 - 1, or texts such as \"0x2a\"";

/* A big-endian number of `bytes` bytes. */
static bool take(struct map_reader *reader, unsigned bytes, uint64_t *ret)
{
        *ret = 0;
        if ((size_t)(reader->end - reader->at) < bytes)
                return false;
        for (unsigned i = 0; i < bytes; i++)
                *ret = *ret << 8 | *reader->at++;
        return true;
}

bool map_reader_init(struct map_reader *reader, const void *data, size_t len)
{
        uint64_t head, n;

        *reader = (struct map_reader){.at = data, .end = (const uint8_t *)data + len};
        if (!take(reader, 1, &head))
                return false;
        if ((head & 0xf0) == FIXMAP)
                n = head & 0x0f;
        else if ((head != MAP16 && head != MAP16 + 1) || !take(reader, head == MAP16 ? 2 : 4, &n))
                return false;
        reader->left = (uint32_t)n;
        return true;
}

static bool take_text(struct map_reader *reader, uint64_t head, const char **ret, size_t *ret_len)
{
        uint64_t len;

        if ((head & 0xe0) == FIXSTR)
                len = head & 0x1f;
        else if (head < STR8 || head > STR8 + 2 || !take(reader, 1u << (head - STR8), &len))
                return false;
        if ((uint64_t)(reader->end - reader->at) < len)
                return false;
        *ret = (const char *)reader->at;
        *ret_len = (size_t)len;
        reader->at += len;
        return true;
}

static bool parse(const char *text, size_t len, uint64_t *ret)
{
        char word[24], *end;
        bool hex = len > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');

        if (len == 0 || len >= sizeof(word))
                return false;
        memcpy(word, text, len);
        word[len] = '\0';
        /* strtoull would take spaces and signs. */
        if (strspn(word + (hex ? 2 : 0), hex ? "0123456789abcdefABCDEF" : "0123456789") !=
            len - (hex ? 2 : 0))
                return false;
        errno = 0;
        *ret = strtoull(word, &end, hex ? 16 : 10);
        return errno == 0 && *end == '\0';
}

static bool take_value(struct map_reader *reader, uint64_t *ret)
{
        const char *text;
        uint64_t head;
        size_t len;

        if (!take(reader, 1, &head))
                return false;
        if (head < FIXMAP) {
                *ret = head;
                return true;
        }
        if (head >= UINT8 && head < UINT8 + 4)
                return take(reader, 1u << (head - UINT8), ret);
        if (head >= INT8 && head < INT8 + 4) {
                unsigned bytes = 1u << (head - INT8);

                return take(reader, bytes, ret) && !(*ret >> (bytes * 8 - 1));
        }
        return take_text(reader, head, &text, &len) && parse(text, len, ret);
}

bool map_reader_next(struct map_reader *reader, const char **ret_key, size_t *ret_key_len,
                     uint64_t *ret_value, const char **ret_wrong)
{
        uint64_t head;

        *ret_wrong = NULL;
        if (reader->left == 0)
                return false;
        reader->left--;
        if (!take(reader, 1, &head) || !take_text(reader, head, ret_key, ret_key_len))
                *ret_wrong = key_wanted;
        else if (!take_value(reader, ret_value))
                *ret_wrong = value_wanted;
        return !*ret_wrong;
}
