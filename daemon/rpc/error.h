/* SPDX-License-Identifier: MIT */
#pragma once
/* An error as the protocol knows it, and the three styles in which it can be written. */

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/builder.h"
#include "proto/codes.h"

struct rpc_server;

enum rpc_style {
        RPC_STYLE_TEXT, /* "NAME: text (ran: no)" */
        RPC_STYLE_PAIR, /* [0|1, the same]: Neovim's clients */
        RPC_STYLE_MAP,  /* {name, code, message, ran, data} */
};

#define RPC_ERROR_TEXT_MAX  2048
#define RPC_ERROR_DATA_MAX  8
#define RPC_ERROR_WORDS_MAX 256

struct rpc_error {
        enum proto_code code;
        enum proto_ran ran;
        uint32_t n_data, n_words;
        struct {
                const char *key; /* static */
                bool is_word;
                uint32_t word; /* its place in `words` */
                int64_t number;
        } data[RPC_ERROR_DATA_MAX];
        char words[RPC_ERROR_WORDS_MAX]; /* one behind the other, each with its NUL */
        char text[RPC_ERROR_TEXT_MAX];
};

void rpc_error_set(struct rpc_error *error, enum proto_code code, enum proto_ran ran,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));
void rpc_error_vset(struct rpc_error *error, enum proto_code code, enum proto_ran ran,
                    const char *format, va_list args) __attribute__((format(printf, 4, 0)));
/* `key` must be static; the word is copied, and cut or left out where there is no room for it. */
void rpc_error_add_word(struct rpc_error *error, const char *key, const char *word);
void rpc_error_add_number(struct rpc_error *error, const char *key, int64_t number);

/* A fault of ours (INTERNAL): the text, with a number that the log repeats.  Loop thread. */
void rpc_error_fault(struct rpc_error *error, struct rpc_server *server, enum proto_ran ran,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The same for a fault that may be told more than once: *number is 0 the first time, and kept. */
void rpc_error_fault_again(struct rpc_error *error, struct rpc_server *server, uint64_t *number,
                           enum proto_ran ran, const char *format, ...)
        __attribute__((format(printf, 5, 6)));

/* One value: the error as clients of that style read it. */
void rpc_error_put(struct proto_builder *out, const struct rpc_error *error, enum rpc_style style);
