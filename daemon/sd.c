/* SPDX-License-Identifier: MIT */
#include "sd.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

int sd_door_socket(const char **ret_error)
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

bool sd_door_is_told(void)
{
        return getenv("NOTIFY_SOCKET") != NULL;
}

void sd_door_tell(const char *state)
{
        (void)sd_notify(0, state); /* nobody to tell is no error */
}

uint64_t sd_door_watchdog_us(void)
{
        uint64_t period = 0;

        return sd_watchdog_enabled(0, &period) > 0 ? period : 0;
}
