#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""vmreqctl: what it prints, and each of its exit statuses."""
import json
import os
import signal
import socket
import subprocess
import tempfile
import time

import vmreqtest
from vmreqtest import CANCELLED, FAILED, LOST, OK, REFUSED, TIMED_OUT, USAGE


class Vmreqctl(vmreqtest.SharedCtl):
  # -- 0: done

  def test_add(self):
    self.assertEqual(self.good("call", "debug.add", "40", "2"), "42\n")
    self.assertEqual(self.good("call", "debug.add", "0x28", "2"), "42\n")

  def test_options_end_at_the_symbol(self):
    self.assertEqual(self.good("call", "debug.add", "-50", "2"), "-48\n")
    self.assertEqual(self.good("call", "--cpu", "1", "debug.add", "-50", "-2"), "-52\n")

  def test_one_cpu(self):
    for cpu in ("0", "1", "2"):
      self.assertEqual(self.good("call", "--cpu", cpu, "debug.whoami"), f"{cpu}\n")

  def test_any(self):
    for name in ("any", "any-queue"):
      self.assertIn(self.good("call", "--cpu", name, "debug.whoami").strip(), ("0", "1", "2"))

  def test_all_reverse_has_a_row_for_each_emt_descending(self):
    rows = json.loads(self.good("--json", "call", "--cpu", "all-reverse", "debug.whoami"))
    self.assertEqual([(row["cpu"], row["value"], row["fate"]) for row in rows],
                     [(2, 2, "DONE"), (1, 1, "DONE"), (0, 0, "DONE")])
    text = self.good("call", "--cpu", "all-reverse", "debug.whoami")
    order = [line for line in text.split("\n") if "DONE" in line]
    self.assertEqual(len(order), 3, text)
    self.assertLess(text.index(order[0]), text.index(order[2]))

  def test_json(self):
    self.assertEqual(self.good("--json=short", "call", "debug.add", "40", "2"), "42\n")
    self.assertEqual(json.loads(self.good("--json=pretty", "call", "debug.echo", '{"k": [1, null]}')),
                     {"k": [1, None]})
    self.assertEqual(json.loads(self.good("--json", "status"))["vm"], "t")
    shown = json.loads(self.good("--json", "symbols", "debug.*"))
    self.assertIn("debug.add", [symbol["name"] for symbol in shown])

  def test_json_argument(self):
    for text in ("null", "true", "1.5", '"x"', "[1, [2]]", "{}"):
      self.assertEqual(json.loads(self.good("--json", "call", "debug.echo", text)), json.loads(text))

  def test_argument_from_a_file(self):
    with tempfile.NamedTemporaryFile(prefix="vmreq-") as file:
      file.write(b'{"from": "file"}')
      file.flush()
      out = self.good("--json", "call", "debug.echo", f"@{file.name}")
      self.assertEqual(json.loads(out), {"from": "file"})

  def test_verbs(self):
    self.assertIn("pong", self.good("ping"))
    lines = self.good("symbols", "debug.[ae]*").strip().split("\n")
    self.assertEqual([line.split("(")[0].split()[0] for line in lines], ["debug.add", "debug.echo"])
    self.assertIn("debug.add", self.good("describe", "debug.add"))
    self.assertIn("i64", self.good("describe", "debug.add"))
    self.assertIn("t", self.good("status"))

  def test_no_wait(self):
    client = self.client
    blocked = client.block(1)
    until = vmreqtest.deadline()
    while not client.has(blocked) and vmreqtest.left(until):
      self.good("call", "--cpu", "0", "--no-wait", "debug.unblock", "1")
    client.result(blocked)
    self.bad(REFUSED, "call", "--no-wait", "debug.none")

  def test_priority_and_poke(self):
    self.assertEqual(self.good("call", "--priority", "--poke", "--cpu", "2", "debug.whoami"), "2\n")

  # -- 1: usage

  def test_closed_standard_descriptors(self):
    # Its words for a person do not go to the daemon, between its frames.
    with vmreqtest.Daemon(cpus=1) as daemon:
      for closed in ("<&-", "2>&-", "<&- >&- 2>&-"):
        done = vmreqtest.run("sh", "-c", f'exec "$@" {closed}', "sh", vmreqtest.VMREQCTL, "-s", daemon.path,
                             "call", "no.such")
        self.assertEqual((done.code, done.out), (REFUSED, ""))
      client = daemon.client()
      client.until_status(lambda status: status["clients"] == 1, "alone")
      client.notify("said.last")
      self.assertNotIn("begins no array", daemon.until_logged("said.last"))

  def test_usage(self):
    for args in ((), ("dance",), ("call",), ("call", "--colour", "debug.add"), ("describe",),
                 ("--timeout", "soon", "ping"), ("--json=loud", "ping"), ("ping", "more"),
                 ("call", "--cpu"), ("--timeout", "-1", "ping")):
      done = self.ctl(*args)
      self.assertEqual(done.code, USAGE, done)
      self.assertTrue(done.err.strip(), done)

  def test_help_and_version(self):
    self.assertEqual(vmreqtest.run(vmreqtest.VMREQCTL, "--help").code, 0)
    self.assertRegex(vmreqtest.run(vmreqtest.VMREQCTL, "--version").out, r"^vmreqctl \d")

  # -- 2: no connection, or lost

  def test_no_daemon(self):
    done = vmreqtest.vmreqctl("/nonexistent/socket", "ping")
    self.assertEqual(done.code, LOST, done)
    self.assertIn("/nonexistent/socket", done.err)

  def test_daemon_goes_away_in_mid_call(self):
    with tempfile.TemporaryDirectory(prefix="vmreq-") as folder:
      path = os.path.join(folder, "s")
      listener = socket.socket(socket.AF_UNIX)
      listener.bind(path)
      listener.listen(1)
      pid = os.fork()
      if pid == 0:
        connection, _ = listener.accept()
        connection.recv(1 << 16)
        os._exit(0)
      listener.close()
      done = vmreqtest.vmreqctl(path, "ping")
      os.waitpid(pid, 0)
      self.assertEqual(done.code, LOST, done)

  # -- 3: the function failed

  def test_failure(self):
    self.bad(FAILED, "call", "debug.fail", "-5", "the disk is gone", says=("the disk is gone", "-5"))

  # -- 4: refused

  def test_refused(self):
    self.bad(REFUSED, "call", "debug.none", says=("debug.none",))
    self.bad(REFUSED, "call", "debug.add", "1")
    self.bad(REFUSED, "call", "--cpu", "9", "debug.whoami")
    self.bad(REFUSED, "describe", "debug.none")

  def test_bad_argument_is_named(self):
    done = self.ctl("call", "debug.add", "1", "two")
    self.assertIn(done.code, (USAGE, REFUSED), done)
    self.assertIn("b", done.err)
    self.assertIn("two", done.err)

  # -- 5: timed out

  def test_timeout_queued(self):
    blocked = self.client.block(0)
    self.bad(TIMED_OUT, "--timeout", "100ms", "call", "--cpu", "0", "debug.whoami", says=("TIMEOUT",))
    self.client.unblock(0, through=1)
    self.client.result(blocked)

  def test_timeout_running(self):
    self.bad(TIMED_OUT, "--timeout", "0.1", "call", "debug.sleep", "60000", says=("TIMEOUT",))

  def test_units(self):
    for text in ("5", "5s", "5000ms", "2min", "0"):
      self.assertEqual(self.good("--timeout", text, "call", "debug.add", "40", "2"), "42\n")

  def test_stopped_daemon_cannot_hang_it(self):
    with vmreqtest.Daemon() as daemon:
      daemon.process.send_signal(signal.SIGSTOP)
      try:
        for verb in (("ping",), ("call", "debug.add", "40", "2"), ("status",)):
          began = time.monotonic()
          done = vmreqtest.vmreqctl(daemon.path, "--timeout", "500ms", *verb)
          took = time.monotonic() - began
          self.assertEqual(done.code, TIMED_OUT, done)
          self.assertLess(took, 2.5 + 1.5 * vmreqtest.SLOW)
      finally:
        daemon.process.send_signal(signal.SIGCONT)

  # -- 6: cancelled or killed

  def test_cancelled(self):
    blocked = self.client.block(0)
    command = [vmreqtest.VMREQCTL, "-s", self.daemon.path, "--timeout", "30", "call", "--cpu", "0",
               "debug.whoami"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
      self.client.until_status(lambda s: s["emts"][0]["queued"] == 1, "queued on 0")
      process.send_signal(signal.SIGINT)
      code = process.wait(vmreqtest.WAIT)
    self.assertIn(code, (CANCELLED, -signal.SIGINT, 128 + signal.SIGINT))
    self.client.unblock(0, through=1)
    self.client.result(blocked)

  def test_killed(self):
    daemon = vmreqtest.Daemon(config=vmreqtest.SHORT_DRAIN).start()
    try:
      client = daemon.client()
      client.request_to("debug.spin", [60_000], cpu=0, timeout_ms=0)
      client.until_runs(0, "debug.spin")
      command = [vmreqtest.VMREQCTL, "-s", daemon.path, "--timeout", "60", "call", "--cpu", "0",
                 "debug.whoami"]
      with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        client.until_status(lambda s: s["emts"][0]["queued"] == 1, "queued on 0")
        daemon.terminate()
        self.assertEqual(process.wait(vmreqtest.WAIT), CANCELLED)
        self.assertIn(b"KILLED", process.stderr.read())
      daemon.finish()
    finally:
      if daemon.process.poll() is None:
        daemon.kill()

  # -- a broadcast: the highest of its rows

  def test_broadcasts(self):
    self.assertEqual(self.ctl("call", "--cpu", "all", "debug.whoami").code, OK)
    self.assertEqual(self.ctl("call", "--cpu", "all", "debug.fail", "-1").code, FAILED)
    blocked = self.client.block(1)
    done = self.ctl("--timeout", "200ms", "call", "--cpu", "all", "debug.whoami")
    self.assertEqual(done.code, TIMED_OUT, done)
    self.client.unblock(1, through=0)
    self.client.result(blocked)


if __name__ == "__main__":
  vmreqtest.main()
