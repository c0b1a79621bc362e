/* SPDX-License-Identifier: MIT */
/* Stands for kvm*.c in a build without KVM. */
#include <errno.h>

#include "machine/backend.h"

static int open_backend(struct machine *machine, struct machine_text *text)
{
        (void)machine;
        return machine_fail(text, -ENOTSUP, "this vmreqd was built without KVM");
}

static void close_backend(struct machine *machine)
{
        (void)machine;
}

const struct machine_backend machine_backend_kvm = {
        .name = "kvm",
        .open = open_backend,
        .close = close_backend,
};
