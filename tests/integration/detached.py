#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Ends of connections, and what outlives them: detach, key, calls that nobody waits for."""
import socket

import msgpack

import vmreqtest


class Ends(vmreqtest.SharedDaemon):
  def until_calls(self, n):
    self.client.until_status(lambda s: s["calls"] == n, f"{n} calls")

  def ps(self, symbol):
    return self.client.call("vmreq.ps", {"filter": {"symbol": symbol}})["requests"]

  # -- hung up, half-closed

  def test_hung_up(self):
    """Queued calls go, running ones are asked to end; NO_WAIT and detached ones stay."""
    other = self.daemon.client()
    blocked = self.client.block(0)
    other.request_to("debug.sleep", [60000], cpu=1, timeout_ms=0)
    other.request_to("debug.echo", [1], cpu=0, timeout_ms=0)
    other.request_to("debug.echo", [2], cpu=0, timeout_ms=0, detach=True)
    other.call("vmreq.submit", "debug.echo", [3], {"cpu": 0, "timeout_ms": 0, "no_wait": True})
    self.client.until_runs(1, "debug.sleep")
    self.assertEqual(len(self.ps("debug.echo")), 3)
    other.close()
    self.client.until_idle(1)
    self.client.until_status(lambda s: s["calls"] == 3, "the blocked one, and two")
    self.assertEqual([record["detached"] for record in self.ps("debug.echo")], [True, False])
    self.client.unblock(0, through=2)
    self.client.result(blocked)
    self.until_calls(0)

  def test_half_closed(self):
    """It has its answers first, streamed ones too."""
    other = self.daemon.client()
    blocked = self.client.block(0)
    plain = other.request_to("debug.add", [40, 2], cpu=0)
    stream = other.request_to("debug.count", [50], cpu=0, stream=True)
    number = other.call("vmreq.submit", "debug.add", [1, 2], {"cpu": 0})
    wait = other.request("vmreq.wait", number)
    other.half_close()
    self.client.unblock(0, through=1)
    self.client.result(blocked)
    self.assertEqual(other.result(plain), 42)
    self.assertEqual(other.result(stream), 50)
    self.assertEqual(len(other.notifications), 50)
    self.assertEqual(other.result(wait), 3)
    self.assertEqual(other.raw_until_eof(), b"")

  def test_bytes_before_the_end_are_processed(self):
    """A notification and a submit, and gone: both are accepted, both are nobody's."""
    blocked = self.client.block(0)
    with socket.socket(socket.AF_UNIX) as raw:
      raw.connect(self.daemon.path)
      raw.sendall(msgpack.packb([0, 1, "vmreq.submit", ["debug.unblock", [0], {"cpu": 1, "no_wait": True}]]))
    self.client.result(blocked)

  # -- detach

  def test_detached_id_from_another_connection(self):
    first = self.daemon.client()
    number = first.call("vmreq.submit", "debug.block", [], {"cpu": 0, "timeout_ms": 0, "detach": True})
    self.client.until_runs(0, "debug.block")
    first.close()
    self.assertError(self.client.error("vmreq.wait", number, 0), "TIMEOUT", ran="maybe")
    waits = [self.client.request("vmreq.wait", number) for _ in range(2)]
    self.client.unblock(0, through=1)
    self.assertEqual([self.client.result(wait) for wait in waits], [None, None])
    self.assertEqual(self.client.call("vmreq.cancel", number), "finished")
    self.client.call("vmreq.release", number)
    self.assertError(self.client.error("vmreq.wait", number), "NOT_FOUND", ran="maybe")
    self.assertEqual(self.client.call("vmreq.cancel", number), "unknown")

  def test_detached_generator(self):
    first = self.daemon.client()
    number = first.call("vmreq.submit", "debug.count", [20, 10], {"detach": True})
    first.close()
    self.assertEqual(self.client.call("vmreq.wait", number), list(range(20)))
    self.client.call("vmreq.release", number)

  def test_undetached_id_goes_with_its_connection(self):
    first = self.daemon.client()
    number = first.call("vmreq.submit", "debug.add", [1, 2])
    first.call("vmreq.wait", number)
    first.close()
    self.assertError(self.client.error("vmreq.wait", number), "NOT_FOUND", ran="maybe")

  # -- key

  def test_retry_after_a_lost_connection(self):
    """The agent's case: it called, its connection broke, it calls again."""
    first = self.daemon.client()
    first.request_to("debug.block", [], cpu=0, timeout_ms=0, key="retry", detach=True)
    self.client.until_runs(0, "debug.block")
    first.close()
    again = self.client.request_to("debug.block", [], cpu=1, timeout_ms=0, key="retry", detach=True)
    self.assertEqual(self.client.emt(1)["symbol"], None)
    self.client.unblock(0, through=1)
    self.assertIsNone(self.client.result(again))
    self.assertIsNone(self.client.call_to("debug.block", key="retry"))

  def test_submit_gets_the_same_id(self):
    number = self.client.call("vmreq.submit", "debug.add", [1, 2], {"key": "id"})
    other = self.daemon.client()
    self.assertEqual(other.call("vmreq.submit", "debug.add", {"a": 1, "b": 2}, {"key": "id"}), number)
    self.assertEqual(other.call("vmreq.wait", number), 3)
    self.assertEqual(other.call_to("debug.add", [1, 2], key="id"), 3)
    self.assertError(other.error("vmreq.submit", "debug.add", [2, 1], {"key": "id"}), "INVALID_REQUEST", ran="no")

  def test_runs_anew_if_it_never_ran(self):
    blocked = self.client.block(0)
    queued = self.client.request_to("debug.add", [1, 2], cpu=0, key="anew")
    self.assertEqual(self.client.cancel(queued), "removed")
    self.assertError(self.client.error_of(queued), "CANCELLED", ran="no")
    self.assertEqual(self.client.call_to("debug.add", [1, 2], cpu=1, key="anew"), 3)
    self.client.unblock(0, through=1)
    self.client.result(blocked)

  # -- verdicts, msgids

  def test_verdicts(self):
    blocked = self.client.block(0)
    queued = self.client.call("vmreq.submit", "debug.add", [1, 2], {"cpu": 0})
    self.assertEqual(self.client.call("vmreq.cancel", queued), "removed")
    self.assertEqual(self.client.call("vmreq.cancel", queued), "finished")
    self.assertError(self.client.error("vmreq.wait", queued), "CANCELLED", ran="no")
    self.assertEqual(self.client.cancel(blocked), "asked")
    self.assertError(self.client.error_of(blocked), "CANCELLED", ran="yes")
    spinning = self.client.request_to("debug.spin", [1000], cpu=0)
    self.client.until_runs(0, "debug.spin")
    self.assertEqual(self.client.cancel(spinning), "running")
    self.client.result(spinning)
    self.assertEqual(self.client.cancel(spinning), "unknown")
    self.assertEqual(self.client.call("vmreq.cancel", 2**40), "unknown")

  def test_msgid_in_use(self):
    """It is served all the same; cancel means the newest."""
    blocked = self.client.block(0)
    for value in (1, 2):
      self.client.send(msgpack.packb([0, 77, "vmreq.call", ["debug.echo", [value], {"cpu": 0}]]))
    self.client.owed.add(77)
    self.assertEqual(self.client.cancel(77), "removed")
    self.assertError(self.client.error_of(77), "CANCELLED", ran="no")
    self.client.owed.add(77)
    self.client.unblock(0, through=1)
    self.client.result(blocked)
    self.assertEqual(self.client.result(77), 1)


if __name__ == "__main__":
  vmreqtest.main()
