#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Rows 5 to 10, 12 and 13: the daemon beside its peers, each on a private socket, in alternating rounds.

  peers.py BUILD [--rows 5,6,…] [--rounds 7] [--seconds 1] [--json FILE] [--plots DIRECTORY]

A line gives both medians, the median of the rounds' ratios, their spread, and the ratio to reach.  A peer
that is not installed is named as missing.  Nothing fails on speed.
"""
import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

RESULTS = []


class Server:
  """A peer: how it is started, and on which socket it then listens."""

  def __init__(self, folder, name, command, protocol, ready=None):
    self.name, self.protocol = name, protocol
    self.path = os.path.join(folder, name)
    self.missing = None
    words = [word.replace("SOCKET", self.path) for word in command]
    if not (os.path.exists(words[0]) or shutil.which(words[0])):
      self.missing = f"{words[0]} is not installed"
      return
    self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL, cwd=folder)
    end = time.monotonic() + 20
    while not (os.path.exists(self.path) and self.answers()):
      if self.process.poll() is not None or time.monotonic() > end:
        self.missing = f"{words[0]} did not start"
        return

  def answers(self):
    return subprocess.run([BENCH, self.protocol, self.path, "1", "1", "0.01"], check=False,
                          capture_output=True, timeout=20).returncode == 0

  def stop(self):
    if hasattr(self, "process"):
      self.process.terminate()
      self.process.wait()


def measure(server, clients, depth, seconds, protocol=None):
  done = subprocess.run([BENCH, protocol or server.protocol, server.path, str(clients), str(depth),
                         str(seconds), str(server.process.pid)], capture_output=True, text=True, check=True,
                        timeout=60 + seconds * 3)
  return json.loads(done.stdout)


def line(row, what, ours, peer, unit, ratios, target):
  median = statistics.median(ratios)
  print(f"{row:<3} {what:<46} ours {ours:>12,.1f}  peer {peer:>12,.1f} {unit:<6} ratio {median:.3f} "
        f"[{min(ratios):.3f} … {max(ratios):.3f}]  target {target}", flush=True)
  RESULTS.append({"row": row, "what": what, "ours": ours, "peer": peer, "unit": unit, "ratio": median,
                  "spread": [min(ratios), max(ratios)], "target": target})


def missing(row, why):
  print(f"{row:<3} missing: {why}", flush=True)
  RESULTS.append({"row": row, "missing": why})


def beside(row, what, ours, peer, key, unit, target, clients, depth, options, of=None):
  """Alternating rounds of the same load on both; the ratio is ours / peer of each round."""
  if peer.missing or ours.missing:
    missing(row, peer.missing or ours.missing)
    return
  a, b = [], []
  for _ in range(options.rounds):
    a.append(measure(ours, clients, depth, options.seconds, of)[key])
    b.append(measure(peer, clients, depth, options.seconds)[key])
  line(row, what, statistics.median(a), statistics.median(b), unit,
       [x / y for x, y in zip(a, b) if y] or [0], target)


def beside_sdbus(row, what, ours, depth, key, unit, target, options):
  program = os.path.join(os.path.dirname(BENCH), "bench-sdbus")
  if not os.path.exists(program):
    missing(row, "bench-sdbus is not built")
    return
  a, b = [], []
  for _ in range(options.rounds):
    a.append(measure(ours, 1, depth, options.seconds)[key])
    done = subprocess.run([program, str(depth), str(options.seconds)], capture_output=True, text=True, check=True)
    b.append(json.loads(done.stdout)[key])
  line(row, what, statistics.median(a), statistics.median(b), unit, [x / y for x, y in zip(a, b)], target)


# --- what is ours alone ---------------------------------------------------------------------------------

def proc(pid, name):
  with open(f"/proc/{pid}/status", encoding="utf-8") as file:
    return int(re.search(rf"^{name}:\s+(\d+)", file.read(), re.M).group(1))


def memory(row, ours):
  """Bytes per idle connection, of 2,000; resident size with 2 EMTs, idle."""
  import socket  # pylint: disable=import-outside-toplevel
  base = proc(ours.process.pid, "VmRSS")
  print(f"{row:<3} {'resident size, idle, KiB':<46} ours {base:>12,}  target <= 6144")
  RESULTS.append({"row": row, "what": "resident size, idle, KiB", "ours": base, "target": "<= 6144"})
  held = []
  for _ in range(200):
    held.append(socket.socket(socket.AF_UNIX))
    held[-1].connect(ours.path)
  measure(ours, 1, 1, 0.1)
  before = proc(ours.process.pid, "VmRSS")
  for _ in range(2000):
    held.append(socket.socket(socket.AF_UNIX))
    held[-1].connect(ours.path)
  measure(ours, 1, 1, 0.1)
  each = (proc(ours.process.pid, "VmRSS") - before) * 1024 / 2000
  for one in held:
    one.close()
  print(f"{row:<3} {'bytes per idle connection, of 2,000':<46} ours {each:>12,.0f}  target <= 8192")
  RESULTS.append({"row": row, "what": "bytes per idle connection", "ours": each, "target": "<= 8192"})


def idle_calls(row, ours, seconds=5):
  if not shutil.which("strace"):
    missing(row, "strace is not installed")
    return
  with tempfile.NamedTemporaryFile("r") as out:
    trace = subprocess.Popen(["strace", "-f", "-o", out.name, "-p", str(ours.process.pid)],
                             stderr=subprocess.PIPE, text=True)
    trace.stderr.readline()
    try:
      trace.wait(seconds)
    except subprocess.TimeoutExpired:
      trace.terminate()
      trace.wait()
    calls = [l for l in out.read().splitlines() if "unfinished" not in l and "(" in l and "resumed" not in l]
  print(f"{row:<3} {f'system calls of an idle daemon in {seconds} s':<46} ours {len(calls):>12}  target 0")
  RESULTS.append({"row": row, "what": "system calls when idle", "ours": len(calls), "target": "0"})


def start_up(row, build, folder, options):
  """Process start to READY on its notify socket."""
  import socket  # pylint: disable=import-outside-toplevel
  path = os.path.join(folder, "notify")
  notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
  notify.bind(path)
  times = []
  for i in range(options.rounds * 3):
    began = time.monotonic()
    process = subprocess.Popen([os.path.join(build, "vmreqd"), "--name", "start", "--cpus", "2", "--socket",
                                os.path.join(folder, f"start{i}")], stderr=subprocess.DEVNULL,
                               env=dict(os.environ, NOTIFY_SOCKET=path))
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
  value = statistics.median(times)
  print(f"{row:<3} {'process start to READY, ms':<46} ours {value:>12.2f}  spread [{min(times):.2f} … "
        f"{max(times):.2f}]  target <= 10")
  RESULTS.append({"row": row, "what": "start to READY, ms", "ours": value, "spread": [min(times), max(times)],
                  "target": "<= 10"})


def under_flood(row, ours, options):
  """p99 of vmreq.ping, idle, and with the only EMT blocked and a client that floods."""
  from vmreqtest import Client  # pylint: disable=import-outside-toplevel
  with Client(ours.path) as client:
    idle, flooded = [], []
    for _ in range(options.rounds):
      idle.append(measure(ours, 1, 1, options.seconds, "ping")["p99"])
      blocked = client.request("vmreq.call", "debug.block", [], {"timeout_ms": None})
      flood = subprocess.Popen([BENCH, "flood", ours.path, "1", "100", str(options.seconds * 3)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
      flooded.append(measure(ours, 1, 1, options.seconds, "ping")["p99"])
      flood.kill()
      flood.wait()
      client.result(client.request("vmreq.cancel", {"msgid": blocked}))
      try:
        client.result(blocked)
      except Exception:  # pylint: disable=broad-except
        pass
  line(row, "p99 of ping, EMT stuck and a flood / idle, µs", statistics.median(flooded), statistics.median(idle),
       "µs", [x / y for x, y in zip(flooded, idle)], "<= 3")


# --- plots -------------------------------------------------------------------------------------------------

def curves(ours, redis, folder, options):
  """Rate by number of clients and by depth."""
  data = {"clients": [], "depth": []}
  for clients in (1, 2, 4, 8, 16, 64, 256):
    data["clients"].append([clients] + [measure(s, clients, 1, options.seconds)["rate"] if not s.missing else 0
                                        for s in (ours, redis)])
  for depth in (1, 2, 4, 8, 16, 32, 64, 100):
    data["depth"].append([depth] + [measure(s, 8, depth, options.seconds)["rate"] if not s.missing else 0
                                    for s in (ours, redis)])
  for name, rows in data.items():
    table = os.path.join(folder, f"rate-by-{name}.dat")
    with open(table, "w", encoding="utf-8") as file:
      file.writelines(" ".join(str(x) for x in row) + "\n" for row in rows)
    if shutil.which("gnuplot"):
      script = (f"set terminal svg size 640,400; set output '{folder}/rate-by-{name}.svg'; set logscale xy; "
                f"set xlabel '{name}'; set ylabel 'calls per second'; set key left; "
                f"plot '{table}' using 1:2 with linespoints title 'vmreqd debug.add', "
                f"'{table}' using 1:3 with linespoints title 'Redis PING'")
      subprocess.run(["gnuplot", "-e", script], check=True)
  return data


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument("build")
  parser.add_argument("--rows", default="5,6,7,8,9,10,12,13")
  parser.add_argument("--rounds", type=int, default=7)
  parser.add_argument("--seconds", type=float, default=1.0)
  parser.add_argument("--json")
  parser.add_argument("--plots")
  options = parser.parse_args()
  rows = set(options.rows.split(","))
  build = os.path.abspath(options.build)
  global BENCH  # pylint: disable=global-statement
  BENCH = os.path.join(build, "tests", "bench-socket")

  folder = tempfile.mkdtemp(prefix="vmreq-bench-")
  vmreqd = [os.path.join(build, "vmreqd"), "--name", "bench", "--socket", "SOCKET", "--cpus", "1",
            "--module-dir", os.path.join(build, "modules"), "--module", "debug"]
  servers = {"ours": Server(folder, "vmreqd", vmreqd, "vmreq")}
  servers["redis"] = Server(folder, "redis", ["redis-server", "--port", "0", "--unixsocket", "SOCKET", "--save", ""],
                            "redis")
  if "9" in rows:
    servers["nvim"] = Server(folder, "nvim", ["nvim", "--headless", "-u", "NONE", "--listen", "SOCKET"], "nvim")
    servers["qmp"] = Server(folder, "qmp", ["qemu-system-x86_64", "-machine", "none", "-nographic", "-nodefaults",
                                            "-qmp", "unix:SOCKET,server=on,wait=off"], "qmp")
  servers["echo"] = Server(folder, "echo", [BENCH, "serve", "SOCKET"], "echo")
  ours, redis = servers["ours"], servers["redis"]
  try:
    if "5" in rows:
      beside("-", "floor: echo of 8 bytes, 1 client / Redis", servers["echo"], redis, "p50", "µs", "-", 1, 1, options)
      beside("5", "1 client, one at a time, µs / Redis PING", ours, redis, "p50", "µs", "<= 0.8", 1, 1, options)
    if "6" in rows:
      beside("6", "8 clients x 64 pipelined, per s / Redis PING", ours, redis, "rate", "/s", ">= 1.5", 8, 64, options)
    if "7" in rows:
      beside("7", "8 clients, one at a time, per s / Redis PING", ours, redis, "rate", "/s", ">= 1", 8, 1, options)
    if "8" in rows:
      beside("8", "CPU time per pipelined call, µs / Redis", ours, redis, "cpu_us", "µs", "<= 1", 8, 64, options)
    if "9" in rows:
      for name, single, piped in (("nvim", "< 1", "> 1"), ("qmp", "<= 0.2", ">= 100")):
        beside("9", f"1 client, µs / {name}", ours, servers[name], "p50", "µs", single, 1, 1, options)
        if name == "nvim":
          beside("9", f"1 client x 64 pipelined, per s / {name}", ours, servers[name], "rate", "/s", piped, 1, 64,
                 options)
        else:
          beside("9", f"pipelined, per s / {name} (in order, depth 8)", ours, servers[name], "rate", "/s", piped, 1, 8,
                 options)
      beside_sdbus("9", "1 client, µs / sd-bus", ours, 1, "p50", "µs", "< 1", options)
      beside_sdbus("9", "1 client x 64 pipelined, per s / sd-bus", ours, 64, "rate", "/s", "> 1", options)
    if "10" in rows:
      under_flood("10", ours, options)
    if "12" in rows:
      settings = os.path.join(folder, "quiet.conf")
      with open(settings, "w", encoding="utf-8") as file:
        file.write("[limits]\nconnections = 10000\nconnections_per_uid = 10000\n")
      quiet = Server(folder, "quiet", [w if w != "1" else "2" for w in vmreqd] + ["--config", settings], "vmreq")
      memory("12", quiet)
      idle_calls("12", quiet)
      quiet.stop()
    if "13" in rows:
      start_up("13", build, folder, options)
    if options.plots:
      os.makedirs(options.plots, exist_ok=True)
      RESULTS.append({"curves": curves(ours, redis, options.plots, options)})
  finally:
    for server in servers.values():
      server.stop()
    shutil.rmtree(folder, ignore_errors=True)
  if options.json:
    with open(options.json, "w", encoding="utf-8") as file:
      json.dump(RESULTS, file, indent=1)


if __name__ == "__main__":
  main()
