/* SPDX-License-Identifier: MIT */
/*
 * The process: builds the rooms in order, runs the loop, takes them down in reverse.
 *
 *   configuration → socket → VM with its EMTs → symbol table → modules → server → loop
 *
 * On the way down every accepted call has been answered when the loop returns.  If an EMT is still
 * stuck in a module's function then, the process leaves all the same, without freeing what that
 * function may still be using.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log-ids.h"
#include "base/log.h"
#include "base/macros.h"
#include "config.h"
#include "journal.h"
#include "modules/modules.h"
#include "options.h"
#include "rpc/server.h"
#include "sd.h"
#include "socket.h"
#include "symbols/registry.h"
#include "vm/vmreq.h"

/* What EMTs get to come out of a callee after every call has been answered. */
#define STOP_NS (500 * CLOCK_NS_PER_MS)

/* What the log's reader gets to take the last records. */
#define LOG_FLUSH_NS CLOCK_NS_PER_S

struct daemon {
        struct config config;
        struct listening listening;
        struct rpc_service *service;
        vmreq_vm vm;
        struct sym_registry *registry;
        struct rpc_server *server;
};

static bool report(const char *what, const char *text)
{
        log_line(LOG_L_ERROR, "vmreqd: %s: %s", what, text);
        return false;
}

static void on_module_log(void *ctx, int level, const char *module, const char *text)
{
        const struct log_meta meta = {.level = level, LOG_FIELDS(LOG_WORD("VMREQ_MODULE", module))};

        (void)ctx;
        log_write(&meta, "module %s: %s", module, text);
}

static void on_state_changed(void *ctx, enum vmreq_vm_state from, enum vmreq_vm_state to,
                             const char *reason)
{
        const struct log_field fields[] = {
                LOG_WORD("VMREQ_STATE", vmreq_vm_state_name(to)),
                LOG_WORD("VMREQ_STATE_BEFORE", vmreq_vm_state_name(from)),
                LOG_WORD("VMREQ_REASON", reason)};
        const struct log_meta meta = {
                .level = LOG_L_NOTICE,
                .kind = LOG_AUDIT,
                .id = LOG_ID_STATE,
                .fields = fields,
                .n_fields = reason ? ARRAY_SIZE(fields) : ARRAY_SIZE(fields) - 1,
        };

        (void)ctx;
        log_write(&meta, "VM state %s -> %s%s%s", vmreq_vm_state_name(from),
                  vmreq_vm_state_name(to), reason ? ": " : "", reason ? reason : "");
}

static void on_ready(void *ctx)
{
        const struct daemon *daemon = ctx;
        char status[256];

        (void)snprintf(status, sizeof(status), "VM %s, %u EMTs, serving %.120s",
                       daemon->config.name, daemon->config.cpus, daemon->listening.path);
        log_write(&(struct log_meta){.level = LOG_L_NOTICE, .id = LOG_ID_READY}, "ready: %s",
                  status);
        manager_tell_ready(status);
}

static void on_stopping(void *ctx)
{
        (void)ctx;
        manager_tell_stopping();
}

static bool start_vm(struct daemon *daemon)
{
        struct vmreq_config config = VMREQ_CONFIG_INIT;
        int r;

        daemon->service = rpc_service_new();
        if (!daemon->service)
                return report("VM", "out of memory");
        config.cpus = daemon->config.cpus;
        config.slab = daemon->config.slab;
        config.lane_capacity = daemon->config.lane_capacity;
        config.name = "emt";
        config.service_wake = rpc_service_wake;
        config.state_changed = on_state_changed;
        config.ctx = daemon->service;
        r = vmreq_vm_create(&config, &daemon->vm);
        return r ? report("VM", vmreq_error_name(r)) : true;
}

static bool load_modules(struct daemon *daemon)
{
        char text[512];

        if (sym_registry_new(daemon->vm, on_module_log, NULL, &daemon->registry))
                return report("symbol table", "out of memory");
        for (size_t i = 0; modules_builtin[i]; i++)
                if (sym_registry_add_builtin(daemon->registry, modules_builtin[i], NULL, 0, text,
                                             sizeof(text)))
                        return report(modules_builtin[i]->name, text);
        for (size_t i = 0; i < daemon->config.n_modules; i++) {
                const struct config_module *module = &daemon->config.modules[i];

                if (sym_registry_load(daemon->registry, daemon->config.module_directory,
                                      module->name, module->path_allowed, module->settings,
                                      module->n_settings, text, sizeof(text)))
                        return report(module->name, text);
        }
        return true;
}

static bool start_server(struct daemon *daemon)
{
        struct rpc_config config = {
                .vm_name = daemon->config.name,
                .version = VMREQD_VERSION,
                .vm = daemon->vm,
                .registry = daemon->registry,
                .limits = daemon->config.limits,
                .listen_fd = daemon->listening.fd,
                .on_ready = on_ready,
                .on_stopping = on_stopping,
                .ctx = daemon,
        };
        int r = rpc_server_new(&config, &daemon->server);

        if (r)
                return report("server", strerror(-r));
        rpc_server_set_service(daemon->server, daemon->service);
        return true;
}

static bool open_socket(struct daemon *daemon)
{
        const char *error = NULL;
        char text[CONFIG_PATH_MAX + 256];
        int inherited = manager_socket(&error);

        if (inherited == -2)
                return report("socket", error);
        if (!listening_open(&daemon->listening, &daemon->config, inherited, text, sizeof(text)))
                return report("socket", text);
        return true;
}

/* In reverse; legal on a half-built daemon.  False: an EMT is stuck, and nothing was freed. */
static bool take_down(struct daemon *daemon)
{
        bool stopped = true;

        if (daemon->vm.id) {
                (void)vmreq_vm_close(daemon->vm);
                stopped = vmreq_vm_stop(daemon->vm, clock_now_ns() + STOP_NS, NULL, 0) == 0;
        }
        if (daemon->server)
                stopped = rpc_server_settle(daemon->server) && stopped;
        listening_close(&daemon->listening);
        if (!stopped)
                return false;
        daemon->server = rpc_server_free(daemon->server);
        daemon->registry = sym_registry_free(daemon->registry);
        if (daemon->vm.id)
                (void)vmreq_vm_free(daemon->vm);
        rpc_service_free(daemon->service);
        config_deinit(&daemon->config);
        return true;
}

/* From here on nothing that logs waits for who reads the log. */
static void start_log(void)
{
        int r;

        log_init(STDERR_FILENO, LOG_L_INFO);
        if (journal_is_at(STDERR_FILENO))
                log_set_sink(journal_write, NULL);
        r = log_start();
        if (r)
                log_line(LOG_L_WARNING, "the log has no thread of its own: %s", strerror(-r));
}

int main(int argc, char **argv)
{
        static struct daemon daemon = {.listening = {.fd = -1, .lock_fd = -1}};
        bool check_only, ok;
        int status = EXIT_SUCCESS;

        config_init(&daemon.config);
        if (!options_read(argc, argv, &daemon.config, &check_only, &status) || check_only) {
                config_deinit(&daemon.config);
                return status;
        }
        (void)signal(SIGPIPE, SIG_IGN);
        start_log();

        ok = open_socket(&daemon) && start_vm(&daemon) && load_modules(&daemon) &&
             start_server(&daemon);
        if (ok)
                rpc_server_run(daemon.server);
        if (!take_down(&daemon)) {
                log_line(LOG_L_WARNING, "leaving with an EMT stuck");
                (void)log_stop(LOG_FLUSH_NS);
                _exit(ok ? EXIT_SUCCESS : EXIT_FAILURE);
        }
        if (ok)
                log_line(LOG_L_NOTICE, "stopped");
        if (!log_stop(LOG_FLUSH_NS))
                _exit(ok ? EXIT_SUCCESS : EXIT_FAILURE); /* its thread is stuck in a write */
        return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
