#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The log never costs anybody time: with standard error a pipe that nobody reads, calls are answered."""
import fcntl
import os
import re
import time
import unittest

import vmreqtest
from vmreqtest import Daemon, RpcError, SLOW, TestCase


class PipedDaemon(Daemon):
  """Its standard error is a pipe of one page, which is read when the test says so."""

  def spawn(self):
    os.mkfifo(self.stderr_path)
    self.reader = os.open(self.stderr_path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.fcntl(self.reader, fcntl.F_SETPIPE_SZ, 4096)
    self.text = ""
    return super().spawn()

  def read_some(self):
    """What stands in the pipe now; empty: nothing, or the end."""
    try:
      got = os.read(self.reader, 1 << 16).decode()
    except BlockingIOError:
      got = ""
    self.text += got
    return got

  def stderr(self):
    while self.read_some():
      pass
    return self.text


class FullPipe(TestCase):
  def fill(self, client):
    """Makes it log more than the pipe and the log's rings hold; every call is answered at once."""
    for _ in range(40):
      waiting = [client.request("vm.suspend" if i % 2 else "vm.resume") for i in range(50)]
      for msgid in waiting:
        try:
          client.result(msgid)
        except RpcError as error:
          self.assertError(error, "VM_STATE")  # it came while another change was under way

  def test_calls_are_answered(self):
    with PipedDaemon(cpus=2) as daemon:
      client = daemon.client()
      client.call("vm.power_on")
      self.fill(client)
      self.assertEqual(client.call("vmreq.ping"), "pong")
      self.assertEqual(client.call("debug.add", 40, 2), 42)
      self.assertEqual(daemon.client().call("vmreq.hello", {})["server"], "vmreqd")
      text = daemon.until_logged("VM state")
      # Whole lines, in order; what is missing is said where it is missing.
      until = vmreqtest.deadline()
      while "records lost here" not in text:
        self.assertTrue(vmreqtest.left(until), text[-500:])
        client.call("vmreq.ping")
        text += daemon.read_some()
      for line in text.splitlines()[:-1]:
        self.assertRegex(line, r"^(ready: |VM state |vm\.\w+ (called by |\(request \d+\): )|\d+ (audit )?records lost here)")

  def test_it_ends(self):
    daemon = PipedDaemon(cpus=2)
    with daemon:
      client = daemon.client()
      client.call("vm.power_on")
      self.fill(client)
      client.close()
      daemon.terminate()
      began = time.monotonic()
      self.assertEqual(daemon.wait(), 0)
      self.assertLess(time.monotonic() - began, 8 * SLOW)
      self.assertFalse(re.search("stopped", daemon.stderr()))  # there was no room for it


if __name__ == "__main__":
  unittest.main(verbosity=2)
