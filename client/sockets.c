/* SPDX-License-Identifier: MIT */
/*
 * Finding the daemon's socket, before vmreqctl connects.  A VM called NAME listens on NAME.sock in
 * one of two directories: the system's, and, for users who run their own, one below
 * $XDG_RUNTIME_DIR.  Environment variables that are empty count as unset.
 */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/sockets.h"
#include "proto/names.h"

#define SUFFIX      ".sock"
#define NAMES_SHOWN 8    /* in the message that asks which one */
#define ENTRIES_MAX 4096 /* of a directory, looked at */
#define DIR_BYTES   256  /* a socket's path has room for 107 */

static const char *environment(const char *name)
{
        const char *value = getenv(name);

        return value && *value != '\0' ? value : NULL;
}

struct sockets_places sockets_places(void)
{
        return (struct sockets_places){
                .system_dir = "/run/vmreqd",
                .runtime_dir = environment("XDG_RUNTIME_DIR"),
                .environment = environment("VMREQ_SOCKET"),
                .root = geteuid() == 0,
        };
}

static bool is_socket(const char *path)
{
        struct stat status;

        return stat(path, &status) == 0 && S_ISSOCK(status.st_mode);
}

/* DIR/NAME and a suffix; false if it does not fit. */
static bool join(char *ret_path, size_t size, const char *dir, const char *name, const char *suffix)
{
        int n = snprintf(ret_path, size, "%s/%s%s", dir, name, suffix);

        return n >= 0 && (size_t)n < size;
}

/* Where the VMs of users who are not root have their sockets; false if there is no such place. */
static bool user_dir(const struct sockets_places *places, char *ret_dir, size_t size)
{
        return places->runtime_dir && join(ret_dir, size, places->runtime_dir, "vmreqd", "");
}

static enum sockets_result of_machine(const struct sockets_places *places, const char *machine,
                                      char *ret_path, size_t size, char *reterr_text,
                                      size_t text_size)
{
        char dir[DIR_BYTES], system[DIR_BYTES];

        if (!proto_vm_name_valid(machine)) {
                (void)snprintf(
                        reterr_text, text_size,
                        "'%.80s' is not a VM's name: letters, digits, '_', '.', '-', at most 64, "
                        "not ending in .sock",
                        machine);
                return SOCKETS_E_NAME;
        }
        /* root's VMs are the system's; others' own ones come first. */
        if (user_dir(places, dir, sizeof(dir)) && join(ret_path, size, dir, machine, SUFFIX) &&
            is_socket(ret_path) &&
            !(places->root && join(system, sizeof(system), places->system_dir, machine, SUFFIX) &&
              is_socket(system)))
                return SOCKETS_OK;
        if (join(ret_path, size, places->system_dir, machine, SUFFIX))
                return SOCKETS_OK;
        (void)snprintf(reterr_text, text_size, "the socket's path is too long");
        return SOCKETS_E_LONG;
}

/* What a search has seen so far. */
struct search {
        unsigned n;
        char *path; /* of the first */
        size_t path_size;
        char names[512]; /* "a, b, c" */
};

/* "vm1.sock" → true, and the name without the suffix in ret_name (at least 65 bytes). */
static bool machine_of_entry(const char *entry, char *ret_name, size_t size)
{
        size_t len = strlen(entry), suffix = strlen(SUFFIX);

        if (len <= suffix || len - suffix >= size || strcmp(entry + len - suffix, SUFFIX) != 0)
                return false;
        memcpy(ret_name, entry, len - suffix);
        ret_name[len - suffix] = '\0';
        return proto_vm_name_valid(ret_name);
}

static void found(struct search *search, const char *path, const char *name)
{
        size_t at = strlen(search->names);

        if (search->n == 0)
                (void)snprintf(search->path, search->path_size, "%s",
                               path); /* it fits: see below */
        if (search->n < NAMES_SHOWN)
                (void)snprintf(search->names + at, sizeof(search->names) - at, "%s%s",
                               search->n > 0 ? ", " : "", name);
        else if (search->n == NAMES_SHOWN)
                (void)snprintf(search->names + at, sizeof(search->names) - at, ", ...");
        search->n++;
}

static void search_dir(struct search *search, const char *dir)
{
        DIR *stream = opendir(dir);
        struct dirent *entry;
        char name[80];
        char *path;

        if (!stream)
                return;
        path = malloc(search->path_size);
        for (unsigned i = 0; path && i < ENTRIES_MAX && (entry = readdir(stream)) != NULL; i++) {
                if (machine_of_entry(entry->d_name, name, sizeof(name)) &&
                    join(path, search->path_size, dir, entry->d_name, "") && is_socket(path))
                        found(search, path, name);
        }
        free(path);
        (void)closedir(stream);
}

static enum sockets_result the_only_one(const struct sockets_places *places, char *ret_path,
                                        size_t size, char *reterr_text, size_t text_size)
{
        struct search search = {.path = ret_path, .path_size = size};
        char dir[DIR_BYTES];

        if (user_dir(places, dir, sizeof(dir)))
                search_dir(&search, dir);
        search_dir(&search, places->system_dir);
        if (search.n == 1)
                return SOCKETS_OK;
        if (search.n > 1) {
                (void)snprintf(reterr_text, text_size,
                               "there are several VMs (%s): choose with -M NAME", search.names);
                return SOCKETS_E_MANY;
        }
        (void)snprintf(reterr_text, text_size,
                       "no VM's socket in %s: is vmreqd running?  Else say which with -s SOCKET or "
                       "-M NAME",
                       places->system_dir);
        return SOCKETS_E_NONE;
}

enum sockets_result sockets_find(const struct sockets_places *places, const char *path,
                                 const char *machine, char *ret_path, size_t path_size,
                                 char *reterr_text, size_t text_size)
{
        if (!path && machine)
                return of_machine(places, machine, ret_path, path_size, reterr_text, text_size);
        if (!path)
                path = places->environment;
        if (!path)
                return the_only_one(places, ret_path, path_size, reterr_text, text_size);
        if (strlen(path) >= path_size) {
                (void)snprintf(reterr_text, text_size, "the socket's path is too long");
                return SOCKETS_E_LONG;
        }
        memcpy(ret_path, path, strlen(path) + 1);
        return SOCKETS_OK;
}

/* ---- all ------------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
        return strcmp(((const struct sockets_place *)a)->name,
                      ((const struct sockets_place *)b)->name);
}

static size_t list_dir(const char *dir, struct sockets_place *all, size_t max)
{
        DIR *stream = opendir(dir);
        struct dirent *entry;
        size_t n = 0;

        if (!stream)
                return 0;
        for (unsigned i = 0; n < max && i < ENTRIES_MAX && (entry = readdir(stream)) != NULL; i++) {
                struct sockets_place *place = &all[n];

                if (machine_of_entry(entry->d_name, place->name, sizeof(place->name)) &&
                    join(place->path, sizeof(place->path), dir, entry->d_name, "") &&
                    is_socket(place->path))
                        n++;
        }
        (void)closedir(stream);
        qsort(all, n, sizeof(*all), compare_names);
        return n;
}

size_t sockets_all(const struct sockets_places *places, struct sockets_place *ret_all, size_t max)
{
        char dir[DIR_BYTES];
        size_t n = 0;

        if (user_dir(places, dir, sizeof(dir)))
                n = list_dir(dir, ret_all, max);
        return n + list_dir(places->system_dir, ret_all + n, max - n);
}
