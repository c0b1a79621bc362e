/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Calls symbols as the front end does: finds them in a registry, fills in what was not given,
 * submits to the engine, and reads what was written.  Without a wire: a result becomes text.
 *
 *     nil  true  -5  0xff  1.5  "str"  bytes:N  raw:N  [N …  {N …
 */

#include "unit/symbols/fixture.h"

#include <inttypes.h>
#include <sched.h>

#include "symbols/registry.h"
#include "symbols/writer.h"
#include "vm/vmreq.h"

/* ---- a writer of text ------------------------------------------------------------------------ */

struct text_writer {
        struct vmreq_writer base; /* first */
        char text[4096];
        size_t used;
        char failure_name[64], failure_text[256]; /* "-": none, "NULL": NULL */
        unsigned char bytes[64];                  /* the beginning of the last bytes:N */
        void *state;                              /* a generator's */
        void (*release)(void *state);
};

static inline void __attribute__((format(printf, 2, 3)))
text_put(struct vmreq_writer *base, const char *format, ...)
{
        struct text_writer *writer = (struct text_writer *)base;
        size_t left = sizeof(writer->text) - writer->used;
        va_list args;
        int n;

        if (writer->used > 0) {
                writer->text[writer->used++] = ' ';
                left--;
        }
        va_start(args, format);
        n = vsnprintf(writer->text + writer->used, left, format, args);
        va_end(args);
        assert_true(n >= 0 && (size_t)n + 2 < left);
        writer->used += (size_t)n;
}

static inline void text_nil(struct vmreq_writer *writer)
{
        text_put(writer, "nil");
}

static inline void text_bool(struct vmreq_writer *writer, int value)
{
        text_put(writer, "%s", value ? "true" : "false");
}

static inline void text_int(struct vmreq_writer *writer, int64_t value)
{
        text_put(writer, "%" PRIi64, value);
}

static inline void text_uint(struct vmreq_writer *writer, uint64_t value)
{
        text_put(writer, "%" PRIu64, value);
}

static inline void text_x64(struct vmreq_writer *writer, uint64_t value)
{
        text_put(writer, "0x%" PRIx64, value);
}

static inline void text_float(struct vmreq_writer *writer, double value)
{
        text_put(writer, "%g", value);
}

static inline void text_str(struct vmreq_writer *writer, const char *data, size_t len)
{
        text_put(writer, "\"%.*s\"", (int)len, data);
}

static inline void text_bytes(struct vmreq_writer *writer, const void *data, size_t len)
{
        struct text_writer *text = (struct text_writer *)writer;

        memcpy(text->bytes, data, len < sizeof(text->bytes) ? len : sizeof(text->bytes));
        text_put(writer, "bytes:%zu", len);
}

static inline void text_array(struct vmreq_writer *writer, uint32_t count)
{
        text_put(writer, "[%" PRIu32, count);
}

static inline void text_map(struct vmreq_writer *writer, uint32_t pairs)
{
        text_put(writer, "{%" PRIu32, pairs);
}

static inline void text_raw(struct vmreq_writer *writer, const void *data, size_t len)
{
        (void)data;
        text_put(writer, "raw:%zu", len);
}

static inline void text_failure(struct vmreq_writer *base, const char *name, const char *text)
{
        struct text_writer *writer = (struct text_writer *)base;

        (void)snprintf(writer->failure_name, sizeof(writer->failure_name), "%s",
                       name ? name : "NULL");
        (void)snprintf(writer->failure_text, sizeof(writer->failure_text), "%s",
                       text ? text : "NULL");
}

static inline void *text_state(struct vmreq_writer *writer)
{
        return ((struct text_writer *)writer)->state;
}

static inline void text_set_state(struct vmreq_writer *writer, void *state,
                                  void (*release)(void *state))
{
        ((struct text_writer *)writer)->state = state;
        ((struct text_writer *)writer)->release = release;
}

static const struct vmreq_writer_ops text_writer_ops = {
        .put_nil = text_nil,
        .put_bool = text_bool,
        .put_int = text_int,
        .put_uint = text_uint,
        .put_x64 = text_x64,
        .put_float = text_float,
        .put_str = text_str,
        .put_bytes = text_bytes,
        .put_array = text_array,
        .put_map = text_map,
        .put_raw = text_raw,
        .put_failure = text_failure,
        .state = text_state,
        .set_state = text_set_state,
};

static inline void text_writer_init(struct text_writer *writer)
{
        memset(writer, 0, sizeof(*writer));
        writer->base.ops = &text_writer_ops;
        strcpy(writer->failure_name, "-");
        strcpy(writer->failure_text, "-");
}

/* ---- a VM with a registry -------------------------------------------------------------------- */

struct caller {
        vmreq_vm vm;
        struct sym_registry *registry;
};

static inline void caller_init(struct caller *caller, uint32_t cpus, struct log_record *log)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;

        config.cpus = cpus;
        if (log)
                log_clear(log);
        assert_int_equal(vmreq_vm_create(&config, &caller->vm), VMREQ_OK);
        assert_int_equal(
                sym_registry_new(caller->vm, log ? log_record : NULL, log, &caller->registry), 0);
}

/* Loads a module that is to load. */
static inline void caller_add(struct caller *caller, const struct vmreq_module *module)
{
        char why[256] = "";

        if (sym_registry_add_builtin(caller->registry, module, NULL, 0, why, sizeof(why)) !=
            SYM_LOAD_OK)
                fail_msg("%s", why);
}

static inline void caller_deinit(struct caller *caller)
{
        assert_int_equal(vmreq_vm_stop(caller->vm, VMREQ_FOREVER, NULL, 0), VMREQ_OK);
        caller->registry = sym_registry_free(caller->registry);
        assert_int_equal(vmreq_vm_free(caller->vm), VMREQ_OK);
}

/* ---- a call ---------------------------------------------------------------------------------- */

struct call {
        const struct sym_symbol *symbol;
        struct vmreq_value args[VMREQ_ARGS_MAX];
        uint64_t words[VMREQ_ARGS_MAX];
        struct text_writer writer;
        vmreq_handle handle;
        struct vmreq_row row; /* after call_wait */
};

static inline int32_t call_run(void *ctx, const uint64_t *words, uint32_t argc,
                               struct vmreq_reply *reply)
{
        struct call *call = ctx;
        const struct vmreq_symbol *def = call->symbol->def;

        (void)words;
        (void)argc;
        (void)reply;
        if (def->flags & VMREQ_SYM_STREAMING) { /* one run after the other, chunks as text */
                int32_t status;

                do
                        status = def->function(def->ctx, call->args, def->n_params,
                                               &call->writer.base);
                while (status == VMREQ_AGAIN);
                return status;
        }
        return def->function(def->ctx, call->args, def->n_params, &call->writer.base);
}

/* A generator's call has ended. */
static inline void call_end(struct call *call)
{
        if (call->writer.state && call->writer.release)
                call->writer.release(call->writer.state);
        call->writer.state = NULL;
}

/* Submits `name` to `cpu` with the first `n` arguments; the rest are the fallbacks. */
static inline void call_start(struct call *call, const struct caller *caller, const char *name,
                              uint32_t cpu, const struct vmreq_value *args, uint32_t n)
{
        struct vmreq_spec spec = VMREQ_SPEC_INIT;
        const struct vmreq_symbol *def;

        memset(call, 0, sizeof(*call));
        text_writer_init(&call->writer);
        call->symbol = sym_registry_find(caller->registry, name, strlen(name));
        assert_non_null(call->symbol);
        def = call->symbol->def;
        assert_in_range(n, call->symbol->n_required, def->n_params);
        for (uint32_t i = 0; i < def->n_params && i < VMREQ_ARGS_MAX; i++) {
                call->args[i] = i < n ? args[i] : def->params[i].fallback;
                call->args[i].type = def->params[i].type;
                call->words[i] = call->args[i].u;
        }
        sym_symbol_pin(call->symbol);
        spec.cpu = cpu;
        spec.flags = def->flags & VMREQ_SYM_PRIORITY ? VMREQ_PRIORITY : 0;
        spec.kind = call->symbol->kind;
        if (call->symbol->words) {
                spec.fn = (vmreq_fn)def->words;
                spec.args = call->words;
                spec.argc = def->n_params;
        } else {
                spec.callback = call_run;
                spec.ctx = call;
        }
        assert_int_equal(vmreq_submit(caller->vm, &spec, &call->handle), VMREQ_OK);
}

static inline void call_wait(struct call *call)
{
        enum vmreq_req_state state;

        assert_int_equal(vmreq_wait(call->handle, VMREQ_FOREVER), VMREQ_OK);
        assert_int_equal(vmreq_status(call->handle, &state, &call->row), VMREQ_OK);
        assert_int_equal(state, VMREQ_REQ_COMPLETED);
        assert_int_equal(call->row.fate, VMREQ_FATE_DONE);
        assert_int_equal(vmreq_free(call->handle), VMREQ_OK);
        sym_symbol_unpin(call->symbol);
}

/* Until the EMT has taken it. */
static inline void call_until_running(const struct call *call)
{
        enum vmreq_req_state state;

        do {
                sched_yield();
                assert_int_equal(vmreq_status(call->handle, &state, NULL), VMREQ_OK);
                assert_int_not_equal(state, VMREQ_REQ_COMPLETED);
        } while (state != VMREQ_REQ_RUNNING);
}

static inline void call_do(struct call *call, const struct caller *caller, const char *name,
                           uint32_t cpu, const struct vmreq_value *args, uint32_t n)
{
        call_start(call, caller, name, cpu, args, n);
        call_wait(call);
}
