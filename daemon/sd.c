/* SPDX-License-Identifier: MIT */
#include "sd.h"

#include <stddef.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

int manager_socket(const char **ret_error)
{
        int n = sd_listen_fds(1);

        if (n <= 0)
                return -1;
        if (n > 1) {
                *ret_error = "the service manager passed more than one socket";
                return -2;
        }
        if (sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_STREAM, 1, NULL, 0) <= 0) {
                *ret_error =
                        "what the service manager passed is not a listening Unix stream socket";
                return -2;
        }
        return SD_LISTEN_FDS_START;
}

void manager_tell_ready(const char *status)
{
        (void)sd_notifyf(0, "READY=1\nSTATUS=%s", status); /* nobody to tell is no error */
}

void manager_tell_stopping(void)
{
        (void)sd_notify(0, "STOPPING=1\nSTATUS=Draining");
}
