#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Layering: every include and every link between rooms is an arrow of the picture below.

A room may include itself and the rooms listed for it.  daemon/main.c, config.c and sd.c (room "daemon")
put the rooms together and may include them all; no room may include them.  The same table is held
against the targets that a room's CMakeLists.txt links.
"""
import os
import re

import lintlib

ARROWS = {
  "proto": (),
  "client": ("proto",),
  "base": (),
  "vm": ("base",),
  "machine": ("vm", "base"),
  "symbols": ("vm", "base"),
  "modules": ("symbols", "machine", "vm", "base"),
  "rpc": ("proto", "symbols", "vm", "base"),
  "daemon": ("proto", "rpc", "modules", "machine", "symbols", "vm", "base"),
}


# What the build's -I options name, from the top of the tree.
INCLUDE_ROOTS = ("", "daemon")


def room_of(path):
  """The room that a file of the tree belongs to; None if it is in no room."""
  parts = path.split(os.sep)
  if parts[0] in ("proto", "client"):
    return parts[0]
  if parts[0] == "daemon":
    if len(parts) == 2:
      return "daemon"
    return parts[1] if parts[1] in ARROWS else None
  return None


def resolve(root, name, roots):
  """The file of the tree that an include names, looked for in `roots`; None if there is none."""
  for base in roots:
    candidate = os.path.normpath(os.path.join(base, name))
    if not candidate.startswith("..") and os.path.isfile(os.path.join(root, candidate)):
      return candidate
  return None


def check_include(root, path, room, line, name, kind):
  where = f"{path}:{line}:"
  if kind == "macro":
    return f"{where} include of a macro hides the arrow: {name}"
  if kind == "<":
    target = resolve(root, name, INCLUDE_ROOTS)
    return f'{where} <{name}> is ours, write "{name}"' if target else None
  if ".." in name.split("/"):
    return f'{where} "{name}" leaves its room by "..": name it from an include root'
  target = resolve(root, name, (os.path.dirname(path),) + INCLUDE_ROOTS)
  if target is None:
    return f'{where} "{name}" is no file of the tree (foreign headers go in <>)'
  to = room_of(target)
  if to != room and to not in ARROWS[room]:
    return f'{where} {room} may not include {to or "a file outside the rooms"} ("{name}")'
  return None


def check_links(root):
  complaints = []
  for path in lintlib.files(root, lintlib.ROOMS_ROOTS, ("CMakeLists.txt",)):
    room = room_of(path)
    if room is None:
      complaints.append(f"{path}:1: this folder is no room of the picture")
      continue
    for number, text in enumerate(lintlib.read(root, path).split("\n"), 1):
      for target in re.findall(r"\bvmreq-([a-z]+)\b", text.split("#")[0]):
        if target in ARROWS and target != room and target not in ARROWS[room]:
          complaints.append(f"{path}:{number}: {room} may not link vmreq-{target}")
  return complaints


def check(root):
  complaints = []
  for path in lintlib.files(root, lintlib.ROOMS_ROOTS, (".c", ".h")):
    room = room_of(path)
    if room is None:
      complaints.append(f"{path}:1: this folder is no room of the picture")
      continue
    for line, name, kind in lintlib.includes(lintlib.read(root, path)):
      complaint = check_include(root, path, room, line, name, kind)
      if complaint:
        complaints.append(complaint)
  return complaints + check_links(root)


if __name__ == "__main__":
  lintlib.main("layering", check)
