/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target over files: its corpus and its past crashes, in every build and with every
 * compiler, without libFuzzer.
 *
 *   fuzz-TARGET PATH…      a path is a file, or a directory of files
 *
 * Each input is handed over in memory of exactly its length, so that AddressSanitizer sees a byte
 * too far.
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

static unsigned n_inputs;
static const char *running; /* for whoever looks at a core, and for the message at a crash */

static void run_file(const char *path)
{
        FILE *file = fopen(path, "re");
        struct stat info;
        uint8_t *data;
        size_t len;

        if (!file || fstat(fileno(file), &info)) {
                (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
                exit(2);
        }
        data = malloc(info.st_size > 0 ? (size_t)info.st_size : 1);
        if (!data)
                exit(2);
        len = fread(data, 1, (size_t)info.st_size, file);
        (void)fclose(file);
        running = path;
        if (getenv("FUZZ_VERBOSE"))
                (void)fprintf(stderr, "%s\n", path);
        (void)LLVMFuzzerTestOneInput(data, len);
        free(data);
        n_inputs++;
}

static int is_visible(const struct dirent *entry)
{
        return entry->d_name[0] != '.';
}

static void run_path(const char *path)
{
        struct dirent **entries;
        struct stat info;
        char name[4096];
        int n;

        if (stat(path, &info) == 0 && !S_ISDIR(info.st_mode)) {
                run_file(path);
                return;
        }
        n = scandir(path, &entries, is_visible, alphasort);
        for (int i = 0; i < n; i++) {
                (void)snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
                run_file(name);
                free(entries[i]);
        }
        if (n >= 0)
                free(entries);
}

int main(int argc, char **argv)
{
        /* An empty input is one, too: libFuzzer begins with it. */
        (void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
        for (int i = 1; i < argc; i++)
                run_path(argv[i]);
        printf("Ran %u tests in this corpus\n", n_inputs);
        return n_inputs ? 0 : 1;
}
