#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Rows 5 to 10, 12 and 13: the daemon beside its peers, each on a private socket, in alternating rounds.

  peers.py BUILD [--rows 5,6,…] [--rounds 7] [--seconds 1] [--json FILE]

A line gives both medians, the median of the rounds' ratios, their spread, and the ratio to reach.  A peer
that is not installed is named as missing.  Nothing fails on speed.
"""
import argparse
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from benchlib import Bench
from vmreqtest import Client

ROWS = "5,6,7,8,9,10,12,13"
# After its last call, the longest timer that a daemon may still have: that of a stuck EMT, by default.
REST_S = 32


def beside_sdbus(bench, what, ours, depth, key, unit, target):
  program = os.path.join(bench.build, "tests", "bench-sdbus")
  if not os.path.exists(program):
    bench.missing("9", "bench-sdbus is not built")
    return
  a, b = [], []
  for _ in range(bench.rounds):
    a.append(bench.measure(ours, 1, depth)[key])
    done = subprocess.run([program, str(depth), str(bench.seconds)], capture_output=True, text=True, check=True)
    b.append(json.loads(done.stdout)[key])
  bench.line("9", what, a, b, unit, target)


def row_9(bench, ours):
  nvim = bench.serve("nvim", ["nvim", "--headless", "-u", "NONE", "--listen", "SOCKET"], "nvim")
  qmp = bench.serve("qmp", ["qemu-system-x86_64", "-machine", "none", "-nographic", "-nodefaults", "-qmp",
                            "unix:SOCKET,server=on,wait=off"], "qmp")
  bench.beside("9", "1 client / nvim", ours, nvim, "p50", "µs", "< 1", 1, 1)
  bench.beside("9", "1 client × 64 pipelined / nvim", ours, nvim, "rate", "/s", "> 1", 1, 64)
  bench.beside("9", "1 client / QMP", ours, qmp, "p50", "µs", "<= 0.2", 1, 1)
  bench.beside("9", "1 client × 64 pipelined / QMP", ours, qmp, "rate", "/s", ">= 100", 1, 64)
  beside_sdbus(bench, "1 client / sd-bus", ours, 1, "p50", "µs", "< 1")
  beside_sdbus(bench, "1 client × 64 pipelined / sd-bus", ours, 64, "rate", "/s", "> 1")


def row_10(bench, ours):
  """p99 of vmreq.ping, idle, and with the only EMT blocked and a client that floods."""
  with Client(ours.path) as client:
    idle, flooded = [], []
    for _ in range(bench.rounds):
      idle.append(bench.measure(ours, 1, 1, "ping")["p99"])
      blocked = client.request("vmreq.call", "debug.block", [], {"timeout_ms": None})
      flood = subprocess.Popen([bench.program, "flood", ours.path, "1", "100", str(bench.seconds * 3)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
      flooded.append(bench.measure(ours, 1, 1, "ping")["p99"])
      flood.kill()
      flood.wait()
      client.result(client.request("vmreq.cancel", {"msgid": blocked}))
      try:
        client.result(blocked)
      except Exception:  # pylint: disable=broad-except
        pass  # cancelled, as asked for
  bench.line("10", "p99 of ping, EMT stuck and a flood / idle", flooded, idle, "µs", "<= 3")


# --- what is ours alone ---------------------------------------------------------------------------------

def resident_kib(pid):
  with open(f"/proc/{pid}/status", encoding="utf-8") as file:
    return int(re.search(r"^VmRSS:\s+(\d+)", file.read(), re.M).group(1))


def connect_many(path, n):
  sockets = []
  for _ in range(n):
    sockets.append(socket.socket(socket.AF_UNIX))
    sockets[-1].connect(path)
  return sockets


def row_12(bench):
  resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
  quiet = bench.serve("quiet", bench.daemon("quiet", cpus=2, config="[limits]\nconnections = 10000\n"
                                            "connections_per_uid = 10000\n"), "vmreq")
  pid = quiet.process.pid
  bench.value("12", "resident size, idle, 2 EMTs", [resident_kib(pid)], "KiB", "<= 6144")
  held = connect_many(quiet.path, 200)
  bench.measure(quiet, 1, 1, seconds=0.1)  # it has accepted them
  before = resident_kib(pid)
  held += connect_many(quiet.path, 2000)
  bench.measure(quiet, 1, 1, seconds=0.1)
  bench.value("12", "memory of an idle connection, of 2,000", [(resident_kib(pid) - before) * 1024 / 2000], "B",
              "<= 8192")
  for one in held:
    one.close()
  idle_calls(bench, quiet)
  quiet.stop()


def idle_calls(bench, server, seconds=5):
  if not shutil.which("strace"):
    bench.missing("12", "strace is not installed")
    return
  threading.Event().wait(REST_S)
  with tempfile.NamedTemporaryFile("r") as out:
    trace = subprocess.Popen(["strace", "-f", "-o", out.name, "-p", str(server.process.pid)],
                             stderr=subprocess.PIPE, text=True)
    said = trace.stderr.readline().strip()
    if "attached" not in said:  # then that it saw no calls says nothing
      trace.terminate()
      trace.wait()
      bench.missing("12", said)
      return
    try:
      trace.wait(seconds)
    except subprocess.TimeoutExpired:
      trace.terminate()
      trace.wait()
    calls = [line for line in out if re.search(r"\) += ", line)]  # those that have returned
  bench.value("12", f"system calls in {seconds} s, {REST_S} s after a call", [len(calls)], "", "<= 0")


def row_13(bench):
  """Process start to READY on its notify socket."""
  path = os.path.join(bench.folder, "notify")
  notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
  notify.bind(path)
  times = []
  for i in range(bench.rounds * 3):
    words = [word.replace("SOCKET", os.path.join(bench.folder, f"start{i}"))
             for word in bench.daemon("start", cpus=2, modules=())]
    began = time.monotonic()
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL, env=dict(os.environ, NOTIFY_SOCKET=path))
    while "READY=1" not in notify.recv(4096).decode():
      pass
    times.append((time.monotonic() - began) * 1000)
    process.terminate()
    process.wait()
    while True:
      try:
        notify.recv(4096, socket.MSG_DONTWAIT)
      except BlockingIOError:
        break
  notify.close()
  bench.value("13", "process start to READY", times, "ms", "<= 10")


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument("build")
  parser.add_argument("--rows", default=ROWS)
  parser.add_argument("--rounds", type=int, default=7)
  parser.add_argument("--seconds", type=float, default=1.0)
  parser.add_argument("--json")
  options = parser.parse_args()
  rows = set(options.rows.split(","))
  bench = Bench(options.build, options.rounds, options.seconds)
  try:
    ours = bench.serve("vmreqd", bench.daemon("bench"), "vmreq")
    redis = bench.redis()
    if "5" in rows:
      echo = bench.serve("echo", [bench.program, "serve", "SOCKET"], "echo")
      bench.beside("-", "floor: echo of 8 bytes, 1 client / Redis", echo, redis, "p50", "µs", "none", 1, 1)
      bench.beside("5", "1 client, one call at a time / Redis PING", ours, redis, "p50", "µs", "<= 0.8", 1, 1)
    if "6" in rows:
      bench.beside("6", "8 clients × 64 pipelined / Redis PING", ours, redis, "rate", "/s", ">= 1.5", 8, 64)
    if "7" in rows:
      bench.beside("7", "8 clients, one call at a time / Redis PING", ours, redis, "rate", "/s", ">= 1", 8, 1)
    if "8" in rows:
      bench.beside("8", "CPU time per pipelined call / Redis PING", ours, redis, "cpu_us", "µs", "<= 1", 8, 64)
    if "9" in rows:
      row_9(bench, ours)
    if "10" in rows:
      row_10(bench, ours)
    if "12" in rows:
      row_12(bench)
    if "13" in rows:
      row_13(bench)
  finally:
    bench.end()
  if options.json:
    with open(options.json, "w", encoding="utf-8") as file:
      json.dump(bench.results, file, indent=1)


if __name__ == "__main__":
  main()
