#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Every symbol that is shipped is called, and answers what it declares.

Whoever adds a symbol to a shipped module adds its call here: the last test names those that are
missing.  Builds without NDEBUG check each reply against its declared type by themselves, too.
"""
import glob
import os

import vmreqtest

I64 = range(-2**63, 2**63)
TYPES = {
  "nil": lambda v: v is None,
  "status": lambda v: v is None,
  "bool": lambda v: isinstance(v, bool),
  "i8": lambda v: isinstance(v, int) and v in range(-2**7, 2**7),
  "i16": lambda v: isinstance(v, int) and v in range(-2**15, 2**15),
  "i32": lambda v: isinstance(v, int) and v in range(-2**31, 2**31),
  "i64": lambda v: isinstance(v, int) and v in I64,
  "u8": lambda v: isinstance(v, int) and v in range(2**8),
  "u16": lambda v: isinstance(v, int) and v in range(2**16),
  "u32": lambda v: isinstance(v, int) and v in range(2**32),
  "u64": lambda v: isinstance(v, int) and v in range(2**64),
  "x64": lambda v: isinstance(v, str) and v.startswith("0x"),
  "f64": lambda v: isinstance(v, float),
  "str": lambda v: isinstance(v, str),
  "bytes": lambda v: isinstance(v, bytes),
  "any": lambda v: True,
  "array": lambda v: isinstance(v, list),
  "map": lambda v: isinstance(v, dict),
}

# Symbol → arguments, in an order in which each of them is legal.
CALLS = (
  ("vm.state", []),
  ("vm.power_on", []),
  ("vm.suspend", []),
  ("vm.resume", []),
  ("vm.reset", []),
  ("cpu.list", []),
  ("cpu.state", [1]),
  ("debug.add", [40, 2]),
  ("debug.sum15", list(range(15))),
  ("debug.whoami", []),
  ("debug.echo", [{"k": [1, None, 2.5]}]),
  ("debug.fail", [3]),
  ("debug.sleep", [1]),
  ("debug.spin", [1]),
  ("debug.unblock", [0]),
  ("debug.count", [3]),
  ("debug.pour", [2, 10]),
  ("vm.power_off", []),
)

# What needs a machine: without one each says that it is UNSUPPORTED, or has nothing to show.
MACHINE_CALLS = (
  ("cpu.regs", []),
  ("cpu.sregs", []),
  ("cpu.set_regs", [{"rax": "0x0"}]),
  ("cpu.stats", []),
  ("cpu.halt", [True]),
  ("cpu.interrupt", [32]),
  ("cpu.nmi", []),
  ("cpu.step", []),
  ("mem.ranges", []),
  ("mem.read", ["0x0", 16]),
  ("mem.write", ["0x0", b"\x00"]),
  ("mem.stream", ["0x0", 4096]),
  ("mem.dump", []),
  ("mem.translate", ["0x0"]),
  ("io.devices", []),
  ("io.attach", ["serial"]),
  ("io.detach", ["serial"]),
  ("console.write", ["x"]),
  ("console.read", []),
)


class Symbols(vmreqtest.SharedDaemon):
  @classmethod
  def modules(cls):
    files = glob.glob(os.path.join(vmreqtest.MODULE_DIR, "*.so"))
    return tuple(sorted(os.path.basename(file)[:-len(".so")] for file in files))

  def check_result(self, symbol, result):
    shown = self.client.call("vmreq.describe", symbol)
    values = result if "streaming" in shown["flags"] else [result]
    self.assertIsInstance(values, list, symbol)
    for value in values:
      self.assertTrue(TYPES[shown["result"]](value), f"{symbol} declares {shown['result']}: {value!r}")

  def call_without_machine(self, symbol, args):
    try:
      result = self.client.call(symbol, *args)
    except vmreqtest.RpcError as error:
      self.assertError(error, "UNSUPPORTED", ran="yes")
    else:
      self.check_result(symbol, result)

  def test_each_is_called(self):
    called = {"debug.block"}
    for symbol, args in CALLS:
      with self.subTest(symbol=symbol):
        self.check_result(symbol, self.client.call(symbol, *args))
        called.add(symbol)
    for symbol, args in MACHINE_CALLS:
      with self.subTest(symbol=symbol):
        self.call_without_machine(symbol, args)
        called.add(symbol)
    blocked = self.client.block(0)
    self.client.unblock(0, through=1)
    self.check_result("debug.block", self.client.result(blocked))
    shipped = set(self.client.call("vmreq.symbols"))
    self.assertEqual(shipped - called, set(), "never called")
    self.assertEqual(called - shipped, set(), "not there")


if __name__ == "__main__":
  vmreqtest.main()
