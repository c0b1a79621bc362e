#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Chunks and rows as they come, and clients that do not read them."""
import time

import vmreqtest


class Streams(vmreqtest.SharedDaemon):
  CPUS = 4

  def chunks(self, msgid):
    """The values of the chunks so far; they must be in order and without a gap."""
    seen = [params for method, params in self.client.notifications if method == "vmreq.chunk" and params[0] == msgid]
    self.assertEqual([number for _, number, _ in seen], list(range(len(seen))))
    return [value for _, _, value in seen]

  def rows(self, msgid):
    return [params[1] for method, params in self.client.notifications
            if method == "vmreq.row" and params[0] == msgid]

  def test_without_stream_all_at_once(self):
    self.assertEqual(self.client.call("debug.count", 5), [0, 1, 2, 3, 4])
    self.assertEqual(self.client.call("debug.count", 0), [])
    self.assertEqual(self.client.notifications, [])

  def test_with_stream_one_by_one(self):
    msgid = self.client.request_to("debug.count", [1000], stream=True)
    self.assertEqual(self.client.result(msgid), 1000)
    self.assertEqual(self.chunks(msgid), list(range(1000)))

  def test_chunks_come_as_they_are_made(self):
    began = time.monotonic()
    msgid = self.client.request_to("debug.count", [60, 1000], stream=True, timeout_ms=0)
    while not self.client.notifications:
      self.client.receive()
    self.assertLess(time.monotonic() - began, vmreqtest.SOON)
    self.assertFalse(self.client.has(msgid))
    # Its second run sleeps by now, or waits to begin.
    self.assertIn(self.client.cancel(msgid), ("asked", "removed"))
    self.assertError(self.client.error_of(msgid), "CANCELLED", ran="yes")
    self.assertEqual(self.chunks(msgid), [0])

  def test_many_streams_beside_each_other(self):
    ids = [self.client.request_to("debug.count", [100], stream=True) for _ in range(50)]
    for msgid in ids:
      self.assertEqual(self.client.result(msgid), 100)
      self.assertEqual(self.chunks(msgid), list(range(100)))

  def test_default_of_the_connection(self):
    self.client.call("vmreq.hello", {"stream": True})
    msgid = self.client.request("debug.count", 3)
    self.assertEqual(self.client.result(msgid), 3)
    self.assertEqual(self.chunks(msgid), [0, 1, 2])
    self.assertEqual(self.client.call_to("debug.count", [3], stream=False), [0, 1, 2])

  def test_large(self):
    msgid = self.client.request_to("debug.pour", [200, 200000], stream=True, timeout_ms=0)
    self.assertEqual(self.client.result(msgid), 200)
    self.assertEqual([len(chunk) for chunk in self.chunks(msgid)], [200000] * 200)

  def until_all_wait(self, calls):
    """Until the streams wait for their readers: nothing runs, nothing is queued, and nothing has been done since
    the status before, which the loop answered before it looked at all that was ready for it."""
    before = []

    def all_wait(status):
      done = [emt["done"] for emt in status["emts"]]
      still = done == before and not any(emt["symbol"] or emt["queued"] for emt in status["emts"])
      before[:] = done
      return still and status["calls"] == calls
    self.client.until_status(all_wait, "waiting")

  def test_who_does_not_read_pays_alone(self):
    """EMTs and loop are free for others, memory is bounded; later it gets all of it."""
    before = self.daemon.rss_kib()
    slow = [self.daemon.client() for _ in range(8)]
    ids = [[client.request_to("debug.pour", [100, 200000], stream=True, timeout_ms=0) for _ in range(4)]
           for client in slow]
    self.until_all_wait(32)
    for cpu in range(self.CPUS):
      self.assertEqual(self.client.call_to("debug.whoami", [], cpu=cpu, timeout_ms=5000 * vmreqtest.SLOW), cpu)
    waiting = self.client.call("vmreq.ps", {"filter": {"symbol": "debug.pour"}})["requests"]
    self.assertEqual([record["state"] for record in waiting], ["queued"] * 32)
    if not vmreqtest.SANITIZE:
      self.assertLess(self.daemon.rss_kib() - before, 40 << 10)
    self.assertIn(slow[0].call("vmreq.cancel", {"msgid": ids[0][0]}), ("removed", "asked"))
    self.assertError(slow[0].error_of(ids[0][0]), "CANCELLED", ran="yes")
    for client, calls in zip(slow[:2], ids[:2]):
      for msgid in calls:
        if msgid != ids[0][0]:
          self.assertEqual(client.result(msgid), 100)
    for client in slow:
      client.close()
    self.client.until_status(lambda s: s["calls"] == 0, "all gone")

  def test_rows_as_they_come(self):
    """Four EMTs, one of them stuck: three rows at once, the fourth at the deadline."""
    blocked = self.client.block(2)
    began = time.monotonic()
    msgid = self.client.request_to("debug.whoami", [], cpu="all", parallel=True, on_error="continue",
                                   timeout_ms=500, stream=True)
    while len(self.rows(msgid)) < 3:
      self.client.receive()
    self.assertFalse(self.client.has(msgid))
    self.assertEqual({row["fate"] for row in self.rows(msgid)}, {"DONE"})
    rows = self.client.result(msgid)
    took = time.monotonic() - began
    self.assertEqual([row["fate"] for row in rows], ["DONE", "DONE", "EXPIRED", "DONE"])
    self.assertGreaterEqual(took, 0.49)
    self.assertLess(took, vmreqtest.SOON)
    self.assertEqual(sorted(self.rows(msgid), key=lambda row: row["cpu"]), rows)
    self.client.unblock(2, through=1)
    self.client.result(blocked)

  def test_broadcast_without_stream(self):
    blocked = self.client.block(2)
    rows = self.client.call_to("debug.whoami", [], cpu="all", parallel=True, on_error="continue", timeout_ms=500)
    self.assertEqual([row["fate"] for row in rows], ["DONE", "DONE", "EXPIRED", "DONE"])
    self.assertEqual(self.client.notifications, [])
    self.client.unblock(2, through=1)
    self.client.result(blocked)

  def test_large_broadcast(self):
    """Rows of 2.5 MB each: more than a frame together, not so one by one."""
    value = b"x" * 2500000
    error = self.client.error("vmreq.call", "debug.echo", [value], {"cpu": "all", "parallel": True})
    self.assertError(error, "TOO_LARGE", ran="yes")
    msgid = self.client.request_to("debug.echo", [value], cpu="all", stream=True)
    self.assertError(self.client.error_of(msgid), "TOO_LARGE", ran="yes")
    self.assertEqual([len(row["value"]) for row in self.rows(msgid)], [2500000] * 4)
    rows = self.client.call_to("debug.echo", [b"x" * 2000000], cpu="all-reverse")
    self.assertEqual([(row["cpu"], len(row["value"])) for row in rows], [(cpu, 2000000) for cpu in (3, 2, 1, 0)])

  def test_cancel_of_a_broadcast(self):
    blocked = self.client.block(1)
    msgid = self.client.request_to("debug.block", [], cpu="all", timeout_ms=0)
    self.client.until_runs(0, "debug.block")
    self.assertEqual(self.client.cancel(msgid), "asked")
    rows = self.client.result(msgid)
    self.assertEqual([row["fate"] for row in rows], ["DONE", "SKIPPED", "SKIPPED", "SKIPPED"])
    self.assertIn("asked to end", rows[0]["error"])
    # Of a parallel one of which nothing runs yet.
    blocks = [self.client.block(cpu) for cpu in (0, 2, 3)]
    msgid = self.client.request_to("debug.whoami", [], cpu="all", parallel=True, timeout_ms=0)
    self.assertEqual(self.client.cancel(msgid), "removed")
    self.assertEqual({row["fate"] for row in self.client.result(msgid)}, {"CANCELLED"})
    for running in [blocked] + blocks:
      self.assertEqual(self.client.cancel(running), "asked")
      self.assertError(self.client.error_of(running), "CANCELLED", ran="yes")

  def test_completed(self):
    self.client.call("vmreq.hello", {"completed": True})
    number = self.client.call("vmreq.submit", "debug.add", [40, 2])
    failing = self.client.call("vmreq.submit", "debug.fail", [-3, "broken"])
    while len(self.client.notifications) < 2:
      self.client.receive()
    seen = {params[0]: params[1:] for _, params in self.client.notifications}
    self.assertEqual(seen[number], [None, 42])
    self.assertIn("broken", seen[failing][0])
    self.assertEqual(self.client.call("vmreq.wait", number), 42)


if __name__ == "__main__":
  vmreqtest.main()
