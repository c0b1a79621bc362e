#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Curves: how rate, latency and cost go with clients, depth, backlog, symbols, EMTs and idle connections.

  curves.py BUILD DIRECTORY [--rounds 3] [--seconds 0.5] [--json FILE]

Writes DIRECTORY/NAME.svg (gnuplot) for each, and their points as JSON.
"""
import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from benchlib import Bench
from peers import connect_many

MANY_EACH = 4096


def median_of(bench, server, clients, depth, key, protocol=None):
  if server.missing:
    return None
  return statistics.median(bench.measure(server, clients, depth, protocol)[key] for _ in range(bench.rounds))


def by_load(bench, key, points):
  """Rate beside Redis; `points` gives (x, clients, depth)."""
  ours, redis = bench.serve("load", bench.daemon("load"), "vmreq"), bench.redis()
  rows = [[x] + [median_of(bench, server, clients, depth, key) for server in (ours, redis)]
          for x, clients, depth in points]
  ours.stop()
  redis.stop()
  return rows


def latency(bench):
  """Distribution of round trips of one client: part of all calls that took at most so long."""
  servers = [bench.serve("load", bench.daemon("load"), "vmreq"), bench.redis(),
             bench.serve("echo", [bench.program, "serve", "SOCKET"], "echo")]
  curves = {}
  for server in servers:
    if server.missing:
      continue
    buckets = {}
    for _ in range(bench.rounds):
      for us, n in bench.measure(server, 1, 1)["latencies"]:
        buckets[us] = buckets.get(us, 0) + n
    total, seen, points = sum(buckets.values()), 0, []
    for us in sorted(buckets):
      seen += buckets[us]
      points.append([us, seen / total])
    curves[server.name] = points
    server.stop()
  return curves


def by_backlog(bench):
  """Nanoseconds per request with so many queued."""
  program, rows = os.path.join(bench.build, "tests", "bench-engine"), []
  if not os.path.exists(program):
    return rows
  for n in (100, 1000, 10000, 100000, 1000000):
    done = subprocess.run([program, "backlog", str(n)], capture_output=True, text=True, check=True)
    rows.append([n, float(done.stdout.split()[1])])
  return rows


def by_symbols(bench):
  """Server's CPU time per call when so many symbols are called by turns."""
  rows = []
  for n in (10, 100, 1000, 10000):
    counts = [MANY_EACH] * (n // MANY_EACH) + ([n % MANY_EACH] if n % MANY_EACH else [])
    config = "[modules]\n" + "".join(f"load = many{i}\n" for i in range(len(counts)))
    config += "".join(f"[module many{i}]\ncount = {count}\n" for i, count in enumerate(counts))
    server = bench.serve(f"many{n}", bench.daemon(f"many{n}", config=config, modules=(),
                                                  directory="tests/bench-modules"), f"many:{n}")
    rows.append([n, median_of(bench, server, 8, 64, "cpu_us")])
    server.stop()
  return rows


def by_emts(bench):
  """Server's CPU time per call, and rate, with so many EMTs that may each take it."""
  rows = []
  for n in (1, 2, 4, 8, 16, 32, 64):
    server = bench.serve(f"emts{n}", bench.daemon(f"emts{n}", cpus=n), "vmreq")
    found = [bench.measure(server, 8, 64) for _ in range(bench.rounds)]
    rows.append([n, statistics.median(f["cpu_us"] for f in found), statistics.median(f["rate"] for f in found)])
    server.stop()
  return rows


def by_connections(bench):
  """Server's CPU time per call of 8 busy clients beside so many connections that say nothing."""
  rows = []
  hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
  resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
  server = bench.serve("idle", bench.daemon("idle", config="[limits]\nconnections = 12000\n"
                                            "connections_per_uid = 12000\n"), "vmreq")
  held = []
  for n in (1, 10, 100, 1000, 10000):
    if n + 100 > hard:
      break
    held += connect_many(server.path, n - len(held))
    rows.append([n, median_of(bench, server, 8, 64, "cpu_us")])
  for one in held:
    one.close()
  server.stop()
  return rows


# --- plots -----------------------------------------------------------------------------------------------

def plot(folder, name, curves, xlabel, ylabel, logscale="x"):
  """`curves`: title → [[x, y], …]."""
  if not shutil.which("gnuplot"):
    return
  script = (f"set terminal svg size 640,400 background 'white'; set output '{folder}/{name}.svg'; "
            f"set xlabel '{xlabel}'; set ylabel '{ylabel}'; set key left top; set grid; set yrange [0:*]; ")
  if logscale:
    script += f"set logscale {logscale}; "
  if "y" in logscale:
    script += "set yrange [*:*]; "
  blocks, plots = "", []
  for i, (title, points) in enumerate(curves.items()):
    rows = "\n".join(f"{x} {y}" for x, y in points if y is not None)
    if rows:
      blocks += f"$d{i} << EOD\n{rows}\nEOD\n"
      style = "lines" if len(points) > 20 else "linespoints"
      plots.append(f"$d{i} using 1:2 with {style} lw 2 title '{title}'")
  if plots:
    subprocess.run(["gnuplot"], input=blocks + script.replace("; ", "\n") + "plot " + ", ".join(plots) + "\n",
                   text=True, check=True)


def column(rows, i):
  return [[row[0], row[i]] for row in rows]


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument("build")
  parser.add_argument("directory")
  parser.add_argument("--rounds", type=int, default=3)
  parser.add_argument("--seconds", type=float, default=0.5)
  parser.add_argument("--json")
  options = parser.parse_args()
  os.makedirs(options.directory, exist_ok=True)
  folder = options.directory
  bench = Bench(options.build, options.rounds, options.seconds)
  data = {}
  try:
    data["latency"] = latency(bench)
    plot(folder, "latency", data["latency"], "microseconds, 1 client", "part of all calls")
    data["clients"] = by_load(bench, "rate", [(n, n, 1) for n in (1, 2, 4, 8, 16, 64, 256)])
    data["depth"] = by_load(bench, "rate", [(n, 8, n) for n in (1, 2, 4, 8, 16, 32, 64, 100)])
    for name, text in (("clients", "clients, one call at a time each"), ("depth", "calls in flight of each of 8 clients")):
      plot(folder, f"rate-by-{name}", {"vmreqd debug.add": column(data[name], 1), "Redis PING": column(data[name], 2)},
           text, "calls per second", "xy")
    data["backlog"] = by_backlog(bench)
    plot(folder, "cost-by-backlog", {"engine, one producer": data["backlog"]}, "requests queued", "ns per request")
    data["symbols"] = by_symbols(bench)
    plot(folder, "cost-by-symbols", {"server": data["symbols"]}, "symbols, called by turns", "µs of CPU per call")
    data["emts"] = by_emts(bench)
    plot(folder, "cost-by-emts", {"server": column(data["emts"], 1)}, "EMTs", "µs of CPU per call")
    data["connections"] = by_connections(bench)
    plot(folder, "cost-by-connections", {"server, 8 busy clients": data["connections"]},
         "connections that say nothing", "µs of CPU per call")
  finally:
    bench.end()
  for name, rows in data.items():
    if name != "latency":
      for row in rows:
        print(f"{name:<12}", *[f"{x:,.2f}" if isinstance(x, float) else x for x in row], flush=True)
  if options.json:
    with open(options.json, "w", encoding="utf-8") as file:
      json.dump(data, file, indent=1)


if __name__ == "__main__":
  main()
