#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""python3-msgpack by hand and bytes by socat: the smallest clients there are."""
import os
import random
import signal
import socket
import subprocess
import sys
import threading

import msgpack

import vmreqtest

# A client in ten lines, as a user would write it: it shares nothing with the harness.
BY_HAND = """
import msgpack, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
u = msgpack.Unpacker(raw=False)
def call(method, *params):
  s.sendall(msgpack.packb([0, 1, method, list(params)]))
  while True:
    for kind, msgid, error, result in u:
      if error is not None:
        sys.exit(error)
      return result
    u.feed(s.recv(65536))
"""


class ByHand(vmreqtest.SharedDaemon):
  def python(self, code):
    return vmreqtest.run(sys.executable, "-B", "-c", BY_HAND + code, self.daemon.path)

  def test_add(self):
    done = self.python("print(call('debug.add', 40, 2))")
    self.assertEqual((done.code, done.out), (0, "42\n"), done)

  def test_failure(self):
    done = self.python("call('debug.fail', -5, 'the disk is gone')")
    self.assertEqual(done.code, 1, done)
    self.assertIn("the disk is gone", done.err)

  def test_large_reply(self):
    done = self.python("print(len(call('debug.echo', b'z' * 8000000)))")
    self.assertEqual((done.code, done.out), (0, "8000000\n"), done)

  def test_split_anywhere(self):
    """The bytes of many calls in pieces of any size are the same calls."""
    seed = int(os.environ.get("VMREQ_SEED", "7"))
    print(f"seed {seed}", flush=True)
    numbers = random.Random(seed)
    packed = [self.client.pack("debug.echo", {"n": n, "b": b"x" * (n % 300)}) for n in range(400)]
    data = b"".join(p for _, p in packed)
    while data:
      size = numbers.choice((1, 2, 3, 7, 100, 5000))
      self.client.send(data[:size])
      data = data[size:]
    for n, (msgid, _) in enumerate(packed):
      self.assertEqual(self.client.result(msgid), {"n": n, "b": b"x" * (n % 300)})

  def test_pipelined_out_of_order(self):
    slow = self.client.block(0)
    quick = [self.client.request_to("debug.add", [n, 0], cpu=1) for n in range(500)]
    for n, msgid in enumerate(quick):
      self.assertEqual(self.client.result(msgid), n)
    self.client.unblock(0, through=1)
    self.client.result(slow)
    self.assertGreater(self.client.order.index(slow), self.client.order.index(quick[-1]))

  def test_eight_in_parallel(self):
    failures = []

    def client():
      try:
        with vmreqtest.Client(self.daemon.path) as mine:
          for n in range(500):
            if mine.call("debug.add", n, 1) != n + 1:
              failures.append(n)
      except Exception as error:  # told below, in the test's own thread
        failures.append(error)
    threads = [threading.Thread(target=client) for _ in range(8)]
    for thread in threads:
      thread.start()
    for thread in threads:
      thread.join()
    self.assertEqual(failures, [])

  def test_killed_in_mid_call_frees_the_request(self):
    code = "call('vmreq.call', 'debug.block', [], {'cpu': 0, 'timeout_ms': 0})"
    with subprocess.Popen([sys.executable, "-B", "-c", BY_HAND + code, self.daemon.path],
                          stdin=subprocess.DEVNULL) as process:
      self.client.until_runs(0, "debug.block")
      process.send_signal(signal.SIGKILL)
    self.client.until_idle(0)


class Socat(vmreqtest.SharedDaemon):
  def socat(self, data):
    done = subprocess.run(
      ["timeout", str(vmreqtest.WAIT), "socat", "-t", "5", "-", f"UNIX-CONNECT:{self.daemon.path}"],
      input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=vmreqtest.WAIT + 5, check=False)
    self.assertEqual(done.returncode, 0, done)
    return done.stdout

  def test_add(self):
    self.assertEqual(self.socat(b"\x94\x00\x07\xa9debug.add\x92\x28\x02"), b"\x94\x01\x07\xc0\x2a")

  def test_half_closed_and_still_answered(self):
    data = msgpack.packb([0, 1, "debug.sleep", [100]]) + msgpack.packb([0, 2, "debug.add", [1, 1]])
    unpacker = msgpack.Unpacker(raw=False)
    unpacker.feed(self.socat(data))
    self.assertEqual(sorted(unpacker, key=lambda m: m[1]), [[1, 1, None, None], [1, 2, None, 2]])

  def test_failure(self):
    answer = msgpack.unpackb(self.socat(msgpack.packb([0, 1, "debug.fail", [-1, "broken"]])))
    self.assertIn("broken", answer[2])
    self.assertIsNone(answer[3])

  def test_end_without_a_word(self):
    self.assertEqual(self.socat(b""), b"")
    with socket.socket(socket.AF_UNIX) as quiet:
      quiet.connect(self.daemon.path)


if __name__ == "__main__":
  vmreqtest.main()
