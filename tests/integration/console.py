#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""vmreqctl console and dump, at a terminal and in pipes, with a real guest at the other end."""
import os
import re
import select
import shutil
import signal
import subprocess

import vmreqtest
from kvmtest import RESULTS, Guest, needs_kvm

LEAVE = "\x1d"  # Ctrl-]
READY = rb"Ctrl-\] leaves\r\n.*ready\r\n"


def console(guest, *words, shell=False):
  """The verb at a terminal; with `shell`, one that shows the terminal's mode behind it."""
  command = [vmreqtest.VMREQCTL, "-s", guest.path, "console", *words]
  if shell:
    command = ["sh", "-c", '"$@"; echo "exit $?"; stty -a', "sh", *command]
  return vmreqtest.Terminal(*command)


def shell_environment(home):
  return {"NO_COLOR": "1", "HOME": home, "XDG_STATE_HOME": "",
          "ASAN_OPTIONS": "detect_leaks=0:exitcode=99"}  # libedit; see vmreqctl_terminal.py


def popen(guest, *words, **pipes):
  return subprocess.Popen([vmreqtest.VMREQCTL, "-s", guest.path, *words], **pipes)


@needs_kvm
class AtATerminal(vmreqtest.TestCase):
  def test_text_goes_both_ways(self):
    with Guest("echo.bin") as guest, console(guest) as terminal:
      terminal.expect(READY)
      terminal.type("abc")
      terminal.expect(rb"ABC")
      terminal.type("\r\x03")  # Enter and Ctrl-C are keys like any other
      terminal.expect(rb"\r\x03")
      terminal.type("xyz" + LEAVE)
      self.assertEqual(terminal.end(), 0)
      self.assertIn(b"left the console", terminal.shown)
      guest.until_text("XYZ")
      self.assertEqual(guest.call("vm.state"), "RUNNING")

  def test_the_guest_goes_off(self):
    with Guest("echo.bin") as guest, console(guest) as terminal:
      terminal.expect(READY)
      terminal.type("hiq")
      terminal.expect(rb"HI\r\nvmreqctl: the VM is OFF: vCPU 0: the guest powered itself off with code 0\r\n")
      self.assertEqual(terminal.end(), 0)

  def test_it_may_stay(self):
    with Guest("echo.bin") as guest, console(guest, "--stay", "--escape", "^a") as terminal:
      terminal.expect(rb"\^a leaves\r\n.*ready\r\n")
      terminal.type("q")
      terminal.expect(rb"the VM is OFF")
      guest.call("vm.power_on")
      terminal.expect(rb"ready")
      terminal.type(LEAVE + "b")
      terminal.expect(rb"\x1dB")
      terminal.type("\x01")
      self.assertEqual(terminal.end(), 0)

  def test_several(self):
    with Guest("echo.bin") as guest, console(guest) as one, console(guest) as two:
      for terminal in (one, two):
        terminal.expect(READY)
      one.type("one")
      for terminal in (one, two):
        terminal.expect(rb"ONE")
      two.type("two" + LEAVE)
      self.assertEqual(two.end(), 0)
      one.expect(rb"TWO")
      one.type(LEAVE)
      self.assertEqual(one.end(), 0)

  def test_every_way_out_leaves_the_terminal_as_it_was(self):
    def leave(terminal, _):
      terminal.type(LEAVE)

    def end_by_signal(number):
      def end(terminal, _):
        with open(f"/proc/{terminal.pid}/task/{terminal.pid}/children", encoding="ascii") as file:
          os.kill(int(file.read().split()[0]), number)
      return end

    def power_off(_, guest):
      guest.call("vm.power_off")

    def stop(_, guest):
      guest.terminate()

    for how, code in ((leave, 0), (end_by_signal(signal.SIGTERM), 143), (end_by_signal(signal.SIGINT), 130),
                      (power_off, 0), (stop, None)):
      with self.subTest(how=how.__name__), Guest("echo.bin") as guest, console(guest, shell=True) as terminal:
        terminal.expect(READY)
        how(terminal, guest)
        status = int(terminal.expect(rb"(?:^|\n)exit (\d+)\r\n").group(1))
        # A daemon that stops turns the VM off first; whether that, or its end, is seen first, is its own affair.
        self.assertIn(status, (0, 2) if code is None else (code,))
        terminal.expect(rb"[ \n]icrnl .*[ \n]isig icanon .* echo ")

  def test_a_flood_does_not_keep_anybody(self):
    with Guest("strings.elf", console="none") as guest, console(guest) as terminal:
      terminal.expect(rb"leaves\r\n")
      guest.until_moves(RESULTS)
      terminal.type(LEAVE)
      self.assertEqual(terminal.end(), 0)

  def test_a_guest_that_does_not_read(self):
    with Guest("count.elf") as guest, console(guest) as terminal:
      terminal.expect(rb"leaves\r\n")
      for _ in range(12):  # its serial port holds 4 KiB, and so do we
        terminal.type("x" * 1024)
      terminal.expect(rb"the guest reads nothing: what is typed now is dropped\r\n")
      terminal.type(LEAVE)
      self.assertEqual(terminal.end(), 0)

  def test_within_our_shell(self):
    with Guest("echo.bin") as guest, \
         vmreqtest.Terminal(vmreqtest.VMREQCTL, "-s", guest.path, "shell",
                            env=shell_environment(vmreqtest.temporary(self))) as terminal:
      terminal.expect(rb"vmreqctl> ")
      for _ in range(2):
        terminal.type("console\n")
        terminal.expect(READY)
        terminal.type("abc")
        terminal.expect(rb"ABC")
        terminal.type(LEAVE)
        terminal.expect(rb"left the console\r\n.*vmreqctl> ")
      terminal.type("ping\n")
      terminal.expect(rb"\r\npong\r\n.*vmreqctl> ")
      terminal.type("exit\n")
      self.assertEqual(terminal.end(), 0)


@needs_kvm
class InPipes(vmreqtest.TestCase):
  def test_all_of_it_up_to_the_end_of_the_guest(self):
    """Its last words are there, each time, although it powers itself off right behind them."""
    with Guest("echo.bin", power_on=False) as guest:
      for _ in range(10):
        guest.call("vm.power_on")
        done = vmreqtest.run(vmreqtest.VMREQCTL, "-s", guest.path, "console", data=b"hi there" * 100 + b"q")
        self.assertEqual(done.code, 0, done)
        self.assertTrue(done.out.endswith("HI THERE" * 100), done)
        self.assertIn("the VM is OFF", done.err)

  def test_more_than_fits_waits_for_the_guest(self):
    text = b"0123456789abcdef" * 640  # more than the port and vmreqctl hold
    with Guest("echo.bin") as guest:
      done = vmreqtest.run(vmreqtest.VMREQCTL, "-s", guest.path, "console", data=text + b"q")
      self.assertEqual(done.code, 0, done)
      self.assertTrue(done.out.endswith(text.decode().upper()), done.err)

  def test_the_end_of_the_input(self):
    with Guest("echo.bin") as guest:
      done = vmreqtest.run(vmreqtest.VMREQCTL, "-s", guest.path, "console", "--hang-up", data=b"abc")
      self.assertEqual((done.code, done.err), (0, ""), done)
      guest.until_text("ABC")
      # Without that option only the typing ends: this one is still there when the guest goes off.
      with popen(guest, "console", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        seen = b""
        while b"ABC" not in seen:  # it has subscribed
          data = os.read(process.stdout.fileno(), 4096)
          self.assertTrue(data, seen)
          seen += data
        guest.call("console.write", "xq")
        out, _ = process.communicate(timeout=vmreqtest.WAIT)
        self.assertTrue(out.endswith(b"X"), out)
        self.assertEqual(process.returncode, 0)

  def test_a_reader_that_has_enough(self):
    with Guest("strings.elf", console="none") as guest, \
         popen(guest, "console", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
      self.assertTrue(process.stdout.read(10))
      process.stdout.close()
      self.assertEqual(process.wait(timeout=vmreqtest.WAIT), 1)


@needs_kvm
class Dump(vmreqtest.TestCase):
  def test_a_guest_that_runs_goes_on(self):
    path = os.path.join(vmreqtest.temporary(self), "core")
    with Guest("count.elf", cpus=2) as guest:
      guest.until_moves(RESULTS)
      done = vmreqtest.vmreqctl(guest.path, "dump", path)
      self.assertEqual((done.code, done.err), (0, ""), done)
      self.assertEqual(done.out, f"{path}: {os.path.getsize(path)} bytes\n")
      self.assertEqual(os.listdir(os.path.dirname(path)), ["core"])
      guest.until_moves(RESULTS)
      refused = vmreqtest.vmreqctl(guest.path, "dump", "--no-suspend", path + "2")
      self.assertEqual(refused.code, 4, refused)
      self.assertEqual(os.listdir(os.path.dirname(path)), ["core"])

  def test_interrupted_in_the_middle(self):
    path = os.path.join(vmreqtest.temporary(self), "pipe")
    os.mkfifo(path)
    for number in (signal.SIGINT, signal.SIGTERM):
      with Guest("count.elf") as guest:
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
          with popen(guest, "dump", path, stderr=subprocess.PIPE, text=True) as process:
            # Then the guest is suspended, and the pipe about to be full.
            self.assertTrue(select.select([reader], [], [], vmreqtest.WAIT)[0])
            process.send_signal(number)
            _, said = process.communicate(timeout=vmreqtest.WAIT)
          self.assertEqual(process.returncode, -number, said)
          self.assertIn("not complete", said)
        finally:
          os.close(reader)
        self.assertEqual(guest.call("vm.state"), "RUNNING")
        guest.until_moves(RESULTS)

  def test_interrupted_within_our_shell(self):
    """The dump ends, whether it waits for the guest or for its reader just then; the shell goes on."""
    folder = vmreqtest.temporary(self)
    path = os.path.join(folder, "pipe")
    os.mkfifo(path)
    with Guest("count.elf") as guest, vmreqtest.Terminal(vmreqtest.VMREQCTL, "-s", guest.path, "shell",
                                                         env=shell_environment(folder)) as terminal:
      terminal.expect(rb"vmreqctl> ")
      for _ in range(5):
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
          terminal.type(f"dump {path}\n")
          self.assertTrue(select.select([reader], [], [], vmreqtest.WAIT)[0])
          terminal.type("\x03")
          terminal.expect(rb"not complete\r\n.*vmreqctl> ")
        finally:
          os.close(reader)
        self.assertEqual(guest.call("vm.state"), "RUNNING")
      terminal.type("exit\n")
      self.assertEqual(terminal.end(), 0)

  def test_a_full_disk(self):
    with Guest("count.elf") as guest:
      done = vmreqtest.vmreqctl(guest.path, "dump", "/dev/full")
      self.assertEqual(done.code, 1, done)
      self.assertIn("No space left on device", done.err)
      guest.until_moves(RESULTS)


@needs_kvm
class Readme(vmreqtest.TestCase):
  """The section "A guest" of README.md, command by command, as it stands there; without what waits for a key."""

  def test_a_guest_boots_and_is_questioned(self):
    with open(os.path.join(vmreqtest.ROOT, "README.md"), encoding="utf-8") as file:
      section = file.read().split("\n## A guest\n")[1].split("\n## ")[0]
    folder = vmreqtest.temporary(self)
    lines = [line[2:].split("; ctl console ")[0] for line in section.split("\n") if line.startswith("$ ")]
    self.assertEqual(len(lines), 10)
    lines[1] += " until grep -qs ready /tmp/guest.log; do :; done"  # who types takes longer
    lines = [line.replace("/tmp/guest", f"{folder}/guest").replace("$PWD/build", "build")
             .replace("build/", vmreqtest.BUILD + "/") for line in lines]
    if not shutil.which("gdb"):
      lines = [line.split("; gdb")[0] for line in lines]
    script = "\n".join(["shopt -s expand_aliases", "set -eu -o pipefail", *lines, "kill $!", "wait $!"])
    done = vmreqtest.run("bash", "-c", script, cwd=folder)
    self.assertEqual((done.code, done.err), (0, ""), done)
    said = done.out.split("\n")
    self.assertRegex(done.out, "rip:    0x[0-9a-f]+\n")
    words = [line for line in said if re.fullmatch("[0-9a-f]{32}", line)]
    self.assertEqual(len(words), 4, done)
    self.assertEqual(words[2], words[3])
    self.assertIn(f"{folder}/guest.core: {64 * 1024 * 1024 + 4096} bytes", said)


class WithoutAGuest(vmreqtest.SharedDaemon):
  def test_there_is_no_console_and_nothing_to_dump(self):
    done = vmreqtest.vmreqctl(self.daemon.path, "console")
    self.assertEqual(done.code, 4, done)
    self.assertIn('NOT_FOUND: there is no topic "console"', done.err)
    path = os.path.join(vmreqtest.temporary(self), "core")
    done = vmreqtest.vmreqctl(self.daemon.path, "dump", path)
    self.assertEqual(done.code, 4, done)
    self.assertIn("UNSUPPORTED", done.err)
    self.assertFalse(os.path.exists(path))


if __name__ == "__main__":
  vmreqtest.main()
