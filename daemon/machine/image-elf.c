/* SPDX-License-Identifier: MIT */
/*
 * A static ELF64 executable for x86-64: its loadable segments go to their physical addresses, and
 * it is entered at e_entry in 64-bit mode.
 *
 * Each field is checked against the bytes that are there before it is used, and each complaint
 * names it.  Sums of what the file says are never formed: they could wrap.  Only check() may
 * refuse; place() repeats its walk over bytes that have not changed since.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "machine/boot.h"
#include "machine/image.h"

static bool probe(const struct image *image)
{
        return image->size >= SELFMAG && memcmp(image->data, ELFMAG, SELFMAG) == 0;
}

/* Copied out: nothing says that the file is aligned for them. */
static Elf64_Ehdr header_of(const struct image *image)
{
        Elf64_Ehdr header;

        memcpy(&header, image->data, sizeof(header));
        return header;
}

static Elf64_Phdr segment_of(const struct image *image, const Elf64_Ehdr *header, unsigned i)
{
        Elf64_Phdr segment;

        memcpy(&segment, image->data + header->e_phoff + i * sizeof(segment), sizeof(segment));
        return segment;
}

/* One field of the header: what it is, what it must be. */
static int want(const struct image *image, const char *field, uint64_t is, uint64_t must,
                const char *meaning, struct machine_text *text)
{
        if (is == must)
                return 0;
        return machine_fail(text, -ENOEXEC,
                            "image %s: %s is %" PRIu64 ", expected %" PRIu64 " (%s)", image->path,
                            field, is, must, meaning);
}

static int check_header(const struct image *image, struct machine_text *text)
{
        Elf64_Ehdr header;
        int r;

        if (!probe(image))
                return machine_fail(text, -ENOEXEC,
                                    "image %s: not an ELF file: e_ident does not begin with 7f 45 "
                                    "4c 46",
                                    image->path);
        if (image->size < sizeof(header))
                return machine_fail(text, -ENOEXEC,
                                    "image %s: truncated: %zu bytes, the ELF header alone has %zu",
                                    image->path, image->size, sizeof(header));
        header = header_of(image);
        r = want(image, "e_ident[EI_CLASS]", header.e_ident[EI_CLASS], ELFCLASS64, "64-bit", text);
        r = r ? r
              : want(image, "e_ident[EI_DATA]", header.e_ident[EI_DATA], ELFDATA2LSB,
                     "little-endian", text);
        r = r ? r : want(image, "e_machine", header.e_machine, EM_X86_64, "x86-64", text);
        r = r ? r : want(image, "e_type", header.e_type, ET_EXEC, "a static executable", text);
        r = r ? r
              : want(image, "e_phentsize", header.e_phentsize, sizeof(Elf64_Phdr),
                     "the size of a program header", text);
        if (r)
                return r;
        if (header.e_phoff > image->size ||
            header.e_phnum > (image->size - header.e_phoff) / sizeof(Elf64_Phdr))
                return machine_fail(text, -ENOEXEC,
                                    "image %s: truncated: e_phoff %" PRIu64
                                    " and e_phnum %u lead past its end at %zu",
                                    image->path, header.e_phoff, header.e_phnum, image->size);
        return 0;
}

/* Two stretches, neither of which wraps. */
static bool overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
        return a < b + b_len && b < a + a_len;
}

static int check_segment(const struct image *image, const Elf64_Phdr *segment, unsigned i,
                         const struct memory *memory, struct machine_text *text)
{
        if (segment->p_filesz > segment->p_memsz)
                return machine_fail(text, -ENOEXEC,
                                    "image %s: segment %u: p_filesz %" PRIu64
                                    " is larger than p_memsz %" PRIu64,
                                    image->path, i, segment->p_filesz, segment->p_memsz);
        if (segment->p_offset > image->size || segment->p_filesz > image->size - segment->p_offset)
                return machine_fail(text, -ENOEXEC,
                                    "image %s: truncated: segment %u: p_offset %" PRIu64
                                    " and p_filesz %" PRIu64 " lead past its end at %zu",
                                    image->path, i, segment->p_offset, segment->p_filesz,
                                    image->size);
        if (!memory_at(memory, segment->p_paddr, segment->p_memsz))
                return machine_fail(
                        text, -E2BIG,
                        "image %s: segment %u: p_paddr 0x%" PRIx64 " and p_memsz %" PRIu64
                        " do not fit the guest's memory of %" PRIu64 " bytes ([kvm] memory_mib)",
                        image->path, i, segment->p_paddr, segment->p_memsz, memory->size);
        if (overlap(segment->p_paddr, segment->p_memsz, BOOT_START, BOOT_END - BOOT_START))
                return machine_fail(text, -ENOEXEC,
                                    "image %s: segment %u: p_paddr 0x%" PRIx64
                                    " and p_memsz %" PRIu64
                                    " overlap the boot structures at 0x%llx to 0x%llx",
                                    image->path, i, segment->p_paddr, segment->p_memsz, BOOT_START,
                                    BOOT_END - 1);
        return 0;
}

static int check(struct image *image, const struct memory *memory, struct machine_text *text)
{
        bool entry_found = false, any = false;
        Elf64_Ehdr header;
        int r = check_header(image, text);

        if (r)
                return r;
        header = header_of(image);
        for (unsigned i = 0; i < header.e_phnum; i++) {
                Elf64_Phdr segment = segment_of(image, &header, i);

                /* With bytes in the file but none in memory it is wrong, not empty. */
                if (segment.p_type != PT_LOAD || (segment.p_memsz == 0 && segment.p_filesz == 0))
                        continue;
                r = check_segment(image, &segment, i, memory, text);
                if (r)
                        return r;
                any = true;
                if (header.e_entry >= segment.p_paddr &&
                    header.e_entry - segment.p_paddr < segment.p_memsz)
                        entry_found = true;
        }
        if (!any)
                return machine_fail(text, -ENOEXEC, "image %s: no segment to load (PT_LOAD)",
                                    image->path);
        if (!entry_found || header.e_entry >= BOOT_MAPPED)
                return machine_fail(text, -ENOEXEC,
                                    "image %s: e_entry 0x%" PRIx64
                                    " is not at the physical address of a segment below 4 GiB",
                                    image->path, header.e_entry);
        image->mode = IMAGE_MODE_LONG;
        image->entry = header.e_entry;
        return 0;
}

static void place(const struct image *image, struct memory *memory)
{
        Elf64_Ehdr header = header_of(image);

        for (unsigned i = 0; i < header.e_phnum; i++) {
                Elf64_Phdr segment = segment_of(image, &header, i);

                if (segment.p_type == PT_LOAD && segment.p_filesz)
                        memcpy(memory_at(memory, segment.p_paddr, segment.p_filesz),
                               image->data + segment.p_offset, segment.p_filesz);
        }
}

const struct image_loader image_elf = {
        .name = "elf",
        .probe = probe,
        .check = check,
        .place = place,
};
