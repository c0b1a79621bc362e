/* SPDX-License-Identifier: MIT */
/*
 * 'vmreqctl dump FILE': the guest's memory and registers as an ELF core.
 *
 *   open the file → suspend a VM that runs → mem.dump, chunk by chunk → resume it → rename
 *
 * Whatever happens in between, Ctrl-C, SIGTERM, a full disk, a lost connection: the VM is resumed
 * if it was suspended here, and a file that is not complete is removed, or, where that cannot be
 * (standard output, a device), said to be incomplete.  So signals wait until that is done.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/await.h"
#include "client/fields.h"
#include "client/output.h"
#include "client/render.h"
#include "client/report.h"
#include "client/running.h"
#include "client/terminal.h"
#include "client/verbs.h"
#include "proto/codes.h"

#define STATE_MS    30000 /* what a change of the VM's state may take */
#define PROGRESS_NS UINT64_C(500000000)

struct dump {
        struct ctl *ctl;
        const char *name; /* the file, as the user calls it */
        struct output output;
        uint64_t shown_ns; /* when it was last said how far it is */
        bool suspended;    /* by us */
};

static int complain(const struct dump *dump, int error)
{
        terminal_progress(NULL);
        fprintf(stderr, "vmreqctl: dump: ");
        render_clean(stderr, dump->name, strlen(dump->name), true);
        fprintf(stderr, ": %s\n",
                error == -ENOTTY ? "a core is nothing for a terminal" : strerror(-error));
        return CTL_USAGE;
}

/* ---- the VM's state -------------------------------------------------------------------------- */

static int change_state(struct ctl *ctl, const char *symbol, struct ctl_value *value)
{
        struct proto_builder params;
        uint32_t msgid;
        int r;

        ctl_set_limit(ctl, STATE_MS);
        r = ctl_connect(ctl);
        if (r != CTL_DONE)
                return r;
        proto_builder_init(&params, 64);
        proto_put_array(&params, 0);
        r = ctl_submit(ctl, symbol, &params, &msgid);
        proto_builder_deinit(&params);
        return r == CTL_DONE ? ctl_wait(ctl, msgid, value) : r;
}

/* Of a VM that does not run, and for who may not suspend it, mem.dump itself says what it wants. */
static int suspend(struct dump *dump)
{
        struct ctl_value value = CTL_VALUE_NULL;
        int r = change_state(dump->ctl, "vm.suspend", &value);

        if (r == CTL_DONE && !value.answer.failed)
                dump->suspended = field_true(value.root, "changed");
        else if (r == CTL_DONE && value.answer.code != PROTO_VM_STATE &&
                 value.answer.code != PROTO_NOT_FOUND)
                r = report_answer(&value.answer, "vm.suspend");
        ctl_value_deinit(&value);
        return r;
}

/* `r`, unless it was fine until now. */
static int resume(struct dump *dump, int r)
{
        struct ctl_value value = CTL_VALUE_NULL;
        int resumed;

        if (!dump->suspended)
                return r;
        resumed = change_state(dump->ctl, "vm.resume", &value);
        if (resumed == CTL_DONE && value.answer.failed)
                resumed = report_answer(&value.answer, "vm.resume");
        ctl_value_deinit(&value);
        if (resumed == CTL_DONE)
                return r;
        fprintf(stderr,
                "vmreqctl: dump: the VM may be left SUSPENDED; 'vmreqctl call vm.resume'\n");
        return r == CTL_DONE ? resumed : r;
}

/* ---- the core -------------------------------------------------------------------------------- */

static void show_progress(struct dump *dump)
{
        uint64_t now = ctl_now();
        char text[96];

        if (now - dump->shown_ns < PROGRESS_NS)
                return;
        dump->shown_ns = now;
        (void)snprintf(text, sizeof(text), "dump: %" PRIu64 " MiB; Ctrl-C cancels",
                       dump->output.bytes >> 20);
        terminal_progress(text);
}

static int on_chunk(void *arg, const struct proto_value *chunk)
{
        struct dump *dump = arg;
        struct field_text bytes = field_text_of(chunk);
        int r = output_write(&dump->output, bytes.data, bytes.len);

        if (r == -EINTR)
                return CTL_CANCELLED; /* the signal waits for await_settle */
        if (r)
                return complain(dump, r);
        show_progress(dump);
        return CTL_DONE;
}

static int call(struct dump *dump)
{
        struct vmreq_client_options options = VMREQ_CLIENT_OPTIONS_INIT;
        struct running running = {.symbol = "mem.dump", .on_chunk = on_chunk, .arg = dump};
        struct ctl_value value = CTL_VALUE_NULL;
        struct ctl *ctl = dump->ctl;
        int r;

        if (ctl->options.has_timeout) {
                options.timeout_ms = (int64_t)ctl->options.timeout_ms;
                ctl_set_patience(ctl, 0);
        } else {
                ctl_set_endless(ctl);
        }
        options.flags = VMREQ_CLIENT_STREAM;
        r = vmreq_client_submit_call(ctl->client, running.symbol, "\x90", 1, &options,
                                     &running.msgid);
        if (r != 0)
                return report_client(ctl, r);
        ctl->calling = true;
        r = running_wait(ctl, &running, &value);
        ctl->calling = false;
        if (r == CTL_DONE && value.answer.failed)
                r = report_answer(&value.answer, running.symbol);
        ctl_value_deinit(&value);
        return r;
}

static int finish(struct dump *dump, int r)
{
        bool direct = !dump->output.made && dump->output.bytes > 0;
        int error;

        if (r == CTL_DONE) {
                error = output_commit(&dump->output);
                return error ? complain(dump, error) : CTL_DONE;
        }
        output_abandon(&dump->output);
        fprintf(stderr, "vmreqctl: dump: ");
        render_clean(stderr, dump->name, strlen(dump->name), true);
        fprintf(stderr, direct ? ": what was written is not complete\n" : ": not written\n");
        return r;
}

static int print_done(const struct dump *dump)
{
        struct proto_value pairs[4] = {
                {.type = PROTO_STR, .count = 4, .data = "file"},
                {.type = PROTO_STR, .count = (uint32_t)strlen(dump->name), .data = dump->name},
                {.type = PROTO_STR, .count = 5, .data = "bytes"},
                {.type = PROTO_UINT, .u = dump->output.bytes},
        };
        struct proto_value map = {.type = PROTO_MAP, .count = 2, .items = pairs};

        if (strcmp(dump->name, "-") == 0)
                return CTL_DONE;
        if (dump->ctl->options.json != OPTIONS_TEXT)
                return ctl_print(dump->ctl, &map);
        render_clean(stdout, dump->name, strlen(dump->name), true);
        printf(": %" PRIu64 " bytes\n", dump->output.bytes);
        return CTL_DONE;
}

/* With signals held. */
static int run(struct dump *dump, bool may_suspend)
{
        int error = output_begin(&dump->output), r;

        if (error)
                return complain(dump, error);
        r = may_suspend ? suspend(dump) : CTL_DONE;
        if (r == CTL_DONE)
                r = call(dump);
        r = resume(dump, r);
        r = finish(dump, r);
        return r == CTL_DONE ? print_done(dump) : r;
}

int verb_dump(struct ctl *ctl, const struct verb_options *options, int argc, char **argv)
{
        struct dump dump = {.ctl = ctl, .name = argv[0], .output = OUTPUT_NULL};
        struct await_held held;
        int r, error;

        (void)argc;
        ctl_set_limit(ctl, STATE_MS);
        r = ctl_connect(ctl);
        if (r != CTL_DONE)
                return r;
        dump.shown_ns = ctl_now();
        error = output_find(&dump.output, argv[0]);
        if (error) {
                output_abandon(&dump.output);
                return complain(&dump, error);
        }
        await_hold(ctl, &held);
        dump.output.interrupt = held.fd;
        r = run(&dump, !options->no_suspend);
        await_settle(ctl, &held);
        return r;
}
