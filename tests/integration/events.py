#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Subscriptions on the real daemon: the present state, ready, changes; nobody who did not ask gets
any; whoever does not read loses events, is told how many, and costs the others nothing."""
import os
import re
import shutil
import socket
import subprocess
import tempfile
import unittest

import vmreqtest
from vmreqtest import SLOW, Client, Daemon, SharedDaemon, TestCase


class Subscriber(Client):
  def subscribe(self, *topics):
    """Subscribes; returns what stood before each ready."""
    self.call("vmreq.subscribe", *topics)
    present, ready = {}, set()
    while ready != set(topics):
      topic, data = self.event()
      if data == {"ready": True}:
        ready.add(topic)
      else:
        present.setdefault(topic, []).append(data)
    return present

  def event(self):
    until = vmreqtest.deadline()
    while not self.notifications:
      self.receive(until)
    method, (topic, data) = self.notifications.pop(0)
    if method != "vmreq.event":
      raise AssertionError(f"{method} was not asked for")
    return topic, data


class Topics(SharedDaemon):
  CONFIG = f"[vm]\nemt_stuck_ms = {200 * SLOW}\n"

  def setUp(self):
    super().setUp()
    self.subscriber = Subscriber(self.daemon.path)
    self.addCleanup(self.subscriber.close)

  def test_vm_state(self):
    self.client.call("vm.power_on")
    present = self.subscriber.subscribe("vm.state")
    self.assertEqual(present["vm.state"][0]["state"], "RUNNING")
    self.client.call("vm.suspend")
    self.client.call("vm.resume")
    self.client.call("vm.power_off")
    changes = [self.subscriber.event()[1] for _ in range(6)]
    self.assertEqual([c["state"] for c in changes],
                     ["SUSPENDING", "SUSPENDED", "RESUMING", "RUNNING", "POWERING_OFF", "OFF"])
    self.assertEqual([c["previous"] for c in changes],
                     ["RUNNING"] + [c["state"] for c in changes[:-1]])

  def test_requests(self):
    self.subscriber.subscribe("request")
    self.client.call_to("debug.echo", ["a secret"], cpu=2)
    _, data = self.subscriber.event()
    self.assertEqual((data["symbol"], data["cpu"], data["fate"], data["status"]),
                     ("debug.echo", 2, "DONE", 0))
    self.assertEqual(data["caller"], {"uid": os.getuid(), "pid": os.getpid()})
    self.assertEqual(set(data), {"id", "symbol", "cpu", "fate", "status", "queued_us", "run_us", "caller"})
    self.client.error("debug.fail", -3)
    self.assertEqual(self.subscriber.event()[1]["status"], -3)

  def test_stuck_and_back(self):
    self.subscriber.subscribe("emt.stuck")
    blocked = self.client.block(1)
    _, stuck = self.subscriber.event()
    self.assertEqual((stuck["cpu"], stuck["stuck"], stuck["symbol"]), (1, True, "debug.block"))
    self.assertGreaterEqual(stuck["running_ms"], 200 * SLOW - 20)
    self.client.unblock(1, through=0)
    self.client.result(blocked)
    _, back = self.subscriber.event()
    self.assertEqual((back["cpu"], back["stuck"], back["id"]), (1, False, stuck["id"]))
    self.daemon.until_logged("EMT 1 is stuck", "EMT 1 is back")

  def test_nobody_who_did_not_ask(self):
    self.subscriber.subscribe("request")
    with Client(self.daemon.path) as other:
      for _ in range(50):
        self.assertEqual(other.call("debug.add", 1, 2), 3)
      self.assertEqual(other.notifications, [])
    self.subscriber.call("vmreq.unsubscribe")
    self.subscriber.notifications.clear()
    self.client.call("debug.add", 1, 2)
    self.subscriber.call("vmreq.ping")
    self.assertEqual(self.subscriber.notifications, [])

  def test_no_console_here(self):
    """The backend without a machine has no console to offer."""
    self.assertError(self.subscriber.error("vmreq.subscribe", "console"), "NOT_FOUND", ran="no")

  def test_every_event_or_its_loss(self):
    """Each call that ended is seen once or counted as lost, by one that reads now and then."""
    self.subscriber.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    self.subscriber.subscribe("request")
    total, seen, lost = 6000, 0, 0
    for begin in range(0, total, 200):
      waiting = [self.client.request("debug.add", i, 1) for i in range(begin, begin + 200)]
      for msgid in waiting:
        self.client.result(msgid)
    while seen + lost < total:
      _, data = self.subscriber.event()
      lost += data.get("lost", 0)
      seen += "id" in data
    self.assertEqual(seen + lost, total)
    self.assertGreater(lost, 0)
    self.assertGreaterEqual(self.client.call("vmreq.stats")["events"]["lost"], lost)


class Costs(TestCase):
  def test_memory_of_many_that_do_not_read(self):
    """200 subscribers that never read: the daemon holds no more than half of each one's reserve, and
    a client beside them is served."""
    with Daemon(cpus=2) as daemon:
      client = daemon.client()
      before = daemon.rss_kib()
      silent = [Subscriber(daemon.path) for _ in range(200)]
      for subscriber in silent:
        subscriber.subscribe("request")
      for _ in range(60):
        waiting = [client.request("debug.add", 1, 2) for _ in range(100)]
        for msgid in waiting:
          self.assertEqual(client.result(msgid), 3)
      if not vmreqtest.SANITIZE:
        self.assertLess(daemon.rss_kib() - before, 200 * 64 + 4096)
      for subscriber in silent:
        subscriber.close()
      client.until_status(lambda s: s["clients"] == 1, "alone")

  @unittest.skipIf("thread" in vmreqtest.SANITIZE, "ThreadSanitizer's runtime has a thread that never rests")
  def test_an_idle_daemon_does_nothing(self):
    """With subscribers, and after calls: no thread of it runs until something happens."""
    with Daemon(cpus=2, config=f"[vm]\nemt_stuck_ms = 50\n[limits]\ntimeout_ms = 50\n") as daemon:
      client, subscriber = daemon.client(), Subscriber(daemon.path)
      self.addCleanup(subscriber.close)
      subscriber.subscribe("vm.state", "emt.stuck", "request")
      client.call("debug.add", 1, 2)
      subscriber.event()
      until = vmreqtest.deadline()
      while True:  # until the last timer has gone, and then it stays so
        before = self.switches(daemon)
        self.wait_without_a_sleep(1.5)  # the longest timer, that of STATUS, has one second
        if self.switches(daemon) == before:
          break
        self.assertTrue(vmreqtest.left(until), "it does not come to rest")
      self.wait_without_a_sleep(1.0)
      self.assertEqual(self.switches(daemon), before)

  @unittest.skipIf("thread" in vmreqtest.SANITIZE, "ThreadSanitizer's runtime has a thread that never rests")
  @unittest.skipUnless(shutil.which("strace"), "no strace")
  def test_an_idle_daemon_makes_no_system_calls(self):
    """After calls, and with connections: at some time three seconds pass without one."""
    with Daemon(cpus=2, config="[vm]\nemt_stuck_ms = 50\n[limits]\ntimeout_ms = 50\n") as daemon:
      client = daemon.client()
      busy = self.traced(daemon, lambda: client.call("debug.add", 1, 2))
      self.assertTrue(busy, "strace shows nothing")
      until = vmreqtest.deadline()
      while True:
        calls = self.traced(daemon, lambda: self.wait_without_a_sleep(3))
        if not calls:
          break
        self.assertTrue(vmreqtest.left(until), calls[:20])
      self.assertEqual(client.call("debug.add", 1, 2), 3)

  def traced(self, daemon, do):
    """The system calls that return while we do that."""
    with tempfile.NamedTemporaryFile("r") as out:
      words = ["strace", "-f", "-o", out.name, "-p", str(daemon.process.pid)]
      with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as trace:
        said = trace.stderr.readline()
        if "attached" not in said:
          trace.wait(vmreqtest.WAIT)
          self.skipTest(f"strace may not look: {said.strip()}")
        do()
        trace.terminate()
        trace.communicate(timeout=vmreqtest.WAIT)
      return [line.rstrip() for line in out if re.search(r"\) += ", line)]

  @staticmethod
  def wait_without_a_sleep(seconds):
    """Nothing is awaited but that time passes: an event that never comes, with its deadline."""
    one, other = socket.socketpair()
    one.settimeout(seconds)
    with one, other:
      try:
        one.recv(1)
      except TimeoutError:
        pass

  @staticmethod
  def switches(daemon):
    """How often threads of the daemon gave up or lost their processor."""
    total, folder = 0, f"/proc/{daemon.process.pid}/task"
    for task in os.listdir(folder):
      with open(f"{folder}/{task}/status", encoding="ascii") as file:
        total += sum(int(line.split()[1]) for line in file if "voluntary_ctxt" in line)
    return total


if __name__ == "__main__":
  unittest.main(verbosity=2)
