#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Destinations: one vCPU, any, and the broadcasts with their rows."""
import vmreqtest


class Destinations(vmreqtest.SharedDaemon):
  def rows(self, symbol, args=(), **options):
    rows = self.client.call_to(symbol, args, **options)
    for row in rows:
      self.assertEqual(set(row) - {"error"},
                       {"cpu", "fate", "status", "value", "queued_us", "run_us"})
    return rows

  def fates(self, rows):
    return [(row["cpu"], row["fate"]) for row in rows]

  def test_each_cpu(self):
    for cpu in range(self.CPUS):
      self.assertEqual(self.client.call_to("debug.whoami", [], cpu=cpu), cpu)

  def test_no_such_cpu(self):
    error = self.client.error("vmreq.call", "debug.whoami", [], {"cpu": self.CPUS})
    self.assertError(error, "INVALID_REQUEST", "cpu", ran="no")

  def test_any_goes_to_who_is_free(self):
    for name in ("any", "any-queue"):
      blocked = [self.client.block(0), self.client.block(1)]
      self.assertEqual(self.client.call_to("debug.whoami", [], cpu=name), 2)
      for cpu, msgid in enumerate(blocked):
        self.client.unblock(cpu, through=2)
        self.client.result(msgid)

  def test_all_ascending(self):
    rows = self.rows("debug.whoami", cpu="all")
    self.assertEqual([row["cpu"] for row in rows], [0, 1, 2])
    self.assertEqual([row["value"] for row in rows], [0, 1, 2])
    self.assertEqual({(row["fate"], row["status"]) for row in rows}, {("DONE", 0)})

  def test_all_reverse_rows_descend(self):
    rows = self.rows("debug.whoami", cpu="all-reverse")
    self.assertEqual([row["cpu"] for row in rows], [2, 1, 0])
    self.assertEqual([row["value"] for row in rows], [2, 1, 0])

  def test_parallel(self):
    for name in ("all", "all-reverse"):
      rows = self.rows("debug.whoami", cpu=name, parallel=True)
      self.assertEqual(sorted(row["cpu"] for row in rows), [0, 1, 2])
      self.assertEqual([row["value"] for row in rows], [row["cpu"] for row in rows])

  def test_rows_carry_values_of_any_kind(self):
    rows = self.rows("debug.echo", [{"k": [1, b"\x00"]}], cpu="all")
    self.assertEqual([row["value"] for row in rows], [{"k": [1, b"\x00"]}] * 3)

  def test_failure_stops(self):
    rows = self.rows("debug.fail", [-9, "no"], cpu="all")
    self.assertEqual(self.fates(rows), [(0, "DONE"), (1, "SKIPPED"), (2, "SKIPPED")])
    self.assertEqual(rows[0]["status"], -9)

  def test_failure_stops_in_reverse(self):
    rows = self.rows("debug.fail", [-9], cpu="all-reverse", on_error="stop")
    self.assertEqual(self.fates(rows), [(2, "DONE"), (1, "SKIPPED"), (0, "SKIPPED")])

  def test_failure_goes_on(self):
    rows = self.rows("debug.fail", [-9, "no"], cpu="all", on_error="continue")
    self.assertEqual(self.fates(rows), [(0, "DONE"), (1, "DONE"), (2, "DONE")])
    self.assertEqual([row["status"] for row in rows], [-9, -9, -9])

  def test_deadline_at_a_blocked_emt(self):
    blocked = self.client.block(1)
    limit = 1500  # within it those who are not blocked run, however busy the machine is
    rows = self.rows("debug.whoami", cpu="all", timeout_ms=limit)
    self.assertEqual(self.fates(rows), [(0, "DONE"), (1, "EXPIRED"), (2, "SKIPPED")])
    rows = self.rows("debug.whoami", cpu="all-reverse", timeout_ms=limit)
    self.assertEqual(self.fates(rows), [(2, "DONE"), (1, "EXPIRED"), (0, "SKIPPED")])
    rows = self.rows("debug.whoami", cpu="all", timeout_ms=limit, parallel=True, on_error="continue")
    self.assertEqual(dict(self.fates(rows)), {0: "DONE", 1: "EXPIRED", 2: "DONE"})
    self.client.unblock(1, through=0)
    self.client.result(blocked)

  def test_deadline_while_a_child_runs(self):
    rows = self.rows("debug.spin", [2000], cpu="all", timeout_ms=400)
    self.assertEqual(self.fates(rows), [(0, "RUNNING"), (1, "SKIPPED"), (2, "SKIPPED")])
    self.assertEqual(self.client.call_to("debug.whoami", [], cpu=1), 1)

  def test_waits_its_turn_at_each(self):
    blocked = self.client.block(2)
    whole = self.client.request_to("debug.whoami", [], cpu="all")
    self.assertEqual(self.client.call_to("debug.whoami", [], cpu=0), 0)
    self.assertFalse(self.client.has(whole))
    self.client.unblock(2, through=0)
    self.assertEqual([row["value"] for row in self.client.result(whole)], [0, 1, 2])
    self.client.result(blocked)

  def test_cancelled_broadcast_still_answers_rows(self):
    blocked = self.client.block(1)
    whole = self.client.request_to("debug.whoami", [], cpu="all", timeout_ms=0)
    self.client.until_status(lambda s: s["emts"][1]["queued"] > 0, "a child queued on 1")
    self.client.cancel(whole)
    self.assertEqual(self.fates(self.client.result(whole)),
                     [(0, "DONE"), (1, "CANCELLED"), (2, "SKIPPED")])
    self.client.unblock(1, through=0)
    self.client.result(blocked)

  def test_many_broadcasts_at_once(self):
    ids = []
    for n in range(200):
      name = ("all", "all-reverse")[n % 2]
      ids.append(self.client.request_to("debug.whoami", [], cpu=name, parallel=n % 3 == 0))
    for msgid in ids:
      self.assertEqual(sorted(row["value"] for row in self.client.result(msgid)), [0, 1, 2])


if __name__ == "__main__":
  vmreqtest.main()
