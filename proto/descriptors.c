/* SPDX-License-Identifier: MIT */
#include "proto/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

bool proto_descriptors_reserve(void)
{
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
                int opened;

                if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
                        continue;
                /* The lowest that is free, and all below it are taken. */
                opened = open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
                if (opened != fd) {
                        if (opened >= 0)
                                (void)close(opened);
                        return false;
                }
        }
        return true;
}
