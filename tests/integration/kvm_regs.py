#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What is asked of a guest: registers that are true, memory, single steps, devices, cores for gdb."""
import os
import re
import shutil

import vmreqtest
from kvmtest import RESULTS, Guest, address_of, needs_kvm

# What spin.elf puts into its registers; the upper half is the vCPU's number.
SPIN_REGS = "rax rbx rcx rdx rsi rbp rsp r8 r9 r10 r11 r12 r13 r14".split()
SPIN = 0x101093
ROUNDS = 300


def spins(guest, cpus):
  for cpu in range(cpus):
    guest.until(lambda: guest.regs(cpu, poke=True)["rip"] == SPIN, "spinning")


@needs_kvm
class Registers(vmreqtest.TestCase):
  def test_a_broadcast_has_consistent_rows(self):
    with Guest("spin.elf", cpus=3) as guest:
      spins(guest, 3)
      for options in ({"cpu": "all"}, {"cpu": "all-reverse"}, {"cpu": "all", "parallel": True}):
        for _ in range(30):
          rows = guest.call("cpu.regs", poke=True, **options)
          self.assertEqual(sorted(row["cpu"] for row in rows), [0, 1, 2])
          for row in rows:
            self.assertEqual(row["fate"], "DONE")
            for n, name in enumerate(SPIN_REGS, 1):
              self.assertEqual(int(row["value"][name], 16), row["cpu"] << 32 | 0x1111 * n, row)

  def test_requests_during_a_port_read_see_it_done(self):
    """Without POKE they are served at the next exit, which is an IN each time."""
    for irqchip in ("off", "kernel"):
      with self.subTest(irqchip=irqchip), \
           Guest("devices.elf", irqchip=irqchip, vm="lazy_poke_ms = 0\n") as guest:
        guest.until_moves(RESULTS)
        for n in range(ROUNDS):
          regs = guest.regs()
          self.assertEqual((regs["rax"], regs["rip"]), (0xdead00e9, 0x101009))
          guest.call("cpu.set_regs", {"rcx": n, "r9": hex(n)})
          self.assertEqual(guest.regs()["rcx"], n)
        guest.until(lambda: guest.u64(RESULTS + 8) == ROUNDS - 1, "written to")
        # The guest looks at each result itself, and would have powered off.
        self.assertEqual(guest.call("vm.state"), "RUNNING")
        self.assertGreater(guest.stats()["settled"], 0)

  def test_requests_with_poke_meet_it_anywhere(self):
    with Guest("devices.elf") as guest:
      guest.until_moves(RESULTS)
      for n in range(ROUNDS):
        guest.call("cpu.set_regs", {"rcx": n}, poke=True)
        self.assertIn(guest.regs(poke=True)["rip"], range(0x101000, 0x101022))
      guest.until(lambda: guest.u64(RESULTS + 8) == ROUNDS - 1, "written to")
      self.assertEqual(guest.call("vm.state"), "RUNNING")

  def test_set_regs_refuses(self):
    with Guest("spin.elf") as guest:
      for regs, says in (({"eax": 1}, "eax"), ({"rax": -1}, "numbers"), ({"rax": "x"}, "numbers"),
                         ({"rax": 1.5}, "numbers"), ({"rax": None}, "numbers")):
        error = guest.error("cpu.set_regs", regs)
        self.assertError(error, "INVALID_ARGUMENT", says)
      guest.call("cpu.set_regs", {})
      guest.call("cpu.set_regs", {"r15": "0xffffffffffffffff", "rax": 2**64 - 1})
      self.assertEqual(guest.regs()["r15"], 2**64 - 1)

  def test_sregs(self):
    with Guest("spin.elf") as guest:
      sregs = guest.call("cpu.sregs")
      self.assertEqual((sregs["cs"]["selector"], sregs["cs"]["l"]), ("0x8", 1))
      self.assertEqual(sregs["cr3"], "0x2000")
      self.assertEqual(int(sregs["efer"], 16) & 0x500, 0x500)
    with Guest("halt.bin") as guest:
      self.assertEqual(int(guest.call("cpu.sregs")["cr0"], 16) & 1, 0)


@needs_kvm
class Steps(vmreqtest.TestCase):
  def test_one_instruction_each(self):
    for irqchip in ("off", "kernel"):
      with self.subTest(irqchip=irqchip), Guest("steps.elf", irqchip=irqchip) as guest:
        self.assertError(guest.error("cpu.step"), "VM_STATE", "RUNNING", "SUSPENDED")
        guest.call("vm.suspend")
        guest.call("vm.reset")
        seen = []
        for _ in range(6):
          regs = guest.call("cpu.step")
          seen.append((int(regs["rip"], 16) - 0x101000, int(regs["rax"], 16)))
        self.assertEqual(seen, [(5, 1), (8, 2), (10, 0xe9), (11, 0xe9), (15, 0xe9), (16, 0xe9)])
        guest.call("vm.resume")
        guest.until(lambda: guest.regs(poke=True)["rip"] >= 0x101011, "past its HLT")

  def test_a_step_that_ends_the_guest(self):
    with Guest("triple.elf", power_on=False) as guest:
      guest.call("vm.power_on")
      guest.until_state("FAILED")
      self.assertError(guest.error("cpu.step"), "VM_STATE", "FAILED")

  def test_a_step_into_a_handler_ends_in_time(self):
    with Guest("storm.elf") as guest:
      guest.until_moves(RESULTS)
      guest.call("vm.suspend")
      for _ in range(5):
        try:
          guest.call("cpu.step", 50)
        except vmreqtest.RpcError as error:
          self.assertEqual(error.name, "TIMEOUT")
      guest.call("vm.resume")
      guest.until_moves(RESULTS)


@needs_kvm
class Memory(vmreqtest.TestCase):
  def test_read_write_and_bounds(self):
    with Guest("halt.bin", memory_mib=4) as guest:
      size = 4 << 20
      self.assertEqual(guest.call("mem.ranges"), [{"address": "0x0", "length": size}])
      data = bytes(range(256)) * 4096
      guest.call("mem.write", address_of(0x100001), data)
      self.assertEqual(guest.call("mem.read", address_of(0x100001), len(data)), data)
      self.assertEqual(guest.call("mem.read", address_of(size), 0), b"")
      guest.call("mem.write", address_of(size), b"")
      guest.call("mem.write", address_of(size - 3), b"end")
      self.assertEqual(guest.call("mem.read", address_of(size - 4), 4), b"\0end")
      for address, length in ((size - 1, 2), (size, 1), (2**64 - 1, 1), (2**64 - 8, 16)):
        self.assertError(guest.error("mem.read", address_of(address), length), "INVALID_ARGUMENT",
                         "mem.ranges")
        self.assertError(guest.error("mem.write", address_of(address), b"x" * length),
                         "INVALID_ARGUMENT")
      self.assertError(guest.error("mem.read", "0x0", (4 << 20) + 1), "INVALID_ARGUMENT", "length")
      self.assertError(guest.error("mem.read", -1, 1), "INVALID_ARGUMENT", "address")

  def test_stream(self):
    with Guest("halt.bin", memory_mib=8) as guest:
      msgid = guest.c.request_to("mem.stream", [address_of(0x7c00), 5 << 20], stream=True)
      self.assertEqual(guest.c.result(msgid), 40)
      data = b"".join(params[2] for method, params in guest.c.notifications if method == "vmreq.chunk")
      self.assertEqual(len(data), 5 << 20)
      self.assertEqual(data[:4], b"\xfa\xf4\xeb\xfd")

  def test_translate(self):
    with Guest("spin.elf") as guest:
      self.assertEqual(guest.call("mem.translate", address_of(0x101234)),
                       {"mapped": True, "address": "0x101234"})
      self.assertEqual(guest.call("mem.translate", address_of(1 << 40)),
                       {"mapped": False, "address": None})
    with Guest("halt.bin") as guest:  # no paging
      self.assertEqual(guest.call("mem.translate", "0x7c00"), {"mapped": True, "address": "0x7c00"})

  def test_devices_come_and_go(self):
    with Guest("unknown.elf") as guest:
      for _ in range(100):
        self.assertTrue(guest.call("io.detach", "serial"))
        self.assertFalse(guest.call("io.detach", "serial"))
        self.assertTrue(guest.call("io.attach", "serial"))
      self.assertEqual(len(guest.call("io.devices")), 4)
      guest.until_moves(RESULTS)


@needs_kvm
class Dump(vmreqtest.TestCase):
  def dump(self, guest, path):
    """As somebody at a shell does it."""
    done = vmreqtest.vmreqctl(guest.path, "dump", path)
    self.assertEqual((done.code, done.err), (0, ""), done)

  def test_its_chunks(self):
    with Guest("hello.bin", power_on=False, memory_mib=2) as guest:
      msgid = guest.c.request_to("mem.dump", [], stream=True)
      chunks = guest.c.result(msgid)
      pieces = [params for method, params in guest.c.notifications if method == "vmreq.chunk"]
      self.assertEqual([piece[:2] for piece in pieces], [[msgid, n] for n in range(chunks)])
      self.assertEqual(sum(len(piece[2]) for piece in pieces), (2 << 20) + 4096)

  @vmreqtest.unittest.skipUnless(shutil.which("gdb"), "no gdb")
  def test_gdb_opens_it(self):
    path = os.path.join(vmreqtest.temporary(self), "core")
    with Guest("spin.elf", cpus=3) as guest:
      spins(guest, 3)
      guest.call("vm.suspend")
      regs = [guest.regs(cpu) for cpu in range(3)]
      self.dump(guest, path)
      code = guest.call("mem.read", address_of(SPIN), 2)
    done = vmreqtest.run("gdb", "-nx", "-batch", "-ex", "thread apply all -ascending info registers",
                         "-ex", f"x/2xb {SPIN:#x}", "-core", path)
    self.assertEqual(done.code, 0, done)
    threads = done.out.split("Thread ")[1:]
    self.assertEqual(len(threads), 3, done)
    for cpu, text in enumerate(threads):
      for name, value in regs[cpu].items():
        name = "eflags" if name == "rflags" else name
        shown = re.search(rf"^{name}\s+(0x[0-9a-f]+)", text, re.MULTILINE)
        self.assertIsNotNone(shown, text)
        self.assertEqual(int(shown.group(1), 16), value, f"vCPU {cpu}: {name}\n{text}")
    self.assertEqual(code, b"\xeb\xfe")
    self.assertRegex(done.out, r"0x101093:\s+0xeb\s+0xfe")

  @vmreqtest.unittest.skipUnless(shutil.which("readelf"), "no readelf")
  def test_readelf_opens_it(self):
    path = os.path.join(vmreqtest.temporary(self), "core")
    with Guest("hello.bin", cpus=2, power_on=False, memory_mib=2) as guest:
      self.dump(guest, path)
    self.assertEqual(os.path.getsize(path), (2 << 20) + 4096)
    done = vmreqtest.run("readelf", "-hnlW", path)
    self.assertEqual((done.code, done.err), (0, ""), done)
    self.assertEqual(done.out.count("NT_PRSTATUS"), 2)
    self.assertEqual(done.out.count("NT_FPREGSET"), 2)
    self.assertIn("CORE (Core file)", done.out)

  def test_only_what_stands_still(self):
    with Guest("count.elf", memory_mib=64) as guest:
      self.assertError(guest.error("mem.dump", stream=True), "VM_STATE", "RUNNING")
      guest.call("vm.suspend")
      # 64 MiB are more than the connection takes unread, so it waits for this reader.
      msgid = guest.c.request_to("mem.dump", [], stream=True)
      with guest.client() as other:
        other.call_to("vm.resume")
        self.assertError(guest.c.error_of(msgid), "VM_STATE")

  def test_without_stream_it_is_too_large(self):
    with Guest("hello.bin", power_on=False, memory_mib=16) as guest:
      self.assertError(guest.error("mem.dump"), "TOO_LARGE", "stream")


if __name__ == "__main__":
  vmreqtest.main()
