#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Deadlines: of a queued call, of a running one, and who answers meanwhile."""
import time

import vmreqtest


class Timeouts(vmreqtest.SharedDaemon):
  def setUp(self):
    super().setUp()
    self.client.call("vmreq.hello", {"errors": "map"})

  def test_what_the_error_says(self):
    error = self.client.error("vmreq.call", "debug.sleep", [60000], {"timeout_ms": 20})
    self.assertEqual((error.data["scope"], error.data["state"]), ("request", "running"))
    self.assertIn(error.ran, ("yes", "maybe"))
    self.assertIn("20 ms", error.message)

  def test_queued_call_expires_and_never_runs(self):
    client = self.client
    first, second = client.block(0), client.block(1)
    # Would let EMT 1 go if it ever ran.
    late = client.request_to("debug.unblock", [1], cpu=0, timeout_ms=50)
    self.assertError(client.error_of(late), "TIMEOUT", "queued", ran="no")
    client.unblock(0, through=2)
    client.result(first)
    self.assertEqual(client.call_to("debug.whoami", [], cpu=0), 0)   # the lane has been gone through
    self.assertEqual(client.emt(1)["symbol"], "debug.block")
    self.assertFalse(client.has(second))
    client.unblock(1, through=2)
    client.result(second)

  def test_expires_at_its_deadline_and_not_at_its_turn(self):
    blocked = self.client.block(0)
    began = time.monotonic()
    error = self.client.error_of(self.client.request_to("debug.add", [1, 2], cpu=0, timeout_ms=100))
    took = time.monotonic() - began
    self.assertError(error, "TIMEOUT", "queued")
    self.assertGreaterEqual(took, 0.095)
    self.assertLess(took, vmreqtest.SOON)
    self.client.unblock(0, through=1)
    self.client.result(blocked)

  def test_running_call_times_out(self):
    client = self.client
    msgid = client.request_to("debug.spin", [2000], cpu=0, timeout_ms=300)
    self.assertError(client.error_of(msgid), "TIMEOUT", "running")
    # It still runs, and is still seen.
    self.assertEqual(client.emt(0)["symbol"], "debug.spin")
    client.until_idle(0)
    self.assertEqual(client.call_to("debug.whoami", [], cpu=0), 0)

  def test_cancellable_call_ends_at_its_deadline(self):
    client = self.client
    msgid = client.request_to("debug.block", [], cpu=2, timeout_ms=300)
    self.assertError(client.error_of(msgid), "TIMEOUT", "running")
    client.until_idle(2)
    msgid = client.request_to("debug.sleep", [60000], cpu=2, timeout_ms=300)
    self.assertError(client.error_of(msgid), "TIMEOUT", "running")
    client.until_idle(2)

  def test_many_deadlines_in_any_order(self):
    client = self.client
    blocked = client.block(0)
    ids = [client.request_to("debug.add", [n, 0], cpu=0, timeout_ms=1 + (n * 37) % 200)
           for n in range(300)]
    for msgid in ids:
      self.assertError(client.error_of(msgid), "TIMEOUT", "queued", ran="no")
    client.unblock(0, through=1)
    client.result(blocked)

  def test_deadline_of_the_connection(self):
    client = self.client
    client.call("vmreq.hello", {"timeout_ms": 50})
    blocked = client.request_to("debug.block", [], cpu=0, timeout_ms=0)
    client.until_runs(0, "debug.block")
    self.assertError(client.error_of(client.request_to("debug.add", [1, 2], cpu=0)), "TIMEOUT", "queued")
    client.unblock(0, through=1)
    client.result(blocked)

  def test_in_time_is_in_time(self):
    self.assertEqual(self.client.call_to("debug.add", [1, 2], timeout_ms=60000), 3)
    self.assertEqual(self.client.call_to("debug.add", [1, 2], timeout_ms=None), 3)
    self.assertIsNone(self.client.call("debug.sleep", 5))


if __name__ == "__main__":
  vmreqtest.main()
