/* SPDX-License-Identifier: MIT */
#include "vm/processors.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"

/* The path of this process below the root of the unified hierarchy: the line "0::/path".  False:
 * there is none. */
static int read_path(const char *proc_cgroup, char *path, size_t size)
{
        FILE *file = fopen(proc_cgroup, "re");
        char line[PATH_MAX];
        int found = 0;

        if (!file)
                return 0;
        while (!found && fgets(line, sizeof(line), file)) {
                line[strcspn(line, "\n")] = 0;
                found = strncmp(line, "0::/", 4) == 0 && strlen(line + 3) < size;
                if (found)
                        (void)snprintf(path, size, "%s", line + 3);
        }
        (void)fclose(file);
        return found;
}

/* What "cpu.max" of one cgroup allows ("QUOTA PERIOD" in microseconds, or "max PERIOD");
 * UINT32_MAX: no bound. */
static uint32_t read_quota(const char *root, const char *path)
{
        char name[2 * PATH_MAX];
        unsigned long long quota, period;
        uint32_t n = UINT32_MAX;
        FILE *file;

        (void)snprintf(name, sizeof(name), "%s%s/cpu.max", root, path);
        file = fopen(name, "re");
        if (!file)
                return n;
        if (fscanf(file, "%llu %llu", &quota, &period) == 2 && period > 0)
                n = (uint32_t)MIN((quota + period - 1) / period, (unsigned long long)UINT32_MAX);
        (void)fclose(file);
        return MAX(n, 1u);
}

uint32_t processors_usable(const char *proc_cgroup, const char *root)
{
        uint32_t usable = UINT32_MAX;
        char path[PATH_MAX];
        cpu_set_t set;

        if (sched_getaffinity(0, sizeof(set), &set) == 0)
                usable = (uint32_t)CPU_COUNT(&set);
        if (!read_path(proc_cgroup, path, sizeof(path)))
                return MAX(usable, 1u);
        for (;;) {
                uint32_t quota = read_quota(root, strcmp(path, "/") == 0 ? "" : path);
                char *slash = strrchr(path, '/');

                usable = MIN(usable, quota);
                if (!slash || path[1] == 0)
                        break;
                slash[slash == path] = 0; /* one up; the root keeps its slash */
        }
        return MAX(usable, 1u);
}
