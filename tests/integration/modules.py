#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Modules that come and go while the daemon runs."""
import os
import shutil
import subprocess
import tempfile
import unittest

import vmreqtest
from vmreqtest import Daemon, RpcError, TestCase

# A module whose init waits until somebody writes into a FIFO, and whose one function waits likewise.
SLOW_SOURCE = r"""
#include <fcntl.h>
#include <unistd.h>
#include "symbols/vmreq-module.h"
static void wait_for(const char *path) {
  char byte; int fd = open(path, O_RDONLY);
  while (fd >= 0 && read(fd, &byte, 1) < 0) ;
  close(fd);
}
static const char *fifo;
static int32_t nothing(void *ctx, const struct vmreq_value *args, uint32_t argc, struct vmreq_writer *reply) {
  return 0;
}
static const struct vmreq_symbol symbol = {.size = sizeof symbol, .name = "slow.nothing", .doc = "-",
  .result = VMREQ_T_NIL, .dest = VMREQ_DEST_ANY, .function = nothing};
static int init(const struct vmreq_host *host, uint32_t abi, const struct vmreq_setting *settings, size_t n) {
  wait_for(FIFO);
  return host->add_symbol(host, &symbol);
}
VMREQ_MODULE_EXPORT = {.size = sizeof(struct vmreq_module), .abi = VMREQ_MODULE_ABI, .name = "slow",
  .version = "7", .doc = "-", .flags = VMREQ_MODULE_UNMAPPABLE, .init = init};
"""


class LoadAndUnload(TestCase):
  def setUp(self):
    self.daemon = Daemon(cpus=2, modules=()).start()
    self.addCleanup(self.daemon.stop)
    self.client = self.daemon.client()

  def mapped(self):
    with open(f"/proc/{self.daemon.process.pid}/maps", encoding="ascii") as file:
      return "debug.so" in file.read()

  def test_a_life(self):
    self.assertError(self.client.error("debug.add", 1, 2), "NOT_FOUND")
    module = self.client.call("vmreq.load", "debug")
    self.assertEqual((module["name"], module["state"], module["builtin"]), ("debug", "loaded", False))
    self.assertEqual(self.client.call("debug.add", 40, 2), 42)
    self.assertIn("debug", [m["name"] for m in self.client.call("vmreq.modules")])
    self.assertTrue(self.mapped())
    self.assertIsNone(self.client.call("vmreq.unload", "debug"))
    self.assertError(self.client.error("debug.add", 1, 2), "NOT_FOUND")
    self.assertFalse(self.mapped())
    self.assertEqual(self.client.call("vmreq.load", "debug")["symbols"], module["symbols"])
    self.assertEqual(self.client.call("debug.add", 40, 2), 42)
    self.daemon.until_logged(f"loaded: {module['symbols']} symbols (asked for by uid {os.getuid()}",
                             "module debug unloaded")

  def test_in_use(self):
    self.client.call("vmreq.load", "debug")
    blocked = self.client.block(0)
    queued = self.client.request_to("debug.add", [1, 2], cpu=0, timeout_ms=0)
    with vmreqtest.Client(self.daemon.path) as other:
      error = other.error("vmreq.unload", "debug", 50)
      self.assertError(error, "BUSY", "debug.block", f"uid {os.getuid()}")
      self.assertError(other.error("debug.add", 1, 2), "NOT_FOUND", ran="no")
      again = other.request("vmreq.unload", "debug")
      self.assertEqual(self.client.cancel(blocked), "asked")
      self.assertError(self.client.error_of(blocked), "CANCELLED")
      self.assertEqual(self.client.result(queued), 3)  # in flight: it ends as it should
      self.assertIsNone(other.result(again))
    self.assertFalse(self.mapped())

  def test_many_times(self):
    """With calls all the while: each is answered, by its result or NOT_FOUND; nothing is left over."""
    self.client.call("vmreq.load", "debug")
    self.client.call("vmreq.unload", "debug")
    descriptors = self.daemon.descriptors()
    with vmreqtest.Client(self.daemon.path) as other:
      for _ in range(30):
        waiting = [other.request("debug.add", 1, 2) for _ in range(20)]
        self.client.call("vmreq.load", "debug")
        waiting += [other.request("debug.add", 1, 2) for _ in range(20)]
        self.client.call("vmreq.unload", "debug")
        for msgid in waiting:
          try:
            self.assertEqual(other.result(msgid), 3)
          except RpcError as error:
            self.assertError(error, "NOT_FOUND", ran="no")
    self.assertEqual([m["builtin"] for m in self.client.call("vmreq.modules")].count(False), 0)
    self.assertLessEqual(self.daemon.descriptors(), descriptors + 1)


class SlowInit(TestCase):
  def test_holds_up_nobody(self):
    """Neither while it blocks, nor when the daemon is to end meanwhile."""
    folder = tempfile.mkdtemp(prefix="vmreq-modules-")
    self.addCleanup(shutil.rmtree, folder)
    fifo, source = os.path.join(folder, "fifo"), os.path.join(folder, "slow.c")
    os.mkfifo(fifo)
    with open(source, "w", encoding="ascii") as file:
      file.write(SLOW_SOURCE)
    subprocess.run([os.environ.get("VMREQ_CC", "cc"), "-shared", "-fPIC", "-w", f"-I{vmreqtest.ROOT}/daemon",
                    f'-DFIFO="{fifo}"', "-o", os.path.join(folder, "slow.so"), source], check=True)
    config = f"[modules]\ndirectory = {folder}\n[limits]\ndrain_ms = 500\n"
    daemon = Daemon(cpus=2, modules=(), args=["--module-dir", folder], config=config).start()
    self.addCleanup(lambda: daemon.process.poll() is None and daemon.kill())
    client, other = daemon.client(), daemon.client()
    loading = client.request("vmreq.load", "slow")
    self.assertEqual(client.call("vmreq.ping"), "pong")
    self.assertError(other.error("vmreq.load", "slow"), "INVALID_REQUEST", "loading")
    self.assertEqual(len(other.call("cpu.list")), 2)
    with open(fifo, "wb") as out:
      out.write(b"g")
    self.assertEqual(client.result(loading)["version"], "7")
    self.assertIsNone(other.call("slow.nothing"))
    self.assertIsNone(client.call("vmreq.unload", "slow"))
    loading = client.request("vmreq.load", "slow")
    self.assertEqual(client.call("vmreq.ping"), "pong")
    daemon.terminate()
    self.assertError(client.error_of(loading), "KILLED", ran="maybe")
    self.assertEqual(daemon.wait(), 0)
    self.assertIn("the init of module slow", daemon.stderr())
    daemon.close()


if __name__ == "__main__":
  unittest.main(verbosity=2)
