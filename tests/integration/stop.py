#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""SIGTERM: every call is answered, the process ends with 0, also with an EMT that never comes back."""
import os
import signal

import vmreqtest
from vmreqtest import Daemon, RpcError


class Stop(vmreqtest.TestCase):
  def setUp(self):
    self.daemon = Daemon(config=vmreqtest.SHORT_DRAIN).start()
    self.client = self.daemon.client()
    self.addCleanup(self.clean)

  def clean(self):
    if self.daemon.process.poll() is None:
      self.daemon.kill()

  def begin(self):
    """SIGTERM, and wait for the daemon to say that it stops."""
    self.daemon.terminate()
    self.assertTrue(self.daemon.notify.wait("STOPPING=1", self.daemon.process, vmreqtest.deadline()))

  def test_idle(self):
    self.daemon.terminate()
    self.client.drain()
    self.daemon.finish()

  def test_interrupt_is_as_good(self):
    self.daemon.process.send_signal(signal.SIGINT)
    self.daemon.finish()

  def test_accepted_calls_end_first(self):
    spins = [self.client.request_to("debug.spin", [200], cpu=cpu) for cpu in range(3)]
    behind = [self.client.request_to("debug.add", [n, 1], cpu=n % 3) for n in range(30)]
    self.client.until_status(lambda s: sum(e["queued"] for e in s["emts"]) == 30, "all accepted")
    self.daemon.terminate()
    for msgid in spins:
      self.assertIsNone(self.client.result(msgid))
    self.assertEqual([self.client.result(m) for m in behind], list(range(1, 31)))
    self.client.drain()
    self.daemon.finish()

  def stuck(self, symbol, args):
    stuck = self.client.request_to(symbol, args, cpu=0, timeout_ms=0)
    self.client.until_runs(0, symbol)
    queued = [self.client.request_to("debug.add", [n, 1], cpu=0, timeout_ms=0) for n in range(20)]
    self.client.until_status(lambda s: s["emts"][0]["queued"] == 20, "queued behind it")
    self.begin()
    for msgid in queued:
      self.assertError(self.client.error_of(msgid), "KILLED", ran="no")
    try:
      self.client.result(stuck)       # a call that can be cancelled may end of itself
    except RpcError as error:
      self.assertIn((error.name, error.ran), (("KILLED", "maybe"), ("CANCELLED", "maybe"),
                                              ("CANCELLED", "yes")))
    self.client.drain()
    self.assertEqual(self.client.owed, set())
    self.daemon.finish()

  def test_emt_that_spins(self):
    self.stuck("debug.spin", [60_000])
    self.assertIn("debug.spin", self.daemon.stderr())

  def test_emt_that_is_blocked(self):
    self.stuck("debug.block", [])

  def test_broadcast_at_the_end_has_its_rows(self):
    stuck = self.client.request_to("debug.spin", [60_000], cpu=1, timeout_ms=0)
    self.client.until_runs(1, "debug.spin")
    whole = self.client.request_to("debug.whoami", [], cpu="all", parallel=True, on_error="continue",
                                   timeout_ms=0)
    self.client.until_status(lambda s: s["emts"][1]["queued"] == 1, "queued on 1")
    self.begin()
    rows = {row["cpu"]: row["fate"] for row in self.client.result(whole)}
    self.assertEqual(rows, {0: "DONE", 1: "KILLED", 2: "DONE"})
    self.assertError(self.client.error_of(stuck), "KILLED", ran="maybe")
    self.client.drain()
    self.daemon.finish()

  def test_no_new_connection(self):
    stuck = self.client.request_to("debug.spin", [60_000], cpu=0, timeout_ms=0)
    self.client.until_runs(0, "debug.spin")
    self.begin()
    try:
      late = self.daemon.client()
      late.request("vmreq.ping")
      with self.assertRaises((EOFError, ConnectionError)):
        late.receive()
    except (ConnectionError, FileNotFoundError, BrokenPipeError):
      pass
    self.assertError(self.client.error_of(stuck), "KILLED", ran="maybe")
    self.daemon.finish()

  def test_waits_are_answered(self):
    number = self.client.call("vmreq.submit", "debug.spin", [60_000], {"cpu": 0, "timeout_ms": 0})
    self.client.until_runs(0, "debug.spin")
    waiting = self.client.request("vmreq.wait", number)
    self.client.call("vmreq.ping")
    self.begin()
    self.assertError(self.client.error_of(waiting), "KILLED", ran="maybe")
    self.client.drain()
    self.daemon.finish()

  def test_second_signal_changes_nothing(self):
    stuck = self.client.request_to("debug.spin", [60_000], cpu=0, timeout_ms=0)
    self.client.until_runs(0, "debug.spin")
    self.begin()
    self.daemon.terminate()
    self.assertError(self.client.error_of(stuck), "KILLED", ran="maybe")
    self.daemon.finish()

  def test_signals_until_it_is_gone(self):
    """Whenever one more comes, the last moments included, it changes nothing."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
      daemon = Daemon(config=vmreqtest.SHORT_DRAIN).start()
      with vmreqtest.Client(daemon.path) as client:
        self.assertEqual(client.call("debug.add", 40, 2), 42)
      daemon.terminate()
      until = vmreqtest.deadline()
      while daemon.process.poll() is None:
        daemon.process.send_signal(number)
        self.assertTrue(vmreqtest.left(until), "it does not end")
      daemon.finish()

  def test_socket_is_gone(self):
    self.daemon.terminate()
    self.daemon.finish()
    self.assertFalse(os.path.exists(self.daemon.path))


if __name__ == "__main__":
  vmreqtest.main()
