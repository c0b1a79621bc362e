#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""vmreqctl -H over an ssh that runs its words on this host, and vmreqctl stdio by itself."""
import json
import os
import shutil
import signal
import subprocess
import tempfile

import msgpack

import vmreqtest

# As ssh: what is behind the host goes to a shell as one line.  The words are noted.
SSH = """#!/bin/sh
for word; do printf '%s\\n' "$word"; done >"{folder}/words"
while [ "$1" != -- ]; do shift; done
shift 2
PATH="{folder}:$PATH" exec sh -c "$*"
"""


class Remote(vmreqtest.SharedDaemon):
  def setUp(self):
    super().setUp()
    self.folder = tempfile.mkdtemp(prefix="vmreq-")
    self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
    ssh = os.path.join(self.folder, "ssh")
    with open(ssh, "w", encoding="ascii") as file:
      file.write(SSH.format(folder=self.folder))
    os.chmod(ssh, 0o755)
    os.symlink(vmreqtest.VMREQCTL, os.path.join(self.folder, "vmreqctl"))
    self.env = {"PATH": f"{self.folder}:{os.environ['PATH']}"}

  def ctl(self, *words, **options):
    return vmreqtest.run(vmreqtest.VMREQCTL, "-H", "user@host", "-s", self.daemon.path, *words,
                         env=self.env, **options)

  def test_verbs(self):
    done = self.ctl("call", "debug.add", "40", "2")
    self.assertEqual((done.code, done.out, done.err), (0, "42\n", ""), done)
    with open(os.path.join(self.folder, "words"), encoding="ascii") as file:
      words = file.read().split("\n")
    self.assertEqual(words[-8:], ["--", "user@host", "vmreqctl", "-s", self.daemon.path, "stdio",
                                  "--hang-up", ""])
    self.assertEqual(json.loads(self.ctl("--json", "status").out)["vm"], "t")
    self.assertEqual(self.ctl("call", "debug.fail", "-5", "gone").code, 3)

  def test_large(self):
    with tempfile.NamedTemporaryFile("w", prefix="vmreq-") as file:
      json.dump("z" * 4_000_000, file)
      file.flush()
      done = self.ctl("--json", "call", "debug.echo", f"@{file.name}")
    self.assertEqual((done.code, len(done.out)), (0, 4_000_003))

  def test_many_in_one_shell(self):
    done = self.ctl("shell", data=b"debug.add 1 2\n" * 100)
    self.assertEqual((done.code, done.out), (0, "3\n" * 100), done)

  def test_refused(self):
    for host in ("-oProxyCommand=touch /tmp/x", "a b", "-l@h", "u@-h", "h;id"):
      done = vmreqtest.run(vmreqtest.VMREQCTL, "-H", host, "ping", env=self.env)
      self.assertEqual(done.code, 1, done)
    done = vmreqtest.run(vmreqtest.VMREQCTL, "-H", "h", "-s", "/a;id", "ping", env=self.env)
    self.assertEqual(done.code, 1, done)
    self.assertFalse(os.path.exists(os.path.join(self.folder, "words")))

  def test_no_daemon_there(self):
    done = vmreqtest.run(vmreqtest.VMREQCTL, "-H", "h", "-s", "/nonexistent/s", "ping", env=self.env)
    self.assertEqual(done.code, 2, done)
    self.assertIn("ssh: vmreqctl: cannot connect to /nonexistent/s", done.err)

  def test_killed_in_mid_call(self):
    """The end of the client is the end of its calls, on the other side too."""
    blocked = self.client.block(0)
    command = [vmreqtest.VMREQCTL, "-H", "h", "-s", self.daemon.path, "call", "--cpu", "0", "debug.whoami"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          env={**os.environ, **self.env}) as process:
      self.client.until_status(lambda s: s["emts"][0]["queued"] == 1, "queued on 0")
      process.kill()
    self.client.until_status(lambda s: s["calls"] == 1, "the blocking call alone")
    self.client.unblock(0, through=1)
    self.client.result(blocked)

  def test_interrupt(self):
    """Ctrl-C reaches the whole group at a terminal: ssh ignores it, and the call is cancelled."""
    with vmreqtest.Terminal(vmreqtest.VMREQCTL, "-H", "h", "-s", self.daemon.path, "call", "--cpu", "0",
                            "debug.sleep", "60000", env=self.env) as terminal:
      self.client.until_runs(0, "debug.sleep")
      terminal.type("\x03")
      terminal.expect(rb"cancel: asked")
      self.assertEqual(terminal.end(), 6)
    self.client.until_idle(0)


class Stdio(vmreqtest.SharedDaemon):
  def test_half_close(self):
    """All that was asked before the end of the input is answered."""
    requests = b"".join(msgpack.packb([0, n, "debug.add", [n, 1]]) for n in range(1000))
    done = subprocess.run([vmreqtest.VMREQCTL, "-s", self.daemon.path, "stdio"], input=requests,
                          stdout=subprocess.PIPE, timeout=vmreqtest.WAIT, check=True)
    unpacker = msgpack.Unpacker()
    unpacker.feed(done.stdout)
    self.assertEqual({m[1]: m[3] for m in unpacker}, {n: n + 1 for n in range(1000)})

  def test_reader_goes_away(self):
    with subprocess.Popen([vmreqtest.VMREQCTL, "-s", self.daemon.path, "stdio"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
      process.stdin.write(msgpack.packb([0, 1, "vmreq.call", ["debug.sleep", [60000], {"cpu": 0}]]))
      process.stdin.flush()
      self.client.until_runs(0, "debug.sleep")
      process.stdout.close()
      self.assertEqual(process.wait(vmreqtest.WAIT), 0)
      process.stdin.close()
    self.client.until_idle(0)

  def test_hang_up(self):
    command = [vmreqtest.VMREQCTL, "-s", self.daemon.path, "stdio", "--hang-up"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
      process.stdin.write(msgpack.packb([0, 1, "vmreq.call", ["debug.sleep", [60000], {"cpu": 0}]]))
      process.stdin.flush()
      self.client.until_runs(0, "debug.sleep")
      process.stdin.close()
      self.assertEqual(process.wait(vmreqtest.WAIT), 0)
    self.client.until_idle(0)

  def test_daemon_goes_away(self):
    daemon = vmreqtest.Daemon().start()
    command = [vmreqtest.VMREQCTL, "-s", daemon.path, "stdio"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
      process.stdin.write(msgpack.packb([0, 1, "vmreq.ping", []]))
      process.stdin.flush()
      self.assertTrue(process.stdout.read(1))
      daemon.process.send_signal(signal.SIGKILL)
      daemon.process.wait()
      self.assertEqual(process.wait(vmreqtest.WAIT), 0)
    daemon.close()


if __name__ == "__main__":
  vmreqtest.main()
