#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The daemon as a program: options, configuration, its socket, what the service manager sees."""
import os
import socket
import stat
import tempfile

import vmreqtest
from vmreqtest import Daemon, vmreqd


class Options(vmreqtest.TestCase):
  def test_version(self):
    done = vmreqd("--version")
    self.assertEqual(done.code, 0, done)
    self.assertRegex(done.out, r"^vmreqd \d+\.\d+\.\d+")

  def test_help(self):
    done = vmreqd("--help")
    self.assertEqual(done.code, 0, done)
    for option in ("--name", "--socket", "--cpus", "--module", "--config", "--check", "--version"):
      self.assertIn(option, done.out)

  def refused(self, *args, word=None, config=None):
    with tempfile.TemporaryDirectory(prefix="vmreq-") as folder:
      args = ["--socket", os.path.join(folder, "s")] + list(args)
      if config is not None:
        path = os.path.join(folder, "bad.conf")
        with open(path, "wb") as file:
          file.write(config)
        args += ["--config", path]
      done = vmreqd(*args)
      self.assertGreater(done.code, 0, done)
      self.assertLess(done.code, 99, done)
      self.assertTrue(done.err.strip(), "nothing on stderr")
      if word:
        self.assertIn(word, done.err)
      self.assertFalse(os.path.exists(os.path.join(folder, "s")), "a socket was left")
      return done

  def test_bad_options(self):
    self.refused("--no-such-option", word="no-such-option")
    self.refused("--name", "t", "--cpus", "0", word="cpus")
    self.refused("--name", "t", "--cpus", "-1", word="cpus")
    self.refused("--name", "t", "--cpus", "many", word="cpus")
    self.refused("--name", "t", "--cpus", "99999999999999999999", word="cpus")
    self.refused("--name", "t", "left", "over", word="left")

  def test_bad_names(self):
    for name in ("", "-x", ".x", "a/b", "x.sock", "a" * 65, "ü"):
      self.refused("--name", name, word="name")

  def test_bad_modules(self):
    self.refused("--name", "t", "--module", "no_such_module", word="no_such_module")
    self.refused("--name", "t", "--module", "/dev/null", word="/dev/null")
    self.refused("--name", "t", "--module", "../../x", word="../../x")

  def test_bad_configuration(self):
    done = self.refused("--name", "t", "--config", "/nonexistent/vmreqd.conf", word="/nonexistent")
    self.assertNotIn("ready", done.err)
    self.refused("--name", "t", config=b"[nowhere]\nkey = 1\n", word="nowhere")
    self.refused("--name", "t", config=b"not a line\n", word="1")
    self.refused("--name", "t", config=b"[vm]\n" + b"# " + b"x" * 300 + b"\n", word="2")
    self.refused("--name", "t", config=b"[vm]\nname = a\x00b\n", word="2")

  def test_check(self):
    with tempfile.TemporaryDirectory(prefix="vmreq-") as folder:
      path = os.path.join(folder, "s")
      done = vmreqd("--check", "--name", "t", "--cpus", "2", "--socket", path, "--module-dir",
                    vmreqtest.MODULE_DIR, "--module", "debug")
      self.assertEqual(done.code, 0, done)
      self.assertFalse(os.path.exists(path))
    self.refused("--check", "--name", "t", "--cpus", "0", word="cpus")
    self.refused("--check", "--name", "t", config=b"[nowhere]\nkey = 1\n", word="nowhere")


class Socket(vmreqtest.TestCase):
  def test_ready_and_stopping(self):
    with Daemon() as daemon:
      self.assertIn("READY=1", daemon.notify.seen)
      self.assertNotIn("STOPPING=1", daemon.notify.seen)
    self.assertIn("STOPPING=1", daemon.notify.seen)

  def test_closed_standard_descriptors(self):
    # What is written to them must not reach a socket, or the file of the lock.
    with Daemon(wrap=("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")) as daemon:
      self.assertEqual({os.readlink(f"/proc/{daemon.process.pid}/fd/{fd}") for fd in range(3)}, {"/dev/null"})
      daemon.client().notify("no.such")
      self.assertEqual(daemon.client().call("debug.add", 40, 2), 42)

  def test_socket_is_removed_at_the_end(self):
    with Daemon() as daemon:
      self.assertTrue(stat.S_ISSOCK(os.stat(daemon.path).st_mode))
      self.assertEqual(stat.S_IMODE(os.stat(daemon.path).st_mode) & 0o007, 0)
    self.assertFalse(os.path.exists(daemon.path))

  def test_stale_socket_is_replaced(self):
    with tempfile.TemporaryDirectory(prefix="vmreq-") as folder:
      path = os.path.join(folder, "s")
      dead = socket.socket(socket.AF_UNIX)
      dead.bind(path)
      dead.close()
      with Daemon(socket_path=path) as daemon:
        self.assertEqual(daemon.client().call("debug.add", 40, 2), 42)

  def test_socket_of_a_killed_daemon_is_replaced(self):
    with tempfile.TemporaryDirectory(prefix="vmreq-") as folder:
      path = os.path.join(folder, "s")
      first = Daemon(socket_path=path).start()
      first.process.kill()
      first.process.wait()
      first.close()
      self.assertTrue(os.path.exists(path))
      with Daemon(socket_path=path) as daemon:
        self.assertEqual(daemon.client().call("debug.add", 40, 2), 42)

  def test_live_socket_is_not_taken(self):
    with Daemon() as daemon:
      done = vmreqd("--name", "other", "--cpus", "1", "--socket", daemon.path)
      self.assertGreater(done.code, 0, done)
      self.assertIn(daemon.path, done.err)
      self.assertRegex(done.err, r"in use|already|running|another")
      self.assertEqual(daemon.client().call("debug.add", 40, 2), 42)

  def test_a_file_that_is_no_socket_is_not_removed(self):
    with tempfile.TemporaryDirectory(prefix="vmreq-") as folder:
      path = os.path.join(folder, "s")
      with open(path, "w", encoding="utf-8") as file:
        file.write("precious")
      done = vmreqd("--name", "t", "--cpus", "1", "--socket", path)
      self.assertGreater(done.code, 0, done)
      self.assertIn(path, done.err)
      with open(path, encoding="utf-8") as file:
        self.assertEqual(file.read(), "precious")

  def test_path_that_cannot_be(self):
    for path in ("/nonexistent/folder/s", "/tmp/" + "x" * 120):
      done = vmreqd("--name", "t", "--cpus", "1", "--socket", path)
      self.assertGreater(done.code, 0, done)
      self.assertTrue(done.err.strip())

  def test_default_path_of_a_user(self):
    if os.getuid() == 0:
      return self.skip_for_root()
    with tempfile.TemporaryDirectory(prefix="vmreq-") as runtime:
      with Daemon(listen=False, env={"XDG_RUNTIME_DIR": runtime}, name="mine") as daemon:
        daemon.path = os.path.join(runtime, "vmreqd", "mine.sock")
        self.assertEqual(daemon.client().call("debug.add", 40, 2), 42)

  def skip_for_root(self):
    """Root's default is under /run, which a test leaves alone; --help names it."""
    self.assertIn("/run/vmreqd", vmreqd("--help").out)

  def test_passed_by_the_service_manager(self):
    with tempfile.TemporaryDirectory(prefix="vmreq-") as folder:
      path = os.path.join(folder, "passed")
      listener = socket.socket(socket.AF_UNIX)
      listener.bind(path)
      listener.listen(16)
      early = vmreqtest.Client(path)                # connected before there is a daemon
      early_id = early.request("debug.add", 1, 1)
      daemon = Daemon(listen=listener)
      daemon.path = path
      with daemon:
        self.assertEqual(early.result(early_id), 2)
        self.assertEqual(daemon.client().call("debug.add", 40, 2), 42)
        early.close()
      self.assertTrue(os.path.exists(path), "an inherited socket is not ours to remove")
      # The next activation on the same socket.
      again = Daemon(listen=listener)
      again.path = path
      with again:
        self.assertEqual(again.client().call("debug.add", 40, 2), 42)
      listener.close()

  def test_two_daemons_beside_each_other(self):
    with Daemon(name="a") as first, Daemon(name="b", cpus=1) as second:
      self.assertEqual(first.client().status()["vm"], "a")
      self.assertEqual(second.client().status()["vm"], "b")
      self.assertEqual(len(second.client().status()["emts"]), 1)


if __name__ == "__main__":
  vmreqtest.main()
