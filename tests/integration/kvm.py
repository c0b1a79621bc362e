#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A real guest under KVM: it runs, stands still, goes on and begins anew; its console; its end."""
import os

import kvmtest
import vmreqtest
from kvmtest import RESULTS, RESULTS_REAL, Guest, address_of, needs_kvm

STATE_CYCLES = 20


@needs_kvm
class States(vmreqtest.TestCase):
  def test_a_guest_counts_stops_goes_on_and_starts_over(self):
    for irqchip in ("off", "kernel"):
      with self.subTest(irqchip=irqchip), Guest("count.elf", cpus=2, irqchip=irqchip) as guest:
        words = [RESULTS, RESULTS + 8]
        for word in words:
          guest.until_moves(word)
        self.assertEqual(guest.regs(1, poke=True)["rbx"], RESULTS + 8)
        guest.call("vm.suspend")
        still = guest.call("mem.read", address_of(RESULTS), 16)
        for _ in range(20):
          self.assertEqual(guest.call("mem.read", address_of(RESULTS), 16), still)
        guest.call("vm.resume")
        for word in words:
          guest.until_moves(word)
        guest.call("vm.suspend")
        self.assertEqual(guest.call("vm.reset"), {"changed": True, "state": "SUSPENDED"})
        self.assertEqual(guest.call("mem.read", address_of(RESULTS), 16), bytes(16))
        guest.call("vm.resume")
        for word in words:
          guest.until_moves(word)

  def test_registers_show_it_moving(self):
    with Guest("count.elf", cpus=2) as guest:
      for cpu in (0, 1):
        seen = {guest.regs(cpu, poke=True)["rip"] for _ in range(50)}
        self.assertTrue(seen <= {0x101000, 0x101008, 0x10100b}, seen)
        first = guest.until(lambda: guest.u64(RESULTS + 8 * cpu), "a count")
        guest.until(lambda: guest.u64(RESULTS + 8 * cpu) > first, "a higher count")

  def test_states_often(self):
    for irqchip in ("off", "kernel"):
      with self.subTest(irqchip=irqchip), Guest("count.elf", cpus=2, irqchip=irqchip) as guest:
        for _ in range(STATE_CYCLES):
          guest.call("vm.suspend")
          guest.call("vm.resume")
          guest.call("vm.reset")
          self.assertEqual(guest.call("vm.state"), "RUNNING")
        guest.call("vm.power_off")
        guest.call("vm.power_on")
        guest.until_moves(RESULTS)

  def test_descriptors_and_memory_do_not_grow(self):
    with Guest("count.elf", cpus=2, irqchip="kernel") as guest:
      guest.call("vm.reset")
      before = guest.descriptors()
      for _ in range(STATE_CYCLES):
        guest.call("vm.reset")
      self.assertEqual(guest.descriptors(), before)

  def test_power_on_by_the_settings(self):
    with Guest("count.elf", vm="power_on = start\n", power_on=False) as guest:
      self.assertEqual(guest.call("vm.state"), "RUNNING")
      guest.until_moves(RESULTS)

  def test_sipi(self):
    with Guest("sipi.elf", cpus=2, irqchip="kernel", sipi="yes", power_on=False) as guest:
      guest.call("vm.power_on")
      guest.until_moves(RESULTS_REAL)
      guest.until_moves(RESULTS)
      self.assertLess(guest.regs(1, poke=True)["rip"], 0x40)

  def test_one_that_nobody_starts_waits(self):
    with Guest("count.elf", cpus=2, irqchip="kernel", sipi="yes") as guest:
      guest.until_moves(RESULTS)
      self.assertEqual(guest.u64(RESULTS + 8), 0)
      # It waits inside KVM, and comes out for a request all the same.
      self.assertTrue(guest.call("cpu.stats", cpu=1, poke=True)["halted"])


@needs_kvm
class Ends(vmreqtest.TestCase):
  def test_the_guest_powers_itself_off(self):
    with Guest("hello.bin", cpus=2, power_on=False) as guest:
      guest.subscribe("vm.state")
      for _ in range(3):
        guest.call("vm.power_on")
        end = guest.until_event("vm.state", lambda data: data.get("state") == "OFF")
        self.assertEqual(end["reason"], "vCPU 0: the guest powered itself off with code 42")
      guest.until_logged("code 42")
      self.assertEqual(guest.error("vm.suspend").name, "VM_STATE")

  def test_a_triple_fault_fails(self):
    for guest_name, says in (("triple.elf", "triple fault at rip 0x101000"),
                             ("nowhere.elf", "internal error 1")):
      with self.subTest(guest=guest_name), Guest(guest_name, power_on=False) as guest:
        guest.subscribe("vm.state")
        guest.call("vm.power_on")
        end = guest.until_event("vm.state", lambda data: data.get("state") == "FAILED")
        self.assertIn("vCPU 0: " + says, end["reason"])
        guest.until_logged(says)
        guest.regs()
        guest.call("vm.power_off")
        guest.call("vm.power_on")
        guest.until_state("FAILED")

  def test_stopping_the_daemon_stops_the_guest(self):
    for name, irqchip in (("spin.elf", "off"), ("halt.bin", "kernel"), ("unknown.elf", "off")):
      with self.subTest(guest=name, irqchip=irqchip):
        guest = Guest(name, cpus=2, irqchip=irqchip, vm="lazy_poke_ms = 0\n").start()
        guest.stop()
        self.assertNotIn("stuck", guest.stderr())


@needs_kvm
class Console(vmreqtest.TestCase):
  def test_what_the_guest_says_comes_to_subscribers(self):
    with Guest("hello.bin", power_on=False) as guest:
      guest.subscribe("console")
      guest.call("vm.power_on")
      said = b""
      while not said.endswith(b"\n"):
        data = guest.until_event("console", lambda data: isinstance(data, bytes) or "data" in data)
        said += data if isinstance(data, bytes) else data["data"]
      self.assertEqual(said, b"hello from the guest\r\n")
      guest.until_logged("console: hello from the guest")

  def test_what_is_typed_comes_to_the_guest(self):
    for irqchip in ("off", "kernel"):
      with self.subTest(irqchip=irqchip), Guest("echo.bin", irqchip=irqchip) as guest:
        guest.until_text("ready\n")
        self.assertEqual(guest.call("console.write", "abc"), 3)
        guest.until_text("ABC")
        self.assertEqual(guest.call("console.write", b"\xffq"), 2)
        guest.until_state("OFF")

  def test_more_than_there_is_room_for(self):
    with Guest("count.elf") as guest:  # it never reads
      self.assertEqual(guest.call("console.write", "x" * 5000), 4096)
      self.assertEqual(guest.call("console.write", "x"), 0)

  def test_a_file(self):
    folder = vmreqtest.temporary(self)
    path = os.path.join(folder, "console")
    with Guest("hello.bin", console=path) as guest:
      guest.until_state("OFF")
    with open(path, encoding="ascii") as file:
      self.assertEqual(file.read(), "hello from the guest\n")
    self.assertNotIn("console: hello", guest.stderr())

  def test_the_command_line(self):
    with Guest("args.elf", cpus=2, memory_mib=16, command_line="root=/dev/nope quiet") as guest:
      guest.until_state("OFF")
      guest.until_text("root=/dev/nope quiet\n")
      self.assertEqual([guest.u64(RESULTS + 8 * i) for i in range(3)], [0, 2, 16 << 20])


@needs_kvm
class Interrupts(vmreqtest.TestCase):
  def ready(self, guest):
    guest.until(lambda: guest.u16(RESULTS_REAL + 8) == 1, "ready")

  def test_vectors_wake_a_halted_guest(self):
    with Guest("irq16.bin") as guest:
      self.ready(guest)
      for n in range(1, 20):
        guest.call("cpu.interrupt", 0x40)
        guest.until(lambda: guest.u16(RESULTS_REAL) == n, "interrupted")
      guest.until(lambda: guest.u16(RESULTS_REAL + 4) == 19, "woken")

  def test_lines_of_the_irqchip(self):
    with Guest("irq16.bin", irqchip="kernel") as guest:
      self.ready(guest)
      for n in range(1, 20):
        guest.call("cpu.interrupt", 4)
        guest.until(lambda: guest.u16(RESULTS_REAL + 6) == n, "interrupted")
      self.assertEqual(guest.error("cpu.interrupt", 24).name, "INVALID_ARGUMENT")

  def test_typing_interrupts(self):
    with Guest("irq16.bin", irqchip="kernel") as guest:
      self.ready(guest)
      # Its serial port is as after power on: no interrupts, so nothing happens.
      guest.call("console.write", "x")
      self.assertEqual(guest.u16(RESULTS_REAL + 6), 0)

  def test_nmi(self):
    for irqchip in ("off", "kernel"):
      with self.subTest(irqchip=irqchip), Guest("irq16.bin", irqchip=irqchip) as guest:
        self.ready(guest)
        for n in range(1, 6):
          guest.call("cpu.nmi")
          guest.until(lambda: guest.u16(RESULTS_REAL + 2) == n, "interrupted")

  def test_interrupts_off_stay_halted(self):
    with Guest("halt.bin") as guest:
      guest.until(lambda: guest.stats()["halted"], "halted")
      guest.call("cpu.interrupt", 0x40)
      self.assertTrue(guest.stats()["halted"])
      self.assertEqual(guest.regs()["rip"], 0x7c02)

  def test_halting_by_request(self):
    for irqchip in ("off", "kernel"):
      with self.subTest(irqchip=irqchip), Guest("count.elf", irqchip=irqchip) as guest:
        guest.until_moves(RESULTS)
        guest.call("cpu.halt")
        still = guest.u64(RESULTS)
        for _ in range(20):
          self.assertEqual(guest.u64(RESULTS), still)
        guest.call("cpu.halt", False)
        guest.until_moves(RESULTS)


if __name__ == "__main__":
  vmreqtest.main()
