#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The control lane: with every EMT stuck, every account full and somebody flooding, the broker's own
methods answer, from a new connection too; what is stuck is named, what is queued can be cancelled."""
import os
import threading
import time
import unittest

import flood
import vmreqtest
from vmreqtest import SLOW, Daemon, TestCase

CPUS = 3

# Small bounds, so that all of them are full.
CONFIG = f"""[vm]
request_slab = 256
lane_capacity = 64
emt_stuck_ms = {300 * SLOW}
[limits]
connections = 64
connections_per_uid = 40
calls = 100
calls_per_connection = 90
calls_per_uid = 100
bytes = 2097152
bytes_per_uid = 2097152
bytes_per_connection = 1048576
drain_ms = 2000
frame_stall_ms = 3600000
"""

# The longest that any answer below may take: seconds only where something is stuck.
PROMPT = 3 * SLOW


class Jammed(TestCase):
  """Every EMT runs debug.block; calls and bytes of everybody are used up; a flood goes on."""

  def setUp(self):
    self.daemon = Daemon(cpus=CPUS, config=CONFIG).start()
    self.attack = None
    self.addCleanup(self.end)
    self.holder = self.daemon.client()
    self.blocked = [self.holder.block(cpu) for cpu in range(CPUS)]
    self.queued = [self.holder.request_to("debug.add", [i, i], cpu=i % CPUS, timeout_ms=0)
                   for i in range(20)]
    self.holder.call("vmreq.ping")
    self.attack = flood.Flood(self.daemon, "pipeline", links=10)
    self.attack.__enter__()
    self.fill_bytes()
    self.watcher = self.daemon.client()  # comes when all is full

  def end(self):
    for msgid in self.blocked:
      self.holder.cancel(msgid)
    self.holder.result(self.queued[-1])
    if self.attack:                # which waits for its answers, and those are to be had now
      self.attack.__exit__(None)
    self.daemon.stop()

  def fill_bytes(self):
    """Frames that are begun and not ended take the daemon's bytes, until none is left."""
    self.fillers, until = [], vmreqtest.deadline()
    while True:
      held = self.holder.call("vmreq.stats")["bytes"]
      room = held["limit"] - held["now"]
      if room < 4096 or len(self.fillers) == 24:
        break
      self.assertTrue(vmreqtest.left(until), held)
      filler = self.daemon.client()
      self.fillers.append(filler)
      try:
        filler.send(b"\x94\x00\x01\xaadebug.echo\x91\xc6" + vmreqtest.uint32(900000) +
                    b"x" * min(600000, room // 3))
      except (BrokenPipeError, ConnectionResetError):
        pass  # there was no room for it
    self.assertLess(room, held["limit"] // 8)
    # Not a call passes: of the uid, of all, or no byte for it.
    with vmreqtest.Client(self.daemon.path) as other:
      self.assertError(other.error("debug.echo", "x" * 200000), "BUSY", ran="no")

  def prompt(self, client, method, *params):
    began = time.monotonic()
    result = client.call(method, *params)
    self.assertLess(time.monotonic() - began, PROMPT, method)
    return result

  def test_every_method_answers(self):
    for client in (self.watcher, self.daemon.client()):
      self.assertEqual(self.prompt(client, "vmreq.ping"), "pong")
      self.assertEqual(self.prompt(client, "vmreq.hello", {})["server"], "vmreqd")
      self.assertIn("debug.add", self.prompt(client, "vmreq.symbols"))
      self.assertEqual(self.prompt(client, "vmreq.describe", "debug.add")["name"], "debug.add")
      self.assertEqual(len(self.prompt(client, "vmreq.status")["emts"]), CPUS)
      self.assertTrue(self.prompt(client, "vmreq.ps", {"limit": 1000})["requests"])
      self.assertIn("requests", self.prompt(client, "vmreq.stats"))
      self.assertTrue(self.prompt(client, "vmreq.modules"))
      self.assertTrue(self.prompt(client, "nvim_get_api_info"))
      self.assertIsNone(self.prompt(client, "vmreq.subscribe", "vm.state", "emt.stuck"))
      self.assertIsNone(self.prompt(client, "vmreq.unsubscribe"))
      self.assertEqual(self.prompt(client, "vmreq.cancel", 1 << 60), "unknown")

  def test_ps_names_what_is_stuck(self):
    stuck = self.prompt(self.watcher, "vmreq.ps", {"filter": {"state": "running"}})["requests"]
    self.assertEqual(sorted(r["on"] for r in stuck), list(range(CPUS)))
    for record in stuck:
      self.assertEqual((record["symbol"], record["state"]), ("debug.block", "running"))
      self.assertEqual(record["caller"], {"uid": os.getuid(), "pid": os.getpid()})
      self.assertGreaterEqual(record["age_ms"], record["running_ms"])
    # Oldest first.
    ages = [r["running_ms"] for r in stuck]
    self.assertEqual(ages, sorted(ages, reverse=True))

  def test_ps_in_pages(self):
    """Pages that a full daemon can still write make the whole list of those that stay."""
    seen, wish = [], {"limit": 7, "filter": {"symbol": "debug.*"}}
    while True:
      page = self.prompt(self.watcher, "vmreq.ps", wish)
      seen += [r["id"] for r in page["requests"]]
      if page["next"] is None:
        break
      wish["after"] = page["next"]
    self.assertEqual(len(seen), len(set(seen)))
    self.assertGreaterEqual(len(seen), CPUS + len(self.queued))

  def test_why_names_what_is_ahead(self):
    queued = self.prompt(self.watcher, "vmreq.ps", {"filter": {"state": "queued", "cpu": 1}})["requests"]
    first, last = queued[0], queued[-1]
    why = self.prompt(self.watcher, "vmreq.why", last["id"])
    self.assertGreaterEqual(why["ahead"], len(queued) - 1)
    self.assertEqual([(r["symbol"], r["on"]) for r in why["running"]], [("debug.block", 1)])
    self.assertIn("EMT 1 has run debug.block (request", why["text"])
    self.assertEqual(why["id"], last["id"])
    self.assertLess(self.prompt(self.watcher, "vmreq.why", first["id"])["ahead"], why["ahead"])

  def test_cancel_of_a_queued_one(self):
    """By another connection: "removed", and its caller hears of it at once."""
    mine = [r for r in self.watcher.call("vmreq.ps", {"limit": 1000,
                                                      "filter": {"state": "queued"}})["requests"]
            if r["caller"]["pid"] == os.getpid()]
    self.assertEqual(len(mine), len(self.queued))
    self.assertEqual(self.prompt(self.watcher, "vmreq.cancel", mine[0]["id"]), "removed")
    began = time.monotonic()
    error = self.holder.error_of(self.queued[0])
    self.assertLess(time.monotonic() - began, PROMPT)
    self.assertError(error, "CANCELLED", f"uid {os.getuid()}", ran="no")
    self.assertEqual(self.prompt(self.watcher, "vmreq.cancel", mine[0]["id"]), "unknown")
    # A dead place in its lane, until its EMT comes by.
    why = self.prompt(self.watcher, "vmreq.why", mine[CPUS]["id"])
    self.assertGreaterEqual(why["dead"], 1)

  def test_cancel_of_a_running_one(self):
    running = self.watcher.call("vmreq.ps", {"filter": {"state": "running", "on": 2}})["requests"][0]
    self.assertEqual(self.prompt(self.watcher, "vmreq.cancel", running["id"]), "asked")
    self.assertError(self.holder.error_of(self.blocked.pop()), "CANCELLED")
    self.watcher.until_status(lambda s: s["emts"][2]["done"] >= 1, "EMT 2 is back")

  def test_stuck_emts_are_events(self):
    self.watcher.call("vmreq.subscribe", "emt.stuck")
    stuck, ready, until = {}, False, vmreqtest.deadline()
    while not ready or len(stuck) < CPUS:
      self.watcher.receive(until)
      for method, (topic, data) in self.watcher.notifications:
        self.assertEqual((method, topic), ("vmreq.event", "emt.stuck"))
        ready = ready or data == {"ready": True}
        if "stuck" in data:
          self.assertTrue(data["stuck"])
          self.assertGreaterEqual(data["running_ms"], 250 * SLOW)
          self.assertEqual(data["caller"], {"uid": os.getuid(), "pid": os.getpid()})
          stuck[data["cpu"]] = data
      self.watcher.notifications.clear()
    self.assertEqual({d["symbol"] for d in stuck.values()}, {"debug.block"})
    self.holder.cancel(self.blocked.pop())
    self.watcher.receive(until)
    method, (topic, data) = self.watcher.notifications.pop()
    self.assertEqual((topic, data["stuck"], data["id"]), ("emt.stuck", False, stuck[CPUS - 1]["id"]))

  def test_figures(self):
    stats = self.prompt(self.watcher, "vmreq.stats")
    self.assertGreater(stats["calls"]["answered_by_error"]["BUSY"], 0)
    self.assertGreaterEqual(stats["calls"]["in_flight"], CPUS + len(self.queued))
    self.assertEqual(sum(len(e["queued_us"]["counts"]) for e in stats["emts"]),
                     sum(len(e["queued_us"]["bounds_us"]) + 1 for e in stats["emts"]))
    self.assertLessEqual(stats["packets"]["in_use"], stats["packets"]["total"])

  def test_a_module_can_be_loaded(self):
    error = self.watcher.error("vmreq.unload", "debug", 100)
    self.assertError(error, "BUSY", "debug.block")
    self.assertEqual(self.watcher.call("vmreq.modules")[-1]["state"], "draining")
    self.assertError(self.watcher.error("debug.add", 1, 2), "NOT_FOUND")


class OneFullConnection(TestCase):
  """Whose own share of bytes is full is not read from; another connection of his is.

  What is sent beyond the share waits in the kernel, and its sender with it: that is a thread.
  """
  SHARE = 1 << 20
  BYTES = 30000
  CALLS = 200                            # several times what the share and the kernel hold
  MOST = (SHARE + (64 << 10)) // BYTES   # the share, and the read that fills it

  def test_its_own_share(self):
    with Daemon(cpus=1, config=f"[limits]\nbytes_per_connection = {self.SHARE}\n") as daemon:
      full, other = daemon.client(), daemon.client()
      blocked = full.block(0)
      waiting = [full.pack("vmreq.call", "debug.echo", ["x" * self.BYTES], {"timeout_ms": 0})
                 for _ in range(self.CALLS)]
      sender = threading.Thread(target=self.send, args=(full, b"".join(data for _, data in waiting)))
      sender.start()
      self.while_it_is_full(other)
      stuck = other.call("vmreq.ps", {"filter": {"state": "running"}})["requests"]
      self.assertEqual(other.call("vmreq.cancel", stuck[0]["id"]), "asked")
      self.assertError(full.error_of(blocked), "CANCELLED")
      for msgid, _ in waiting:
        self.assertEqual(len(full.result(msgid)), self.BYTES)
      sender.join()

  def send(self, client, data):
    client.socket.settimeout(None)
    try:
      client.socket.sendall(data)
    except OSError:
      pass  # the test has failed, and the daemon is gone

  def while_it_is_full(self, other):
    until = vmreqtest.deadline()
    while other.call("vmreq.stats")["bytes"]["now"] < self.SHARE:
      self.assertTrue(vmreqtest.left(until), "it never was")
    for _ in range(50):                  # enough turns to take in the rest, if it did
      self.assertEqual(other.call("vmreq.ping"), "pong")
    self.assertLessEqual(other.status()["calls"], 1 + self.MOST)


if __name__ == "__main__":
  unittest.main(verbosity=2)
