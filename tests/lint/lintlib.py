# SPDX-License-Identifier: MIT
"""What the lints share: the C files of the tree, their code without comments and strings, the report.

A lint is a function check(root) that returns complaints, each "path:line: what is wrong".  They read the
tree only; selftest.py runs them on small trees with a planted violation.
"""
import os
import re
import sys

ROOMS_ROOTS = ("proto", "daemon", "client")


def files(root, tops, suffixes):
  """Paths relative to root, sorted, of the files below `tops` that end in one of `suffixes`."""
  found = []
  for top in tops:
    for folder, folders, names in os.walk(os.path.join(root, top)):
      folders[:] = sorted(f for f in folders if not f.startswith((".", "build", "__pycache__")))
      for name in names:
        if name.endswith(suffixes):
          found.append(os.path.relpath(os.path.join(folder, name), root))
  return sorted(found)


def read(root, path):
  with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
    return file.read()


_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def code_of(text):
  """C text with comments and the inside of literals blanked; line numbers stay as they were."""
  def blank(match):
    token = match.group(0)
    if token[0] in "\"'":
      return token[0] + " " * (len(token) - 2) + token[0]
    return re.sub(r"[^\n]", " ", token)
  return _TOKEN.sub(blank, text)


def comments_of(text):
  """(line number, comment) of each comment, those inside literals left out."""
  for match in _TOKEN.finditer(text):
    if match.group(0).startswith("/"):
      yield text.count("\n", 0, match.start()) + 1, match.group(0)


_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"\n]+)"|<([^>\n]+)>|([^\s"<].*))', re.MULTILINE)


def includes(text):
  """(line, name, kind) of each include directive; kind is '"', '<' or 'macro'."""
  comments = re.compile(r"/\*.*?\*/", re.DOTALL)
  text = comments.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), text)
  for match in _INCLUDE.finditer(text):
    line = text.count("\n", 0, match.start()) + 1
    if match.group(1):
      yield line, match.group(1), '"'
    elif match.group(2):
      yield line, match.group(2), "<"
    else:
      yield line, match.group(3).strip(), "macro"


def main(name, check):
  """Runs one lint on the tree given as the only argument, prints what it found, exits 0 or 1."""
  root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "..")
  root = os.path.abspath(root)
  complaints = check(root)
  for complaint in complaints:
    print(complaint)
  count = len(files(root, ROOMS_ROOTS, (".c", ".h")))
  print(f"{name}: {count} C files looked at, {len(complaints)} complaint(s)")
  if count == 0:
    print(f"{name}: no C files under {root}: wrong folder?")
    sys.exit(1)
  sys.exit(1 if complaints else 0)
