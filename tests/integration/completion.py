#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Completion in bash and zsh as they are: verbs and options from the program, symbols and arguments from the daemon."""
import os
import shutil
import tempfile
import time

import vmreqtest

CLIENT = os.path.join(vmreqtest.ROOT, "client")

# What bash does on Tab, and what it would show.
BASH = r"""
source "$1"
COMP_LINE=$2
COMP_POINT=${#COMP_LINE}
compopt() { echo "compopt $*"; }
_vmreqctl
printf '%s\n' "${COMPREPLY[@]}"
"""


class Completion(vmreqtest.SharedDaemon):
  def setUp(self):
    super().setUp()
    self.folder = tempfile.mkdtemp(prefix="vmreq-")
    self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
    os.symlink(vmreqtest.VMREQCTL, os.path.join(self.folder, "vmreqctl"))
    self.env = {"PATH": f"{self.folder}:{os.environ['PATH']}", "VMREQ_SOCKET": self.daemon.path}

  def bash(self, line, **env):
    done = vmreqtest.run("bash", "-c", BASH, "bash", os.path.join(CLIENT, "vmreqctl.bash"), line,
                         env={**self.env, **env})
    self.assertEqual((done.code, done.err), (0, ""), done)
    return done.out.split()

  def test_bash(self):
    self.assertEqual(self.bash("vmreqctl st"), ["status", "stats", "stdio"])
    self.assertEqual(self.bash("vmreqctl call debug.ad"), ["debug.add"])
    self.assertEqual(self.bash("vmreqctl call debug.add "), ["a=", "b="])
    self.assertEqual(self.bash("vmreqctl call debug.add a=1 "), ["compopt", "-o", "nospace", "b="])
    self.assertEqual(self.bash("vmreqctl --json="), ["short", "pretty"])
    self.assertEqual(self.bash("vmreqctl call --cpu="),
                     ["any", "any-queue", "all", "all-reverse", "0", "1", "2"])
    self.assertEqual(self.bash("vmreqctl --timeout 5 wait-state R"), ["RUNNING"])
    self.assertIn("--timeout=", self.bash("vmreqctl --t"))

  def test_bash_files(self):
    open(os.path.join(self.folder, "data.bin"), "wb").close()
    found = self.bash(f"vmreqctl call debug.echo @{self.folder}/da")
    self.assertEqual(found[-1], f"@{self.folder}/data.bin")
    found = self.bash(f"vmreqctl -s {self.folder}/da")
    self.assertEqual(found[-1], f"{self.folder}/data.bin")

  def test_bash_without_a_daemon(self):
    self.assertEqual(self.bash("vmreqctl call debug.", VMREQ_SOCKET="/nonexistent/s"), [])
    self.assertEqual(self.bash("vmreqctl pin", VMREQ_SOCKET="/nonexistent/s"), ["ping"])

  def test_stopped_daemon_is_given_up_soon(self):
    with vmreqtest.Daemon() as daemon:
      daemon.process.send_signal(19)
      try:
        began = time.monotonic()
        self.assertEqual(self.bash("vmreqctl call debug.", VMREQ_SOCKET=daemon.path), [])
        self.assertLess(time.monotonic() - began, vmreqtest.SOON)
      finally:
        daemon.process.send_signal(18)

  def test_zsh(self):
    if not shutil.which("zsh"):
      self.skipTest("no zsh")
    os.symlink(os.path.join(CLIENT, "vmreqctl.zsh"), os.path.join(self.folder, "_vmreqctl"))
    with open(os.path.join(self.folder, ".zshrc"), "w", encoding="ascii") as file:
      file.write(f"PROMPT='%% '\nfpath=({self.folder} $fpath)\nautoload -Uz compinit\n"
                 f"compinit -D -u\nunsetopt auto_menu\nbindkey -e\necho READY\n")
    with vmreqtest.Terminal("zsh", "-i", env={**self.env, "ZDOTDIR": self.folder}) as terminal:
      terminal.expect(rb"READY.*% ")
      terminal.type("vmreqctl call debug.ad\ta\t40 b\t2\n")
      terminal.expect(rb"[\r\n]42[\r\n]")
      terminal.type("vmreqctl pin\t\n")
      terminal.expect(rb"[\r\n]pong[\r\n]")
      terminal.type("exit\n")
      terminal.end()


if __name__ == "__main__":
  vmreqtest.main()
