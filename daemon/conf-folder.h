/* SPDX-License-Identifier: MIT */
#pragma once
/* Folders of drop-ins and of policy files. */

#include <stdbool.h>
#include <stddef.h>

/* The files of a folder whose names end in ".conf" and do not begin with a dot, as paths, in order
 * of their names (by bytes). */
#define CONF_FOLDER_FILES_MAX 256u
struct conf_folder {
        char **paths; /* owned, and what they point to */
        size_t n;
        bool missing; /* there is no such folder */
};

/* False: one line in reterr_text.  A folder that is not there is empty. */
bool conf_folder_list(const char *path, struct conf_folder *ret_folder, char *reterr_text,
                      size_t size);
void conf_folder_deinit(struct conf_folder *folder);
