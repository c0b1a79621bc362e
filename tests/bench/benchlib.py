# SPDX-License-Identifier: MIT
"""What rows and curves share: servers on private sockets, one measurement, the list of results."""
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time


class Server:
  """A server under a private socket, from its start until it answers a client."""

  def __init__(self, bench, name, command, protocol):
    self.bench, self.name, self.protocol = bench, name, protocol
    self.path = os.path.join(bench.folder, name)
    self.missing = None
    self.process = None
    words = [word.replace("SOCKET", self.path) for word in command]
    if not (os.path.exists(words[0]) or shutil.which(words[0])):
      self.missing = f"{words[0]} is not installed"
      return
    self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL, cwd=bench.folder)
    end = time.monotonic() + 20
    while not (os.path.exists(self.path) and self.answers()):
      if self.process.poll() is not None or time.monotonic() > end:
        self.missing = f"{os.path.basename(words[0])} did not start"
        return

  def answers(self):
    return subprocess.run([self.bench.program, self.protocol, self.path, "1", "1", "0.01"], check=False,
                          capture_output=True, timeout=20).returncode == 0

  def stop(self):
    if self.process:
      self.process.terminate()
      self.process.wait()
      self.process = None


class Bench:
  """The programs of one build, a private folder, and what has been measured."""

  def __init__(self, build, rounds, seconds):
    self.build, self.rounds, self.seconds = os.path.abspath(build), rounds, seconds
    self.program = os.path.join(self.build, "tests", "bench-socket")
    self.folder = tempfile.mkdtemp(prefix="vmreq-bench-")
    self.results = []
    self.servers = []

  def serve(self, name, command, protocol):
    self.servers.append(Server(self, name, command, protocol))
    return self.servers[-1]

  def daemon(self, name, *more, cpus=1, config=None, modules=("debug",), directory="modules"):
    words = [os.path.join(self.build, "vmreqd"), "--name", name, "--socket", "SOCKET", "--cpus", str(cpus),
             "--module-dir", os.path.join(self.build, directory), *more]
    for module in modules:
      words += ["--module", module]
    if config is not None:
      path = os.path.join(self.folder, f"{name}.conf")
      with open(path, "w", encoding="utf-8") as file:
        file.write(config)
      words += ["--config", path]
    return words

  def redis(self):
    return self.serve("redis", ["redis-server", "--port", "0", "--unixsocket", "SOCKET", "--save", ""], "redis")

  def end(self):
    for server in self.servers:
      server.stop()
    shutil.rmtree(self.folder, ignore_errors=True)

  def measure(self, server, clients, depth, protocol=None, seconds=None):
    done = subprocess.run([self.program, protocol or server.protocol, server.path, str(clients), str(depth),
                           str(seconds or self.seconds), str(server.process.pid)],
                          capture_output=True, text=True, check=True, timeout=60 + self.seconds * 3)
    return json.loads(done.stdout)

  # --- results ---

  def line(self, row, what, ours, peers, unit, target):
    """Figures of both sides by round; the ratio is that of each round."""
    ratios = [x / y for x, y in zip(ours, peers) if y] or [0]
    result = {"row": row, "what": what, "ours": statistics.median(ours), "peer": statistics.median(peers),
              "unit": unit, "ratio": statistics.median(ratios), "spread": [min(ratios), max(ratios)],
              "target": target}
    print(f"{row:<3} {what:<46} ours {result['ours']:>12,.1f}  peer {result['peer']:>12,.1f} {unit:<6} "
          f"ratio {result['ratio']:.3f} [{min(ratios):.3f} … {max(ratios):.3f}]  target {target}", flush=True)
    self.results.append(result)

  def value(self, row, what, values, unit, target):
    """A figure of ours alone."""
    result = {"row": row, "what": what, "ours": statistics.median(values), "unit": unit,
              "spread": [min(values), max(values)], "target": target}
    print(f"{row:<3} {what:<46} ours {result['ours']:>12,.2f} {unit:<6} [{min(values):,.2f} … {max(values):,.2f}]  "
          f"target {target}", flush=True)
    self.results.append(result)

  def missing(self, row, why):
    print(f"{row:<3} missing: {why}", flush=True)
    self.results.append({"row": row, "missing": why})

  def beside(self, row, what, ours, peer, key, unit, target, clients, depth, protocol=None):
    """Alternating rounds of the same load on both."""
    if peer.missing or ours.missing:
      self.missing(row, peer.missing or ours.missing)
      return
    a, b = [], []
    for _ in range(self.rounds):
      a.append(self.measure(ours, clients, depth, protocol)[key])
      b.append(self.measure(peer, clients, depth)[key])
    self.line(row, what, a, b, unit, target)
