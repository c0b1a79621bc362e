/* SPDX-License-Identifier: MIT */
/*
 * A signature out of the input, and arguments for it: symbols/signature-check.c and rpc/marshal.c
 * against what vmreq-module.h says in words.  What is accepted must be exactly the values that were
 * sent; arguments by position and the same ones by name must come to the same; what is refused must
 * be refused by the rules written down here, with a text.
 *
 * Input: the symbol (5 bytes, 5 for each parameter), 1 byte how the arguments are found, then a
 * frame that holds them, and perhaps an options map behind them.
 */
#include <math.h>
#include <string.h>

#include "fuzz.h"
#include "proto/builder.h"
#include "proto/frame.h"
#include "rpc/marshal.h"
#include "rpc/options.h"
#include "symbols/signature.h"

#define FRAME_MAX  (1u << 20)
#define PARAMS_MAX 17 /* two more than are legal */
#define CPUS       2u

struct drawn {
        struct vmreq_symbol symbol;
        struct vmreq_param params[PARAMS_MAX];
        struct sym_symbol sym;
};

static void words_function(void)
{
}

static int32_t callback(void *ctx, const struct vmreq_value *args, uint32_t argc,
                        struct vmreq_writer *reply)
{
        (void)ctx, (void)args, (void)argc, (void)reply;
        return 0;
}

/* ---- a signature ---- */

static int64_t draw_border(struct fuzz_input *input)
{
        static const int64_t borders[] = {0,          1,          -1,        3,
                                          100,        INT8_MIN,   INT8_MAX,  UINT8_MAX,
                                          INT16_MIN,  UINT16_MAX, INT32_MIN, INT32_MAX,
                                          UINT32_MAX, INT64_MAX,  INT64_MIN, -2};

        return borders[fuzz_byte(input) % 16];
}

static bool is_of(uint32_t type, uint32_t first, uint32_t last)
{
        return type >= first && type <= last;
}

static bool has_data(uint32_t type)
{
        return is_of(type, VMREQ_T_STR, VMREQ_T_MAP);
}

static void draw_fallback(struct fuzz_input *input, struct vmreq_param *param)
{
        static const char *const texts[] = {"", "x", "abc"};
        static const char *const encoded[] = {"\xc0", "\x90", "\x80"};
        uint8_t pick = fuzz_byte(input);

        param->fallback.type = (pick & 0xf0) == 0xf0 ? (uint32_t)pick & 15 : param->type;
        if (param->type == VMREQ_T_STR || param->type == VMREQ_T_BYTES) {
                param->fallback.data = texts[pick % 3];
                param->fallback.len = (uint32_t)strlen(texts[pick % 3]);
        } else if (has_data(param->type)) {
                param->fallback.data = encoded[pick % 3];
                param->fallback.len = 1;
        } else if (param->type == VMREQ_T_F64) {
                param->fallback.f = pick / 4.0;
        } else {
                param->fallback.i = pick & 1 ? pick / 2 : (pick & 2 ? param->min : param->max);
        }
}

static void draw_param(struct fuzz_input *input, struct vmreq_param *param, uint32_t i)
{
        static const char *const names[PARAMS_MAX] = {"a", "b", "c", "d", "e", "f", "g", "h", "i",
                                                      "j", "k", "l", "m", "n", "o", "p", "q"};
        uint8_t type = fuzz_byte(input), flags = fuzz_byte(input);

        *param = (struct vmreq_param){
                .name = flags == 0xfe   ? "a"
                        : flags == 0xfd ? "A"
                                        : names[i],
                .type = type % (_VMREQ_T_N + 1),
                .flags = flags & 7,
                .doc = flags == 0xfc ? NULL : "-",
        };
        param->min = draw_border(input);
        param->max = draw_border(input);
        draw_fallback(input, param);
}

static void draw_symbol(struct fuzz_input *input, struct drawn *drawn)
{
        uint8_t n = fuzz_byte(input), kind = fuzz_byte(input), result = fuzz_byte(input),
                flags = fuzz_byte(input), timeout = fuzz_byte(input);
        struct vmreq_symbol *symbol = &drawn->symbol;

        *symbol = (struct vmreq_symbol){
                .size = sizeof(*symbol),
                .name = flags == 0xff ? "fuzz" : "fuzz.symbol",
                .doc = "-",
                .params = drawn->params,
                .n_params = n % (PARAMS_MAX + 1),
                .result = result % (_VMREQ_T_N + 1),
                .flags = flags & 0x7f,
                .dest = kind & 0x40 ? VMREQ_DEST_ALL : VMREQ_DEST_ANY,
                .timeout_ms = timeout,
        };
        if (kind & 1)
                symbol->words = words_function;
        if (!(kind & 1) || (kind & 0xf0) == 0xf0)
                symbol->function = callback;
        for (uint32_t i = 0; i < symbol->n_params; i++)
                draw_param(input, &drawn->params[i], i);
        drawn->sym = (struct sym_symbol){.def = symbol, .words = symbol->words};
        drawn->sym.name_len = strlen(symbol->name);
        (void)sym_kind_of_result(symbol->result, &drawn->sym.kind);
        for (uint32_t i = 0; i < symbol->n_params; i++)
                drawn->sym.n_required += !(drawn->params[i].flags & VMREQ_PARAM_OPTIONAL);
}

/* ---- which signatures are good ---- */

struct bounds {
        bool is_signed;
        int64_t min;
        uint64_t max;
};

static struct bounds bounds_of(uint32_t type)
{
        switch (type) {
        case VMREQ_T_BOOL:
                return (struct bounds){.max = 1};
        case VMREQ_T_I8:
        case VMREQ_T_I16:
        case VMREQ_T_I32:
        case VMREQ_T_I64: {
                unsigned bits = 8u << (type - VMREQ_T_I8);
                uint64_t max = UINT64_MAX >> (65 - bits);

                return (struct bounds){true, -(int64_t)max - 1, max};
        }
        case VMREQ_T_U8:
        case VMREQ_T_U16:
        case VMREQ_T_U32:
        case VMREQ_T_U64:
                return (struct bounds){.max = UINT64_MAX >> (64 - (8u << (type - VMREQ_T_U8)))};
        default:
                return (struct bounds){.max = UINT64_MAX};
        }
}

static bool is_word_type(uint32_t type)
{
        return is_of(type, VMREQ_T_BOOL, VMREQ_T_X64);
}

static bool range_is_good(const struct vmreq_param *param)
{
        struct bounds type = bounds_of(param->type);
        uint64_t min = (uint64_t)param->min, max = (uint64_t)param->max;

        if (!(param->flags & VMREQ_PARAM_RANGE))
                return true;
        if (param->type == VMREQ_T_STR || param->type == VMREQ_T_BYTES)
                return min <= max && max <= UINT32_MAX;
        if (!is_of(param->type, VMREQ_T_I8, VMREQ_T_X64))
                return false;
        if (type.is_signed)
                return param->min <= param->max && param->min >= type.min &&
                       param->max <= (int64_t)type.max;
        return min <= max && max <= type.max;
}

/* May a word of this parameter be `word`? */
static bool word_is_good(const struct vmreq_param *param, uint64_t word)
{
        struct bounds type = bounds_of(param->type);

        if (type.is_signed && ((int64_t)word < type.min || (int64_t)word > (int64_t)type.max))
                return false;
        if (!type.is_signed && word > type.max)
                return false;
        if (!(param->flags & VMREQ_PARAM_RANGE))
                return true;
        return type.is_signed ? (int64_t)word >= param->min && (int64_t)word <= param->max
                              : word >= (uint64_t)param->min && word <= (uint64_t)param->max;
}

static bool length_is_good(const struct vmreq_param *param, uint64_t len)
{
        return !(param->flags & VMREQ_PARAM_RANGE) ||
               (len >= (uint64_t)param->min && len <= (uint64_t)param->max);
}

static bool param_is_good(const struct vmreq_symbol *symbol, uint32_t i)
{
        const struct vmreq_param *param = &symbol->params[i];

        for (uint32_t k = 0; k < i; k++)
                if (strcmp(symbol->params[k].name, param->name) == 0)
                        return false;
        if (strcmp(param->name, "A") == 0 || !param->doc ||
            !is_of(param->type, VMREQ_T_BOOL, VMREQ_T_MAP) || !range_is_good(param))
                return false;
        if (symbol->words && !is_word_type(param->type))
                return false;
        if (!(param->flags & VMREQ_PARAM_OPTIONAL))
                return i == 0 || !(symbol->params[i - 1].flags & VMREQ_PARAM_OPTIONAL);
        if (param->fallback.type != param->type)
                return false;
        if (is_word_type(param->type))
                return word_is_good(param, param->fallback.u);
        if (param->type == VMREQ_T_STR || param->type == VMREQ_T_BYTES)
                return length_is_good(param, param->fallback.len);
        return true;
}

static bool symbol_is_good(const struct vmreq_symbol *symbol)
{
        enum vmreq_kind kind;

        if (!strchr(symbol->name, '.') || symbol->n_params > VMREQ_ARGS_MAX ||
            symbol->result >= _VMREQ_T_N || (symbol->words && symbol->function))
                return false;
        if (symbol->words && !sym_kind_of_result(symbol->result, &kind))
                return false;
        if (symbol->flags & VMREQ_SYM_READ_ONLY && symbol->flags & VMREQ_SYM_CHANGES_STATE)
                return false;
        for (uint32_t i = 0; i < symbol->n_params; i++)
                if (!param_is_good(symbol, i))
                        return false;
        return true;
}

/* ---- which arguments are good ---- */

/* The argument as found by the rules of protocol.md; NULL: not given. */
struct given {
        const struct proto_value *value[VMREQ_ARGS_MAX];
        bool is_good;
};

static bool is_text(const struct proto_value *value)
{
        return value->type == PROTO_STR || value->type == PROTO_BIN;
}

static struct given given_by_name(const struct vmreq_symbol *symbol, const struct proto_value *map)
{
        struct given given = {.is_good = true};

        for (uint32_t k = 0; k < map->count; k++) {
                const struct proto_value *key = &map->items[2 * k];
                uint32_t i = symbol->n_params;

                if (is_text(key) && key->count == 1 && key->data[0] >= 'a')
                        i = (uint32_t)(key->data[0] - 'a');
                if (i >= symbol->n_params || given.value[i])
                        given.is_good = false;
                else
                        given.value[i] = key + 1;
        }
        for (uint32_t i = 0; i < symbol->n_params; i++)
                if (!given.value[i] && !(symbol->params[i].flags & VMREQ_PARAM_OPTIONAL))
                        given.is_good = false;
        return given;
}

static struct given given_by(const struct drawn *drawn, const struct proto_value *args)
{
        const struct vmreq_symbol *symbol = &drawn->symbol;
        struct given given = {.is_good = true};
        bool takes_map = symbol->n_params > 0 && (symbol->params[0].type == VMREQ_T_ANY ||
                                                  symbol->params[0].type == VMREQ_T_MAP);

        if (args->type == PROTO_MAP)
                return given_by_name(symbol, args);
        if (args->count == 1 && args->items[0].type == PROTO_MAP && !takes_map)
                return given_by_name(symbol, &args->items[0]);
        given.is_good = args->count <= symbol->n_params && args->count >= drawn->sym.n_required;
        for (uint32_t i = 0; given.is_good && i < args->count; i++)
                given.value[i] = &args->items[i];
        return given;
}

static bool hex_of(const struct proto_value *value, uint64_t *ret)
{
        char text[24], *end;

        if (!is_text(value) || value->count < 3 || value->count > 18)
                return false;
        memcpy(text, value->data, value->count);
        text[value->count] = 0;
        if (text[0] != '0' || (text[1] != 'x' && text[1] != 'X') ||
            strspn(text + 2, "0123456789abcdefABCDEF") != value->count - 2)
                return false;
        *ret = strtoull(text, &end, 16);
        return true;
}

/* Can the value stand for the parameter?  For words *ret_word is what comes of it. */
static bool value_is_good(const struct vmreq_param *param, const struct proto_value *value,
                          uint64_t *ret_word)
{
        bool is_signed = bounds_of(param->type).is_signed;

        switch (param->type) {
        case VMREQ_T_BOOL:
                *ret_word = value->type == PROTO_BOOL && value->b;
                return value->type == PROTO_BOOL;
        case VMREQ_T_F64:
                return value->type == PROTO_FLOAT || value->type == PROTO_UINT ||
                       value->type == PROTO_INT;
        case VMREQ_T_STR:
        case VMREQ_T_BYTES:
                return is_text(value) && length_is_good(param, value->count);
        case VMREQ_T_ANY:
                return true;
        case VMREQ_T_ARRAY:
                return value->type == PROTO_ARRAY;
        case VMREQ_T_MAP:
                return value->type == PROTO_MAP;
        default:
                break;
        }
        if (param->type == VMREQ_T_X64 && hex_of(value, ret_word))
                return word_is_good(param, *ret_word);
        *ret_word = value->u;
        if (value->type == PROTO_UINT && is_signed && value->u > INT64_MAX)
                return false;
        if (value->type == PROTO_INT && !is_signed)
                return false;
        return (value->type == PROTO_UINT || value->type == PROTO_INT) &&
               word_is_good(param, *ret_word);
}

/* nil is no argument where one may be missing, but for a parameter that can be anything. */
static bool is_given(const struct vmreq_param *param, const struct proto_value *value)
{
        return value && (value->type != PROTO_NIL || param->type == VMREQ_T_ANY ||
                         !(param->flags & VMREQ_PARAM_OPTIONAL));
}

static bool all_good(const struct drawn *drawn, const struct given *given)
{
        uint64_t word;

        for (uint32_t i = 0; given->is_good && i < drawn->symbol.n_params; i++)
                if (is_given(&drawn->params[i], given->value[i]) &&
                    !value_is_good(&drawn->params[i], given->value[i], &word))
                        return false;
        return given->is_good;
}

/* ---- what was accepted ---- */

static void check_same_value(const struct proto_value *a, const struct proto_value *b)
{
        size_t n = a->type == PROTO_MAP ? 2 * (size_t)a->count : a->count;

        FUZZ_CHECK(a->type == b->type && a->count == b->count);
        if (a->type == PROTO_ARRAY || a->type == PROTO_MAP)
                for (size_t i = 0; i < n; i++)
                        check_same_value(&a->items[i], &b->items[i]);
        else if (a->data && (is_text(a) || a->type == PROTO_EXT))
                FUZZ_CHECK(memcmp(a->data, b->data, a->count) == 0);
        else
                FUZZ_CHECK(memcmp(&a->u, &b->u, sizeof(a->u)) == 0);
}

/* The encoded form of one argument: one value, the one that was sent. */
static void check_encoded(const struct vmreq_value *got, const struct proto_value *sent)
{
        struct proto_arena arena = PROTO_ARENA_NULL;
        const uint8_t *data = (const uint8_t *)got->data;
        const struct proto_value *root;
        struct proto_builder boxed;
        struct proto_frame frame;

        proto_builder_init(&boxed, FRAME_MAX + 1);
        proto_put_array(&boxed, 1);
        proto_put_raw(&boxed, data, got->len);
        proto_frame_init(&frame, FRAME_MAX + 1);
        FUZZ_CHECK(proto_frame_skip(data, got->len, 0) == got->len);
        FUZZ_CHECK(proto_frame_scan(&frame, boxed.data, boxed.len) != PROTO_FRAME_MORE);
        /* It came out of a container, and has gone into one that is no deeper. */
        FUZZ_CHECK(frame.done && frame.pos == boxed.len);
        FUZZ_CHECK(proto_value_decode(&arena, boxed.data, boxed.len, frame.values, &root) ==
                   PROTO_VALUE_OK);
        check_same_value(&root->items[0], sent);
        proto_arena_deinit(&arena);
        proto_builder_deinit(&boxed);
}

static double float_of(const struct proto_value *value)
{
        return value->type == PROTO_FLOAT  ? value->f
               : value->type == PROTO_UINT ? (double)value->u
                                           : (double)value->i;
}

static void check_fallback(const struct vmreq_param *param, const struct vmreq_value *got)
{
        FUZZ_CHECK(got->type == param->type);
        if (has_data(param->type))
                FUZZ_CHECK(got->len == param->fallback.len && got->data == param->fallback.data);
        else
                FUZZ_CHECK(got->u == param->fallback.u);
}

static void check_value(const struct vmreq_param *param, const struct proto_value *sent,
                        const struct vmreq_value *got)
{
        uint64_t word = 0;

        if (!is_given(param, sent)) {
                check_fallback(param, got);
                return;
        }
        FUZZ_CHECK(got->type == param->type);
        if (param->type == VMREQ_T_F64) {
                double f = float_of(sent);

                FUZZ_CHECK(got->f == f || (isnan(got->f) && isnan(f)));
        } else if (param->type == VMREQ_T_STR || param->type == VMREQ_T_BYTES) {
                FUZZ_CHECK(got->len == sent->count && got->data != sent->data);
                FUZZ_CHECK(memcmp(got->data, sent->data, got->len) == 0 && !got->data[got->len]);
        } else if (has_data(param->type)) {
                check_encoded(got, sent);
        } else {
                FUZZ_CHECK(value_is_good(param, sent, &word) && got->u == word);
        }
}

static void check_accepted(const struct drawn *drawn, const struct given *given,
                           const struct rpc_args *args)
{
        FUZZ_CHECK(args->n == drawn->symbol.n_params && args->words == drawn->sym.words);
        for (uint32_t i = 0; i < args->n; i++) {
                const struct vmreq_param *param = &drawn->params[i];
                uint64_t word = 0;

                if (!args->words) {
                        check_value(param, given->value[i], &args->value[i]);
                } else if (is_given(param, given->value[i])) {
                        FUZZ_CHECK(value_is_good(param, given->value[i], &word));
                        FUZZ_CHECK(args->word[i] == word);
                } else {
                        FUZZ_CHECK(args->word[i] == param->fallback.u);
                }
        }
}

/* ---- the same arguments by name ---- */

static void check_named(const struct drawn *drawn, const struct given *given,
                        const struct rpc_args *first)
{
        struct proto_arena arena = PROTO_ARENA_NULL;
        const struct proto_value *root;
        struct proto_builder builder;
        struct proto_frame frame;
        struct rpc_args args;
        char text[512] = "";
        uint32_t n = 0;

        for (uint32_t i = 0; i < first->n; i++)
                n += given->value[i] != NULL;
        proto_builder_init(&builder, 2 * FRAME_MAX);
        proto_put_array(&builder, 1);
        proto_put_map(&builder, n);
        for (uint32_t i = first->n; i-- > 0;) { /* in another order */
                if (!given->value[i])
                        continue;
                proto_put_text(&builder, drawn->params[i].name);
                proto_put_value(&builder, given->value[i]);
        }
        proto_frame_init(&frame, 2 * FRAME_MAX);
        if (proto_frame_scan(&frame, builder.data, builder.len) == PROTO_FRAME_DONE) {
                FUZZ_CHECK(proto_value_decode(&arena, builder.data, builder.len, frame.values,
                                              &root) == PROTO_VALUE_OK);
                /* As the map itself: an array with one map may be taken for an argument. */
                FUZZ_CHECK(rpc_marshal_args(&drawn->sym, &root->items[0], builder.data, builder.len,
                                            1, &args, text, sizeof(text)) == PROTO_OK);
                check_accepted(drawn, given, &args);
                rpc_args_deinit(&args);
        }
        proto_arena_deinit(&arena);
        proto_builder_deinit(&builder);
}

/* ---- the call ---- */

static void try_args(const struct drawn *drawn, const struct proto_value *value,
                     const struct fuzz_input *frame, size_t offset)
{
        struct given given = given_by(drawn, value);
        char text[512] = "";
        struct rpc_args args;
        enum proto_code code = rpc_marshal_args(&drawn->sym, value, frame->data, frame->len, offset,
                                                &args, text, sizeof(text));

        if (all_good(drawn, &given)) {
                FUZZ_CHECK(code == PROTO_OK);
                check_accepted(drawn, &given, &args);
                check_named(drawn, &given, &args);
        } else {
                FUZZ_CHECK(code == PROTO_INVALID_ARGUMENT);
                FUZZ_CHECK(strncmp(text, drawn->symbol.name, drawn->sym.name_len) == 0);
        }
        rpc_args_deinit(&args);
        rpc_args_deinit(&args); /* harmless */
}

static void try_options(const struct drawn *drawn, const struct proto_value *map, bool submit)
{
        struct rpc_options options, again;
        char text[512] = "";
        enum proto_code code;

        rpc_options_init(&options, &drawn->symbol, 5);
        FUZZ_CHECK(options.timeout_ms == (drawn->symbol.timeout_ms ? drawn->symbol.timeout_ms : 5));
        code = rpc_options_read(&options, map, CPUS, submit, text, sizeof(text));
        if (code != PROTO_OK) {
                FUZZ_CHECK(text[0]);
                return;
        }
        FUZZ_CHECK(options.cpu < CPUS || is_of(options.cpu, VMREQ_CPU_ANY, VMREQ_CPU_ALL_REVERSE));
        FUZZ_CHECK(options.timeout_ms <= 1000000000000ull);
        FUZZ_CHECK(submit || !options.no_wait);
        /* Said twice is as good as said once. */
        again = options;
        FUZZ_CHECK(rpc_options_read(&again, map, CPUS, submit, text, sizeof(text)) == PROTO_OK);
        FUZZ_CHECK(again.cpu == options.cpu && again.flags == options.flags &&
                   again.timeout_ms == options.timeout_ms && again.timing == options.timing);
}

static void try_result(const struct drawn *drawn, uint64_t word)
{
        struct bounds bounds = bounds_of(drawn->symbol.result);
        struct proto_builder builder;

        proto_builder_init(&builder, 64);
        rpc_marshal_word(&builder, &drawn->symbol, word);
        FUZZ_CHECK(builder.error == PROTO_BUILDER_OK);
        FUZZ_CHECK(proto_frame_skip(builder.data, builder.len, 0) == builder.len);
        if (drawn->symbol.result == VMREQ_T_X64)
                FUZZ_CHECK(memcmp(builder.data + 1, "0x", 2) == 0);
        else if (bounds.is_signed && (int64_t)word < 0)
                FUZZ_CHECK(builder.data[0] >= 0xd0);
        proto_builder_deinit(&builder);
}

static void try_frame(const struct drawn *drawn, struct fuzz_input frame, uint8_t how)
{
        static struct proto_arena arena;
        const struct proto_value *root;
        struct proto_frame scan;
        size_t inside;
        uint32_t count;

        proto_frame_init(&scan, FRAME_MAX);
        if (proto_frame_scan(&scan, frame.data, frame.len) != PROTO_FRAME_DONE)
                return;
        frame.len = scan.pos;
        FUZZ_CHECK(proto_value_decode(&arena, frame.data, frame.len, scan.values, &root) ==
                   PROTO_VALUE_OK);
        if (!(how & 1)) {
                try_args(drawn, root, &frame, 0);
                return;
        }
        inside = proto_frame_enter(frame.data, frame.len, 0, &count);
        if (count > 0 && (root->items[0].type == PROTO_MAP || root->items[0].type == PROTO_ARRAY))
                try_args(drawn, &root->items[0], &frame, inside);
        if (count > 1)
                try_options(drawn, &root->items[1], how & 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        struct fuzz_input input = {data, len};
        static struct drawn drawn;
        char text[512] = "";
        uint8_t how;

        memset(&drawn, 0, sizeof(drawn));
        draw_symbol(&input, &drawn);
        how = fuzz_byte(&input);
        if (symbol_is_good(&drawn.symbol) != sym_signature_check(&drawn.symbol, text, sizeof(text)))
                (void)fprintf(stderr, "signature: %s\n", text);
        FUZZ_CHECK(symbol_is_good(&drawn.symbol) ==
                   sym_signature_check(&drawn.symbol, text, sizeof(text)));
        if (text[0])
                return 0;
        sym_signature_format(&drawn.symbol, text, 1 + how);
        FUZZ_CHECK(strlen(text) <= how);
        if (drawn.symbol.words)
                try_result(&drawn, (uint64_t)(how & 0x80 ? -1 : 1) * how << (how & 0x38));
        try_frame(&drawn, input, how);
        return 0;
}
