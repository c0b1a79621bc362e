#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Hygiene: what C code here does not do.

Time is never evidence (no sleeps, in the tests neither), memory order stands on the variable (no
stand-alone fences, which ThreadSanitizer cannot follow; no volatile but for what a signal handler shares;
no atomic access with the order left out), comments are finished prose.
"""
import re

import lintlib

SLEEPS = re.compile(r"\b(sleep|usleep|nanosleep|clock_nanosleep|thrd_sleep|uv_sleep)\s*\(")
PY_SLEEPS = re.compile(r"\b(time|asyncio)\.sleep\s*\(|\bfrom\s+time\s+import\b.*\bsleep\b")
FENCES = re.compile(r"\b(atomic_thread_fence|atomic_signal_fence|__atomic_thread_fence|"
                    r"__atomic_signal_fence|__sync_\w+|smp_[rw]?mb)\s*\(")
VOLATILE = re.compile(r"\b(?<!asm )(?<!__asm__ )volatile\b(?!\s+sig_atomic_t)")
BARE_ATOMICS = re.compile(r"\batomic_(load|store|exchange|compare_exchange_strong|compare_exchange_weak|"
                          r"fetch_add|fetch_sub|fetch_or|fetch_and|fetch_xor|flag_test_and_set|flag_clear)\s*\(")
NOTES = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))")
CMAKE_SPDX = "# SPDX-License-Identifier: MIT"
LINES_MAX = 700

# pattern, what is wrong
IN_CODE = (
  (FENCES, "a stand-alone fence: put the order on the load, store or exchange"),
  (VOLATILE, "volatile: use _Atomic, or volatile sig_atomic_t in a signal handler"),
  (BARE_ATOMICS, "an atomic access with the order left out: write the _explicit form"),
)


def matches(pattern, text, path, complaint):
  for match in pattern.finditer(text):
    line = text.count("\n", 0, match.start()) + 1
    yield f"{path}:{line}: {complaint} ({match.group(0).strip()})"


def check_text(path, text):
  """The rules that hold for each C file, tests included."""
  complaints = []
  code = lintlib.code_of(text)
  complaints += matches(SLEEPS, code, path, "a sleep: wait for the event itself")
  if "SPDX-License-Identifier: MIT" not in text.split("\n", 1)[0]:
    complaints.append(f"{path}:1: the first line is not the SPDX line")
  if text.count("\n") > LINES_MAX:
    complaints.append(f"{path}:{LINES_MAX}: a file this long is several files")
  return complaints


def check_ours(path, text):
  """The rules for what is shipped."""
  complaints = []
  code = lintlib.code_of(text)
  for pattern, what in IN_CODE:
    complaints += matches(pattern, code, path, what)
  for line, comment in lintlib.comments_of(text):
    if comment.startswith("//"):
      complaints.append(f"{path}:{line}: a // comment is a temporary note: write /* */ or remove it")
    if NOTES.search(comment):
      complaints.append(f"{path}:{line}: an open note in a comment: finish it, or give its issue as TODO(#n)")
  return complaints


def check(root):
  complaints = []
  for path in lintlib.files(root, lintlib.ROOMS_ROOTS + ("tests",), (".c", ".h")):
    text = lintlib.read(root, path)
    complaints += check_text(path, text)
    if not path.startswith("tests/"):
      complaints += check_ours(path, text)
  for path in lintlib.files(root, ("tests",), (".py",)):
    if path == "tests/lint/selftest.py":
      continue
    text = lintlib.read(root, path)
    complaints += matches(PY_SLEEPS, text, path, "a sleep: wait for the event itself")
  return complaints


if __name__ == "__main__":
  lintlib.main("hygiene", check)
