/* SPDX-License-Identifier: MIT */
/*
 * What a client may learn of the symbol table: names, signatures, documentation.  Everything comes
 * from the rows that the modules registered, and is filtered by what the caller may call: for
 * others a symbol does not exist.
 */
#include "rpc/describe.h"

#include <fnmatch.h>
#include <string.h>

#include "base/macros.h"
#include "proto/names.h"
#include "rpc/destination.h"
#include "rpc/peer.h"
#include "rpc/reply.h"
#include "rpc/writer.h"
#include "symbols/signature.h"

#define LIST_LIMIT_MAX 10000u
#define PATTERN_MAX    128u

/* What it takes to match or to describe one symbol, for rpc_peer_spend. */
#define COST 8u

/* ---- vmreq.symbols ---- */

struct listing {
        char glob[PATTERN_MAX], after[PATTERN_MAX];
        uint64_t limit;
};

static bool read_text(const struct proto_value *map, const char *key, char *ret_text)
{
        const struct proto_value *value = proto_value_map_get(map, key);

        return !value || value->type == PROTO_NIL ||
               proto_value_copy_text(value, ret_text, PATTERN_MAX);
}

static bool read_listing(const struct rpc_request *request, struct listing *listing)
{
        const struct proto_value *map, *limit;

        listing->glob[0] = listing->after[0] = 0;
        listing->limit = LIST_LIMIT_MAX;
        if (request->params->count == 0)
                return true;
        map = &request->params->items[0];
        if (map->type == PROTO_NIL)
                return true;
        if (map->type != PROTO_MAP || !read_text(map, "glob", listing->glob) ||
            !read_text(map, "after", listing->after))
                return false;
        limit = proto_value_map_get(map, "limit");
        if (!limit || limit->type == PROTO_NIL)
                return true;
        if (limit->type != PROTO_UINT)
                return false;
        listing->limit = MIN(limit->u, (uint64_t)LIST_LIMIT_MAX);
        return true;
}

static bool is_listed(const struct rpc_peer *peer, const struct listing *listing,
                      const struct sym_symbol *symbol)
{
        const char *name = symbol->def->name;

        return rpc_policy_may_call(peer->rights, symbol) &&
               (!listing->after[0] || strcmp(name, listing->after) > 0) &&
               (!listing->glob[0] || fnmatch(listing->glob, name, 0) == 0);
}

void rpc_method_symbols(const struct rpc_request *request)
{
        struct rpc_peer *peer = request->peer;
        const struct sym_symbol *const *symbols;
        struct listing listing;
        struct proto_builder *out;
        size_t n_symbols, mark;
        uint32_t n = 0;

        if (!read_listing(request, &listing)) {
                rpc_reply_error(
                        peer, request->msgid, PROTO_INVALID_REQUEST, PROTO_RAN_NO,
                        "expected vmreq.symbols [{glob, after, limit}]: two strings and an integer, all "
                        "optional");
                return;
        }
        symbols = sym_registry_list(peer->server->config.registry, &n_symbols);
        rpc_peer_spend(peer, n_symbols * COST);
        for (size_t i = 0; i < n_symbols && n < listing.limit; i++)
                n += is_listed(peer, &listing, symbols[i]);
        out = rpc_reply_begin(peer, request->msgid, &mark);
        proto_put_array(out, n);
        for (size_t i = 0; i < n_symbols && n > 0; i++) {
                if (!is_listed(peer, &listing, symbols[i]))
                        continue;
                proto_put_text(out, symbols[i]->def->name);
                n--;
        }
        rpc_reply_end(peer, request->msgid, mark, PROTO_RAN_NO);
}

/* ---- vmreq.describe ---- */

static void put_fallback(struct proto_builder *out, const struct vmreq_param *param)
{
        const struct vmreq_value *value = &param->fallback;

        switch (param->type) {
        case VMREQ_T_BOOL:
                proto_put_bool(out, value->u != 0);
                break;
        case VMREQ_T_X64:
                rpc_put_x64(out, value->u);
                break;
        case VMREQ_T_F64:
                proto_put_float(out, value->f);
                break;
        case VMREQ_T_STR:
                proto_put_str(out, value->data ? value->data : "", value->data ? value->len : 0);
                break;
        case VMREQ_T_BYTES:
                proto_put_bin(out, value->data ? value->data : "", value->data ? value->len : 0);
                break;
        case VMREQ_T_ANY:
        case VMREQ_T_ARRAY:
        case VMREQ_T_MAP:
                if (value->data)
                        proto_put_raw(out, value->data, value->len);
                else
                        proto_put_nil(out);
                break;
        default:
                if (sym_type_is_signed(param->type))
                        proto_put_int(out, value->i);
                else
                        proto_put_uint(out, value->u);
                break;
        }
}

static void put_param(struct proto_builder *out, const struct vmreq_param *param)
{
        bool optional = param->flags & VMREQ_PARAM_OPTIONAL,
             range = param->flags & VMREQ_PARAM_RANGE;
        bool is_unsigned = !sym_type_is_signed(param->type);

        proto_put_map(out, 5u + (optional ? 1 : 0) + (range ? 2 : 0));
        proto_put_text(out, "name");
        proto_put_text(out, param->name);
        proto_put_text(out, "type");
        proto_put_text(out, sym_type_to_string(param->type));
        proto_put_text(out, "doc");
        proto_put_text(out, param->doc);
        proto_put_text(out, "optional");
        proto_put_bool(out, optional);
        proto_put_text(out, "sensitive");
        proto_put_bool(out, param->flags & VMREQ_PARAM_SENSITIVE);
        if (optional) {
                proto_put_text(out, "default");
                put_fallback(out, param);
        }
        if (range) {
                proto_put_text(out, "min");
                if (is_unsigned)
                        proto_put_uint(out, (uint64_t)param->min);
                else
                        proto_put_int(out, param->min);
                proto_put_text(out, "max");
                if (is_unsigned)
                        proto_put_uint(out, (uint64_t)param->max);
                else
                        proto_put_int(out, param->max);
        }
}

static const struct {
        uint32_t flag;
        const char *word;
} flag_words[] = {
        {VMREQ_SYM_READ_ONLY, "read-only"},         {VMREQ_SYM_IDEMPOTENT, "idempotent"},
        {VMREQ_SYM_CANCELLABLE, "cancellable"},     {VMREQ_SYM_CONFIDENTIAL, "confidential"},
        {VMREQ_SYM_PRIORITY, "priority"},           {VMREQ_SYM_POKE, "poke"},
        {VMREQ_SYM_CHANGES_STATE, "changes-state"}, {VMREQ_SYM_STREAMING, "streaming"},
};

static void put_flags(struct proto_builder *out, const struct sym_symbol *symbol)
{
        uint32_t n = symbol->words ? 1 : 0;

        for (size_t i = 0; i < ARRAY_SIZE(flag_words); i++)
                n += (symbol->def->flags & flag_words[i].flag) != 0;
        proto_put_text(out, "flags");
        proto_put_array(out, n);
        for (size_t i = 0; i < ARRAY_SIZE(flag_words); i++)
                if (symbol->def->flags & flag_words[i].flag)
                        proto_put_text(out, flag_words[i].word);
        if (symbol->words)
                proto_put_text(out, "words");
}

static void put_symbol(struct proto_builder *out, const struct sym_symbol *symbol)
{
        const struct vmreq_symbol *def = symbol->def;
        char signature[512];

        sym_signature_format(def, signature, sizeof(signature));
        proto_put_map(out, 12);
        proto_put_text(out, "name");
        proto_put_text(out, def->name);
        proto_put_text(out, "module");
        proto_put_text(out, sym_module_name(symbol->module));
        proto_put_text(out, "signature");
        proto_put_text(out, signature);
        proto_put_text(out, "doc");
        proto_put_text(out, def->doc);
        proto_put_text(out, "params");
        proto_put_array(out, def->n_params);
        for (uint32_t i = 0; i < def->n_params; i++)
                put_param(out, &def->params[i]);
        proto_put_text(out, "result");
        proto_put_text(out, sym_type_to_string(def->result));
        put_flags(out, symbol);
        proto_put_text(out, "cpu");
        rpc_destination_put(out, def->dest);
        proto_put_text(out, "timeout_ms");
        if (def->timeout_ms == VMREQ_TIMEOUT_NONE)
                proto_put_nil(out);
        else
                proto_put_uint(out, def->timeout_ms);
        proto_put_text(out, "timeout_max_ms");
        proto_put_uint(out, symbol->timeout_max_ms);
        proto_put_text(out, "since");
        proto_put_text(out, def->since ? def->since : sym_module_version(symbol->module));
        proto_put_text(out, "deprecated");
        proto_put_text(out, def->deprecated);
}

void rpc_method_describe(const struct rpc_request *request)
{
        struct rpc_peer *peer = request->peer;
        const struct proto_value *name =
                request->params->count == 1 ? request->params->items : NULL;
        const struct sym_symbol *symbol = NULL;
        struct proto_builder *out;
        size_t mark;

        if (!name || (name->type != PROTO_STR && name->type != PROTO_BIN)) {
                rpc_reply_error(peer, request->msgid, PROTO_INVALID_REQUEST, PROTO_RAN_NO,
                                "expected vmreq.describe [symbol]");
                return;
        }
        if (proto_symbol_name_valid(name->data, name->count))
                symbol = sym_registry_find(peer->server->config.registry, name->data, name->count);
        if (!symbol || !rpc_policy_may_call(peer->rights, symbol)) {
                rpc_reply_error(peer, request->msgid, PROTO_NOT_FOUND, PROTO_RAN_NO,
                                "there is no symbol \"%.*s\" that you may call",
                                (int)MIN(name->count, (uint32_t)PROTO_NAME_BYTES_MAX), name->data);
                return;
        }
        out = rpc_reply_begin(peer, request->msgid, &mark);
        put_symbol(out, symbol);
        rpc_reply_end(peer, request->msgid, mark, PROTO_RAN_NO);
}

/* ---- nvim_get_api_info ---- */

/* The nearest type that Neovim's API knows. */
static const char *nvim_type(uint32_t type)
{
        switch (type) {
        case VMREQ_T_NIL:
        case VMREQ_T_STATUS:
                return "void";
        case VMREQ_T_BOOL:
                return "Boolean";
        case VMREQ_T_F64:
                return "Float";
        case VMREQ_T_STR:
        case VMREQ_T_BYTES:
        case VMREQ_T_X64:
                return "String";
        case VMREQ_T_ARRAY:
                return "Array";
        case VMREQ_T_MAP:
                return "Dictionary";
        case VMREQ_T_ANY:
                return "Object";
        default:
                return "Integer";
        }
}

static void put_nvim_function(struct proto_builder *out, const struct vmreq_symbol *def)
{
        proto_put_map(out, 5);
        proto_put_text(out, "name");
        proto_put_text(out, def->name);
        proto_put_text(out, "parameters");
        proto_put_array(out, def->n_params);
        for (uint32_t i = 0; i < def->n_params; i++) {
                proto_put_array(out, 2);
                proto_put_text(out, nvim_type(def->params[i].type));
                proto_put_text(out, def->params[i].name);
        }
        proto_put_text(out, "return_type");
        proto_put_text(out, nvim_type(def->result));
        proto_put_text(out, "method");
        proto_put_bool(out, false);
        proto_put_text(out, "since");
        proto_put_uint(out, 1);
}

static void put_nvim_types(struct proto_builder *out)
{
        static const char *const types[] = {"Buffer", "Window", "Tabpage"};
        static const char *const errors[] = {"Exception", "Validation"};

        proto_put_text(out, "ui_events");
        proto_put_array(out, 0);
        proto_put_text(out, "ui_options");
        proto_put_array(out, 0);
        proto_put_text(out, "types");
        proto_put_map(out, ARRAY_SIZE(types));
        for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
                proto_put_text(out, types[i]);
                proto_put_map(out, 2);
                proto_put_text(out, "id");
                proto_put_uint(out, i);
                proto_put_text(out, "prefix");
                proto_put_text(out, "");
        }
        proto_put_text(out, "error_types");
        proto_put_map(out, ARRAY_SIZE(errors));
        for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
                proto_put_text(out, errors[i]);
                proto_put_map(out, 1);
                proto_put_text(out, "id");
                proto_put_uint(out, i);
        }
}

static void put_nvim_version(struct proto_builder *out)
{
        static const char *const keys[] = {"major", "minor", "patch", "api_level",
                                           "api_compatible"};
        static const unsigned values[] = {0, 1, 0, 1, 1};

        proto_put_text(out, "version");
        proto_put_map(out, ARRAY_SIZE(keys) + 1);
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                proto_put_text(out, keys[i]);
                proto_put_uint(out, values[i]);
        }
        proto_put_text(out, "api_prerelease");
        proto_put_bool(out, false);
}

void rpc_method_api_info(const struct rpc_request *request)
{
        struct rpc_peer *peer = request->peer;
        const struct sym_symbol *const *symbols;
        struct proto_builder *out;
        size_t n_symbols, mark;
        uint32_t n = 0;

        /* Who asks this reads errors as pairs. */
        if (peer->style == RPC_STYLE_TEXT)
                peer->style = RPC_STYLE_PAIR;
        symbols = sym_registry_list(peer->server->config.registry, &n_symbols);
        rpc_peer_spend(peer, n_symbols * COST);
        for (size_t i = 0; i < n_symbols; i++)
                n += rpc_policy_may_call(peer->rights, symbols[i]);
        out = rpc_reply_begin(peer, request->msgid, &mark);
        proto_put_array(out, 2);
        proto_put_uint(out, peer->number);
        proto_put_map(out, 6);
        put_nvim_version(out);
        proto_put_text(out, "functions");
        proto_put_array(out, n);
        for (size_t i = 0; i < n_symbols; i++)
                if (rpc_policy_may_call(peer->rights, symbols[i]))
                        put_nvim_function(out, symbols[i]->def);
        put_nvim_types(out);
        rpc_reply_end(peer, request->msgid, mark, PROTO_RAN_NO);
}
