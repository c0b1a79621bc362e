/* SPDX-License-Identifier: MIT */
/*
 * The process: builds the rooms in order, runs the loop, takes them down in reverse.
 *
 *   configuration → socket → machine → VM with its EMTs → symbol table → modules → server → loop
 *
 * On the way down every accepted call has been answered when the loop returns.  If an EMT is still
 * stuck in a module's function then, the process leaves all the same, without freeing what that
 * function may still be using.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backoff.h"
#include "base/clock.h"
#include "base/log-ids.h"
#include "base/log.h"
#include "base/macros.h"
#include "config.h"
#include "console-feed.h"
#include "explain.h"
#include "journal.h"
#include "machine/machine.h"
#include "manager.h"
#include "modules/modules.h"
#include "options.h"
#include "policy-file.h"
#include "proto/descriptors.h"
#include "rpc/server.h"
#include "rpc/signals.h"
#include "sd.h"
#include "socket.h"
#include "symbols/registry.h"
#include "vm/vmreq.h"

/* What EMTs get to come out of a callee after every call has been answered. */
#define STOP_NS (500 * CLOCK_NS_PER_MS)
/* The drain's own flushing, STOP_NS, and some to spare. */
#define LEAVE_MS 5000u
/* How long the service manager may keep us from leaving by not reading. */
#define MANAGER_NS (500 * CLOCK_NS_PER_MS)

/* What the log's reader gets to take the last records. */
#define LOG_FLUSH_NS CLOCK_NS_PER_S

struct daemon {
        struct options options;
        struct config config;
        struct rpc_rules *rules; /* until the server takes them */
        struct listening listening;
        struct machine *machine;
        struct rpc_feed console; /* with a guest */
        struct rpc_service *service;
        vmreq_vm vm;
        struct sym_registry *registry;
        _Atomic(struct rpc_server *) server; /* set once; read by EMTs, too */
        _Atomic bool vm_failed;              /* and it is to end because of that */
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

static void on_figures(void *ctx, const struct rpc_figures *figures)
{
        const struct daemon *daemon = ctx;
        char status[MANAGER_STATUS_BYTES];

        (void)snprintf(status, sizeof(status), "%s; %u EMTs, %u clients, %u calls",
                       vmreq_vm_state_name(figures->state), daemon->config.cpus, figures->clients,
                       figures->calls);
        manager_tell_status(status);
}

static void on_alive(void *ctx)
{
        (void)ctx;
        manager_feed();
}

static void on_state_changed(void *ctx, enum vmreq_vm_state from, enum vmreq_vm_state to,
                             const char *reason)
{
        struct daemon *daemon = ctx;
        struct rpc_server *server;
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

        log_write(&meta, "VM state %s -> %s%s%s", vmreq_vm_state_name(from),
                  vmreq_vm_state_name(to), reason ? ": " : "", reason ? reason : "");
        rpc_service_state_changed(daemon->service, from, to, reason);
        if (!(to == VMREQ_VM_OFF && daemon->config.exit_on_off) &&
            !(to == VMREQ_VM_FAILED && daemon->config.exit_on_failed))
                return;
        /* Relaxed: read after the loop has ended, on its thread, which this asks to end. */
        if (to == VMREQ_VM_FAILED)
                atomic_store_explicit(&daemon->vm_failed, true, memory_order_relaxed);
        /* Acquire: pairs with start_server, which comes before the VM can be switched on. */
        server = atomic_load_explicit(&daemon->server, memory_order_acquire);
        if (server)
                rpc_server_ask_stop(server);
}

static void on_ready(void *ctx)
{
        const struct daemon *daemon = ctx;
        char status[256];

        (void)snprintf(status, sizeof(status), "VM %s, %u EMTs, serving %.120s",
                       daemon->config.name, daemon->config.cpus, daemon->listening.path);
        log_write(&(struct log_meta){.level = LOG_L_NOTICE, .id = LOG_ID_READY}, "ready: %s",
                  status);
        backoff_ready();
        manager_tell_ready();
}

static void on_reloading(void *ctx)
{
        (void)ctx;
        manager_tell_reloading();
}

static void on_reloaded(void *ctx)
{
        (void)ctx;
        manager_tell_ready();
}

static void on_stopping(void *ctx, uint64_t drain_ms)
{
        (void)ctx;
        manager_tell_stopping(drain_ms + LEAVE_MS);
}

static void on_service_due(void *ctx, uint64_t due_ns)
{
        const struct daemon *daemon = ctx;

        rpc_service_wake(daemon->service, due_ns);
}

/* ---- settings ---- */

static bool read_policy(const struct config *config, struct rpc_rules **ret_rules, char *text,
                        size_t size)
{
        return policy_read_folder(config->policy_directory, !config->policy_directory_set,
                                  ret_rules, text, size);
}

/* On a thread of the pool, while the daemon serves: of `daemon` only what is fixed is looked at. */
static bool on_reload(void *ctx, struct rpc_settings *ret_settings, char *reterr_text, size_t size)
{
        const struct daemon *daemon = ctx;
        struct config *fresh = malloc(sizeof(*fresh));
        char changed[512];
        bool ok;
        int status;

        if (!fresh) {
                (void)snprintf(reterr_text, size, "no memory");
                return false;
        }
        config_init(fresh);
        ok = options_load(&daemon->options, fresh, reterr_text, size, &status) &&
             read_policy(fresh, &ret_settings->rules, reterr_text, size);
        if (ok) {
                ret_settings->limits = fresh->limits;
                if (config_needs_restart(&daemon->config, fresh, changed, sizeof(changed)))
                        log_line(LOG_L_NOTICE, "changed, for the next start: %s", changed);
        }
        config_deinit(fresh);
        free(fresh);
        return ok;
}

/* ---- the rooms ---- */

static void on_machine_log(void *ctx, int level, const char *text)
{
        (void)ctx;
        log_line(level, "%s", text);
}

static void on_console(void *ctx)
{
        const struct daemon *daemon = ctx;

        rpc_service_console_news(daemon->service);
}

static bool make_machine(struct daemon *daemon)
{
        const struct machine_hooks hooks = {
                .log = on_machine_log, .console = on_console, .ctx = daemon};
        struct machine_text text;

        if (machine_new(&daemon->config.machine, daemon->config.cpus, &hooks, &daemon->machine,
                        &text))
                return report("machine", text.line);
        return true;
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
        config.lazy_poke_ms = daemon->config.lazy_poke_ms;
        config.backend = machine_engine(daemon->machine);
        config.name = "emt";
        config.service_wake = on_service_due;
        config.state_changed = on_state_changed;
        config.ctx = daemon;
        r = vmreq_vm_create(&config, &daemon->vm);
        if (r)
                return machine_fault(daemon->machine)[0]
                               ? report("machine", machine_fault(daemon->machine))
                               : report("VM", vmreq_error_name(r));
        machine_set_vm(daemon->machine, daemon->vm);
        modules_set_machine(daemon->machine);
        return true;
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

/* As the settings say.  What a guest needs is there once the modules are. */
static bool power_on(struct daemon *daemon)
{
        int r;

        if (!daemon->config.power_on)
                return true;
        r = vmreq_vm_change(daemon->vm, VMREQ_EVENT_POWER_ON, 0, NULL, NULL);
        return r ? report("power on", vmreq_error_name(r)) : true;
}

/* For a module that is loaded by name while the daemon runs: what the configuration says of it. */
static const struct vmreq_setting *module_settings(void *ctx, const char *name, size_t *ret_n)
{
        const struct daemon *daemon = ctx;

        for (size_t i = 0; i < daemon->config.n_modules; i++) {
                const struct config_module *module = &daemon->config.modules[i];

                if (strcmp(module->name, name) == 0) {
                        *ret_n = module->n_settings;
                        return module->settings;
                }
        }
        *ret_n = 0;
        return NULL;
}

static bool start_server(struct daemon *daemon)
{
        struct rpc_config config = {
                .vm_name = daemon->config.name,
                .version = VMREQD_VERSION,
                .vm = daemon->vm,
                .registry = daemon->registry,
                .module_directory = daemon->config.module_directory,
                .module_settings = module_settings,
                .limits = daemon->config.limits,
                .rules = daemon->rules,
                .listen_fd = daemon->listening.fd,
                .reload = on_reload,
                .on_reloading = on_reloading,
                .on_reloaded = on_reloaded,
                .on_ready = on_ready,
                .on_stopping = on_stopping,
                .on_figures = on_figures,
                .on_alive = on_alive,
                .watchdog_ms = sd_door_watchdog_us() / 1000,
                .watchdog_emts = daemon->config.restart_on_stuck,
                .emt_stuck_ms = daemon->config.emt_stuck_ms,
                .exit_idle_ms = daemon->config.exit_idle_ms,
                .ctx = daemon,
        };
        struct rpc_server *server;
        int r;

        daemon->rules = NULL; /* the server's, whatever comes */
        r = rpc_server_new(&config, &server);
        if (r)
                return report("server", strerror(-r));
        rpc_server_set_service(server, daemon->service);
        if (machine_has_guest(daemon->machine)) {
                console_feed_init(&daemon->console, machine_console(daemon->machine));
                rpc_server_offer_console(server, &daemon->console);
        }
        /* Release: pairs with on_state_changed. */
        atomic_store_explicit(&daemon->server, server, memory_order_release);
        return true;
}

static bool open_socket(struct daemon *daemon)
{
        const char *error = NULL;
        char text[CONFIG_PATH_MAX + 256];
        int inherited = sd_door_socket(&error);

        if (inherited == -2)
                return report("socket", error);
        if (!listening_open(&daemon->listening, &daemon->config, inherited, text, sizeof(text)))
                return report("socket", text);
        return true;
}

/* In reverse; legal on a half-built daemon.  False: an EMT, or the disk of the console's file, is
 * stuck, and what it uses was not freed. */
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
        daemon->rules = rpc_rules_free(daemon->rules);
        modules_set_machine(NULL);
        if (!machine_close(daemon->machine, clock_now_ns() + STOP_NS))
                return false;
        daemon->machine = machine_free(daemon->machine);
        config_deinit(&daemon->config);
        options_deinit(&daemon->options);
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

/* False: reported, and *ret_status is the exit status. */
static bool read_settings(struct daemon *daemon, int *ret_status)
{
        char text[1024];

        if (options_load(&daemon->options, &daemon->config, text, sizeof(text), ret_status)) {
                *ret_status = EXIT_FAILURE;
                if (read_policy(&daemon->config, &daemon->rules, text, sizeof(text))) {
                        *ret_status = EXIT_SUCCESS;
                        return true;
                }
        }
        (void)fprintf(stderr, "vmreqd: %s\n", text);
        return false;
}

/* How the symbol is marked, by loading what the daemon would; only where that matters. */
static void find_flags(struct daemon *daemon, struct explain_question *question)
{
        const char *name = question->symbol;
        const struct sym_symbol *symbol = NULL;

        if (!explain_needs_flags(question->policy, question->identity, name))
                return;
        if (start_vm(daemon) && load_modules(daemon))
                symbol = sym_registry_find(daemon->registry, name, strlen(name));
        question->flags_known = symbol;
        question->flags = symbol ? symbol->def->flags : 0;
}

static int explain(struct daemon *daemon)
{
        struct explain_question question = {.config = &daemon->config,
                                            .user = daemon->options.explain_user,
                                            .symbol = daemon->options.explain_symbol};
        struct rpc_policy_host host;
        struct rpc_policy policy;
        struct rpc_identity identity;

        if (!explain_is_name(question.symbol)) {
                (void)fprintf(stderr, "vmreqd: \"%s\" is no method and no symbol's name\n",
                              question.symbol);
                return EXIT_FAILURE;
        }
        rpc_policy_host_read(&host);
        if (!explain_identity(question.user, &host, &identity)) {
                (void)fprintf(stderr, "vmreqd: there is no user \"%s\"\n", question.user);
                return EXIT_FAILURE;
        }
        rpc_policy_init(&policy, &host, daemon->config.name, daemon->config.cpus, NULL);
        policy.rules = daemon->rules;
        daemon->rules = NULL;
        question.policy = &policy;
        question.identity = &identity;
        find_flags(daemon, &question);
        explain_write(&question, stdout);
        rpc_policy_deinit(&policy);
        rpc_identity_deinit(&identity);
        return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int serve(struct daemon *daemon)
{
        bool ok, down;

        (void)signal(SIGPIPE, SIG_IGN);
        (void)signal(SIGHUP, SIG_IGN); /* until the server looks at it */
        start_log();
        if (manager_start() < 0)
                log_line(LOG_L_WARNING, "no thread to tell the service manager with");
        ok = open_socket(daemon) && make_machine(daemon) && start_vm(daemon) &&
             load_modules(daemon) && start_server(daemon) && power_on(daemon);
        if (ok && rpc_signals_keep())
                log_line(LOG_L_WARNING, "a second SIGTERM may end this process with that signal");
        if (ok)
                rpc_server_run(daemon->server);
        down = take_down(daemon);
        ok = ok && !atomic_load_explicit(&daemon->vm_failed, memory_order_relaxed);
        if (ok)
                backoff_end();
        if (!down)
                log_line(LOG_L_WARNING, "leaving with work under way");
        else if (ok)
                log_line(LOG_L_NOTICE, "stopped");
        manager_stop(MANAGER_NS);
        /* Its thread may be stuck in a write. */
        if (!log_stop(LOG_FLUSH_NS) || !down)
                _exit(ok ? EXIT_SUCCESS : EXIT_FAILURE);
        return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
        static struct daemon daemon = {.listening = {.fd = -1, .lock_fd = -1}};
        int status = EXIT_SUCCESS;
        bool only_asks;

        if (!proto_descriptors_reserve())
                return EXIT_FAILURE; /* and nowhere to say so */
        if (!options_parse(argc, argv, &daemon.options, &status))
                return status;
        /* Whoever only asks neither waits for failed starts nor counts as one. */
        only_asks = daemon.options.check || daemon.options.explain_user;
        if (!only_asks && !backoff_begin())
                return EXIT_SUCCESS;
        config_init(&daemon.config);
        if (read_settings(&daemon, &status) && !only_asks)
                return serve(&daemon);
        if (status == EXIT_SUCCESS && daemon.options.check)
                explain_dead_names(daemon.rules, stderr);
        if (status == EXIT_SUCCESS && daemon.options.explain_user)
                status = explain(&daemon);
        (void)take_down(&daemon);
        return status;
}
