#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""From what a run measured to RESULTS.md.

  report.py DIRECTORY OUT     DIRECTORY: engine.txt, peers.json, curves.json, run.json, plots/
"""
import json
import os
import re
import sys

ENGINE = re.compile(r"^(\S+)\s+(.*?)\s+ours\s+([\d.]+)\s+peer\s+([\d.]+)\s+(\S+)\s+ratio\s+([\d.]+)"
                    r"(?:\s+\(([\d.]+)\.\.([\d.]+)\))?\s+target\s+(.*)$")

INTRO = """# The last full run

Written by `tests/bench/run`; what the rows mean stands in [README.md](README.md). Every figure stands beside a floor or a
peer of the same run, in alternating rounds: medians, the median of the rounds' ratios, and their least and largest. Only
the ratios say something; the figures depend on the machine.

"""

PLOTS = [
  ("latency", "Round trips of one client: the part of all calls that took at most so long."),
  ("rate-by-clients", "Rate by the number of clients, each with one call at a time."),
  ("rate-by-depth", "Rate by the number of calls that each of 8 clients has in flight."),
  ("cost-by-backlog", "Cost of a request in the engine by the number that are queued."),
  ("cost-by-symbols", "Cost of a call by the number of symbols, called by turns."),
  ("cost-by-emts", "Cost of a call that any EMT may take, by the number of EMTs."),
  ("cost-by-connections", "Cost of a call of 8 busy clients by the number of connections that say nothing."),
]


def load(folder, name, missing):
  path = os.path.join(folder, name)
  if not os.path.exists(path):
    return missing
  with open(path, encoding="utf-8") as file:
    return json.load(file)


def engine_rows(folder):
  path, rows = os.path.join(folder, "engine.txt"), []
  if not os.path.exists(path):
    return rows
  with open(path, encoding="utf-8") as file:
    for line in file:
      match = ENGINE.match(line)
      if match:
        row, what, ours, peer, unit, ratio, low, high, target = match.groups()
        rows.append({"row": row, "what": what.strip(), "ours": float(ours), "peer": float(peer), "unit": unit,
                     "ratio": float(ratio), "spread": [float(low or ratio), float(high or ratio)], "target": target})
      elif "missing:" in line:
        rows.append({"row": line.split()[0], "missing": line.split("missing:", 1)[1].strip()})
  return rows


def reached(result):
  match = re.match(r"^(<=|>=|<|>)\s*([\d.]+)", result["target"])
  if not match:
    return ""
  value, bound = result.get("ratio", result["ours"]), float(match.group(2))
  good = {"<=": value <= bound, ">=": value >= bound, "<": value < bound, ">": value > bound}[match.group(1)]
  return "yes" if good else "no"


def number(x):
  return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.2f}" if abs(x) < 10 else f"{x:.1f}"


def table(results):
  lines = ["| row | what / beside what | ours | peer | unit | ratio | least … largest | target | reached |",
           "|--:|---|--:|--:|---|--:|---|---|---|"]
  for r in results:
    if "missing" in r:
      lines.append(f"| {r['row']} | missing: {r['missing']} | | | | | | | |")
      continue
    peer = number(r["peer"]) if "peer" in r else ""
    ratio = number(r["ratio"]) if "ratio" in r else ""
    spread = " … ".join(number(x) for x in r["spread"]) if r["spread"][0] != r["spread"][1] else ""
    lines.append(f"| {r['row']} | {r['what']} | {number(r['ours'])} | {peer} | {r['unit']} | {ratio} | {spread} | "
                 f"{r['target'].replace('none', '-')} | {reached(r)} |")
  return lines


def curve_table(title, head, rows):
  lines = [f"| {' | '.join(head)} |", "|" + "--:|" * len(head)]
  lines += ["| " + " | ".join("-" if x is None else f"{x:,}" if isinstance(x, int) else number(x) for x in row) + " |"
            for row in rows]
  return ["", title, "", *lines] if rows else []


def main():
  folder, out = sys.argv[1:3]
  run = load(folder, "run.json", {})
  curves = load(folder, "curves.json", {})
  lines = [INTRO.rstrip("\n"), "", f"- machine: {run.get('machine', '?')}", f"- system: {run.get('system', '?')}",
           f"- load before: {run.get('load_before', '?')}; at the end: {run.get('load_after', '?')} "
           "(the benchmarks' own included)",
           f"- rounds of rows 5 to 10: {run.get('rounds', '?')} of {run.get('seconds', '?')} s; commit {run.get('commit', '?')}, "
           f"{run.get('date', '?')}"]
  lines += ([f"- {run['note']}"] if "note" in run else []) + [""]
  results = engine_rows(folder) + load(folder, "peers.json", [])
  lines += table(sorted(results, key=lambda r: float(r["row"].split("-")[0] or 4.5)))
  lines += ["", "## Curves"]
  for name, text in PLOTS:
    if os.path.exists(os.path.join(folder, "plots", f"{name}.svg")):
      lines += ["", text, "", f"![{text}](plots/{name}.svg)"]
  lines += curve_table("Per second:", ["clients", "vmreqd", "Redis"], curves.get("clients", []))
  lines += curve_table("Per second, 8 clients:", ["in flight each", "vmreqd", "Redis"], curves.get("depth", []))
  lines += curve_table("Engine:", ["queued", "ns"], curves.get("backlog", []))
  lines += curve_table("Server's CPU time per call:", ["symbols", "µs"], curves.get("symbols", []))
  lines += curve_table("The same, and calls per second:", ["EMTs", "µs", "/s"], curves.get("emts", []))
  lines += curve_table("The same:", ["silent connections", "µs"], curves.get("connections", []))
  with open(out, "w", encoding="utf-8") as file:
    file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
  main()
