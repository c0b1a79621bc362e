#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""vmreqctl at a terminal: colours, the line that says what is under way, Ctrl-C, and the shell's prompt."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

import msgpack

import vmreqtest


class AtATerminal(vmreqtest.SharedDaemon):
  def terminal(self, *words, env=None):
    return vmreqtest.Terminal(vmreqtest.VMREQCTL, "-s", self.daemon.path, *words, env=env)

  def test_colours(self):
    with self.terminal("call", "--cpu", "all", "debug.whoami") as terminal:
      terminal.expect(rb"\x1b\[32mDONE\x1b\[0m")
      self.assertEqual(terminal.end(), 0)
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
      with self.terminal("call", "--cpu", "all", "debug.whoami", env=env) as terminal:
        self.assertEqual(terminal.end(), 0)
        self.assertIn(b"DONE", terminal.shown)
        self.assertNotIn(b"\x1b", terminal.shown)

  def test_no_colours_elsewhere(self):
    done = vmreqtest.vmreqctl(self.daemon.path, "call", "--cpu", "all", "debug.whoami",
                              env={"TERM": "xterm"})
    self.assertNotIn("\x1b", done.out + done.err)

  def test_control_bytes_stay_out(self):
    hostile = "a\x1b[2J\x9b31m\x07‮"
    for words in (("call", "debug.echo"), ("--json", "call", "debug.echo"), ("call", "debug.fail", "-1")):
      with self.terminal(*words, hostile) as terminal:
        terminal.end()
        for bad in (b"\x1b[2J", b"\xc2\x9b", b"\x07", "‮".encode()):
          self.assertNotIn(bad, terminal.shown)

  def test_progress_and_interrupt(self):
    with self.terminal("call", "--cpu", "0", "debug.sleep", "60000") as terminal:
      terminal.expect(rb"debug\.sleep: \d+\.\d s; Ctrl-C cancels")
      terminal.type("\x03")
      terminal.expect(rb"cancel: asked")
      terminal.expect(rb"CANCELLED: ")
      self.assertEqual(terminal.end(), 6)
    self.client.until_idle(0)

  def test_second_interrupt_leaves(self):
    spin = ("call", "--cpu", "0", "debug.spin", "3000")
    with self.terminal(*spin) as terminal:
      self.client.until_runs(0, "debug.spin")
      terminal.type("\x03")
      terminal.expect(rb"cancel: ")
      terminal.type("\x03")
      terminal.expect(rb"left; what became of the call is not known")
      self.assertEqual(terminal.end(), -signal.SIGINT)
    self.client.until_idle(0)


NASTY = "\x1b[2J\x1b]0;title\x07\x9b31m\u202e\x7f\x00\x08x\r\nvmreqctl: forged"
FIELDS = ("name", "symbol", "state", "doc", "signature", "version", "vm", "text", "message", "fate", "type", "previous",
          "reason", "module", "result", "cpu", "deprecated", "since", "next")


def nasty_map(depth=0):
  """Whatever field a verb looks for, it finds it, and something in it that drives terminals."""
  value = {field: NASTY for field in FIELDS}
  value.update({NASTY: NASTY, "id": 7, "uid": 1, "pid": 2, "stuck": True, "status": -1, "running_ms": 5})
  if depth < 2:
    for field in ("params", "flags", "requests", "running", "emts"):
      value[field] = [nasty_map(depth + 1), NASTY]
    value.update({"caller": nasty_map(2), "error": nasty_map(2), "lanes": nasty_map(2), "default": NASTY,
                  "calls": {"answered_by_error": {NASTY: 1}}, "requests_": 1})
  return value


class NastyServer(threading.Thread):
  """Answers everything with that, or with an error full of it; sends events nobody needs."""

  def __init__(self, path, fail):
    super().__init__(daemon=True)
    self.fail = fail
    self.listener = socket.socket(socket.AF_UNIX)
    self.listener.bind(path)
    self.listener.listen(16)

  def run(self):
    while True:
      try:
        connection, _ = self.listener.accept()
      except OSError:
        return
      with connection:
        try:
          self.serve(connection)
        except OSError:
          pass

  def serve(self, connection):
    unpacker = msgpack.Unpacker()
    while data := connection.recv(65536):
      unpacker.feed(data)
      for _, msgid, method, params in unpacker:
        error, result = None, nasty_map()
        if method == "vmreq.hello":
          result = {}
        elif method in ("vmreq.modules", "vmreq.wait"):
          result = [nasty_map(), NASTY]
        elif method == "vmreq.symbols":
          result = [] if params and params[0].get("after") else ["a.b", f"c.{NASTY}"]
        elif self.fail and method != "vmreq.describe":
          error, result = {"name": NASTY, "message": NASTY, "ran": NASTY, "data": NASTY}, None
        if method == "vmreq.call":
          connection.sendall(msgpack.packb([2, "vmreq.row", [msgid, nasty_map(2)]]))
          connection.sendall(msgpack.packb([2, "vmreq.chunk", [msgid, 0, NASTY]]))
        connection.sendall(msgpack.packb([1, msgid, error, result]))
        if method == "vmreq.subscribe" and not error:
          for topic in (*params, NASTY):
            connection.sendall(msgpack.packb([2, "vmreq.event", [topic, nasty_map(2)]]))
          connection.sendall(msgpack.packb([2, "vmreq.event", ["console", {"data": NASTY.encode()}]]))


class Nasty(vmreqtest.TestCase):
  VERBS = (("call", "a.b"), ("call", "--stream", "a.b", "x"), ("call", "--cpu", "all", "a.b"), ("call", "--timing", "a.b"),
           ("submit", "a.b"), ("wait", "7"), ("cancel", "7"), ("release", "7"), ("symbols",), ("describe", "a.b"),
           ("describe", "--markdown"), ("status",), ("ps",), ("why", "7"), ("stats",), ("stats", "--openmetrics"),
           ("dump", "/dev/null"),
           ("ping",), ("modules",), ("load", "m"), ("unload", "m"), ("watch", "vm.state", "emt.stuck", "request", "console"),
           ("wait-state", "OFF"), ("complete", "--", "call", "a.b", ""), ("complete", "--", "unload", ""))
  ALLOWED = re.compile(rb"\x1b\[[0-9;]*m|\r\n|\r\x1b\[K|\t")

  def test_no_verb_lets_through_what_drives_a_terminal(self):
    for fail in (False, True):
      folder = tempfile.mkdtemp(prefix="vmreq-")
      self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
      path = os.path.join(folder, "s")
      server = NastyServer(path, fail)
      server.start()
      for verb in self.VERBS:
        for words in (("--timeout", "1", *verb), ("--json", "--timeout", "1", *verb)):
          with self.subTest(words=words, fail=fail):
            with vmreqtest.Terminal(vmreqtest.VMREQCTL, "-s", path, *words) as terminal:
              terminal.end()
              left = self.ALLOWED.sub(b"", terminal.shown)
              self.assertNotRegex(left, rb"[\x00-\x09\x0b-\x1f\x7f]")
              self.assertNotRegex(left.decode(errors="replace"), "[\x7f-\x9f\u202a-\u202e\ufffd]")
      server.listener.close()


class Interrupt(vmreqtest.SharedDaemon):
  def test_queued_call_is_removed(self):
    blocked = self.client.block(0)
    command = [vmreqtest.VMREQCTL, "-s", self.daemon.path, "call", "--cpu", "0", "debug.whoami"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
      self.client.until_status(lambda s: s["emts"][0]["queued"] == 1, "queued on 0")
      process.send_signal(signal.SIGINT)
      _, said = process.communicate(timeout=vmreqtest.WAIT)
    self.assertEqual(process.returncode, 6, said)
    self.assertIn("cancel: removed: it never runs", said)
    self.assertIn("CANCELLED: ", said)
    self.assertIn("(ran: no)", said)
    self.client.unblock(0, through=1)
    self.client.result(blocked)


class Shell(vmreqtest.SharedDaemon):
  def shell(self, folder):
    # libedit 3.1 never frees the name of a function that it was given: 120 bytes.
    terminal = vmreqtest.Terminal(vmreqtest.VMREQCTL, "-s", self.daemon.path, "shell",
                                  env={"HOME": folder, "XDG_STATE_HOME": "", "NO_COLOR": "1",
                                       "ASAN_OPTIONS": "detect_leaks=0:exitcode=99"})
    terminal.expect(rb"vmreqctl> ")
    return terminal

  def test_calls_and_history(self):
    with tempfile.TemporaryDirectory(prefix="vmreq-") as folder:
      with self.shell(folder) as terminal:
        terminal.type("debug.add 40 2\n")
        terminal.expect(rb"\r\n42\r\n.*vmreqctl> ")
        terminal.type(" debug.add 1 1\n")  # not remembered
        terminal.expect(rb"\r\n2\r\n.*vmreqctl> ")
        terminal.type("\x1b[A\n")          # the line before
        terminal.expect(rb"\r\n42\r\n.*vmreqctl> ")
        terminal.type("exit\n")
        self.assertEqual(terminal.end(), 0)
      history = os.path.join(folder, ".local", "state", "vmreqctl", "history")
      self.assertEqual(os.stat(history).st_mode & 0o777, 0o600)
      with self.shell(folder) as terminal:
        terminal.type("\x1b[A\n")
        terminal.expect(rb"\r\n42\r\n.*vmreqctl> ")
        terminal.type("\x04")
        self.assertEqual(terminal.end(), 0)

  def test_completion(self):
    with tempfile.TemporaryDirectory(prefix="vmreq-") as folder:
      with self.shell(folder) as terminal:
        terminal.type("pin\t\n")
        terminal.expect(rb"\r\npong\r\n.*vmreqctl> ")
        terminal.type("call debug.ad\ta\t40 b\t2\n")
        terminal.expect(rb"\r\n42\r\n.*vmreqctl> ")
        terminal.type("debug.s\t")
        terminal.expect(rb"debug\.sleep.*debug\.spin.*debug\.sum15")
        terminal.type("\x15exit\n")
        self.assertEqual(terminal.end(), 0)

  def test_interrupts(self):
    """Ctrl-C drops a line, cancels a call, ends neither the shell nor its connection."""
    with tempfile.TemporaryDirectory(prefix="vmreq-") as folder:
      with self.shell(folder) as terminal:
        terminal.type("nonsense")
        terminal.expect(rb"nonsense")
        terminal.type("\x03")
        terminal.expect(rb"\^C.*vmreqctl> ")
        terminal.type("debug.add 40 2\n")
        terminal.expect(rb"\r\n42\r\n.*vmreqctl> ")
        terminal.type("call --cpu 0 debug.sleep 60000\n")
        self.client.until_runs(0, "debug.sleep")
        terminal.type("\x03")
        terminal.expect(rb"CANCELLED.*vmreqctl> ")
        terminal.type("ping\n")
        terminal.expect(rb"\r\npong\r\n.*vmreqctl> ")
        terminal.type("exit\n")
        self.assertEqual(terminal.end(), 0)
    self.client.until_idle(0)


if __name__ == "__main__":
  vmreqtest.main()
