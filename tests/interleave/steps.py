#!/usr/bin/python3 -B
# SPDX-License-Identifier: MIT
"""Each named step of the engine is taken in some scene.

    tests/interleave/steps.py ROOT DIR      DIR: where "interleavings -s" has written THEME.steps
"""
import pathlib
import re
import sys


def main():
    root, written = map(pathlib.Path, sys.argv[1:3])
    taken = {name for path in written.glob("*.steps") for name in path.read_text().split()}
    missed = 0
    for source in sorted((root / "daemon").rglob("*.[ch]")):
        for name in re.findall(r"\bVM_STEP\((\w+)\);", source.read_text()):
            if name not in taken:
                print(f"{source.name}: no scene takes the step {name}")
                missed += 1
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
