/* SPDX-License-Identifier: MIT */
/*
 * Completion, for the scripts of shells ('vmreqctl complete', in the same file) and for our own.
 *
 * The words are read by the same tables as the real command line, so a new verb or option is
 * completed as soon as it is in them.  From the daemon come the symbols, the parameters, the
 * modules and the numbers of requests: each is one question with QUERY_MS to answer, asked over a
 * connection of its own (in our shell, over the shell's); whatever goes wrong means no candidates.
 * Another host is not asked: a key should not start an ssh.  Only names that are made of harmless
 * characters become candidates.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/complete.h"
#include "client/ctl.h"
#include "client/fields.h"
#include "client/sockets.h"
#include "client/verbs.h"
#include "client/words.h"

#define QUERY_MS  400
#define ITEMS_MAX 20000
#define VMS_MAX   256
#define ARGS_MAX  64 /* words looked at */

struct completion {
        struct ctl *ctl;
        const char *word;   /* what is there */
        const char *before; /* in front of it in the same word: "--cpu=" */
        size_t before_len;
        struct complete_list *list;
        struct options options; /* as far as they matter: which socket */
};

/* ---- the list -------------------------------------------------------------------------------- */

void complete_deinit(struct complete_list *list)
{
        for (size_t i = 0; i < list->n; i++)
                free(list->items[i]);
        free(list->items);
        *list = (struct complete_list){0};
}

/* Adds BEFORE NAME AFTER if that is how the word may go on; quietly nothing if memory is short. */
static void add(struct completion *c, const char *name, size_t len, const char *after)
{
        struct complete_list *list = c->list;
        size_t typed = strlen(c->word), after_len = strlen(after);
        char *item;

        if (typed > len + after_len || memcmp(c->word, name, typed < len ? typed : len) != 0 ||
            (typed > len && memcmp(c->word + len, after, typed - len) != 0))
                return;
        if (list->n == list->cap) {
                size_t cap = list->cap ? 2 * list->cap : 64;
                char **items = realloc(list->items, cap * sizeof(*items));

                if (!items)
                        return;
                list->items = items;
                list->cap = cap;
        }
        item = malloc(c->before_len + len + after_len + 1);
        if (!item || list->n >= ITEMS_MAX) {
                free(item);
                return;
        }
        memcpy(item, c->before, c->before_len);
        memcpy(item + c->before_len, name, len);
        memcpy(item + c->before_len + len, after, after_len + 1);
        list->items[list->n++] = item;
}

static void add_text(struct completion *c, const char *name)
{
        add(c, name, strlen(name), "");
}

/* Words separated by blanks. */
static void add_words(struct completion *c, const char *words)
{
        while (words && *words != '\0') {
                size_t n = strcspn(words, " ");

                add(c, words, n, "");
                words += n + (words[n] != '\0');
        }
}

/* A server's name: letters, digits, and what names have. */
static bool is_harmless(struct field_text name)
{
        for (size_t i = 0; i < name.len; i++) {
                char ch = name.data[i];

                if (!(ch >= 'a' && ch <= 'z') && !(ch >= 'A' && ch <= 'Z') &&
                    !(ch >= '0' && ch <= '9') && ch != '_' && ch != '-' && ch != '.')
                        return false;
        }
        return name.len > 0 && name.len <= 128 && name.data[0] != '-';
}

static void add_field(struct completion *c, struct field_text name, const char *after)
{
        if (is_harmless(name))
                add(c, name.data, name.len, after);
}

/* ---- the daemon ------------------------------------------------------------------------------ */

/* One call over `client`; false without an answer. */
static bool query_over(vmreq_client *client, const char *method, const struct proto_builder *params,
                       struct ctl_value *ret_value)
{
        struct ctl_value value = CTL_VALUE_NULL;

        if (vmreq_client_call(client, method, params->data, params->len,
                              QUERY_MS * UINT64_C(1000000), &value.answer) != 0)
                return false;
        if (value.answer.failed || !ctl_decode(&value)) {
                ctl_value_deinit(&value);
                return false;
        }
        *ret_value = value;
        return true;
}

/* The params in `params`, which is freed. */
static bool query(struct completion *c, const char *method, struct proto_builder *params,
                  struct ctl_value *ret_value)
{
        struct vmreq_client_config config = VMREQ_CLIENT_CONFIG_INIT;
        struct sockets_places places = sockets_places();
        vmreq_client *client = NULL;
        char path[4096], text[256];
        bool done = false;

        if (params->error == PROTO_BUILDER_OK && c->ctl->client) {
                done = query_over(c->ctl->client, method, params, ret_value);
        } else if (params->error == PROTO_BUILDER_OK && !c->options.host && !c->ctl->shell &&
                   sockets_find(&places, c->options.socket, c->options.machine, path, sizeof(path),
                                text, sizeof(text)) == SOCKETS_OK) {
                config.name = "vmreqctl";
                config.connect_ns = QUERY_MS * UINT64_C(1000000);
                if (vmreq_client_connect(path, &config, &client, NULL, 0) == 0)
                        done = query_over(client, method, params, ret_value);
                client = vmreq_client_free(client);
        }
        proto_builder_deinit(params);
        return done;
}

static bool query_plain(struct completion *c, const char *method, struct ctl_value *ret_value)
{
        struct proto_builder params;

        proto_builder_init(&params, 64);
        proto_put_array(&params, 0);
        return query(c, method, &params, ret_value);
}

static void add_symbols(struct completion *c)
{
        struct ctl_value value = CTL_VALUE_NULL;

        if (!query_plain(c, "vmreq.symbols", &value))
                return;
        for (uint32_t i = 0; value.root->type == PROTO_ARRAY && i < value.root->count; i++)
                add_field(c, field_text_of(&value.root->items[i]), "");
        ctl_value_deinit(&value);
}

static void add_modules(struct completion *c)
{
        struct ctl_value value = CTL_VALUE_NULL;

        if (!query_plain(c, "vmreq.modules", &value))
                return;
        for (uint32_t i = 0; value.root->type == PROTO_ARRAY && i < value.root->count; i++)
                add_field(c, field_text(&value.root->items[i], "name"), "");
        ctl_value_deinit(&value);
}

static void add_requests(struct completion *c)
{
        struct ctl_value value = CTL_VALUE_NULL;
        const struct proto_value *requests;
        char text[24];
        uint64_t id;

        if (!query_plain(c, "vmreq.ps", &value))
                return;
        requests = field_array(value.root, "requests");
        for (uint32_t i = 0; requests && i < requests->count; i++) {
                if (!field_uint(&requests->items[i], "id", &id))
                        continue;
                (void)snprintf(text, sizeof(text), "%" PRIu64, id);
                add_text(c, text);
        }
        ctl_value_deinit(&value);
}

static void add_cpus(struct completion *c)
{
        struct ctl_value value = CTL_VALUE_NULL;
        const struct proto_value *emts;
        char text[24];

        if (!query_plain(c, "vmreq.status", &value))
                return;
        emts = field_array(value.root, "emts");
        for (uint32_t i = 0; emts && i < emts->count; i++) {
                (void)snprintf(text, sizeof(text), "%" PRIu32, i);
                add_text(c, text);
        }
        ctl_value_deinit(&value);
}

static void add_machines(struct completion *c)
{
        struct sockets_places places = sockets_places();
        struct sockets_place *all = calloc(VMS_MAX, sizeof(*all));
        size_t n = all ? sockets_all(&places, all, VMS_MAX) : 0;

        for (size_t i = 0; i < n; i++)
                add_text(c, all[i].name);
        free(all);
}

/* ---- arguments of a symbol ------------------------------------------------------------------- */

static bool is_type(const struct proto_value *param, const char *name)
{
        const struct proto_value *type = field_get(param, "type");

        return type && proto_value_is_text(type, name);
}

/* What the value of a parameter can be. */
static void add_param_values(struct completion *c, const struct proto_value *param)
{
        if (is_type(param, "bool"))
                add_words(c, "true false");
        c->list->files |= c->word[0] == '@' && (is_type(param, "bytes") || is_type(param, "any") ||
                                                is_type(param, "array") || is_type(param, "map"));
}

/* Was this parameter given among the words, by its name? */
static bool is_given(struct field_text name, const char *const *words, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                if (strncmp(words[i], name.data, name.len) == 0 && words[i][name.len] == '=')
                        return true;
        }
        return false;
}

/* "NAME=…" of one of the parameters: its value goes on behind the sign. */
static bool in_value(struct completion *c, const struct proto_value *params)
{
        const char *sign = strchr(c->word, '=');

        for (uint32_t i = 0; sign && i < params->count; i++) {
                struct field_text name = field_text(&params->items[i], "name");

                if (name.len != (size_t)(sign - c->word) ||
                    memcmp(name.data, c->word, name.len) != 0)
                        continue;
                c->before = c->word;
                c->before_len = name.len + 1;
                c->word = sign + 1;
                add_param_values(c, &params->items[i]);
                return true;
        }
        return false;
}

/* words[0] is the symbol, what follows are the arguments before the one in question. */
static void add_arguments(struct completion *c, const char *const *words, size_t n)
{
        struct ctl_value value = CTL_VALUE_NULL;
        const struct proto_value *params;
        struct proto_builder builder;

        proto_builder_init(&builder, 4096);
        proto_put_array(&builder, 1);
        proto_put_text(&builder, words[0]);
        if (!query(c, "vmreq.describe", &builder, &value))
                return;
        params = field_array(value.root, "params");
        if (params && !in_value(c, params)) {
                if (n - 1 < params->count)
                        add_param_values(c, &params->items[n - 1]);
                for (uint32_t i = 0; i < params->count; i++) {
                        struct field_text name = field_text(&params->items[i], "name");

                        if (i + 1 >= n && !is_given(name, words + 1, n - 1))
                                add_field(c, name, "=");
                }
        }
        ctl_value_deinit(&value);
}

/* ---- the command line ------------------------------------------------------------------------ */

static void add_verbs(struct completion *c)
{
        for (size_t i = 0; i < n_verbs; i++) {
                if (verbs[i].summary)
                        add_text(c, verbs[i].name);
        }
}

static void add_options(struct completion *c, const struct option_row *rows)
{
        char name[40];

        for (; rows && rows->name; rows++) {
                (void)snprintf(name, sizeof(name), "--%s", rows->name);
                add(c, name, strlen(name), rows->value && rows->kind != OPTION_JSON ? "=" : "");
        }
}

static void add_values(struct completion *c, const struct option_row *row)
{
        add_words(c, row->values);
        if (row->kind == OPTION_CPU)
                add_cpus(c);
        else if (strcmp(row->name, "machine") == 0)
                add_machines(c);
        else if (strcmp(row->name, "symbol") == 0)
                add_symbols(c);
        c->list->files |= strcmp(row->name, "socket") == 0;
}

static void add_operands(struct completion *c, const struct verb *verb, const char *const *operands,
                         size_t n)
{
        if (verb->run == verb_call || verb->run == verb_submit || verb->run == verb_bench) {
                if (n == 0)
                        add_symbols(c);
                else
                        add_arguments(c, operands, n);
        } else if ((verb->run == verb_describe || verb->run == verb_symbols) && n == 0) {
                add_symbols(c);
        } else if (verb->run == verb_unload && n == 0) {
                add_modules(c);
        } else if (verb->run == verb_help && n == 0) {
                add_verbs(c);
        } else if (verb->run == verb_dump && n == 0) {
                c->list->files = true;
        } else if (verb->run == verb_watch) {
                add_words(c, "vm.state emt.stuck request console");
        } else if (verb->run == verb_wait_state) {
                add_words(c, "CREATED RUNNING SUSPENDED OFF FAILED");
        } else if ((verb->run == verb_wait || verb->run == verb_cancel ||
                    verb->run == verb_release || verb->run == verb_why) &&
                   n == 0) {
                add_requests(c);
        }
}

static const struct option_row *find_short(const struct option_row *rows, char letter)
{
        while (rows && rows->name && rows->letter != letter)
                rows++;
        return rows && rows->name ? rows : NULL;
}

static const struct option_row *find_long(const struct option_row *rows, const char *name,
                                          size_t len)
{
        for (; rows && rows->name; rows++) {
                if (strlen(rows->name) == len && memcmp(rows->name, name, len) == 0)
                        return rows;
        }
        return NULL;
}

/* The option that a word is; *ret_value what stands behind it in the same word, or NULL. */
static const struct option_row *option_of(const struct option_row *rows, const char *word,
                                          const char **ret_value)
{
        const struct option_row *row;
        size_t len;

        *ret_value = NULL;
        if (word[0] != '-' || word[1] == '\0')
                return NULL;
        if (word[1] == '-') {
                len = strcspn(word + 2, "=");
                row = find_long(rows, word + 2, len);
                if (!row)
                        row = find_long(options_global, word + 2, len);
                if (word[2 + len] == '=')
                        *ret_value = word + 2 + len + 1;
                return row;
        }
        row = find_short(rows, word[1]);
        if (!row)
                row = find_short(options_global, word[1]);
        if (word[2] != '\0')
                *ret_value = word + 2;
        return row;
}

static void note_option(struct completion *c, const struct option_row *row, const char *value)
{
        if (row->letter == 's')
                c->options.socket = value;
        else if (row->letter == 'M')
                c->options.machine = value;
        else if (row->letter == 'H')
                c->options.host = value;
}

/*
 * Steps over options from words[*at]; true if the last word was completed as one of them or as the
 * value of one.
 */
static bool walk_options(struct completion *c, const struct option_row *rows,
                         const char *const *words, size_t n, size_t *at)
{
        const char *value;

        while (*at < n && words[*at][0] == '-') {
                const struct option_row *row = option_of(rows, words[*at], &value);
                bool last = *at + 1 == n;

                if (last && row && value && words[*at][1] == '-') {
                        c->before = c->word;
                        c->before_len = (size_t)(value - c->word);
                        c->word = value;
                        add_values(c, row);
                        return true;
                }
                if (last) {
                        add_options(c, rows);
                        add_options(c, options_global);
                        return true;
                }
                (*at)++;
                if (strcmp(words[*at - 1], "--") == 0)
                        return false;
                if (row && row->value && !value && row->kind != OPTION_JSON) {
                        if (*at + 1 == n) {
                                add_values(c, row);
                                return true;
                        }
                        value = words[(*at)++];
                }
                if (row && value)
                        note_option(c, row, value);
        }
        return false;
}

static void complete_verb(struct completion *c, const struct verb *verb, const char *const *words,
                          size_t n)
{
        const char *operands[ARGS_MAX];
        size_t at = 0, n_operands = 0;

        while (at < n) {
                if ((!verb->strict || n_operands == 0) &&
                    walk_options(c, verb->rows, words, n, &at))
                        return;
                if (at + 1 >= n)
                        break;
                if (n_operands < ARGS_MAX)
                        operands[n_operands++] = words[at];
                at++;
        }
        add_operands(c, verb, operands, n_operands);
}

void complete_words(struct ctl *ctl, const char *const *words, size_t n, struct complete_list *list)
{
        struct completion c = {.ctl = ctl,
                               .word = words[n - 1],
                               .before = "",
                               .list = list,
                               .options = ctl->options};
        const struct verb *verb;
        size_t at = 0;

        if (walk_options(&c, NULL, words, n, &at))
                return;
        if (at + 1 >= n) {
                add_verbs(&c);
                if (ctl->shell)
                        add_symbols(&c);
                return;
        }
        verb = verbs_find(words[at]);
        if (verb)
                complete_verb(&c, verb, words + at + 1, n - at - 1);
        else if (ctl->shell && strchr(words[at], '.'))
                complete_verb(&c, verbs_find("call"), words + at, n - at);
}

/* ---- for other shells ------------------------------------------------------------------------ */

/* One candidate a line; ":files" if names of files fit. */
int verb_complete(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        static const char *const nothing[] = {""};
        struct complete_list list = {0};

        (void)options;
        if (argc == 0)
                complete_words(ctl, nothing, 1, &list);
        else
                complete_words(ctl, (const char *const *)(uintptr_t)argv, (size_t)argc, &list);
        for (size_t i = 0; i < list.n; i++)
                printf("%s\n", list.items[i]);
        if (list.files)
                printf(":files\n");
        complete_deinit(&list);
        return CTL_DONE;
}
