/* SPDX-License-Identifier: MIT */
/* ELF images: each field that can be wrong is named; every cut and every flipped bit ends in an
 * answer; segments lie where they say. */
#include <elf.h>
#include <errno.h>
#include <time.h>

#include "base/macros.h"
#include "machine/boot.h"
#include "machine/image.h"
#include "unit/machine/machine-test.h"

#define MEMORY (2ull << 20)
#define CODE   0x100000ull

struct file {
        Elf64_Ehdr header;
        Elf64_Phdr segments[2];
        uint8_t code[16];
};

static struct file file;
static struct memory memory;
static struct machine_text text;

static int start(void **state)
{
        (void)state;
        file = (struct file){
                .header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
                                       EV_CURRENT},
                           .e_type = ET_EXEC,
                           .e_machine = EM_X86_64,
                           .e_version = EV_CURRENT,
                           .e_entry = CODE + 4,
                           .e_phoff = offsetof(struct file, segments),
                           .e_ehsize = sizeof(Elf64_Ehdr),
                           .e_phentsize = sizeof(Elf64_Phdr),
                           .e_phnum = 2},
                .segments = {{.p_type = PT_LOAD,
                              .p_offset = offsetof(struct file, code),
                              .p_vaddr = CODE,
                              .p_paddr = CODE,
                              .p_filesz = sizeof(file.code),
                              .p_memsz = 4096},
                             {.p_type = PT_NOTE, .p_offset = UINT64_MAX, .p_memsz = UINT64_MAX}},
                .code = "0123456789abcdef",
        };
        return memory_init(&memory, MEMORY, false, &text);
}

static int end(void **state)
{
        (void)state;
        memory_deinit(&memory);
        return 0;
}

/* A copy of exactly `size` bytes, so that a sanitizer sees a byte too many. */
static int check_bytes(size_t size, struct image *ret_image)
{
        struct image image = {.path = "guest.elf", .data = malloc(size ? size : 1), .size = size};
        int r;

        assert_non_null(image.data);
        memcpy(image.data, &file, size);
        text.line[0] = '\0';
        r = image_elf.check(&image, &memory, &text);
        if (r == 0)
                image_elf.place(&image, &memory);
        else
                assert_says(text, "guest.elf");
        free(image.data);
        *ret_image = image;
        return r;
}

static int check(void)
{
        struct image image;

        return check_bytes(sizeof(file), &image);
}

static void test_good(void **state)
{
        struct image image;

        (void)state;
        assert_int_equal(check_bytes(sizeof(file), &image), 0);
        assert_int_equal(image.mode, IMAGE_MODE_LONG);
        assert_int_equal(image.entry, CODE + 4);
        assert_memory_equal(memory_at(&memory, CODE, 16), file.code, 16);
        assert_int_equal(*(uint8_t *)memory_at(&memory, CODE + 16, 1), 0);
}

#define BAD(member, value, error, ...)                                                             \
        do {                                                                                       \
                struct file good_ = file;                                                          \
                file.member = (value);                                                             \
                assert_int_equal(check(), error);                                                  \
                assert_says(text, __VA_ARGS__);                                                    \
                file = good_;                                                                      \
        } while (0)

static void test_header(void **state)
{
        (void)state;
        BAD(header.e_ident[1], 'e', -ENOEXEC, "not an ELF", "e_ident");
        BAD(header.e_ident[EI_CLASS], ELFCLASS32, -ENOEXEC, "EI_CLASS", "64-bit");
        BAD(header.e_ident[EI_DATA], ELFDATA2MSB, -ENOEXEC, "EI_DATA", "little-endian");
        BAD(header.e_machine, EM_AARCH64, -ENOEXEC, "e_machine", "x86-64");
        BAD(header.e_type, ET_DYN, -ENOEXEC, "e_type", "static executable");
        BAD(header.e_phentsize, 32, -ENOEXEC, "e_phentsize", "56");
        BAD(header.e_phoff, UINT64_MAX, -ENOEXEC, "truncated", "e_phoff");
        BAD(header.e_phoff, sizeof(file) - 1, -ENOEXEC, "truncated", "e_phoff");
        BAD(header.e_phnum, 4, -ENOEXEC, "truncated", "e_phnum 4");
        BAD(header.e_phnum, 0, -ENOEXEC, "PT_LOAD");
        BAD(header.e_entry, CODE - 1, -ENOEXEC, "e_entry");
        BAD(header.e_entry, CODE + 4096, -ENOEXEC, "e_entry");
}

static void test_segments(void **state)
{
        (void)state;
        BAD(segments[0].p_filesz, 4097, -ENOEXEC, "segment 0", "p_filesz", "p_memsz");
        BAD(segments[0].p_offset, sizeof(file) - 15, -ENOEXEC, "truncated", "p_offset");
        BAD(segments[0].p_offset, UINT64_MAX, -ENOEXEC, "truncated", "p_offset");
        BAD(segments[0].p_paddr, MEMORY - 4095, -E2BIG, "p_paddr", "memory_mib");
        BAD(segments[0].p_paddr, UINT64_MAX, -E2BIG, "p_paddr");
        BAD(segments[0].p_memsz, UINT64_MAX, -E2BIG, "p_memsz");
        BAD(segments[0].p_paddr, BOOT_END - 1, -ENOEXEC, "boot structures");
        BAD(segments[0].p_paddr, BOOT_START - 4095, -ENOEXEC, "boot structures");
        BAD(segments[0].p_type, PT_NULL, -ENOEXEC, "PT_LOAD");
        /* Beside a good one, one that is empty in memory and not in the file, and leads nowhere. */
        BAD(segments[1], ((Elf64_Phdr){.p_type = PT_LOAD, .p_filesz = 1, .p_paddr = UINT64_MAX}),
            -ENOEXEC, "segment 1", "p_filesz 1");
        BAD(segments[1], ((Elf64_Phdr){.p_type = PT_LOAD, .p_filesz = 1, .p_offset = UINT64_MAX}),
            -ENOEXEC, "segment 1", "p_filesz 1");
        file.segments[0].p_paddr = BOOT_END;
        file.header.e_entry = BOOT_END;
        assert_int_equal(check(), 0);
}

static void test_cut(void **state)
{
        struct image image;

        (void)state;
        for (size_t size = 0; size < sizeof(file); size++) {
                assert_int_equal(check_bytes(size, &image), -ENOEXEC);
                if (size >= SELFMAG)
                        assert_says(text, "truncated");
        }
}

static void test_flipped(void **state)
{
        struct file good = file;

        (void)state;
        for (size_t bit = 0; bit < sizeof(file) * 8; bit++) {
                ((uint8_t *)&file)[bit / 8] ^= (uint8_t)(1u << bit % 8);
                (void)check();
                file = good;
        }
}

/* ---- at random ---- */

#define RANDOM_FILES 200000u

static uint64_t seed;

static uint64_t next_random(void)
{
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        return seed;
}

/* What is at, before and behind something that matters; and anything. */
static uint64_t nasty(void)
{
        static const uint64_t values[] = {0,          1,          CODE,       MEMORY,
                                          BOOT_START, BOOT_END,   4096,       sizeof(struct file),
                                          UINT64_MAX, 1ull << 63, 1ull << 32, sizeof(Elf64_Phdr)};

        switch (next_random() % 4) {
        case 0:
                return values[next_random() % ARRAY_SIZE(values)];
        case 1:
                return values[next_random() % ARRAY_SIZE(values)] - 1 - next_random() % 16;
        case 2:
                return values[next_random() % ARRAY_SIZE(values)] + 1 + next_random() % 16;
        default:
                return next_random() >> next_random() % 64;
        }
}

/* One field of one segment, or some bytes anywhere. */
static void damage(void)
{
        Elf64_Phdr *segment = &file.segments[next_random() % 2];
        uint64_t value = nasty();
        size_t len = 1u << next_random() % 4;

        switch (next_random() % 8) {
        case 0:
                segment->p_offset = value;
                break;
        case 1:
                segment->p_paddr = value;
                break;
        case 2:
                segment->p_filesz = value;
                break;
        case 3:
                segment->p_memsz = value;
                break;
        case 4:
                file.header.e_entry = value;
                break;
        case 5:
                segment->p_type = value % 3;
                break;
        case 6:
                file.header.e_phnum = (uint16_t)(value % 8);
                break;
        default:
                memcpy((uint8_t *)&file + next_random() % (sizeof(file) - len + 1), &value, len);
                break;
        }
}

/* What a segment must be, said in numbers that cannot wrap. */
static bool is_good_segment(const Elf64_Phdr *segment)
{
        unsigned __int128 offset = segment->p_offset, paddr = segment->p_paddr;

        return segment->p_filesz <= segment->p_memsz &&
               offset + segment->p_filesz <= sizeof(file) && paddr + segment->p_memsz <= MEMORY &&
               (paddr + segment->p_memsz <= BOOT_START || paddr >= BOOT_END);
}

/* The header's own fields are as they were, so that only the segments matter. */
static bool is_good(void)
{
        bool entry = false;

        for (unsigned i = 0; i < 2; i++) {
                const Elf64_Phdr *segment = &file.segments[i];

                if (segment->p_type != PT_LOAD || (!segment->p_memsz && !segment->p_filesz))
                        continue;
                if (!is_good_segment(segment))
                        return false;
                entry |= file.header.e_entry >= segment->p_paddr &&
                         file.header.e_entry < segment->p_paddr + segment->p_memsz;
        }
        return entry;
}

/* Whatever the file says, there is an answer, nothing outside of file and memory is touched (a
 * sanitizer sees that), and where a second opinion is to be had it is the same. */
static void test_random(void **state)
{
        const char *given = getenv("VMREQ_SEED");
        struct file good;
        uint64_t begin;

        (void)state;
        begin = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u;
        seed = begin | 1;
        print_message("VMREQ_SEED=%llu\n", (unsigned long long)begin);
        file.segments[1] = file.segments[0];
        file.segments[1].p_paddr = CODE + 8192;
        good = file;
        for (unsigned i = 0; i < RANDOM_FILES; i++) {
                for (uint64_t n = 1 + next_random() % 3; n > 0; n--)
                        damage();
                if (next_random() % 2) { /* half of them are about the segments only */
                        Elf64_Addr entry = file.header.e_entry;

                        file.header = good.header;
                        file.header.e_entry = entry;
                        assert_int_equal(check() == 0, is_good());
                } else {
                        (void)check();
                }
                file = good;
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_good, start, end),
                cmocka_unit_test_setup_teardown(test_header, start, end),
                cmocka_unit_test_setup_teardown(test_segments, start, end),
                cmocka_unit_test_setup_teardown(test_cut, start, end),
                cmocka_unit_test_setup_teardown(test_flipped, start, end),
                cmocka_unit_test_setup_teardown(test_random, start, end),
        };

        return RUN_TESTS(tests);
}
