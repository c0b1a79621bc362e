#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Stress: 8 clients × 10,000 calls, mixed destinations, pipelined; nothing lost, nothing answered twice.

Meanwhile one more client is killed about once per second, one call in a hundred times out, and EMT 2 of
three is blocked half of the time.  Then the same again with SIGTERM in the middle: every call whose bytes
were taken is answered, and the daemon ends with 0.  VMREQ_STRESS sets the calls per client, VMREQ_SEED the
seed (printed).
"""
import json
import os
import random
import select
import signal
import subprocess
import sys
import time

import msgpack

import vmreqtest

CLIENTS = 8
CALLS = int(os.environ.get("VMREQ_STRESS", "10000"))
SEED = int(os.environ.get("VMREQ_SEED", "1"))
WINDOW = 64
CPUS = 3


# --- one client: run as a process of its own --------------------------------------------------------

class Worker:
  """Keeps WINDOW calls in flight until `calls` have been answered; knows what each must answer."""

  def __init__(self, path, calls, seed):
    self.client = vmreqtest.Client(path, timeout=120 * vmreqtest.SLOW)
    self.calls = calls
    self.numbers = random.Random(seed)
    self.expected = {}      # msgid → what its answer must be
    self.counts = {"sent": 0, "done": 0, "timeout": 0, "killed": 0, "rows": 0}

  def one(self, number):
    """The bytes of the next call."""
    kind = self.numbers.random()
    if kind < 0.01:
      return self.pack("timeout", "debug.sleep", [60_000], {"cpu": "any", "timeout_ms": 5})
    if kind < 0.04:
      name = self.numbers.choice(("all", "all-reverse"))
      options = {"cpu": name, "parallel": self.numbers.random() < 0.5}
      return self.pack(name, "debug.whoami", [], options)
    if kind < 0.30:
      msgid, data = self.client.pack("debug.add", number, 1)
      self.expected[msgid] = number + 1
      return data
    cpu = self.numbers.choice((0, 1, 2, "any", "any-queue"))
    options = {"cpu": cpu, "priority": self.numbers.random() < 0.1}
    return self.pack(number + 2, "debug.add", [number, 2], options)

  def pack(self, expected, symbol, args, options):
    msgid, data = self.client.pack("vmreq.call", symbol, args, options)
    self.expected[msgid] = expected
    return data

  def check(self, msgid, stopping):
    expected = self.expected.pop(msgid)
    error, result = self.client.answers.pop(msgid)
    if error is not None:
      name = error.split(":")[0]
      if name == "TIMEOUT" and expected == "timeout":
        self.counts["timeout"] += 1
      elif name == "KILLED" and stopping:
        self.counts["killed"] += 1
      else:
        raise AssertionError(f"{expected!r} was answered by {error}")
      return
    if expected in ("all", "all-reverse"):
      if sorted(row["cpu"] for row in result) != list(range(CPUS)):
        raise AssertionError(f"rows of {expected}: {result}")
      if not stopping and any(row["fate"] != "DONE" or row["value"] != row["cpu"] for row in result):
        raise AssertionError(f"rows of {expected}: {result}")
      self.counts["rows"] += 1
    elif result != expected:
      raise AssertionError(f"{expected!r} was answered by {result!r}")
    self.counts["done"] += 1

  def answered(self):
    return self.counts["done"] + self.counts["timeout"] + self.counts["killed"]

  def take(self, stopping=False):
    self.client.receive()
    for msgid in list(self.client.answers):
      self.check(msgid, stopping)

  def batch(self, size):
    return [self.one(self.counts["sent"] + n) for n in range(size)]

  def run(self):
    while self.answered() < self.calls:
      unsent = self.calls - self.counts["sent"]
      room = min(WINDOW - len(self.client.owed), unsent)
      if room >= min(WINDOW // 4, unsent) and room > 0:
        self.client.send(b"".join(self.batch(room)))
        self.counts["sent"] += room
      self.take()
    if self.client.owed or self.expected:
      raise AssertionError(f"still owed: {len(self.client.owed)}")

  def run_to_the_end(self):
    """Goes on until the daemon closes; says "going" once it is well under way."""
    told = refused = False
    try:
      while True:
        refused = refused or not self.send_what_can_be()
        self.take(stopping=True)
        if not told and self.answered() >= 300:
          told = True
          print("going", flush=True)
    except (EOFError, ConnectionResetError):
      pass
    if self.client.owed:
      raise AssertionError(f"{len(self.client.owed)} calls were taken and never answered: "
                           f"{sorted(self.client.owed)[:5]} of {self.counts}")

  def send_what_can_be(self):
    """Fills the window; False once the daemon reads no more.  Only calls that went out whole are owed."""
    while len(self.client.owed) < WINDOW:
      first = self.client.next_id
      data = b"".join(self.batch(16))
      try:
        sent = 0
        while sent < len(data):
          sent += self.client.socket.send(data[sent:])
      except (BrokenPipeError, ConnectionResetError):
        self.forget_unsent(first, data, sent)
        return False
      self.counts["sent"] += 16
    return True

  def forget_unsent(self, first, data, sent):
    unpacker = msgpack.Unpacker(raw=False)
    unpacker.feed(data[:sent])
    whole = {message[1] for message in unpacker}
    for msgid in range(first, self.client.next_id):
      if msgid not in whole:
        self.client.owed.discard(msgid)
        self.expected.pop(msgid, None)


def worker_main(kind, path, calls, seed):
  worker = Worker(path, int(calls), int(seed))
  try:
    if kind == "--worker":
      worker.run()
    else:
      worker.run_to_the_end()
  except EOFError:
    if kind != "--victim":
      raise
  print(json.dumps(worker.counts), flush=True)


# --- the scene --------------------------------------------------------------------------------------

class Scene:
  """The daemon, what disturbs it, and the workers."""

  def __init__(self, config=None):
    self.daemon = vmreqtest.Daemon(cpus=CPUS, config=config).start()
    self.processes = []
    self.disturber = None
    self.kills = 0
    self.blocked = 0

  def spawn(self, kind, calls, seed):
    process = subprocess.Popen([sys.executable, "-B", os.path.abspath(__file__), kind,
                                self.daemon.path, str(calls), str(seed)],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    if kind != "--victim":
      self.processes.append(process)
    return process

  def disturb(self, done):
    """Until done(): EMT 2 blocked for 100 ms in every 200, a client killed in every second."""
    client = self.daemon.client()
    next_kill = 0.0
    seed = SEED * 1000
    while not done():
      blocking = client.request_to("debug.sleep", [100], cpu=2, priority=True, timeout_ms=60_000)
      self.blocked += 1
      if time.monotonic() >= next_kill:
        seed += 1
        self.kill_one(seed)
        next_kill = time.monotonic() + 1.0
      client.result(blocking)
      self.let_pass(0.1)
    client.close()

  def let_pass(self, seconds):
    """The free half of EMT 2's time, cut short when a worker ends."""
    ends = [os.pidfd_open(p.pid) for p in self.processes if p.poll() is None]
    select.select(ends, [], [], seconds)
    for end in ends:
      os.close(end)

  def kill_one(self, seed):
    victim = self.spawn("--victim", 1 << 40, seed)
    with victim:
      line = victim.stdout.readline()
      victim.send_signal(signal.SIGKILL)
      victim.communicate()
    if line.strip() == "going":
      self.kills += 1

  def all_ended(self):
    return all(process.poll() is not None for process in self.processes)

  def collect(self):
    """The counts of the workers, summed up; the first failure is raised."""
    total = {}
    for process in self.processes:
      out, err = process.communicate(timeout=vmreqtest.WAIT * 6)
      if process.returncode != 0:
        raise AssertionError(f"a client failed:\n{err}")
      for key, value in json.loads(out.strip().split("\n")[-1]).items():
        total[key] = total.get(key, 0) + value
    return total

  def end(self):
    for process in self.processes:
      if process.poll() is None:
        process.kill()
      process.communicate()
    if self.daemon.process.poll() is None:
      self.daemon.kill()


class Stress(vmreqtest.TestCase):
  SECONDS = 200 * vmreqtest.SLOW

  def scene(self, config=None):
    scene = Scene(config)
    self.addCleanup(scene.end)
    return scene

  def test_none_lost_none_twice(self):
    print(f"seed {SEED}, {CLIENTS} clients × {CALLS} calls", flush=True)
    scene = self.scene()
    began = time.monotonic()
    for n in range(CLIENTS):
      scene.spawn("--worker", CALLS, SEED * 100 + n)
    scene.disturb(scene.all_ended)
    total = scene.collect()
    took = time.monotonic() - began
    print(f"{total} in {took:.1f} s, {scene.kills} killed, EMT 2 blocked {scene.blocked} times")
    self.assertEqual(total["sent"], CLIENTS * CALLS)
    self.assertEqual(total["done"] + total["timeout"], CLIENTS * CALLS)
    self.assertGreater(total["timeout"], CLIENTS * CALLS // 200)
    self.assertGreaterEqual(scene.kills, 1)
    with scene.daemon.client() as client:
      for cpu in range(CPUS):
        client.until_idle(cpu)
      client.until_status(lambda s: s["clients"] == 1, "alone again")
      client.until_status(lambda s: s["calls"] <= 1, "all calls given back")
      for cpu in range(CPUS):
        self.assertEqual(client.call_to("debug.whoami", [], cpu=cpu), cpu)
    scene.daemon.stop()

  def test_sigterm_in_the_middle(self):
    print(f"seed {SEED}", flush=True)
    scene = self.scene(vmreqtest.SHORT_DRAIN)
    for n in range(CLIENTS):
      scene.spawn("--until-closed", 1 << 40, SEED * 200 + n)
    waiting = set(scene.processes)

    def all_going():
      for process in list(waiting):
        if process.poll() is not None:
          return True
        if select.select([process.stdout], [], [], 0)[0]:
          waiting.discard(process)
      return not waiting
    scene.disturb(all_going)
    self.assertFalse(waiting, "a client ended before the daemon did")
    blocker = scene.daemon.client()
    blocker.block(2)
    scene.daemon.terminate()
    total = scene.collect()
    blocker.drain()
    print(f"{total}, {scene.kills} killed before the end")
    self.assertEqual(blocker.owed, set())
    self.assertGreaterEqual(total["done"], CLIENTS * 200)
    scene.daemon.finish()


if __name__ == "__main__":
  if len(sys.argv) > 1 and sys.argv[1] in ("--worker", "--until-closed", "--victim"):
    worker_main(*sys.argv[1:5])
  else:
    vmreqtest.main()
