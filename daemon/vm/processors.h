/* SPDX-License-Identifier: MIT */
#pragma once
/* How many processors this process may really use. */

#include <stdint.h>

/*
 * The smaller of what the calling thread's affinity allows and of what the CPU quotas of its cgroup
 * (version 2) and all above it leave, rounded up; at least 1.  What cannot be read bounds nothing.
 * `proc_cgroup` and `root` are
 * "/proc/self/cgroup" and "/sys/fs/cgroup", other than in tests.  Reads a few small files; not for
 * hot paths.
 */
uint32_t processors_usable(const char *proc_cgroup, const char *root);
