#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""tool-flood's patterns, one after the other: a good client beside them is answered, the daemon's
memory stays bounded, and it ends with every charge at home (its own check at exit)."""
import flood
import vmreqtest

# Small bounds, so that each is reached.  What the daemon may hold for all clients together is
# bytes; the engine's packets and the connections come on top.
LIMITS = """[limits]
connections = 200
connections_per_uid = 150
calls_per_connection = 64
calls_per_uid = 512
bytes_per_connection = 1048576
bytes_per_uid = 8388608
bytes = 16777216
drain_ms = 3000
"""
BOUND_KIB = 48 << 10

CALLS = 100


class Patterns(vmreqtest.SharedDaemon):
  CONFIG = LIMITS

  def good_client(self, calls):
    """Control methods are answered whatever the others do; calls too, or BUSY: it is the same uid."""
    done = 0
    for _ in range(calls):
      self.assertEqual(self.client.call("vmreq.ping"), "pong")
      try:
        self.assertEqual(self.client.call_to("debug.add", [40, 2], timeout_ms=0), 42)
        done += 1
      except vmreqtest.RpcError as error:
        self.assertError(error, "BUSY", ran="no")
    return done

  def refusals(self):
    return self.client.call("vmreq.stats")["calls"]["answered_by_error"].get("BUSY", 0)

  def attacked(self, pattern, links=20, calls=CALLS, until_refused=False, **options):
    before, refused = self.daemon.rss_kib(), self.refusals()
    with flood.Flood(self.daemon, pattern, links=links, hold_ms=1, **options) as attack:
      done = self.good_client(calls)
      if until_refused:
        mine = calls - done
        self.client.until_status(lambda _: self.refusals() > refused + mine, "refused")
    report = attack.report
    print(f"{pattern}: the good one {done} of {calls}; {report}", flush=True)
    self.assertEqual(report["unowed"] + report["malformed"], 0)
    if not vmreqtest.SANITIZE:
      self.assertLess(self.daemon.rss_kib() - before, BOUND_KIB)
    self.client.until_status(lambda _: self.daemon.descriptors() <= self.descriptors, "descriptors")
    return report, done

  def setUp(self):
    super().setUp()
    self.client.call("vmreq.ping")
    self.descriptors = self.daemon.descriptors()

  def all_served(self, pattern, **options):
    """Patterns that reach no bound of calls: the good one is served, the others too."""
    report, done = self.attacked(pattern, **options)
    self.assertEqual(done, CALLS)
    self.assertEqual(report["lost"], 0)
    self.assertEqual(report["unanswered"], 0)
    return report

  def test_pipeline(self):
    self.all_served("pipeline", window=16)

  def test_pipeline_beyond_the_limit(self):
    """Whether one of them meets the bound of its connection depends on who is faster."""
    report, _ = self.attacked("pipeline", window=1000)
    self.assertEqual(report["unanswered"] + report["lost"], 0)
    self.assertLessEqual(set(report["errors"]), {"BUSY"})

  def test_never_read(self):
    self.attacked("never-read")

  def test_never_read_small(self):
    self.attacked("never-read", size=10)

  def test_bytewise(self):
    self.all_served("bytewise")

  def test_silent(self):
    self.all_served("silent", links=100)

  def test_silent_beyond_the_limit(self):
    report, _ = self.attacked("silent", links=300)
    self.assertGreater(report["closed_by_daemon"], 0)

  def test_stall(self):
    self.attacked("stall", links=100)

  def test_huge_header(self):
    self.all_served("huge-header")

  def test_deep(self):
    self.all_served("deep")

  def test_truncated(self):
    self.all_served("truncated")

  def test_random(self):
    self.all_served("random")

  def test_mutated(self):
    self.all_served("mutated")

  def test_stranger(self):
    report = self.all_served("stranger")
    self.assertGreater(report["text_answers"], 0)

  def test_churn(self):
    self.attacked("churn")

  def test_half_close(self):
    self.all_served("half-close", window=16)

  def test_big(self):
    self.attacked("big", size=300_000)

  def test_quota(self):
    report, _ = self.attacked("quota", calls=10, until_refused=True)
    self.assertGreater(report["errors"]["BUSY"], 0)

  def test_submit(self):
    report, _ = self.attacked("submit", until_refused=True)
    self.assertGreater(report["errors"]["BUSY"], 0)

  def test_detach(self):
    self.attacked("detach")

  def test_keys(self):
    self.attacked("keys")

  def test_cancel(self):
    self.attacked("cancel")

  def test_broadcast(self):
    self.attacked("broadcast", window=16)

  def test_notify(self):
    self.attacked("notify")

  def test_subscribe(self):
    self.attacked("subscribe")

  def test_control(self):
    self.attacked("control")

  def test_control_unread(self):
    self.attacked("control", no_read=True)

  def test_mixed(self):
    self.attacked("mixed", links=100, calls=20)


class Stopped(vmreqtest.TestCase):
  """SIGTERM in the middle of it all: the daemon ends with 0, and within its time."""

  def stopped_under(self, pattern, **options):
    daemon = vmreqtest.Daemon(config=LIMITS).start()
    try:
      with flood.Flood(daemon, pattern, hold_ms=2, **options):
        daemon.terminate()
        daemon.finish()
    except BaseException:
      daemon.kill()
      raise

  def test_stop_under_each(self):
    for pattern in ("pipeline", "never-read", "bytewise", "churn", "half-close", "quota", "submit",
                    "cancel", "broadcast", "notify", "mixed"):
      with self.subTest(pattern):
        self.stopped_under(pattern, links=25)


if __name__ == "__main__":
  vmreqtest.main()
