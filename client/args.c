/* SPDX-License-Identifier: MIT */
/*
 * Typed arguments, from verb-call.c between the description's arrival and the call.
 *
 * Only what cannot be written as the declared type is refused here; ranges, counts and whatever
 * else the signature promises are the server's to check, so that there is one truth about them.
 * What is refused here reads like the server's own INVALID_ARGUMENT.
 */

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/args.h"
#include "client/fields.h"
#include "client/json.h"
#include "client/words.h"
#include "proto/builder.h"
#include "proto/limits.h"
#include "proto/value.h"

/* Around an argument: the frame, its params, the array of arguments. */
#define ARGUMENT_DEPTH_MAX (PROTO_DEPTH_MAX - 3)
#define SHOWN_BYTES_MAX    40 /* of a word, in a message */
#define READ_BYTES         ((size_t)16 << 10)

/* One argument on its way. */
struct arg {
        struct proto_builder *out;
        const char *word;
        char why[96]; /* set by a reader that says no and knows more than the type */
};

/* ---- readers: false means no ----------------------------------------------------------------- */

static bool read_bool(struct arg *arg)
{
        static const char *const yes[] = {"true", "yes", "on", "1"};
        static const char *const no[] = {"false", "no", "off", "0"};

        for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
                if (strcmp(arg->word, yes[i]) == 0) {
                        proto_put_bool(arg->out, true);
                        return true;
                }
                if (strcmp(arg->word, no[i]) == 0) {
                        proto_put_bool(arg->out, false);
                        return true;
                }
        }
        return false;
}

static bool read_integer(struct arg *arg)
{
        struct words_integer value;

        if (!words_integer(arg->word, &value))
                return false;
        if (value.negative)
                proto_put_int(arg->out, -(int64_t)(value.magnitude - 1) - 1);
        else
                proto_put_uint(arg->out, value.magnitude);
        return true;
}

static bool read_x64(struct arg *arg)
{
        struct words_integer value;

        if (!words_integer(arg->word, &value) || value.negative)
                return false;
        proto_put_format(arg->out, "0x%" PRIx64, value.magnitude);
        return true;
}

static bool read_float(struct arg *arg)
{
        char *end;
        double value;

        if (*arg->word == '\0' || *arg->word == ' ')
                return false;
        value = strtod(arg->word, &end);
        if (*end != '\0')
                return false;
        proto_put_float(arg->out, value);
        return true;
}

static bool read_text(struct arg *arg)
{
        proto_put_text(arg->out, arg->word);
        return true;
}

/* All of a stream, at most `max` bytes; NULL with errno, EFBIG for more than that. */
static char *read_stream(FILE *in, size_t max, size_t *ret_len)
{
        char *data = NULL, *more;
        size_t len = 0, cap = 0;

        do {
                if (len == cap) {
                        cap = cap == 0 ? READ_BYTES : 2 * cap;
                        more = realloc(data, cap);
                        if (!more) {
                                free(data);
                                return NULL;
                        }
                        data = more;
                }
                len += fread(data + len, 1, cap - len, in);
        } while (!feof(in) && !ferror(in) && len <= max);

        if (ferror(in) || len > max) {
                free(data);
                errno = ferror(in) ? EIO : EFBIG;
                return NULL;
        }
        *ret_len = len;
        return data;
}

/* What "@FILE" names. */
static char *read_file(struct arg *arg, size_t *ret_len)
{
        const char *path = arg->word + 1;
        bool standard = strcmp(path, "-") == 0;
        FILE *in = standard ? stdin : fopen(path, "re");
        char *data = NULL;

        if (in)
                data = read_stream(in, arg->out->bytes_max, ret_len);
        if (!data)
                (void)snprintf(arg->why, sizeof(arg->why), "cannot read it: %s", strerror(errno));
        if (in && !standard)
                (void)fclose(in); /* only read from */
        return data;
}

static bool read_bytes(struct arg *arg)
{
        size_t len;
        char *data;

        if (arg->word[0] != '@')
                return ctl_json_put_hex(arg->out, arg->word, strlen(arg->word)) == 0;
        data = read_file(arg, &len);
        if (!data)
                return false;
        proto_put_bin(arg->out, data, len);
        free(data);
        return true;
}

/* Puts the JSON document in `text`; `type` is JSON_ARRAY, JSON_OBJECT or -1 for any. */
static bool put_document(struct arg *arg, const char *text, size_t len, int type)
{
        json_error_t error;
        json_t *json = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        bool done = false;

        if (!json) {
                (void)snprintf(arg->why, sizeof(arg->why), "%.*s", (int)sizeof(arg->why) - 1,
                               error.text);
                return false;
        }
        if (type == -1 || (int)json_typeof(json) == type) {
                done = ctl_json_put(arg->out, json, ARGUMENT_DEPTH_MAX) == 0;
                if (!done)
                        (void)snprintf(arg->why, sizeof(arg->why),
                                       "nested deeper than %d levels, or \"$bytes\" is no hex",
                                       ARGUMENT_DEPTH_MAX);
        }
        json_decref(json);
        return done;
}

static bool read_document(struct arg *arg, int type)
{
        size_t len;
        char *data;
        bool done;

        if (arg->word[0] != '@')
                return put_document(arg, arg->word, strlen(arg->word), type);
        data = read_file(arg, &len);
        if (!data)
                return false;
        done = put_document(arg, data, len, type);
        free(data);
        return done;
}

static bool read_array(struct arg *arg)
{
        return read_document(arg, JSON_ARRAY);
}

static bool read_map(struct arg *arg)
{
        return read_document(arg, JSON_OBJECT);
}

/* Integers first: JSON's stop at int64 here, and 0x… is none of them. */
static bool read_any(struct arg *arg)
{
        const char *word = arg->word;

        if (read_integer(arg))
                return true;
        if (*word != '\0' && strchr("{[\"@-0123456789", *word))
                return read_document(arg, -1);
        if (strcmp(word, "true") == 0 || strcmp(word, "false") == 0 || strcmp(word, "null") == 0)
                return read_document(arg, -1);
        return read_text(arg);
}

/* ---- types ----------------------------------------------------------------------------------- */

struct type {
        const char *name;
        bool (*read)(struct arg *arg);
        const char *hint; /* how to write one */
};

static const struct type types[] = {
        {"any", read_any, "JSON or a word; text that looks like JSON needs quotes"},
        {"bool", read_bool, "true or false"},
        {"i8", read_integer, "42, -7 or 0x2a"},
        {"i16", read_integer, "42, -7 or 0x2a"},
        {"i32", read_integer, "42, -7 or 0x2a"},
        {"i64", read_integer, "42, -7 or 0x2a"},
        {"u8", read_integer, "42 or 0x2a"},
        {"u16", read_integer, "42 or 0x2a"},
        {"u32", read_integer, "42 or 0x2a"},
        {"u64", read_integer, "42 or 0x2a"},
        {"x64", read_x64, "0x2a or 42"},
        {"f64", read_float, "1.5"},
        {"str", read_text, ""},
        {"bytes", read_bytes, "an even number of hex digits, or @FILE"},
        {"array", read_array, "JSON: [1, 2]"},
        {"map", read_map, "JSON: {\"key\": 1}"},
};

static const struct type *find_type(struct field_text name)
{
        for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
                if (strlen(types[i].name) == name.len &&
                    memcmp(types[i].name, name.data, name.len) == 0)
                        return &types[i];
        }
        return &types[0];
}

/* NAME=… as it seems, of no argument that there is: true, and the names that there are. */
static bool explain_name(const char *word, const struct proto_value *description, char *reterr_text,
                         size_t size)
{
        static const char letters[] = "abcdefghijklmnopqrstuvwxyz_0123456789";
        const struct proto_value *params = field_array(description, "params");
        struct field_text symbol = field_text(description, "name"), name;
        size_t len = strspn(word, letters), used;

        if (len == 0 || word[len] != '=' || len > SHOWN_BYTES_MAX ||
            (word[0] >= '0' && word[0] <= '9'))
                return false;
        (void)snprintf(reterr_text, size, "%.*s: there is no argument \"%.*s\"; there are",
                       (int)symbol.len, symbol.data, (int)len, word);
        for (uint32_t i = 0; i < params->count; i++) {
                name = field_text(&params->items[i], "name");
                used = strlen(reterr_text);
                (void)snprintf(reterr_text + used, size - used, "%s %.*s", i > 0 ? "," : "",
                               (int)name.len, name.data);
        }
        return true;
}

/* debug.add: argument 1 "a": expected i64, got 'abc' (write 42, -7 or 0x2a) */
static void explain(const struct arg *arg, const struct type *type, size_t i,
                    const struct proto_value *description, char *reterr_text, size_t size)
{
        const struct proto_value *param = &field_array(description, "params")->items[i];
        struct field_text symbol = field_text(description, "name"),
                          name = field_text(param, "name");
        bool cut = strlen(arg->word) > SHOWN_BYTES_MAX;

        if (explain_name(arg->word, description, reterr_text, size))
                return;
        (void)snprintf(reterr_text, size,
                       "%.*s: argument %zu \"%.*s\": expected %s, got '%.*s%s' (%s%s)",
                       (int)symbol.len, symbol.data, i + 1, (int)name.len, name.data, type->name,
                       SHOWN_BYTES_MAX, arg->word, cut ? "..." : "",
                       arg->why[0] ? arg->why : "write ", arg->why[0] ? "" : type->hint);
}

static enum args_result result_of(const struct proto_builder *out)
{
        switch (out->error) {
        case PROTO_BUILDER_OK:
                return ARGS_OK;
        case PROTO_BUILDER_E_BUDGET:
                return ARGS_E_TOO_LARGE;
        default:
                return ARGS_E_MEMORY;
        }
}

/* ---- arguments by name ----------------------------------------------------------------------- */

/* The words of a command line, sorted out. */
struct given {
        const char *words[PROTO_ARITY_MAX]; /* by parameter; NULL: not given */
        uint32_t n_params, n_given;
        bool named; /* at least one by its name */
};

/* The parameter that "NAME=VALUE" names; n_params if it names none. */
static uint32_t named_param(const struct proto_value *params, uint32_t n_params, const char *word)
{
        size_t len = strcspn(word, "=");
        uint32_t i = 0;

        if (word[len] != '=')
                return n_params;
        for (; i < n_params; i++) {
                struct field_text name = field_text(&params->items[i], "name");

                if (name.len == len && memcmp(name.data, word, len) == 0)
                        break;
        }
        return i;
}

/* True; false with what is wrong: positional behind named, or one given twice. */
static bool sort_out(struct given *given, const struct proto_value *params, char *const *words,
                     size_t n_words, char *reterr_text, size_t size)
{
        for (size_t i = 0; i < n_words; i++) {
                uint32_t at = named_param(params, given->n_params, words[i]);
                bool named = at < given->n_params;

                if (!named && given->named) {
                        (void)snprintf(reterr_text, size,
                                       "'%.*s' names no argument, and stands behind one that is "
                                       "named",
                                       SHOWN_BYTES_MAX, words[i]);
                        return false;
                }
                if (!named)
                        at = (uint32_t)i; /* there are as many: see args_put */
                if (given->words[at]) {
                        (void)snprintf(reterr_text, size, "argument %u is given twice, by '%.*s'",
                                       (unsigned)at + 1, SHOWN_BYTES_MAX, words[i]);
                        return false;
                }
                given->words[at] = named ? strchr(words[i], '=') + 1 : words[i];
                given->named |= named;
                given->n_given++;
        }
        return true;
}

static bool any_named(const struct proto_value *params, uint32_t n_params, char *const *words,
                      size_t n_words)
{
        for (size_t i = 0; i < n_words; i++) {
                if (named_param(params, n_params, words[i]) < n_params)
                        return true;
        }
        return false;
}

/* A map would be taken for the argument itself. */
static bool takes_no_names(const struct proto_value *params)
{
        const struct proto_value *type = field_get(&params->items[0], "type");

        return type && (proto_value_is_text(type, "any") || proto_value_is_text(type, "map"));
}

/* ---- all of them ----------------------------------------------------------------------------- */

static bool put_one(struct proto_builder *out, const struct proto_value *description, uint32_t i,
                    const char *word, char *reterr_text, size_t size)
{
        const struct proto_value *params = field_array(description, "params");
        struct arg arg = {.out = out, .word = word};
        const struct type *type;

        if (!params || i >= params->count) {
                (void)read_text(&arg); /* never says no */
                return true;
        }
        type = find_type(field_text(&params->items[i], "type"));
        if (type->read(&arg))
                return true;
        explain(&arg, type, i, description, reterr_text, size);
        return false;
}

static bool put_given(struct proto_builder *out, const struct proto_value *description,
                      const struct given *given, char *reterr_text, size_t size)
{
        const struct proto_value *params = field_array(description, "params");
        bool map = !takes_no_names(params);
        struct field_text name;

        if (map)
                proto_put_map(out, given->n_given);
        else
                proto_put_array(out, given->n_given);
        for (uint32_t i = 0; i < given->n_params; i++) {
                name = field_text(&params->items[i], "name");
                if (!given->words[i] && !map && i < given->n_given) {
                        (void)snprintf(reterr_text, size,
                                       "argument %u \"%.*s\" is missing, and the ones behind it "
                                       "cannot be sent without it",
                                       (unsigned)i + 1, (int)name.len, name.data);
                        return false;
                }
                if (!given->words[i])
                        continue;
                if (map)
                        proto_put_str(out, name.data, name.len);
                if (!put_one(out, description, i, given->words[i], reterr_text, size))
                        return false;
        }
        return true;
}

enum args_result args_put(struct proto_builder *out, const struct proto_value *description,
                          char *const *words, size_t n_words, char *reterr_text, size_t size)
{
        const struct proto_value *params = field_array(description, "params");
        struct given given = {.n_params = params ? params->count : 0};

        if (given.n_params > PROTO_ARITY_MAX)
                given.n_params = PROTO_ARITY_MAX;
        if (n_words <= given.n_params && any_named(params, given.n_params, words, n_words)) {
                if (!sort_out(&given, params, words, n_words, reterr_text, size) ||
                    !put_given(out, description, &given, reterr_text, size))
                        return ARGS_E_INVALID;
                return result_of(out);
        }
        proto_put_array(out, (uint32_t)n_words);
        for (size_t i = 0; i < n_words; i++) {
                if (!put_one(out, description, (uint32_t)i, words[i], reterr_text, size))
                        return ARGS_E_INVALID;
        }
        return result_of(out);
}
