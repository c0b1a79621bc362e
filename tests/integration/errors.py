#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Every row of the error table, through the real socket, with the right `ran`, in all three styles.

The last test of each style checks that the others have produced every name there is.
"""
import re

import msgpack

import vmreqtest

NAMES = {"NOT_FOUND", "INVALID_ARGUMENT", "INVALID_REQUEST", "BUSY", "TIMEOUT", "CANCELLED", "KILLED",
         "VM_STATE", "DEADLOCK", "FAILED", "TOO_LARGE", "UNSUPPORTED", "INTERNAL"}

# Statuses of vmreq-module.h.
FAIL_INVALID, FAIL_TIMEOUT, FAIL_STATE, FAIL_DEADLOCK, FAIL_UNSUPPORTED = -20001, -20004, -20009, -20010, -20101

CONFIG = f"""[vm]
lane_capacity = 4
[limits]
frame_bytes = 65536
calls_per_connection = 16
kept_per_uid = 2
drain_ms = {1500 * vmreqtest.SLOW}
"""


class Cases(vmreqtest.TestCase):
  """One daemon for each test: some of them end it."""

  def setUp(self):
    self.daemon = vmreqtest.Daemon(cpus=2, modules=("debug", self.probe), config=CONFIG)
    self.daemon.start()
    self.client = self.connect()
    self.stopped = False

  def tearDown(self):
    if not self.stopped:
      self.daemon.stop()

  @classmethod
  def setUpClass(cls):
    cls.probe = vmreqtest.build_probe(cls)
    cls.seen = set()

  # -- the styles

  def connect(self):
    client = self.daemon.client()
    self.ask_for_style(client)
    return client

  def ask_for_style(self, client):
    raise NotImplementedError

  def is_in_style(self, raw):
    raise NotImplementedError

  def check(self, error, name, ran, *words):
    self.assertError(error, name, ran=ran)
    self.assertTrue(self.is_in_style(error.raw), error.raw)
    for word in words:
      self.assertIn(word, str(error) + str(error.data))
    self.seen.add((name, ran))

  def data(self, error, **expected):
    """What stands beside the text, where the style shows it."""
    if error.data is not None:
      for key, value in expected.items():
        self.assertEqual(error.data.get(key), value, error.data)

  # -- the table

  def test_01_not_found(self):
    self.check(self.client.error("debug.none"), "NOT_FOUND", "no", "debug.none")
    self.check(self.client.error("vmreq.none"), "NOT_FOUND", "no")
    self.check(self.client.error("Not a name"), "NOT_FOUND", "no")
    self.check(self.client.error("vmreq.call", "debug.none"), "NOT_FOUND", "no", "debug.none")
    self.check(self.client.error("vmreq.wait", 2**40), "NOT_FOUND", "maybe")

  def test_02_invalid_argument(self):
    self.check(self.client.error("debug.add", 1), "INVALID_ARGUMENT", "no", "takes 2 arguments, got 1")
    self.check(self.client.error("debug.add", 1, "x"), "INVALID_ARGUMENT", "no", '"b"', "i64")
    self.check(self.client.error("debug.spin", 60001), "INVALID_ARGUMENT", "no", '"ms"', "0..60000")
    self.check(self.client.error("debug.add", {"a": 1, "c": 2}), "INVALID_ARGUMENT", "no", '"c"')
    # Found out by the function.
    self.check(self.client.error("cpu.state", 2), "INVALID_ARGUMENT", "yes", "there is no vCPU 2")

  def test_03_invalid_request(self):
    for options, word in (({"colour": 1}, "colour"), ({"cpu": 2}, "cpu"), ({"timeout_ms": -1}, "timeout_ms"),
                          ({"parallel": True}, "parallel"), ({"stream": "yes"}, "stream"), ({"key": ""}, "key")):
      self.check(self.client.error("vmreq.call", "debug.add", [1, 2], options), "INVALID_REQUEST", "no", word)
    self.check(self.client.error("vmreq.call"), "INVALID_REQUEST", "no", "vmreq.call")
    self.check(self.client.error("vmreq.wait", "x"), "INVALID_REQUEST", "no", "vmreq.wait")
    self.assertEqual(self.client.call_to("debug.add", [1, 2], key="k"), 3)
    self.check(self.client.error("vmreq.call", "debug.add", [1, 3], {"key": "k"}), "INVALID_REQUEST", "no", "key")

  def has_ended(self, client, number):
    try:
      self.assertEqual(client.call("vmreq.wait", number, 0), 3)
      return True
    except vmreqtest.RpcError as error:
      if error.name != "TIMEOUT":
        raise
      return False

  def test_04_busy(self):
    client = self.client
    blocked = client.block(0)
    queued = [client.request_to("debug.add", [1, 2], cpu=0) for _ in range(4)]
    error = client.error("vmreq.call", "debug.add", [1, 2], {"cpu": 0})
    self.check(error, "BUSY", "no", "lane", "4 of 4", "debug.block")
    self.data(error, limit="lane", usage=4, max=4, running="debug.block")
    client.unblock(0, through=1)
    for msgid in [blocked] + queued:
      client.result(msgid)
    for _ in range(16):  # one after the other: their lane holds four
      number = client.call("vmreq.submit", "debug.add", [1, 2])
      while not self.has_ended(client, number):
        pass
    error = client.error("debug.add", 1, 2)
    self.check(error, "BUSY", "no", "calls of this connection", "16 of 16")
    self.data(error, limit="calls", of="connection", usage=16, max=16)

  def test_05_busy_kept(self):
    for key in ("a", "b"):
      self.assertEqual(self.client.call_to("debug.add", [1, 2], key=key), 3)
    error = self.client.error("vmreq.call", "debug.add", [1, 2], {"key": "c"})
    self.check(error, "BUSY", "no", "2 of 2")
    self.data(error, limit="kept", usage=2, max=2)
    if error.data is not None:
      self.assertIn(error.data["retry_after_ms"], range(1, 600_001))
    error = self.client.error("vmreq.submit", "debug.add", [1, 2], {"detach": True})
    self.check(error, "BUSY", "no", "2 of 2")

  def test_06_timeout(self):
    client = self.client
    blocked = client.block(0)
    error = client.error("vmreq.call", "debug.add", [1, 2], {"cpu": 0, "timeout_ms": 20})
    self.check(error, "TIMEOUT", "no", "20 ms", "queued")
    self.data(error, scope="request", state="queued")
    client.unblock(0, through=1)
    client.result(blocked)
    error = client.error("vmreq.call", "debug.spin", [1500], {"cpu": 0, "timeout_ms": 100})
    self.check(error, "TIMEOUT", "yes", "100 ms", "runs")
    self.data(error, scope="request", state="running")
    number = client.call("vmreq.submit", "debug.block", [], {"timeout_ms": 0})
    error = client.error("vmreq.wait", number, 0)
    self.check(error, "TIMEOUT", "maybe", "wait")
    self.data(error, scope="wait")
    client.call("vmreq.cancel", number)
    # A generator, between two of its runs or in one: it has run.
    error = client.error("vmreq.call", "debug.count", [2**32 - 1], {"timeout_ms": 100, "stream": True})
    self.check(error, "TIMEOUT", "yes", "100 ms")
    self.check(client.error("probe.status", FAIL_TIMEOUT), "TIMEOUT", "yes")

  def test_07_cancelled(self):
    client = self.client
    blocked = client.block(0)
    queued = client.request_to("debug.add", [1, 2], cpu=0)
    self.assertEqual(client.cancel(queued), "removed")
    self.check(client.error_of(queued), "CANCELLED", "no", "its caller")
    self.assertEqual(client.cancel(blocked), "asked")
    self.check(client.error_of(blocked), "CANCELLED", "yes", "its caller")
    streaming = client.request_to("debug.count", [2**32 - 1], stream=True)
    while not client.notifications:
      client.receive()
    self.assertIn(client.cancel(streaming), ("asked", "removed"))
    self.check(client.error_of(streaming), "CANCELLED", "yes", "its caller")

  def test_08_killed(self):
    client = self.client
    blocked = client.request_to("debug.spin", [4000 * vmreqtest.SLOW], cpu=0, timeout_ms=0)
    client.until_runs(0, "debug.spin")
    queued = client.request_to("debug.add", [1, 2], cpu=0, timeout_ms=0)
    client.until_status(lambda s: s["emts"][0]["queued"] == 1, "queued")
    self.stopped = True
    self.daemon.terminate()
    self.check(client.error_of(queued), "KILLED", "no")
    self.check(client.error_of(blocked), "KILLED", "maybe")
    self.daemon.finish()

  def test_09_vm_state(self):
    error = self.client.error("vm.resume")
    self.check(error, "VM_STATE", "yes", "CREATED", "SUSPENDED")

  def test_10_deadlock(self):
    self.check(self.client.error("probe.status", FAIL_DEADLOCK), "DEADLOCK", "yes", "as it was told to")

  def test_11_failed(self):
    error = self.client.error("probe.named")
    self.check(error, "FAILED", "yes", "-7", "E_PROBE", "the probe found nothing")
    self.data(error, status=-7, status_name="E_PROBE")

  def test_12_too_large(self):
    client = self.client
    self.check(client.error("vmreq.call", "debug.pour", [3, 60000], {"timeout_ms": 0}), "TOO_LARGE", "yes", "stream")
    self.check(client.error("vmreq.call", "debug.pour", [1, 65535], {"stream": True}), "TOO_LARGE", "yes")
    self.check(client.error("probe.deep", 28), "TOO_LARGE", "yes", "28 levels")
    msgid, data = client.pack("debug.echo", b"x" * 70000)
    client.send(data[:65536])
    self.check(client.error_of(msgid), "TOO_LARGE", "no", "frame")
    client.drain()
    client = self.connect()
    deep = 1
    for _ in range(28):
      deep = [deep]
    self.check(client.error("debug.echo", deep), "TOO_LARGE", "no", "28 levels")

  def test_13_unsupported(self):
    self.check(self.client.error("probe.status", FAIL_UNSUPPORTED), "UNSUPPORTED", "yes", "as it was told to")

  def test_14_internal(self):
    error = self.client.error("probe.nothing")
    self.check(error, "INTERNAL", "yes", "probe.nothing")
    number = re.search(r"fault (\d+) of the log", str(error)).group(1)
    self.client.close()
    self.stopped = True
    self.daemon.stop()
    self.assertIn(f"fault {number}: probe.nothing", self.daemon.stderr())

  def test_15_cap_of_time_limits(self):
    """More than the cap that a symbol registers, or none, means that cap."""
    for options in ({}, {"timeout_ms": 0}, {"timeout_ms": None}, {"timeout_ms": 10**9}):
      error = self.client.error("vmreq.call", "probe.capped", [], options)
      self.check(error, "TIMEOUT", "yes", "200 ms")
    self.assertEqual(self.client.call("vmreq.describe", "probe.capped")["timeout_max_ms"], 200)

  def test_16_malformed_frames(self):
    """Answered where there is a msgid; then the connection is closed."""
    msgid = self.client.next_id
    self.client.owed.add(msgid)
    self.client.send(msgpack.packb([0, msgid, "debug.add", [1, 2], 5]))
    self.check(self.client.error_of(msgid), "INVALID_REQUEST", "no", "closed")
    self.client.drain()

  def test_99_all_were_seen(self):
    self.assertEqual({name for name, _ in self.seen}, NAMES)
    for name, rans in (("BUSY", {"no"}), ("TIMEOUT", {"no", "yes", "maybe"}), ("CANCELLED", {"no", "yes"}),
                       ("KILLED", {"no", "maybe"}), ("TOO_LARGE", {"no", "yes"})):
      self.assertEqual({ran for seen, ran in self.seen if seen == name}, rans, name)


class Text(Cases):
  def ask_for_style(self, client):
    pass

  def is_in_style(self, raw):
    return isinstance(raw, str)


class Pair(Cases):
  def ask_for_style(self, client):
    client.call("nvim_get_api_info")

  def is_in_style(self, raw):
    kind = 1 if raw[1].startswith(("INVALID_ARGUMENT", "INVALID_REQUEST")) else 0
    return isinstance(raw, list) and len(raw) == 2 and raw[0] == kind and isinstance(raw[1], str)


class Map(Cases):
  def ask_for_style(self, client):
    client.call("vmreq.hello", {"errors": "map"})

  def is_in_style(self, raw):
    return isinstance(raw, dict) and set(raw) == {"name", "code", "message", "ran", "data"}


del Cases

if __name__ == "__main__":
  vmreqtest.main()
