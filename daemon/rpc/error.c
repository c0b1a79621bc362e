/* SPDX-License-Identifier: MIT */
/*
 * Errors, put together where something goes wrong, and written in the style that their reader
 * understands.  Loop thread.
 *
 * An error is a value on its maker's stack: nothing in it is borrowed, nothing of it is freed.
 */
#include "rpc/error.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log-ids.h"
#include "base/macros.h"
#include "proto/text.h"
#include "rpc/server-internal.h"

void rpc_error_vset(struct rpc_error *error, enum proto_code code, enum proto_ran ran,
                    const char *format, va_list args)
{
        error->code = code;
        error->ran = ran;
        error->n_data = error->n_words = 0;
        (void)vsnprintf(error->text, sizeof(error->text), format, args);
        /* It may repeat what a request said, and may have been cut. */
        proto_text_clean(error->text);
}

void rpc_error_set(struct rpc_error *error, enum proto_code code, enum proto_ran ran,
                   const char *format, ...)
{
        va_list args;

        va_start(args, format);
        rpc_error_vset(error, code, ran, format, args);
        va_end(args);
}

void rpc_error_add_word(struct rpc_error *error, const char *key, const char *word)
{
        size_t room = sizeof(error->words) - error->n_words, len = strlen(word);

        if (error->n_data == RPC_ERROR_DATA_MAX || room < 2)
                return;
        len = MIN(len, room - 1);
        error->data[error->n_data].key = key;
        error->data[error->n_data].is_word = true;
        error->data[error->n_data].word = error->n_words;
        error->n_data++;
        memcpy(error->words + error->n_words, word, len);
        error->words[error->n_words + len] = '\0';
        proto_text_clean(error->words + error->n_words);
        error->n_words += (uint32_t)len + 1;
}

void rpc_error_add_number(struct rpc_error *error, const char *key, int64_t number)
{
        if (error->n_data == RPC_ERROR_DATA_MAX)
                return;
        error->data[error->n_data].key = key;
        error->data[error->n_data].is_word = false;
        error->data[error->n_data].number = number;
        error->n_data++;
}

static void log_fault(struct rpc_server *server, uint64_t fault, const char *text)
{
        uint64_t missed;

        if (log_limit_pass(&server->fault_log, 10, clock_now_ns(), &missed))
                log_write(&(struct log_meta){.level = LOG_L_ERROR,
                                             .id = LOG_ID_FAULT,
                                             LOG_FIELDS(LOG_NUMBER("VMREQ_FAULT", fault))},
                          "fault %llu: %s (%llu more were not logged)", (unsigned long long)fault,
                          text, (unsigned long long)missed);
}

static void set_fault(struct rpc_error *error, uint64_t fault)
{
        size_t len = strlen(error->text);

        (void)snprintf(error->text + len, sizeof(error->text) - len, "; fault %llu of the log",
                       (unsigned long long)fault);
        rpc_error_add_number(error, "fault", (int64_t)fault);
}

void rpc_error_fault(struct rpc_error *error, struct rpc_server *server, enum proto_ran ran,
                     const char *format, ...)
{
        uint64_t fault = ++server->n_faults;
        va_list args;

        va_start(args, format);
        rpc_error_vset(error, PROTO_INTERNAL, ran, format, args);
        va_end(args);
        log_fault(server, fault, error->text);
        set_fault(error, fault);
}

void rpc_error_fault_again(struct rpc_error *error, struct rpc_server *server, uint64_t *number,
                           enum proto_ran ran, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        rpc_error_vset(error, PROTO_INTERNAL, ran, format, args);
        va_end(args);
        if (!*number) {
                *number = ++server->n_faults;
                log_fault(server, *number, error->text);
        }
        set_fault(error, *number);
}

static void put_text(struct proto_builder *out, const struct rpc_error *error)
{
        proto_put_format(out, "%s: %s (ran: %s)", proto_code_to_string(error->code), error->text,
                         proto_ran_to_string(error->ran));
}

static void put_map(struct proto_builder *out, const struct rpc_error *error)
{
        proto_put_map(out, 5);
        proto_put_text(out, "name");
        proto_put_text(out, proto_code_to_string(error->code));
        proto_put_text(out, "code");
        proto_put_uint(out, error->code);
        proto_put_text(out, "message");
        proto_put_text(out, error->text);
        proto_put_text(out, "ran");
        proto_put_text(out, proto_ran_to_string(error->ran));
        proto_put_text(out, "data");
        proto_put_map(out, error->n_data);
        for (uint32_t i = 0; i < error->n_data; i++) {
                proto_put_text(out, error->data[i].key);
                if (error->data[i].is_word)
                        proto_put_text(out, error->words + error->data[i].word);
                else
                        proto_put_int(out, error->data[i].number);
        }
}

void rpc_error_put(struct proto_builder *out, const struct rpc_error *error, enum rpc_style style)
{
        switch (style) {
        case RPC_STYLE_TEXT:
                put_text(out, error);
                break;
        case RPC_STYLE_PAIR:
                proto_put_array(out, 2);
                proto_put_uint(out, error->code == PROTO_INVALID_ARGUMENT ||
                                            error->code == PROTO_INVALID_REQUEST);
                put_text(out, error);
                break;
        case RPC_STYLE_MAP:
                put_map(out, error);
                break;
        }
}
