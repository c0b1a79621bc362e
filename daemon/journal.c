/* SPDX-License-Identifier: MIT */
#include "journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

/* Where in the source a record was made is no business of who reads the journal. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#define OWN_FIELDS 4 /* MESSAGE, PRIORITY, SYSLOG_IDENTIFIER, MESSAGE_ID */

bool journal_is_at(int fd)
{
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;
        int n = 0;

        /* The variable is inherited; the descriptor may have been redirected since. */
        return stream && sscanf(stream, "%llu:%llu%n", &device, &inode, &n) == 2 && !stream[n] &&
               fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

static struct iovec piece(const char *text)
{
        return (struct iovec){.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
}

bool journal_write(void *ctx, const struct log_record *record)
{
        char message[LOG_LINE_MAX + sizeof("MESSAGE=")], priority[32], id[64];
        struct iovec iov[OWN_FIELDS + LOG_FIELDS_MAX];
        int n = 0;

        (void)ctx;
        (void)snprintf(message, sizeof(message), "MESSAGE=%s", record->text);
        (void)snprintf(priority, sizeof(priority), "PRIORITY=%d", record->level);
        iov[n++] = piece(message);
        iov[n++] = piece(priority);
        iov[n++] = piece("SYSLOG_IDENTIFIER=vmreqd");
        if (record->id) {
                (void)snprintf(id, sizeof(id), "MESSAGE_ID=%s", record->id);
                iov[n++] = piece(id);
        }
        for (uint32_t i = 0; i < record->n_fields; i++)
                iov[n++] = piece(record->fields[i]);
        return sd_journal_sendv(iov, n) == 0;
}
