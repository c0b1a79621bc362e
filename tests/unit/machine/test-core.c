/* SPDX-License-Identifier: MIT */
/* Cores: headers that lead to each other, registers in their places, memory behind them, and reads
 * that begin and end anywhere. */
#include "machine/core.h"

#include <elf.h>
#include <sys/procfs.h>
#include <sys/user.h>

#include "unit/machine/machine-test.h"

#define CPUS 3u

static struct memory memory;
static struct machine_text text;
static struct core_cpu cpus[CPUS];
static struct core *core;

static void set_up(uint64_t size)
{
        assert_int_equal(memory_init(&memory, size, false, &text), 0);
        for (uint32_t i = 0; i < CPUS; i++) {
                for (unsigned r = 0; r < MACHINE_REGS_N; r++)
                        cpus[i].regs.r[r] = (i + 1) * 0x1000 + r;
                cpus[i].sregs.segments[MACHINE_CS].selector = 0x33;
                cpus[i].sregs.segments[MACHINE_GS].base = 0xabc000;
                memset(cpus[i].fxsave.bytes, (int)i + 1, sizeof(cpus[i].fxsave.bytes));
        }
        assert_int_equal(core_new(&memory, cpus, CPUS, &core), 0);
}

static int end(void **state)
{
        (void)state;
        core = core_free(core);
        memory_deinit(&memory);
        return 0;
}

static void get(uint64_t offset, void *to, size_t len)
{
        for (size_t done = 0; done < len;) {
                size_t n = core_read(core, offset + done, (uint8_t *)to + done, len - done);

                assert_true(n > 0);
                done += n;
        }
}

static void test_layout(void **state)
{
        struct elf_prstatus status;
        struct user_regs_struct regs;
        Elf64_Phdr notes, load;
        Elf64_Ehdr header;
        Elf64_Nhdr note;
        uint64_t at;
        char name[8];
        uint8_t fp[512], byte;

        (void)state;
        set_up(1u << 20);
        assert_true(memory_write(&memory, 0x12345, "g", 1));
        get(0, &header, sizeof(header));
        assert_memory_equal(header.e_ident, ELFMAG, SELFMAG);
        assert_int_equal(header.e_type, ET_CORE);
        assert_int_equal(header.e_machine, EM_X86_64);
        assert_int_equal(header.e_phnum, 2);
        get(header.e_phoff, &notes, sizeof(notes));
        get(header.e_phoff + sizeof(notes), &load, sizeof(load));
        assert_int_equal(notes.p_type, PT_NOTE);
        assert_int_equal(load.p_type, PT_LOAD);
        assert_int_equal(load.p_offset % 4096, 0);
        assert_int_equal(load.p_filesz, 1u << 20);
        assert_int_equal(core_size(core), load.p_offset + load.p_filesz);
        at = notes.p_offset;
        for (uint32_t i = 0; i < CPUS; i++) {
                get(at, &note, sizeof(note));
                get(at + sizeof(note), name, 8);
                assert_string_equal(name, "CORE");
                assert_int_equal(note.n_type, NT_PRSTATUS);
                assert_int_equal(note.n_descsz, sizeof(status));
                get(at + sizeof(note) + 8, &status, sizeof(status));
                at += sizeof(note) + 8 + note.n_descsz;
                assert_int_equal(status.pr_pid, i + 1);
                memcpy(&regs, &status.pr_reg, sizeof(regs));
                assert_int_equal(regs.rip, (i + 1) * 0x1000 + MACHINE_RIP);
                assert_int_equal(regs.r15, (i + 1) * 0x1000 + MACHINE_R15);
                assert_int_equal(regs.rsp, (i + 1) * 0x1000 + MACHINE_RSP);
                assert_int_equal(regs.eflags, (i + 1) * 0x1000 + MACHINE_RFLAGS);
                assert_int_equal(regs.cs, 0x33);
                assert_int_equal(regs.gs_base, 0xabc000);
                get(at, &note, sizeof(note));
                assert_int_equal(note.n_type, NT_FPREGSET);
                assert_int_equal(note.n_descsz, 512);
                get(at + sizeof(note) + 8, fp, sizeof(fp));
                assert_int_equal(fp[511], i + 1);
                at += sizeof(note) + 8 + note.n_descsz;
        }
        assert_int_equal(at, notes.p_offset + notes.p_filesz);
        get(load.p_offset + 0x12345, &byte, 1);
        assert_int_equal(byte, 'g');
}

/* Memory on both sides of the hole is two segments, one behind the other in the file. */
static void test_two_ranges(void **state)
{
        uint64_t size = MEMORY_HOLE_START + (1u << 20);
        Elf64_Phdr loads[2];
        uint8_t bytes[4];

        (void)state;
        set_up(size);
        assert_true(memory_write(&memory, MEMORY_HOLE_START - 2, "ab", 2));
        assert_true(memory_write(&memory, MEMORY_HOLE_END, "cd", 2));
        get(sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr), loads, sizeof(loads));
        assert_int_equal(loads[0].p_filesz, MEMORY_HOLE_START);
        assert_int_equal(loads[1].p_paddr, MEMORY_HOLE_END);
        assert_int_equal(loads[1].p_offset, loads[0].p_offset + MEMORY_HOLE_START);
        get(loads[1].p_offset - 2, bytes, 4);
        assert_memory_equal(bytes, "abcd", 4);
        assert_int_equal(core_read(core, core_size(core) - 1, bytes, 4), 1);
        assert_int_equal(core_read(core, core_size(core), bytes, 4), 0);
        assert_int_equal(core_read(core, UINT64_MAX, bytes, 4), 0);
}

/* Read in pieces of any size it is the same. */
static void test_pieces(void **state)
{
        uint8_t *whole, *pieces;
        size_t size;

        (void)state;
        set_up(1u << 20);
        size = (size_t)core_size(core);
        whole = malloc(size);
        pieces = malloc(size);
        assert_true(whole && pieces);
        for (uint32_t i = 0; i < 1u << 20; i += 97)
                assert_true(memory_write(&memory, i, &i, 1));
        get(0, whole, size);
        for (size_t at = 0, step = 1, n; at < size; at += n, step = step * 7 % 9001 + 1) {
                n = core_read(core, at, pieces + at, MIN(step, size - at));
                assert_true(n > 0);
        }
        assert_memory_equal(whole, pieces, size);
        free(whole);
        free(pieces);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(test_layout, end),
                cmocka_unit_test_teardown(test_two_ranges, end),
                cmocka_unit_test_teardown(test_pieces, end),
        };

        return RUN_TESTS(tests);
}
