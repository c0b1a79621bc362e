#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""vmreqctl at a terminal: colours, the line that says what is under way, Ctrl-C, and the shell's prompt."""
import os
import signal
import subprocess
import tempfile

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
      terminal.expect(rb"debug\.sleep: 1\.\d s; Ctrl-C cancels")
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
        terminal.expect(rb"\r\n42\r\n")
        terminal.type(" debug.add 1 1\n")  # not remembered
        terminal.expect(rb"\r\n2\r\n")
        terminal.type("\x1b[A\n")          # the line before
        terminal.expect(rb"\r\n42\r\n")
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
        terminal.expect(rb"\r\npong\r\n")
        terminal.type("call debug.ad\ta\t40 b\t2\n")
        terminal.expect(rb"\r\n42\r\n")
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
        terminal.expect(rb"\^C")
        terminal.type("debug.add 40 2\n")
        terminal.expect(rb"\r\n42\r\n")
        terminal.type("call --cpu 0 debug.sleep 60000\n")
        self.client.until_runs(0, "debug.sleep")
        terminal.type("\x03")
        terminal.expect(rb"CANCELLED")
        terminal.type("ping\n")
        terminal.expect(rb"\r\npong\r\n")
        terminal.type("exit\n")
        self.assertEqual(terminal.end(), 0)
    self.client.until_idle(0)


if __name__ == "__main__":
  vmreqtest.main()
