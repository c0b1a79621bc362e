#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What can be seen: symbols, describe, status, ping - also while every EMT is stuck."""
import os

import vmreqtest

BUILT_IN = ["cpu.list", "cpu.state", "vm.power_off", "vm.power_on", "vm.reset", "vm.resume", "vm.state",
            "vm.suspend"]
DEBUG = ["debug.add", "debug.block", "debug.count", "debug.echo", "debug.fail", "debug.pour", "debug.sleep", "debug.spin",
         "debug.sum15", "debug.unblock", "debug.whoami"]


class Observe(vmreqtest.SharedDaemon):
  def test_symbols(self):
    names = self.client.call("vmreq.symbols")
    self.assertEqual(names, sorted(names))
    self.assertLessEqual(set(BUILT_IN + DEBUG), set(names))

  def test_symbols_by_glob(self):
    self.assertEqual(self.client.call("vmreq.symbols", {"glob": "debug.*"}), DEBUG)
    self.assertEqual(self.client.call("vmreq.symbols", {"glob": "none.*"}), [])

  def test_symbols_in_pieces(self):
    whole, seen, after = self.client.call("vmreq.symbols"), [], ""
    while True:
      wish = {"limit": 3}
      if after:
        wish["after"] = after
      piece = self.client.call("vmreq.symbols", wish)
      self.assertLessEqual(len(piece), 3)
      if not piece:
        break
      seen += piece
      after = piece[-1]
    self.assertEqual(seen, whole)

  def test_describe(self):
    shown = self.client.call("vmreq.describe", "debug.add")
    self.assertEqual((shown["name"], shown["module"], shown["result"]), ("debug.add", "debug", "i64"))
    self.assertEqual([(p["name"], p["type"]) for p in shown["params"]], [("a", "i64"), ("b", "i64")])
    self.assertTrue(shown["doc"])
    self.assertIn("words", shown["flags"])
    self.assertIn("cancellable", self.client.call("vmreq.describe", "debug.sleep")["flags"])
    self.assertIn("priority", self.client.call("vmreq.describe", "vm.suspend")["flags"])

  def test_describe_all(self):
    for name in self.client.call("vmreq.symbols"):
      shown = self.client.call("vmreq.describe", name)
      self.assertEqual(shown["name"], name)
      self.assertTrue(shown["doc"], name)
      for param in shown["params"]:
        self.assertTrue(param["name"] and param["type"], shown)

  def test_describe_nothing(self):
    self.assertError(self.client.error("vmreq.describe", "debug.none"), "NOT_FOUND", ran="no")
    self.assertEqual(self.client.error("vmreq.describe").ran, "no")

  def test_status(self):
    status = self.client.status()
    self.assertEqual((status["vm"], status["pid"], status["draining"]),
                     ("t", self.daemon.process.pid, False))
    self.assertGreaterEqual(status["clients"], 1)
    self.assertEqual([emt["cpu"] for emt in status["emts"]], [0, 1, 2])

  def test_status_tells_what_runs_and_for_whom(self):
    blocked = self.client.block(1)
    queued = self.client.request_to("debug.add", [1, 2], cpu=1)
    emt = self.client.until_status(lambda s: s["emts"][1]["queued"] == 1, "queued")["emts"][1]
    self.assertEqual(emt["symbol"], "debug.block")
    self.assertIn(emt["state"], ("running", "parked"))
    self.assertEqual((emt["caller"]["uid"], emt["caller"]["pid"]), (os.getuid(), os.getpid()))
    self.assertGreaterEqual(emt["running_ms"], 0)
    self.client.unblock(1, through=0)
    self.assertEqual(self.client.result(queued), 3)
    self.client.result(blocked)

  def test_alive_while_every_emt_is_blocked(self):
    blocked = [self.client.block(cpu) for cpu in range(self.CPUS)]
    other = self.daemon.client()
    self.assertEqual(other.call("vmreq.ping"), "pong")
    self.assertEqual(other.call("vmreq.hello", {})["server"], "vmreqd")
    self.assertIn("debug.add", other.call("vmreq.symbols"))
    self.assertEqual(other.call("vmreq.describe", "debug.add")["name"], "debug.add")
    self.assertEqual([e["symbol"] for e in other.status()["emts"]], ["debug.block"] * 3)
    queued = other.request_to("debug.add", [1, 2], timeout_ms=50)
    self.assertError(other.error_of(queued), "TIMEOUT", "queued", ran="no")
    for msgid in blocked:
      self.assertEqual(self.client.cancel(msgid), "asked")
    for cpu in range(self.CPUS):
      other.until_idle(cpu)

  def test_alive_while_every_emt_spins(self):
    spins = [self.client.request_to("debug.spin", [300], cpu=cpu) for cpu in range(self.CPUS)]
    other = self.daemon.client()
    self.assertEqual(other.call("vmreq.ping"), "pong")
    self.assertEqual(len(other.status()["emts"]), 3)
    for msgid in spins:
      self.assertIsNone(self.client.result(msgid))


class Machine(vmreqtest.SharedDaemon):
  def test_life_of_the_vm(self):
    call = self.client.call
    def state():
      value = call("vm.state")
      return (value["state"] if isinstance(value, dict) else value).upper()
    self.assertEqual(len(call("cpu.list")), self.CPUS)
    self.assertTrue(call("cpu.state", 0))
    if state() != "RUNNING":
      call("vm.power_on")
    self.assertEqual(state(), "RUNNING")
    call("vm.suspend")
    self.assertEqual(state(), "SUSPENDED")
    self.assertEqual(call("debug.add", 40, 2), 42)
    self.assertError(self.client.error("vm.power_on"), "VM_STATE")
    call("vm.reset")
    self.assertEqual(state(), "SUSPENDED")
    call("vm.resume")
    call("vm.power_off")
    self.assertEqual(state(), "OFF")
    error = self.client.error("vm.suspend")
    self.assertError(error, "VM_STATE")
    self.assertIn("OFF", error.message.upper())
    call("vm.power_on")
    self.assertEqual(state(), "RUNNING")


if __name__ == "__main__":
  vmreqtest.main()
