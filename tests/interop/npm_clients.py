#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Clients from npm: 'neovim' by its attach, and @msgpack/msgpack by hand.

They are installed below the build folder, in the versions that npm/package-lock.json pins.  Without node, or where the
registry cannot be reached, the tests are skipped and say why.
"""
import concurrent.futures
import hashlib
import json
import os
import shutil
import signal
import subprocess
import unittest

import vmreqtest

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(HERE, "npm")
FOLDER = os.path.join(vmreqtest.BUILD, "interop-npm")
INSTALL_SECONDS = 60


def pinned():
  """What is to be installed, as a name for it."""
  digest = hashlib.sha256()
  for name in ("package.json", "package-lock.json"):
    with open(os.path.join(SOURCE, name), "rb") as file:
      digest.update(file.read())
  return digest.hexdigest()


def install():
  """None, or why there are no packages."""
  stamp = os.path.join(FOLDER, "installed")
  if os.path.exists(stamp):
    with open(stamp, encoding="ascii") as file:
      if file.read() == pinned():
        return None
  for program in ("node", "npm"):
    if not shutil.which(program):
      return f"no {program} on this machine"
  shutil.rmtree(FOLDER, ignore_errors=True)
  os.makedirs(FOLDER)
  for name in ("package.json", "package-lock.json"):
    shutil.copy(os.path.join(SOURCE, name), FOLDER)
  try:
    done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"],
                          cwd=FOLDER, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=INSTALL_SECONDS, text=True, check=False)
  except subprocess.TimeoutExpired:
    return f"npm ci took longer than {INSTALL_SECONDS} s: is the registry reachable?"
  if done.returncode != 0:
    lines = [line for line in done.stdout.split("\n") if "error" in line.lower()]
    return f"npm ci failed, is the registry reachable? {' '.join(lines[:2])}"
  with open(stamp, "w", encoding="ascii") as file:
    file.write(pinned())
  return None


def setUpModule():
  why = install()
  if why:
    print(f"skipped: {why}", flush=True)
    raise unittest.SkipTest(why)


class Clients(vmreqtest.SharedDaemon):
  KIND = None

  @classmethod
  def setUpClass(cls):
    if cls.KIND is None:
      raise unittest.SkipTest("the tests of both")
    super().setUpClass()

  @classmethod
  def tearDownClass(cls):
    if cls.KIND is not None:
      super().tearDownClass()

  def command(self, scenario):
    return ["node", os.path.join(SOURCE, "client.js"), self.KIND, self.daemon.path, scenario]

  def environment(self):
    return {"NODE_PATH": os.path.join(FOLDER, "node_modules"), "NODE_OPTIONS": ""}

  def node(self, scenario):
    done = vmreqtest.run("timeout", "-k", "5", str(vmreqtest.WAIT), *self.command(scenario),
                         env=self.environment(), timeout=vmreqtest.WAIT + 10)
    self.assertEqual(done.code, 0, done)
    return json.loads(done.out)

  def test_add(self):
    self.assertEqual(self.node("add"), 42)

  def test_echo(self):
    self.assertEqual(self.node("echo"), "same")

  def test_failures_show_their_text_and_count_as_failed(self):
    said = self.node("failure")
    self.assertIn("the disk is gone", said[0])
    self.assertIn("FAILED", said[0])
    self.assertIn("NOT_FOUND", said[1])
    self.assertIn("INVALID_ARGUMENT", said[2])

  def test_out_of_order(self):
    self.assertEqual(self.node("outOfOrder"), [201, "slow"])

  def test_large_reply(self):
    self.assertEqual(self.node("large"), 8_000_000)

  def test_bytewise(self):
    self.assertEqual(self.node("bytewise"), 42)

  def test_symbols(self):
    self.assertEqual(self.node("symbols"), [True, True])

  def test_rows(self):
    self.assertEqual(self.node("rows"), [2, 1, 0])

  def test_notifications(self):
    self.assertEqual(self.node("notify"), 42)

  def test_eight_in_parallel(self):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
      self.assertEqual(list(pool.map(lambda _: self.node("add"), range(8))), [42] * 8)

  def test_killed_in_mid_call(self):
    with subprocess.Popen(self.command("block"), env={**os.environ, **self.environment()},
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
      try:
        self.client.until_runs(0, "debug.block")
      finally:
        process.send_signal(signal.SIGKILL)
    self.client.until_idle(0)


class Neovim(Clients):
  KIND = "neovim"


class MsgpackByHand(Clients):
  KIND = "msgpack"


if __name__ == "__main__":
  vmreqtest.main()
