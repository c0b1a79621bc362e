/* SPDX-License-Identifier: MIT */
#include "proto/text.h"

#include <string.h>

static int is_more(char c)
{
        return ((unsigned char)c & 0xc0) == 0x80;
}

/* How long a character that begins so has to be; 0: none begins so. */
static size_t length_of(unsigned char first)
{
        if (first < 0x80)
                return 1;
        if (first < 0xc2 || first > 0xf4) /* continuations, overlong forms, too large numbers */
                return 0;
        return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

size_t proto_utf8_char(const char *text, size_t len)
{
        unsigned char first, second;
        size_t n;

        if (len == 0)
                return 0;
        first = (unsigned char)text[0];
        n = length_of(first);
        if (n > len)
                return 0;
        for (size_t i = 1; i < n; i++)
                if (!is_more(text[i]))
                        return 0;
        if (n < 3)
                return n;
        /* What the second byte still decides: overlong forms, surrogates, the last number. */
        second = (unsigned char)text[1];
        if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
            (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f))
                return 0;
        return n;
}

void proto_text_clean(char *text)
{
        size_t len = strlen(text);

        while (len > 0) {
                size_t n = proto_utf8_char(text, len);

                if (n == 0) {
                        *text = '?';
                        n = 1;
                }
                text += n;
                len -= n;
        }
}
