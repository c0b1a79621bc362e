#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Images and settings that are wrong: one line that names file and field, before READY, and exit status 1."""
import os
import struct
import subprocess

import kvmtest
import vmreqtest
from kvmtest import needs_kvm


@needs_kvm
class Images(vmreqtest.TestCase):
  def setUp(self):
    self.folder = vmreqtest.temporary(self)
    with open(os.path.join(kvmtest.GUESTS, "count.elf"), "rb") as file:
      self.elf = file.read()

  def image(self, data):
    path = os.path.join(self.folder, "guest")
    with open(path, "wb") as file:
      file.write(data)
    return path

  def refused(self, text, *says):
    path = os.path.join(self.folder, "vmreqd.conf")
    with open(path, "w", encoding="utf-8") as file:
      file.write(text)
    done = vmreqtest.vmreqd("--config", path, "--socket", os.path.join(self.folder, "s"))
    self.assertEqual(done.code, 1, done)
    lines = done.err.strip().split("\n")
    self.assertEqual(len(lines), 1, done)
    for word in says:
      self.assertIn(word, lines[0])
    self.assertNotIn("ready", done.err)

  def image_refused(self, data, *says, **settings):
    path = self.image(data)
    self.refused(kvmtest.config(path, **settings), path, *says)

  def patched(self, offset, form, value):
    data = bytearray(self.elf)
    struct.pack_into(form, data, offset, value)
    return bytes(data)

  def test_files(self):
    path = os.path.join(self.folder, "nowhere")
    self.refused(kvmtest.config(path), path, "No such file")
    self.refused(kvmtest.config(self.folder), self.folder, "not a regular file")
    self.image_refused(b"", "empty")
    self.image_refused(b"\xf4" * (2 << 20), "2097152", "memory_mib", memory_mib=1)

  def test_flat(self):
    self.image_refused(b"\xf4" * 100000, "load_address 0xf0000", "memory_mib", load_address="0xf0000",
                       memory_mib=1)
    self.image_refused(b"\xf4", "load_address 0x100000", "real mode", load_address="0x100000")
    self.refused(kvmtest.config(self.image(b"\xf4"), command_line="quiet"), "command_line", "flat")

  def test_elf(self):
    phdr = struct.unpack_from("<Q", self.elf, 32)[0]
    self.image_refused(b"\xf4" * 100, "not an ELF file", "e_ident", image_format="elf")
    self.image_refused(self.patched(4, "B", 1), "e_ident[EI_CLASS]", "64-bit")
    self.image_refused(self.patched(18, "<H", 183), "e_machine", "x86-64")
    self.image_refused(self.patched(16, "<H", 3), "e_type")
    self.image_refused(self.patched(24, "<Q", 0x40), "e_entry 0x40")
    self.image_refused(self.patched(phdr + 24, "<Q", 0x1000), "segment 0", "p_paddr 0x1000",
                       "boot structures")
    self.image_refused(self.patched(phdr + 40, "<Q", 64 << 20), "segment 0", "p_memsz", "memory_mib")

  def test_truncated(self):
    for size in (5, 60, 64, 120, len(self.elf) // 4):
      with self.subTest(size=size):
        self.image_refused(self.elf[:size], "truncated")

  def test_a_32_bit_program(self):
    source = os.path.join(self.folder, "a.S")
    with open(source, "w", encoding="ascii") as file:
      file.write(".globl _start\n_start: hlt\n")
    for command in (["as", "--32", "-o", "a.o", "a.S"], ["ld", "-m", "elf_i386", "-o", "a", "a.o"]):
      subprocess.run(command, cwd=self.folder, check=True)
    path = os.path.join(self.folder, "a")
    self.refused(kvmtest.config(path), path, "e_ident[EI_CLASS] is 1, expected 2 (64-bit)")

  def test_settings(self):
    image = self.image(b"\xf4")
    self.refused("[vm]\nbackend = kvm\n", "image")
    self.refused("[vm]\nbackend = xen\n", "backend", "none, kvm", "xen")
    self.refused(kvmtest.config(image, sipi="yes"), "sipi", "irqchip=kernel")
    self.refused(kvmtest.config(image, irqchip="maybe"), ":5:", "irqchip", "off or kernel")
    self.refused(kvmtest.config(image, memory_mib=0), "memory_mib")
    self.refused(kvmtest.config(image, colour="blue"), "colour")
    self.refused(kvmtest.config(image, console="/nowhere/console"), "console file /nowhere/console")


if __name__ == "__main__":
  vmreqtest.main()
