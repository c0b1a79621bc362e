#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Manuals: each option, key, limit and method that the code knows is in its page, and in the commented
default configuration; and the pages are well formed.
"""
import os
import re
import shutil
import subprocess

import lintlib

PAGES = ("daemon/vmreqd.8", "daemon/vmreqd.conf.5", "daemon/vmreqd.policy.5")
DEFAULTS = "systemd/vmreqd.conf"


def exists(root, path):
  return os.path.isfile(os.path.join(root, path))


def found(root, path, pattern):
  return re.findall(pattern, lintlib.read(root, path)) if exists(root, path) else []


def options(root):
  """The long options of the command line."""
  return found(root, "daemon/options.c", r'\{"([a-z-]+)", (?:no|required|optional)_argument')


def keys(root):
  """The keys of the configuration: those of its tables, the limits, and the few beside them."""
  path = "daemon/config.c"
  names = found(root, path, r'(?:NUMBER|WORD)\("\w+", "(\w+)"')
  names += found(root, path, r'strcmp\(key, "(\w+)"\) == 0')
  names += found(root, "daemon/machine/settings.c", r'\bKEY\("(\w+)"')
  names += found(root, "daemon/rpc/server.h", r"(?m)^\s+X\((\w+), ")
  return names


def policy_names(root):
  """The keys of a rule, and the methods that a rule can name."""
  names = found(root, "daemon/policy-file.c", r'\{"(\w+)", set_\w+\}')
  return names + found(root, "daemon/rpc/control.c", r'\{"([a-z_.]+)", RPC_RIGHT_')


def missing(root, path, names, pattern, what):
  if not exists(root, path):
    return []
  text = lintlib.read(root, path)
  return [f"{path}:1: {what} {name} is not in it" for name in dict.fromkeys(names)
          if not re.search(pattern.format(re.escape(name)), text, re.MULTILINE)]


def check_words(root):
  complaints = missing(root, PAGES[0], options(root), r"^\.(?:It|Op|Fl)\b.*\bFl {}\b",
                       "the option")
  complaints += missing(root, PAGES[1], keys(root), r"^\.It Cm (?:\w+ , )*{}\b", "the key")
  complaints += missing(root, PAGES[2], policy_names(root), r"^\.(?:It Cm|Li) {}(?: |$)", "the name")
  return complaints + missing(root, DEFAULTS, keys(root), r"^#?{} =", "the key")


def check_form(root):
  if not shutil.which("mandoc"):
    return []
  complaints = []
  for page in PAGES:
    if exists(root, page):
      ran = subprocess.run(("mandoc", "-Tlint", "-Wwarning", page), cwd=root, check=False,
                           capture_output=True, text=True)
      for line in ran.stdout.splitlines():
        match = re.match(r"mandoc: (\S+?):(\d+):\d+: (.*)", line)
        complaints.append("{}:{}: {}".format(*match.groups()) if match else f"{page}:1: {line}")
  return complaints


def check(root):
  return check_words(root) + check_form(root)


if __name__ == "__main__":
  lintlib.main("manuals", check)
