#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Bounds: connections, descriptors and memory, by many connections, many calls and other users.

VMREQ_MEMORY_CALLS is how many calls each half of the comparison of memory makes, default 100000;
1000000 is the full form.
"""
import os
import unittest

import msgpack

import vmreqtest

OPEN = "[socket]\nmode = 0666\n"


class Churn(vmreqtest.SharedDaemon):
  def test_ten_thousand_connections(self):
    """Open and close, silent and not: nothing is left of them."""
    call = msgpack.packb([0, 1, "debug.add", [40, 2]])
    answer = msgpack.packb([1, 1, None, 42])
    before = None
    for number in range(10000):
      other = vmreqtest.Client(self.daemon.path)
      if number % 4:
        other.send(call)
        if number % 2:
          self.assertEqual(other.socket.recv(100), answer)
      other.close()
      if number == 2000:
        self.client.until_status(lambda s: s["clients"] == 1, "one client")
        before = self.daemon.rss_kib()
    self.client.until_status(lambda s: s["clients"] == 1 and s["calls"] == 0, "one client")
    stats = self.client.call("vmreq.stats")
    self.assertGreaterEqual(stats["connections"]["total"], 10001)
    self.assertEqual(stats["connections"]["refused"], 0)
    print(f"memory after 2000: {before} KiB, after 10000: {self.daemon.rss_kib()} KiB", flush=True)
    if not vmreqtest.SANITIZE:
      self.assertLessEqual(self.daemon.rss_kib(), before + 256)

  BATCH = 900

  def receive(self, client, size):
    while size > 0:
      got = client.socket.recv(1 << 16)
      self.assertTrue(got)
      size -= len(got)
    self.assertEqual(size, 0)

  def many_calls(self, client, calls):
    """In batches; the answers are of known length, which is all that is looked at."""
    batch = b"".join(msgpack.packb([0, n, "debug.add", [40, 2]]) for n in range(self.BATCH))
    size = sum(len(msgpack.packb([1, n, None, 42])) for n in range(self.BATCH))
    for _ in range(calls // self.BATCH):
      client.send(batch)
      self.receive(client, size)

  def all_at_once(self, client):
    """As much as can be under way at any time: the memory for that stays, and is no leak."""
    blocked = [self.client.block(cpu) for cpu in range(self.CPUS)]
    with vmreqtest.Client(self.daemon.path) as other:
      for n in range(self.BATCH):
        client.send(msgpack.packb([0, n, "debug.add", [40, 2]]))
      other.until_status(lambda s: s["calls"] == self.BATCH + self.CPUS, "all under way")
      for msgid in blocked:
        self.client.cancel(msgid)
      for msgid in blocked:
        self.assertEqual(self.client.error_of(msgid).name, "CANCELLED")
    self.receive(client, sum(len(msgpack.packb([1, n, None, 42])) for n in range(self.BATCH)))

  def test_memory_after_many_calls(self):
    calls = int(os.environ.get("VMREQ_MEMORY_CALLS", "100000"))
    if vmreqtest.SANITIZE:
      calls //= 10
    with vmreqtest.Client(self.daemon.path) as client:
      self.all_at_once(client)
      self.many_calls(client, calls)
      held = [self.daemon.rss_kib()]
      # Threads touch a little more of their stacks and of the slab now and then, and then no more; a
      # leak of a byte a call is there in every round.
      for _ in range(6):
        self.many_calls(client, calls)
        held.append(self.daemon.rss_kib())
        if held[-1] <= held[-2] + 64:
          break
    print(f"KiB after each {calls} calls: {held}", flush=True)
    if not vmreqtest.SANITIZE:
      self.assertLessEqual(held[-1], held[-2] + 64)


@unittest.skipUnless(vmreqtest.IS_ROOT, vmreqtest.NEEDS_ROOT)
class Connections(vmreqtest.TestCase):
  def start(self, config, **options):
    daemon = vmreqtest.Daemon(config=OPEN + config, **options)
    daemon.start()
    self.addCleanup(daemon.stop)
    return daemon

  def closed(self, client):
    try:
      client.socket.settimeout(vmreqtest.WAIT)
      return client.socket.recv(1) == b""
    except ConnectionResetError:
      return True

  def test_root_gets_in_when_strangers_have_filled_it(self):
    daemon = self.start("[limits]\nconnections = 40\nconnections_per_uid = 12\n")
    others = []
    for number in range(32):          # 40, of which 8 are kept
      others.append(daemon.client_as(4001 + number % 3))
      self.assertEqual(others[-1].call("vmreq.ping"), "pong")
    self.assertTrue(self.closed(daemon.client_as(4001)))
    with vmreqtest.Client(daemon.path) as root:
      self.assertEqual(root.call("vmreq.status")["clients"], 33)
      self.assertEqual(root.call("debug.add", 40, 2), 42)
    for client in others:
      self.assertEqual(client.call("vmreq.ping"), "pong")

  def test_silent_ones_make_room(self):
    daemon = self.start("[limits]\nconnections = 100\nconnections_per_uid = 20\n")
    talker = daemon.client_as(4001)
    talker.call("vmreq.ping")
    silent = [daemon.client_as(4001) for _ in range(60)]
    late = daemon.client_as(4001)
    self.assertEqual(late.call("vmreq.ping"), "pong")
    self.assertEqual(talker.call("vmreq.ping"), "pong")
    self.assertTrue(self.closed(silent[0]))
    root = daemon.client()
    connections = root.call("vmreq.stats")["connections"]
    self.assertEqual((connections["refused"], connections["evicted"]), (0, 42))
    daemon.until_logged("uid 4001", "never sent a whole frame")

  def test_descriptors_cannot_run_out(self):
    """The limit of open files bounds connections, and not the other way round."""
    daemon = self.start("", wrap=("prlimit", "--nofile=100:128"))
    root = daemon.client()
    self.assertEqual(root.call("vmreq.hello")["limits"]["connections"], 128 - 64)
    others = []
    for uid in range(4001, 4021):
      for _ in range(10):
        others.append(daemon.client_as(uid))
    alive = 0
    for client in others:
      try:
        alive += client.call("vmreq.ping") == "pong"
      except (EOFError, ConnectionError):
        pass
    self.assertGreaterEqual(alive, 128 - 64 - 8 - 1)
    self.assertLess(daemon.descriptors(), 100)
    self.assertEqual(root.call("debug.add", 40, 2), 42)
    with vmreqtest.Client(daemon.path) as another:
      self.assertEqual(another.call("vmreq.ping"), "pong")
    daemon.stop()
    self.assertNotIn("Too many open files", daemon.stderr())


if __name__ == "__main__":
  vmreqtest.main()
