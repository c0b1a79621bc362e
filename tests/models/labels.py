#!/usr/bin/python3 -B
# SPDX-License-Identifier: MIT
"""The labels of a model and the named steps of its C files are the same set.

    tests/models/labels.py ROOT

A model's head names the C it models, a whole file or some of its functions:

    C: daemon/vm/lane.c
    C: daemon/vm/event.c event_prepare event_cancel

Its labels s_NAME must be the VM_STEP(NAME) marks there, no more and no fewer.  Each mark stands once in the engine, and
belongs to some model.
"""
import pathlib
import re
import sys


def functions(text):
    """(name, body) of each function, by the house style: its name in column 0, its end a brace there."""
    for match in re.finditer(r"^(?!static_assert)[A-Za-z_].*?\b(\w+)\([^;{]*\)\n{\n(.*?)^}", text, re.M | re.S):
        yield match[1], match[2]


def marks(text):
    return re.findall(r"\bVM_STEP\((\w+)\);", text)


def modelled(root, line, problems, where):
    """The marks of one "C:" line."""
    path, *names = line.split()
    try:
        text = (root / path).read_text()
    except OSError as error:
        problems.append(f"{where}: {error}")
        return []
    if not names:
        return marks(text)
    bodies = dict(functions(text))
    problems += [f"{where}: {path} has no function {name}" for name in names if name not in bodies]
    return [mark for name in names for mark in marks(bodies.get(name, ""))]


def check(root):
    problems, covered = [], set()
    models = sorted((root / "tests/models").glob("*.pml"))
    if not models:
        return ["no models"]
    for model in models:
        text = model.read_text()
        head = text.split("*/")[1]
        labels = set(re.findall(r"^s_(\w+):", text, re.M))
        lines = re.findall(r"^ \* C: (.*)$", head, re.M)
        steps = {mark for line in lines for mark in modelled(root, line, problems, model.name)}
        covered |= steps
        problems += [f"{model.name}: label s_{name}: no VM_STEP({name}) in its C" for name in sorted(labels - steps)]
        problems += [f"{model.name}: VM_STEP({name}) in its C: no label s_{name}" for name in sorted(steps - labels)]
    seen = {}
    for source in sorted((root / "daemon").rglob("*.c")):
        for mark in marks(source.read_text()):
            if mark in seen:
                problems.append(f"{source.name}: VM_STEP({mark}) stands in {seen[mark]} as well")
            seen[mark] = source.name
            if mark not in covered:
                problems.append(f"{source.name}: VM_STEP({mark}): no model has it")
    return problems


def main():
    problems = check(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve())
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
