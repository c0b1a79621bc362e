# SPDX-License-Identifier: MIT
"""What the tests with a real guest share: why they are skipped, a daemon with a guest, and waiting for it.

Guests are built from tests/guests; each says at its head what it does and where it keeps its results.
"""
import fcntl
import os
import unittest

import vmreqtest

GUESTS = os.path.join(vmreqtest.BUILD, "guests")
RESULTS = 0x200000      # 64-bit guests
RESULTS_REAL = 0x600    # 16-bit guests
KVM_GET_API_VERSION = 0xae00


def reason_to_skip():
  """None, or why no guest can run here."""
  if not os.path.isdir(GUESTS):
    return "this build has no KVM backend"
  try:
    fd = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
  except OSError as error:
    return f"/dev/kvm: {error.strerror}"
  try:
    fcntl.ioctl(fd, KVM_GET_API_VERSION, 0)
  except OSError as error:
    return f"/dev/kvm does not answer: {error.strerror}"
  finally:
    os.close(fd)
  return None


REASON = reason_to_skip()
needs_kvm = unittest.skipIf(REASON, f"no guest can run here: {REASON}")


def config(guest, vm="", **kvm):
  """The text of a configuration that boots that guest."""
  kvm.setdefault("memory_mib", 8)
  keys = "".join(f"{key} = {value}\n" for key, value in kvm.items())
  image = guest if guest.startswith("/") else os.path.join(GUESTS, guest)
  return f"[vm]\nbackend = kvm\n{vm}[kvm]\nimage = {image}\n{keys}"


class Guest(vmreqtest.Daemon):
  """A daemon with a guest that has been powered on, and a client.  `with Guest("count.elf") as guest:`"""

  def __init__(self, name, cpus=1, vm="", power_on=True, **kvm):
    super().__init__(cpus=cpus, modules=(), config=config(name, vm, **kvm))
    self.power_on = power_on
    self.events = None
    self.c = None

  def start(self):
    super().start()
    self.c = self.client()
    if self.power_on:
      self.call("vm.power_on")
    return self

  def call(self, symbol, *args, **options):
    return self.c.call_to(symbol, args, **options)

  def error(self, symbol, *args, **options):
    return self.c.error_of(self.c.request_to(symbol, args, **options))

  def u64(self, address):
    return int.from_bytes(self.call("mem.read", address_of(address), 8), "little")

  def u16(self, address):
    return int.from_bytes(self.call("mem.read", address_of(address), 2), "little")

  def regs(self, cpu=0, **options):
    regs = self.call("cpu.regs", cpu=cpu, **options)
    return {name: int(value, 16) for name, value in regs.items()}

  def stats(self, cpu=0):
    return self.call("cpu.stats", cpu=cpu)

  def until(self, predicate, what, seconds=vmreqtest.WAIT):
    """Asks until it holds; every round is calls that were answered."""
    until = vmreqtest.deadline(seconds)
    while True:
      value = predicate()
      if value:
        return value
      if not vmreqtest.left(until):
        raise vmreqtest.Timeout(f"never {what}: {self.c.status()}\n{self.stderr()[-2000:]}")

  def until_moves(self, address):
    """That word of memory changes; its new value."""
    before = self.u64(address)
    return self.until(lambda: self.u64(address) != before, f"a change of 0x{address:x}")

  def until_state(self, state):
    self.until(lambda: self.call("vm.state") == state, f"in state {state}")

  def until_logged(self, text):
    """The log has a thread of its own: what it says comes after the event."""
    self.until(lambda: text in self.stderr(), f"{text!r} in the log")

  def text(self):
    """All that the console has kept."""
    return self.call("console.read")["data"].decode(errors="replace")

  def until_text(self, text):
    return self.until(lambda: text in self.text(), f"{text!r} on the console")

  def subscribe(self, *topics):
    self.events = self.client()
    self.events.call("vmreq.subscribe", *topics)

  def until_event(self, topic, predicate):
    """The first event of that topic that holds; those before it are passed over."""
    until = vmreqtest.deadline()
    while True:
      while self.events.notifications:
        method, params = self.events.notifications.pop(0)
        if method == "vmreq.event" and params[0] == topic and predicate(params[1]):
          return params[1]
      self.events.receive(until)


def address_of(number):
  return f"0x{number:x}"
