/* SPDX-License-Identifier: MIT */
/* Folders of configuration: which of their files count, and in which order.  Read where conf-file.c
 * is. */
#include "conf-folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool fail(char *text, size_t size, const char *path, const char *why)
{
        (void)snprintf(text, size, "%s: %s", path, why);
        return false;
}

static bool is_ours(const char *name)
{
        size_t len = strlen(name);

        return name[0] != '.' && len > strlen(".conf") &&
               strcmp(name + len - strlen(".conf"), ".conf") == 0;
}

static bool folder_add(struct conf_folder *folder, const char *path, const char *name)
{
        char **paths = realloc(folder->paths, (folder->n + 1) * sizeof(*paths));

        if (!paths)
                return false;
        folder->paths = paths;
        if (asprintf(&paths[folder->n], "%s/%s", path, name) < 0)
                return false;
        folder->n++;
        return true;
}

/* NULL: all is read; else what is wrong. */
static const char *folder_read(struct conf_folder *folder, DIR *dir, const char *path)
{
        const struct dirent *entry;

        for (;;) {
                errno = 0;
                entry = readdir(dir);
                if (!entry)
                        return errno ? strerror(errno) : NULL;
                if (!is_ours(entry->d_name))
                        continue;
                if (folder->n == CONF_FOLDER_FILES_MAX)
                        return "more than 256 files";
                if (!folder_add(folder, path, entry->d_name))
                        return "no memory to list it";
        }
}

static int compare_paths(const void *a, const void *b)
{
        char *const *x = a, *const *y = b;

        return strcmp(*x, *y);
}

bool conf_folder_list(const char *path, struct conf_folder *ret_folder, char *reterr_text,
                      size_t size)
{
        struct conf_folder folder = {0};
        DIR *dir = opendir(path);
        const char *why;

        if (!dir && errno != ENOENT)
                return fail(reterr_text, size, path, strerror(errno));
        if (!dir) {
                *ret_folder = (struct conf_folder){.missing = true};
                return true;
        }
        why = folder_read(&folder, dir, path);
        if (why)
                (void)fail(reterr_text, size, path, why);
        (void)closedir(dir);
        if (why) {
                conf_folder_deinit(&folder);
                return false;
        }
        if (folder.n)
                qsort(folder.paths, folder.n, sizeof(*folder.paths), compare_paths);
        *ret_folder = folder;
        return true;
}

void conf_folder_deinit(struct conf_folder *folder)
{
        for (size_t i = 0; i < folder->n; i++)
                free(folder->paths[i]);
        free(folder->paths);
        *folder = (struct conf_folder){0};
}
