#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Submit, wait, release, cancel: a call that is taken up now and asked about later."""
import vmreqtest


class Submit(vmreqtest.SharedDaemon):
  def submit(self, symbol, args=(), **options):
    number = self.client.call("vmreq.submit", symbol, list(args), options)
    self.assertIsInstance(number, int)
    self.assertGreater(number, 0)
    return number

  def test_submit_and_wait(self):
    number = self.submit("debug.add", [40, 2])
    self.assertEqual(self.client.call("vmreq.wait", number), 42)
    self.assertEqual(self.client.call("vmreq.wait", number), 42)

  def test_ids_differ(self):
    numbers = [self.submit("debug.add", [n, 0]) for n in range(50)]
    self.assertEqual(len(set(numbers)), 50)
    self.assertEqual([self.client.call("vmreq.wait", n) for n in numbers], list(range(50)))

  def test_wait_of_a_failure(self):
    number = self.submit("debug.fail", [-3, "it broke"])
    self.assertError(self.client.error("vmreq.wait", number), "FAILED", "it broke", ran="yes")

  def test_poll_and_wait_for_a_while(self):
    number = self.submit("debug.block", cpu=0, timeout_ms=0)
    self.client.until_runs(0, "debug.block")
    self.assertError(self.client.error("vmreq.wait", number, 0), "TIMEOUT", "wait")
    self.assertError(self.client.error("vmreq.wait", number, 30), "TIMEOUT", "wait")
    waiting = self.client.request("vmreq.wait", number)
    self.client.unblock(0, through=1)
    self.assertIsNone(self.client.result(waiting))
    self.assertIsNone(self.client.call("vmreq.wait", number, 0))

  def test_two_waits_at_once(self):
    number = self.submit("debug.block", cpu=0, timeout_ms=0)
    self.client.until_runs(0, "debug.block")
    waits = [self.client.request("vmreq.wait", number) for _ in range(3)]
    self.client.unblock(0, through=1)
    self.assertEqual([self.client.result(w) for w in waits], [None] * 3)

  def test_release(self):
    number = self.submit("debug.add", [1, 2])
    self.client.call("vmreq.wait", number)
    self.client.call("vmreq.release", number)
    self.assertEqual(self.client.error("vmreq.wait", number).name, "NOT_FOUND")

  def test_unknown_ids(self):
    for method in ("vmreq.wait", "vmreq.release"):
      for number in (0, 2**40, -1, "x", None):
        self.assertIn(self.client.error(method, number).name,
                      ("NOT_FOUND", "INVALID_ARGUMENT", "INVALID_REQUEST"))
    self.assertEqual(self.client.call("vmreq.cancel", 2**40), "unknown")

  def test_ids_belong_to_their_connection(self):
    number = self.submit("debug.block", cpu=0, timeout_ms=0)
    self.client.until_runs(0, "debug.block")
    other = self.daemon.client()
    self.assertEqual(other.error("vmreq.wait", number, 0).name, "NOT_FOUND")
    self.client.unblock(0, through=1)
    self.client.call("vmreq.wait", number)

  def test_no_wait(self):
    blocked = self.client.block(1)
    until = vmreqtest.deadline()
    while not self.client.has(blocked) and vmreqtest.left(until):
      number = self.client.call("vmreq.submit", "debug.unblock", [1], {"cpu": 0, "no_wait": True})
      self.assertIsInstance(number, int)
      self.assertEqual(self.client.call_to("debug.whoami", [], cpu=0), 0)
    self.assertIsNone(self.client.result(blocked))

  def test_no_wait_is_refused_like_any_call(self):
    error = self.client.error("vmreq.submit", "debug.add", [1], {"no_wait": True})
    self.assertError(error, "INVALID_ARGUMENT", ran="no")
    error = self.client.error("vmreq.submit", "debug.none", [], {"no_wait": True})
    self.assertError(error, "NOT_FOUND", ran="no")

  def test_submitted_broadcast(self):
    number = self.submit("debug.whoami", cpu="all-reverse")
    self.assertEqual([row["value"] for row in self.client.call("vmreq.wait", number)], [2, 1, 0])

  def test_cancel_queued(self):
    blocked = self.client.block(0)
    queued = self.client.request_to("debug.add", [1, 2], cpu=0)
    self.client.until_status(lambda s: s["emts"][0]["queued"] == 1, "queued on 0")
    self.assertEqual(self.client.cancel(queued), "removed")
    self.assertError(self.client.error_of(queued), "CANCELLED", ran="no")
    self.client.unblock(0, through=1)
    self.client.result(blocked)

  def test_cancel_running(self):
    running = self.client.block(0)
    self.assertEqual(self.client.cancel(running), "asked")
    # It ran, and says itself that it was cancelled.
    error = self.client.error_of(running)
    self.assertIn("CANCELLED", str(error))
    self.assertEqual(error.ran, "yes")
    self.client.until_idle(0)

  def test_cancel_what_cannot_be(self):
    spinning = self.client.request_to("debug.spin", [300], cpu=0)
    self.client.until_runs(0, "debug.spin")
    self.assertEqual(self.client.cancel(spinning), "running")
    self.assertIsNone(self.client.result(spinning))

  def test_cancel_by_id(self):
    number = self.submit("debug.block", cpu=0, timeout_ms=0)
    self.client.until_runs(0, "debug.block")
    self.assertEqual(self.client.call("vmreq.cancel", number), "asked")
    self.client.until_idle(0)
    self.assertIn(self.client.call("vmreq.cancel", number), ("finished", "unknown"))

  def test_end_of_connection_cancels(self):
    other = self.daemon.client()
    other.request_to("debug.block", [], cpu=0, timeout_ms=0)
    other.request_to("debug.unblock", [1], cpu=0)     # would let EMT 1 go
    blocked = self.client.block(1)
    self.client.until_runs(0, "debug.block")
    self.client.until_status(lambda s: s["emts"][0]["queued"] == 1, "queued on 0")
    other.close()
    self.client.until_idle(0)
    self.assertEqual(self.client.call_to("debug.whoami", [], cpu=0), 0)
    self.assertFalse(self.client.has(blocked))
    self.client.unblock(1, through=2)
    self.client.result(blocked)


if __name__ == "__main__":
  vmreqtest.main()
