/* SPDX-License-Identifier: MIT */
#include "machine/backend.h"

#include <stddef.h>

/* EMTs serve requests and sleep. */
const struct machine_backend machine_backend_none = {.name = "none"};

const struct machine_backend *const machine_backends[] = {
        &machine_backend_none,
        &machine_backend_kvm,
        NULL,
};
