#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Hostile guests: whatever a guest does, the daemon stays, serves, and says what happened."""
import os
import random

import vmreqtest
from kvmtest import RESULTS, Guest, address_of, needs_kvm

ROUNDS = 40

# guest, what ends it
ENDS = (
  ("overwrite.elf", "triple fault at rip 0x1010"),  # where, depends on which vCPU was first
  ("triple.elf", "triple fault at rip 0x101000"),
  ("nowhere.elf", "internal error 1 (an instruction that cannot be emulated) at rip 0xd0000000"),
)

# guest, settings: they go on for ever
GOES_ON = (
  ("storm.elf", {}),
  ("strings.elf", {"console": "none"}),
  ("unknown.elf", {}),
  ("spin.elf", {}),
  ("timer.elf", {"irqchip": "kernel"}),
)


@needs_kvm
class Hostile(vmreqtest.TestCase):
  def test_what_ends_the_guest_ends_nothing_else(self):
    for irqchip in ("off", "kernel"):
      for name, says in ENDS:
        with self.subTest(guest=name, irqchip=irqchip), \
             Guest(name, cpus=2, irqchip=irqchip, power_on=False) as guest:
          guest.subscribe("vm.state")
          for _ in range(3):
            guest.call("vm.power_on")
            end = guest.until_event("vm.state", lambda data: data.get("state") == "FAILED")
            self.assertRegex(end["reason"], r"^vCPU [01]: ")
            self.assertIn(says, end["reason"])
            self.assertEqual(len(guest.call("cpu.regs", cpu="all")), 2)
            guest.call("vm.power_off")
          guest.until_logged(says)

  def test_what_goes_on_is_still_asked_and_stopped(self):
    for name, settings in GOES_ON:
      with self.subTest(guest=name), Guest(name, cpus=2, **settings) as guest:
        for _ in range(20):
          for cpu in (0, 1):
            guest.regs(cpu)
            guest.regs(cpu, poke=True)
        guest.call("vm.suspend")
        still = guest.u64(RESULTS)
        self.assertEqual(guest.u64(RESULTS), still)
        guest.call("vm.resume")
        guest.call("vm.reset")
        if name != "spin.elf":
          guest.until(lambda: guest.u64(RESULTS), "at work")
        self.assertEqual(guest.call("vm.state"), "RUNNING")

  def test_unknown_places_are_counted_and_said_now_and_then(self):
    with Guest("unknown.elf") as guest:
      stats = guest.until(lambda: (s := guest.stats())["unclaimed"] > 5000 and s, "unclaimed accesses")
      self.assertGreater(stats["port"], 0)
      self.assertGreater(stats["mmio"], 0)
      guest.until_logged("where no device is")
      lines = [line for line in guest.stderr().split("\n") if "where no device is" in line]
      self.assertTrue(lines)
      self.assertLess(len(lines), 100)

  def test_a_flood_on_the_console_keeps_within_its_bounds(self):
    with Guest("strings.elf") as guest:
      guest.subscribe("console")
      guest.until_moves(RESULTS)
      before = guest.rss_kib()
      # Each byte is an exit: this is slow where something else runs too.
      guest.until(lambda: guest.u64(RESULTS) > 24, "400 KiB of output", 2.5 * vmreqtest.WAIT)
      # Nobody has read the events meanwhile.
      if not vmreqtest.SANITIZE:  # they keep what was freed
        self.assertLess(guest.rss_kib() - before, 8 << 10)
      lost = guest.until_event("console", lambda data: isinstance(data, dict) and "lost" in data)
      self.assertGreater(lost["lost"], 0)

  def test_endless_interrupts_by_request(self):
    with Guest("irq16.bin", cpus=2) as guest:
      calls = [guest.c.request_to("cpu.interrupt", [0x40], cpu=n % 2) for n in range(1000)]
      for call in calls:
        guest.c.result(call)
      self.assertEqual(guest.call("vm.state"), "RUNNING")

  def test_everything_at_once(self):
    """Changes of state in the middle of steps, dumps, writes over everything, interrupts and typing; each call has
    its one answer, of a kind that it may have, and the machine begins anew behind it."""
    seed = int(os.environ.get("VMREQ_SEED") or random.randrange(1 << 32))
    print(f"VMREQ_SEED={seed}", flush=True)
    dice = random.Random(seed)
    states = ("vm.suspend", "vm.resume", "vm.reset", "vm.power_off", "vm.power_on")
    calls = (
      lambda: ("cpu.step", [dice.randrange(1, 50)], {"cpu": dice.randrange(2)}),
      lambda: ("cpu.regs", [], {"cpu": "all", "poke": True, "parallel": True, "on_error": "continue"}),
      lambda: ("cpu.set_regs", [{dice.choice(("rip", "rsp", "rflags", "rax")): dice.getrandbits(64)}],
               {"cpu": dice.randrange(2)}),
      lambda: ("mem.write", [address_of(dice.randrange(8 << 20)), dice.randbytes(dice.randrange(1, 4096))], {}),
      lambda: ("mem.write", [address_of(dice.choice((0, 0x1000, 0x2000, 0x8000))), dice.randbytes(512)], {}),
      lambda: ("mem.read", [address_of(dice.randrange(9 << 20)), dice.randrange(1 << 20)], {}),
      lambda: ("mem.dump", [], {"stream": True}),
      lambda: ("cpu.interrupt", [dice.randrange(256)], {"cpu": dice.randrange(2)}),
      lambda: ("cpu.nmi", [], {"cpu": dice.randrange(2)}),
      lambda: ("cpu.halt", [bool(dice.getrandbits(1))], {"cpu": dice.randrange(2)}),
      lambda: ("console.write", [dice.randbytes(20)], {}),
      lambda: ("io.detach", ["serial"], {}),
      lambda: ("io.attach", ["serial"], {}),
    )
    for irqchip, name in (("off", "talk.elf"), ("kernel", "timer.elf"), ("off", "storm.elf")):
      with self.subTest(irqchip=irqchip, guest=name), Guest(name, cpus=2, irqchip=irqchip) as guest, \
           guest.client() as changer:
        for _ in range(ROUNDS):
          changes = [changer.request_to(dice.choice(states)) for _ in range(4)]
          waiting = []
          for _ in range(8):
            symbol, args, options = dice.choice(calls)()
            waiting.append(guest.c.request_to(symbol, args, **options))
          for client, msgids in ((changer, changes), (guest.c, waiting)):
            for msgid in msgids:
              try:
                client.result(msgid)
              except vmreqtest.RpcError as error:
                self.assertIn(error.name, ("VM_STATE", "TIMEOUT", "INVALID_ARGUMENT", "UNSUPPORTED", "FAILED"), error)
          guest.c.notifications.clear()
        if guest.call("vm.state") not in ("OFF", "CREATED"):
          guest.call("vm.power_off")
        guest.call("io.attach", "serial")
        guest.call("vm.power_on")
        guest.until(lambda: guest.u64(RESULTS), "at work")

  def test_a_vector_that_nobody_handles(self):
    with Guest("spin.elf") as guest:
      guest.until(lambda: guest.regs(poke=True)["rip"] == 0x101093, "spinning")
      guest.call("cpu.set_regs", {"rflags": 0x202})
      guest.call("cpu.interrupt", 77)  # there is no IDT
      guest.until_state("FAILED")
      guest.until_logged("triple fault")

  def test_registers_that_no_processor_has(self):
    with Guest("count.elf") as guest:
      guest.until_moves(RESULTS)
      guest.call("vm.suspend")
      guest.call("cpu.set_regs", {"rip": "0x8000000000000000", "rsp": 2**64 - 1, "rflags": 2**64 - 1})
      guest.call("vm.resume")
      guest.until(lambda: guest.call("vm.state") in ("FAILED", "RUNNING"), "in a state")
      guest.regs(poke=True)

  def test_its_own_code_is_written_over(self):
    with Guest("count.elf", cpus=2) as guest:
      guest.until_moves(RESULTS)
      # INT3 is one byte: wherever in its loop the vCPU stands, and however much of this it sees.
      guest.call("mem.write", address_of(0x101000), b"\xcc" * 32)
      guest.until_state("FAILED")
      guest.call("vm.power_off")
      guest.call("vm.power_on")
      guest.until_moves(RESULTS)


if __name__ == "__main__":
  vmreqtest.main()
