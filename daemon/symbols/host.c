/* SPDX-License-Identifier: MIT */
/*
 * The table of functions that a module gets: everything that crosses from a module into the daemon.
 *
 * Called by modules: add_symbol on the thread that loads, log, cpus and unpark on any, the rest on
 * the EMT that runs the module's function.  Nothing here holds a lock or a state of its own; each
 * function hands over to the engine, to the owner's log, or to the writer that the front end gave
 * for this one call.
 *
 *   1. add_symbol works only inside init, and there only on the thread that init was called on.
 *      That thread remembers which module it is loading, so the test reads nothing that another
 *      thread writes.
 *   2. A module's log text becomes one bounded line before anybody else sees it.
 *   3. What is called in the wrong place answers so that a caller's loop ends: park outside a
 *      function says "end early".
 */
#include "symbols/host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "symbols/module.h"
#include "symbols/writer.h"

#define LOG_LINE_BYTES 1024 /* a longer one is cut; the journal folds far shorter ones already */

/* The module whose init runs on this thread; NULL: none. */
static _Thread_local const struct sym_host *opened;

static const struct sym_module *module_of(const struct vmreq_host *host)
{
        return ((const struct sym_host *)host)->module;
}

vmreq_vm sym_host_vm(const struct vmreq_host *host)
{
        return module_of(host)->owner.vm;
}

void sym_host_open(struct sym_host *host)
{
        opened = host;
}

void sym_host_close(struct sym_host *host)
{
        if (opened == host)
                opened = NULL;
}

static int host_add_symbol(const struct vmreq_host *host, const struct vmreq_symbol *symbol)
{
        struct sym_module *module = ((const struct sym_host *)host)->module;

        if (opened != (const struct sym_host *)host) {
                sym_module_log(module, VMREQ_LOG_ERROR, "symbol refused: not inside init");
                return -EPERM;
        }
        return module->owner.add(module->owner.ctx, module, symbol);
}

void sym_host_vlog(const struct sym_module *module, int level, const char *format, va_list args)
{
        char line[LOG_LINE_BYTES];

        if (!module->owner.log)
                return;
        if (vsnprintf(line, sizeof(line), format, args) < 0)
                return;
        for (char *c = line; *c != '\0'; c++)
                if ((unsigned char)*c < 0x20 || *c == 0x7f)
                        *c = ' ';
        if (level < VMREQ_LOG_ERROR)
                level = VMREQ_LOG_ERROR;
        else if (level > VMREQ_LOG_DEBUG)
                level = VMREQ_LOG_DEBUG;
        module->owner.log(module->owner.log_ctx, level, module->name, line);
}

static void __attribute__((format(printf, 3, 4)))
host_log(const struct vmreq_host *host, int level, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        sym_host_vlog(module_of(host), level, format, args);
        va_end(args);
}

static uint32_t host_cpus(const struct vmreq_host *host)
{
        return vmreq_vm_cpus(sym_host_vm(host));
}

static void host_unpark(const struct vmreq_host *host, uint32_t cpu)
{
        (void)vmreq_unpark(sym_host_vm(host), cpu); /* a cpu that is none has nobody to wake */
}

static uint32_t host_cpu(const struct vmreq_host *host)
{
        return vmreq_emt_self(sym_host_vm(host));
}

static int host_cancel_requested(const struct vmreq_host *host)
{
        (void)host; /* the engine knows the calling thread's request */
        return vmreq_cancel_requested();
}

static int host_park(const struct vmreq_host *host, uint64_t timeout_ns)
{
        (void)host;
        /* A sum that does not fit is UINT64_MAX, which is VMREQ_FOREVER. */
        switch (vmreq_park(clock_add(vmreq_now(), timeout_ns))) {
        case VMREQ_OK:
                return 0;
        case VMREQ_E_TIMEOUT:
                return 2;
        default:
                return 1; /* CANCELLED, or no EMT: nothing will ever unpark this thread */
        }
}

static void host_put_nil(struct vmreq_writer *reply)
{
        reply->ops->put_nil(reply);
}

static void host_put_bool(struct vmreq_writer *reply, int value)
{
        reply->ops->put_bool(reply, value);
}

static void host_put_int(struct vmreq_writer *reply, int64_t value)
{
        reply->ops->put_int(reply, value);
}

static void host_put_uint(struct vmreq_writer *reply, uint64_t value)
{
        reply->ops->put_uint(reply, value);
}

static void host_put_x64(struct vmreq_writer *reply, uint64_t value)
{
        reply->ops->put_x64(reply, value);
}

static void host_put_float(struct vmreq_writer *reply, double value)
{
        reply->ops->put_float(reply, value);
}

static void host_put_str(struct vmreq_writer *reply, const char *data, size_t len)
{
        reply->ops->put_str(reply, data, len);
}

static void host_put_bytes(struct vmreq_writer *reply, const void *data, size_t len)
{
        reply->ops->put_bytes(reply, data, len);
}

static void host_put_array(struct vmreq_writer *reply, uint32_t count)
{
        reply->ops->put_array(reply, count);
}

static void host_put_map(struct vmreq_writer *reply, uint32_t pairs)
{
        reply->ops->put_map(reply, pairs);
}

static void host_put_raw(struct vmreq_writer *reply, const void *data, size_t len)
{
        reply->ops->put_raw(reply, data, len);
}

static void host_put_failure(struct vmreq_writer *reply, const char *name, const char *text)
{
        reply->ops->put_failure(reply, name, text);
}

static void *host_state(struct vmreq_writer *reply)
{
        return reply->ops->state(reply);
}

static void host_set_state(struct vmreq_writer *reply, void *state, void (*release)(void *state))
{
        reply->ops->set_state(reply, state, release);
}

void sym_host_init(struct sym_host *host, struct sym_module *module)
{
        host->module = module;
        host->table = (struct vmreq_host){
                .size = sizeof(struct vmreq_host),
                .abi = VMREQ_MODULE_ABI,
                .add_symbol = host_add_symbol,
                .log = host_log,
                .cpus = host_cpus,
                .unpark = host_unpark,
                .cpu = host_cpu,
                .cancel_requested = host_cancel_requested,
                .park = host_park,
                .put_nil = host_put_nil,
                .put_bool = host_put_bool,
                .put_int = host_put_int,
                .put_uint = host_put_uint,
                .put_x64 = host_put_x64,
                .put_float = host_put_float,
                .put_str = host_put_str,
                .put_bytes = host_put_bytes,
                .put_array = host_put_array,
                .put_map = host_put_map,
                .put_raw = host_put_raw,
                .put_failure = host_put_failure,
                .state = host_state,
                .set_state = host_set_state,
        };
}
