#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The tree: the top level holds only what is fixed, files explain themselves, behaviour has a test.

Files without a mirrored unit test are listed with the reason in mirror-exceptions.txt; an entry that is
no longer needed is a complaint too, so that the list only shrinks.
"""
import fnmatch
import os
import re

import lintlib

TOP = ("daemon", "client", "proto", "systemd", "tests", "CMakeLists.txt", "README.md", "LICENSE",
       "CMakePresets.json")
# Never committed (.gitignore), so not the tree's.
IGNORED = ("build", "build-*", "node_modules", "compile_commands.json")
HEAD_LINES = 100
EXCEPTIONS = "tests/lint/mirror-exceptions.txt"


def check_top(root):
  complaints = []
  for name in sorted(os.listdir(root)):
    ignored = any(fnmatch.fnmatchcase(name, pattern) for pattern in IGNORED)
    if name not in TOP and not name.startswith(".") and not ignored:
      complaints.append(f"{name}:1: not a name of the top level")
  return complaints


def has_head_comment(text):
  """A comment of three lines or more, besides the SPDX line, before the first line of code."""
  for _, comment in lintlib.comments_of(text):
    before = lintlib.code_of(text[:text.index(comment)])
    if re.search(r"^[^#\n]*\w", before, re.MULTILINE):
      return False
    if comment.count("\n") >= 2:
      return True
  return False


def check_heads(root):
  complaints = []
  for path in lintlib.files(root, lintlib.ROOMS_ROOTS, (".c",)):
    text = lintlib.read(root, path)
    if text.count("\n") > HEAD_LINES and not has_head_comment(text):
      complaints.append(f"{path}:1: over {HEAD_LINES} lines and no head comment")
  return complaints


def mirror_of(path):
  """proto/frame.c → tests/unit/proto/test-frame.c; daemon/vm/pool.c → tests/unit/vm/test-pool.c."""
  parts = path.split("/")
  room = parts[1] if parts[0] == "daemon" and len(parts) > 2 else parts[0]
  return f"tests/unit/{room}/test-{parts[-1]}"


def exceptions(root):
  """path → reason; complaints about lines that are not one."""
  reasons, complaints = {}, []
  if not os.path.isfile(os.path.join(root, EXCEPTIONS)):
    return reasons, complaints
  for number, line in enumerate(lintlib.read(root, EXCEPTIONS).split("\n"), 1):
    if not line.strip() or line.startswith("#"):
      continue
    path, _, reason = line.partition(" ")
    if len(reason.strip()) < 10:
      complaints.append(f"{EXCEPTIONS}:{number}: {path} has no reason")
    reasons[path] = number
  return reasons, complaints


def check_mirrors(root):
  excepted, complaints = exceptions(root)
  sources = lintlib.files(root, lintlib.ROOMS_ROOTS, (".c",))
  for path in sources:
    mirror = mirror_of(path)
    has = os.path.isfile(os.path.join(root, mirror))
    if has and path in excepted:
      complaints.append(f"{EXCEPTIONS}:{excepted[path]}: {path} has its test, remove the entry")
    if not has and path not in excepted:
      complaints.append(f"{path}:1: no {mirror}, and no reason in {EXCEPTIONS}")
  for path, number in excepted.items():
    if path not in sources:
      complaints.append(f"{EXCEPTIONS}:{number}: {path} does not exist")
  return complaints


def check(root):
  return check_top(root) + check_heads(root) + check_mirrors(root)


if __name__ == "__main__":
  lintlib.main("tree", check)
