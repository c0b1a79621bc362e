/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A VM on another host: an ssh that runs 'vmreqctl stdio' there, and a socket pair to it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct options;

struct remote {
        pid_t pid; /* of ssh; 0: none */
        int said;  /* its stderr; cleaned before it is shown */
};

/* "host", "user@host": letters, digits and what names and addresses have, neither beginning with
 * '-'. */
bool remote_host_valid(const char *host);
/* A path that a shell leaves as it is. */
bool remote_path_valid(const char *path);

/*
 * Starts ssh for options->host, with options->socket or machine as words of the remote command.
 * CTL_DONE and the descriptor of the connection, or, reported, the exit status.
 */
int remote_open(struct remote *remote, const struct options *options, int *ret_fd);

/* Behind the end of the connection: shows what ssh had to say, and waits for it.  Idempotent. */
void remote_close(struct remote *remote);
