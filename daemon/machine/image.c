/* SPDX-License-Identifier: MIT */
/*
 * Reading the image file and choosing who understands it.
 *
 * The whole file is read once, before READY: a reset happens inside a rendezvous, where no thread
 * may wait for a disk, and finds the same bytes even if the file has been replaced since.  A file
 * that cannot fit the guest's memory is refused by its size, before any of it is read.
 */
#include "machine/image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const struct image_loader *const image_loaders[] = {
        &image_elf,
        &image_flat,
        NULL,
};

static int read_all(struct image *image, int fd, struct machine_text *text)
{
        size_t done = 0;

        image->data = malloc(image->size);
        if (!image->data)
                return machine_fail(text, -ENOMEM, "image %s: no memory for its %zu bytes",
                                    image->path, image->size);
        while (done < image->size) {
                ssize_t n = read(fd, image->data + done, image->size - done);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return machine_fail(text, -errno, "image %s: %s", image->path,
                                            strerror(errno));
                if (n == 0)
                        return machine_fail(text, -EIO,
                                            "image %s: it shrank to %zu bytes while it was read",
                                            image->path, done);
                done += (size_t)n;
        }
        return 0;
}

static int read_file(struct image *image, const struct memory *memory, struct machine_text *text)
{
        /* NONBLOCK: a FIFO without a writer is to be refused, not waited for. */
        int fd = open(image->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r;
        struct stat st;

        if (fd < 0)
                return machine_fail(text, -errno, "image %s: %s", image->path, strerror(errno));
        if (fstat(fd, &st))
                r = machine_fail(text, -errno, "image %s: %s", image->path, strerror(errno));
        else if (!S_ISREG(st.st_mode))
                r = machine_fail(text, -EINVAL, "image %s: not a regular file", image->path);
        else if (st.st_size == 0)
                r = machine_fail(text, -ENOEXEC, "image %s: the file is empty", image->path);
        else if ((uint64_t)st.st_size > memory->size)
                r = machine_fail(text, -E2BIG,
                                 "image %s: the file has %lld bytes, the guest's memory %" PRIu64
                                 " ([kvm] memory_mib)",
                                 image->path, (long long)st.st_size, memory->size);
        else {
                image->size = (size_t)st.st_size;
                r = read_all(image, fd, text);
        }
        (void)close(fd);
        return r;
}

static const struct image_loader *choose(const struct image *image, const char *format)
{
        bool any = strcmp(format, "auto") == 0;

        for (size_t i = 0; image_loaders[i]; i++)
                if (any ? image_loaders[i]->probe(image)
                        : strcmp(format, image_loaders[i]->name) == 0)
                        return image_loaders[i];
        return NULL;
}

int image_open(struct image *image, const char *path, const char *format, uint64_t load_address,
               const struct memory *memory, struct machine_text *text)
{
        int r;

        *image = (struct image){.path = path, .load_address = load_address};
        r = read_file(image, memory, text);
        if (r == 0) {
                image->loader = choose(image, format);
                r = image->loader ? image->loader->check(image, memory, text)
                                  : machine_fail(text, -EINVAL, "image %s: no format \"%s\"", path,
                                                 format);
        }
        if (r)
                image_close(image);
        return r;
}

void image_close(struct image *image)
{
        free(image->data);
        *image = IMAGE_NULL;
}
