#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Doors: each foreign thing enters the tree at one place, so that it can be replaced or audited there.

A door is a pattern of include names or of code, and the files that may contain it.
"""
import fnmatch
import re

import lintlib

# what, includes (glob), words in the code (regular expression or None), files that may
DOORS = (
  ("msgpack-c", ("msgpack.h", "msgpack/*", "msgpack.hpp"), r"\bmsgpack_[a-z]\w*\s*\(", ("proto/*.c",)),
  ("libuv", ("uv.h", "uv/*"), None, ("daemon/rpc/*.c", "daemon/rpc/*.h")),
  ("the service manager", ("systemd/sd-daemon.h",), r"\bsd_(notify|listen|is)\w*\s*\(", ("daemon/sd.c",)),
  ("the journal", ("systemd/sd-journal.h",), r"\bsd_journal\w*\s*\(", ("daemon/journal.c",)),
  ("the rest of libsystemd", ("systemd/sd-[!dj]*", "systemd/_*"), None, ("nowhere",)),
  ("KVM", ("linux/kvm.h", "asm/kvm.h"), r"\bKVM_[A-Z]+_[A-Z_]+\b", ("daemon/machine/*",)),
  ("futex", ("linux/futex.h",), r"\b(__NR|SYS)_futex\b", ("daemon/vm/futex.c", "daemon/vm/futex.h")),
  ("dlopen", ("dlfcn.h",), r"\b(dlopen|dlmopen|dlsym|dlclose)\s*\(", ("daemon/symbols/plugin.c",)),
  ("inih", ("ini.h",), r"\bini_parse\w*\s*\(", ("daemon/conf-file.c",)),
  ("libedit", ("histedit.h", "editline/*"), r"\b(el_(init|gets|set)|history_init)\s*\(", ("client/prompt.c",)),
  ("xxHash", ("xxhash.h",), r"\bXXH\w*\s*\(", ("daemon/rpc/key.c",)),
  ("jansson", ("jansson.h",), r"\bjson_(object|array|dump|load|string|pack)\w*\s*\(", ("client/*",)),
)


def may(path, allowed):
  return any(fnmatch.fnmatchcase(path, pattern) for pattern in allowed)


def check_file(root, path):
  complaints = []
  text = lintlib.read(root, path)
  code = lintlib.code_of(text)
  for what, headers, words, allowed in DOORS:
    if may(path, allowed):
      continue
    for line, name, _ in lintlib.includes(text):
      if any(fnmatch.fnmatchcase(name, header) for header in headers):
        complaints.append(f"{path}:{line}: {what} ({name}) enters only at {', '.join(allowed)}")
    for match in re.finditer(words, code) if words else ():
      line = code.count("\n", 0, match.start()) + 1
      complaints.append(f"{path}:{line}: {what} ({match.group(0)}) is used only in {', '.join(allowed)}")
  return complaints


def check(root):
  complaints = []
  for path in lintlib.files(root, lintlib.ROOMS_ROOTS, (".c", ".h")):
    complaints += check_file(root, path)
  return complaints


if __name__ == "__main__":
  lintlib.main("doors", check)
