/* SPDX-License-Identifier: MIT */
/*
 * 'vmreqctl list': the VMs of this host, asked all at once.
 *
 * Every socket in the two directories is connected to without waiting, and sent one vmreq.status;
 * then all connections are polled together until all have answered or the time is up.  So one
 * daemon that is stopped, or many, cost the listing no more than that time, and are shown as what
 * they are: a socket that nobody listens on is dead, a daemon that says nothing does not answer.
 */

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/ctl.h"
#include "client/fields.h"
#include "client/grid.h"
#include "client/sockets.h"
#include "client/verbs.h"
#include "client/words.h"
#include "proto/codes.h"

#define VMS_MAX   1024
#define ANSWER_MS 2000

struct vm {
        struct sockets_place place;
        vmreq_client *client; /* NULL: asked no more */
        const char *state;    /* ours, if the daemon has not said */
        bool alive;           /* it has answered something */
        struct ctl_value status;
};

/* ---- asking ---------------------------------------------------------------------------------- */

static const char *state_of_errno(int error)
{
        switch (error) {
        case ECONNREFUSED:
        case ENOENT:
                return "dead";
        case EACCES:
        case EPERM:
                return "no access";
        case EAGAIN:
                return "not answering"; /* so many wait there already that there is no place */
        default:
                return strerror(error);
        }
}

static int open_now(const char *path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd, error;

        if (strlen(path) >= sizeof(address.sun_path)) {
                errno = ENAMETOOLONG;
                return -1;
        }
        memcpy(address.sun_path, path, strlen(path));
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
                return fd;
        error = errno;
        (void)close(fd); /* nothing was written to it */
        errno = error;
        return -1;
}

/* Sends the question.  There is no greeting: it would have to be waited for. */
static void ask(struct vm *vm)
{
        struct vmreq_client_config config = VMREQ_CLIENT_CONFIG_INIT;
        uint32_t msgid;
        int fd = open_now(vm->place.path);

        if (fd < 0) {
                vm->state = state_of_errno(errno);
                return;
        }
        config.flags = VMREQ_CLIENT_NO_HELLO;
        config.calls_max = 1;
        if (vmreq_client_adopt(fd, &config, &vm->client, NULL, 0) != 0 ||
            vmreq_client_submit(vm->client, "vmreq.status", "\x90", 1, &msgid) != 0) {
                vm->client = vmreq_client_free(vm->client);
                vm->state = "out of memory";
        }
}

/* What the answer says, or why there is none. */
static void take(struct vm *vm, int r)
{
        if (r == VMREQ_CLIENT_E_TIMEOUT)
                return;
        vm->alive = r == 0;
        if (r != 0)
                vm->state = r == VMREQ_CLIENT_E_PROTOCOL ? "no vmreqd" : "gone";
        else if (!vm->status.answer.failed)
                vm->state = ctl_decode(&vm->status) ? NULL : "out of memory";
        else
                vm->state = vm->status.answer.code == PROTO_NOT_FOUND ? "no access" : "error";
        vm->client = vmreq_client_free(vm->client);
}

/* Until all have answered, or the time is up. */
static void collect(const struct ctl *ctl, struct vm *vms, size_t n, struct pollfd *pollfds)
{
        size_t n_asked;
        uint64_t left_ns;

        do {
                n_asked = 0;
                for (size_t i = 0; i < n; i++) {
                        if (vms[i].client)
                                take(&vms[i],
                                     vmreq_client_next(vms[i].client, 0, &vms[i].status.answer));
                        if (vms[i].client)
                                pollfds[n_asked++] = (struct pollfd){
                                        .fd = vmreq_client_fd(vms[i].client),
                                        .events = vmreq_client_events(vms[i].client),
                                };
                }
                left_ns = ctl_left(ctl);
                if (n_asked > 0 && left_ns > 0)
                        (void)poll(pollfds, n_asked, ctl_poll_ms(left_ns)); /* and look again */
        } while (n_asked > 0 && left_ns > 0);

        for (size_t i = 0; i < n; i++) {
                if (vms[i].client)
                        vms[i].state = "not answering";
                vms[i].client = vmreq_client_free(vms[i].client);
        }
}

/* ---- printing -------------------------------------------------------------------------------- */

enum column { NAME, STATE, CPUS, UPTIME, PID, SOCKET, N_COLUMNS };

static enum terminal_paint paint_of(const struct vm *vm, struct field_text state)
{
        if (vm->state)
                return TERMINAL_BAD;
        return state.len == 7 && memcmp(state.data, "RUNNING", 7) == 0 ? TERMINAL_GOOD
                                                                       : TERMINAL_PLAIN;
}

static void put_vm(struct grid *grid, const struct vm *vm)
{
        const struct proto_value *status = vm->status.root, *emts = field_array(status, "emts");
        struct field_text state = field_text(status, "state");
        char text[32];
        uint64_t n;

        if (vm->state)
                state = (struct field_text){vm->state, strlen(vm->state)};
        grid_add(grid);
        grid_put(grid, NAME, "%s", vm->place.name);
        grid_put_text(grid, STATE, state);
        grid_paint(grid, STATE, paint_of(vm, state));
        if (emts)
                grid_put(grid, CPUS, "%" PRIu32, emts->count);
        if (field_uint(status, "uptime_ms", &n)) {
                words_duration(n, text, sizeof(text));
                grid_put(grid, UPTIME, "%s", text);
        }
        if (field_uint(status, "pid", &n))
                grid_put(grid, PID, "%" PRIu64, n);
        grid_put(grid, SOCKET, "%s", vm->place.path);
}

static void print_table(const struct vm *vms, size_t n)
{
        static const struct grid_column columns[N_COLUMNS] = {
                {"NAME", false},  {"STATE", false}, {"CPUS", true},
                {"UPTIME", true}, {"PID", true},    {"SOCKET", false},
        };
        struct grid grid;

        grid_init(&grid, columns, N_COLUMNS);
        for (size_t i = 0; i < n; i++)
                put_vm(&grid, &vms[i]);
        grid_render(stdout, &grid);
        grid_deinit(&grid);
}

static void put_entry(struct proto_builder *out, const char *key, const struct proto_value *value)
{
        proto_put_text(out, key);
        if (value)
                proto_put_value(out, value);
        else
                proto_put_nil(out);
}

/* {name, socket, alive, problem, state, cpus, uptime_ms, pid}; null for what is not known. */
static void put_json(struct proto_builder *out, const struct vm *vm)
{
        const struct proto_value *status = vm->status.root, *emts = field_array(status, "emts");

        proto_put_map(out, 8);
        proto_put_text(out, "name");
        proto_put_text(out, vm->place.name);
        proto_put_text(out, "socket");
        proto_put_text(out, vm->place.path);
        proto_put_text(out, "alive");
        proto_put_bool(out, vm->alive);
        proto_put_text(out, "problem");
        proto_put_text(out, vm->state);
        put_entry(out, "state", field_get(status, "state"));
        proto_put_text(out, "cpus");
        if (emts)
                proto_put_uint(out, emts->count);
        else
                proto_put_nil(out);
        put_entry(out, "uptime_ms", field_get(status, "uptime_ms"));
        put_entry(out, "pid", field_get(status, "pid"));
}

static int print_json(const struct ctl *ctl, const struct vm *vms, size_t n)
{
        struct ctl_value value = CTL_VALUE_NULL;
        struct proto_builder out;
        int r;

        proto_builder_init(&out, CTL_PARAMS_MAX);
        proto_put_array(&out, (uint32_t)n);
        for (size_t i = 0; i < n; i++)
                put_json(&out, &vms[i]);
        value.answer.value = out.data;
        value.answer.value_len = out.len;
        r = out.error == PROTO_BUILDER_OK && ctl_decode(&value) ? ctl_print(ctl, value.root)
                                                                : ctl_no_memory();
        ctl_value_deinit(&value);
        proto_builder_deinit(&out);
        return r;
}

/* ---- the verb -------------------------------------------------------------------------------- */

static int list(const struct ctl *ctl, const struct sockets_places *places)
{
        struct sockets_place *all = calloc(VMS_MAX, sizeof(*all));
        struct pollfd *pollfds = calloc(VMS_MAX, sizeof(*pollfds));
        struct vm *vms = NULL;
        size_t n = all ? sockets_all(places, all, VMS_MAX) : 0;
        int r = CTL_DONE;

        if (all && pollfds)
                vms = calloc(n + 1, sizeof(*vms));
        for (size_t i = 0; vms && i < n; i++) {
                vms[i].place = all[i];
                ask(&vms[i]);
        }
        if (!vms)
                r = ctl_no_memory();
        else
                collect(ctl, vms, n, pollfds);
        if (vms && ctl->options.json != OPTIONS_TEXT)
                r = print_json(ctl, vms, n);
        else if (vms && n > 0)
                print_table(vms, n);
        else if (vms)
                fprintf(stderr,
                        "vmreqctl: no VM has its socket in %s%s%s; -s names one elsewhere\n",
                        places->system_dir, places->runtime_dir ? " or $XDG_RUNTIME_DIR" : "",
                        places->runtime_dir ? "/vmreqd" : "");
        for (size_t i = 0; vms && i < n; i++)
                ctl_value_deinit(&vms[i].status);
        free(vms);
        free(pollfds);
        free(all);
        return r;
}

int verb_list(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        struct sockets_places places = sockets_places();

        (void)options;
        (void)argc;
        (void)argv;
        if (ctl->options.host || ctl->options.socket || ctl->options.machine) {
                fprintf(stderr, "vmreqctl: list: it is of this host's VMs, without -s, -M and -H; "
                                "for another host, 'ssh HOST vmreqctl list'\n");
                return CTL_USAGE;
        }
        ctl_set_patience(ctl, 0);
        if (!ctl->options.has_timeout)
                ctl_set_limit(ctl, ANSWER_MS);
        else if (ctl->options.timeout_ms > 0)
                ctl_set_limit(ctl, ctl->options.timeout_ms);
        return list(ctl, &places);
}
