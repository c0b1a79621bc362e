#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The library's outside, each part held against the header: it compiles as strict C11 and as C++, the shared library
exports its functions and nothing else, the archive adds no other name to a program, the man page describes each
function with the header's own parameters.

Environment: CC, CXX (may be empty), SHARED, STATIC (the two libraries).
"""
import os
import re
import shutil
import subprocess
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
HEADER = os.path.join(ROOT, "daemon", "vm", "vmreq.h")
PAGE = os.path.join(ROOT, "daemon", "vm", "vmreq.3")
STRICT = ("-fsyntax-only", "-Wall", "-Wextra", "-Wundef", "-Wconversion", "-pedantic-errors", "-Werror")


def prototypes(text, mark="VMREQ_API"):
  """name → list of [return type, parameters …] as words, of all that is marked."""
  found = {}
  text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
  for match in re.finditer(mark + r"\s+([^;()]*?)\b(vmreq_\w+)\s*\(([^;]*)\);", text, re.MULTILINE):
    found[match[2]] = [words(match[1])] + [words(p) for p in split(match[3])]
  return found


def words(text):
  return " ".join(text.split())


def split(parameters):
  """At the commas that are not inside brackets."""
  parts, depth = [""], 0
  for char in parameters:
    depth += (char == "(") - (char == ")")
    if char == "," and depth == 0:
      parts.append("")
    else:
      parts[-1] += char
  return parts


def synopsis(page):
  """The same of a man page's SYNOPSIS: .Ft, .Fo, .Fa …, .Fc."""
  found, returns, name = {}, None, None
  for line in page[page.index(".Sh SYNOPSIS"):page.index(".Sh DESCRIPTION")].split("\n"):
    macro, _, rest = line.partition(" ")
    rest = rest.strip('"')
    if macro == ".Ft":
      returns = rest
    elif macro == ".Fo":
      name = rest
      found[name] = [returns]
    elif macro == ".Fa":
      found[name].append(rest)
  return found


def names(path, *options):
  """The defined symbols of an object, without their versions; those of the file's own sections left out."""
  listing = subprocess.run(("nm", "--defined-only", "--extern-only", *options, path), check=True,
                           capture_output=True, text=True).stdout
  rows = [line.split() for line in listing.split("\n")]
  return sorted({row[2].partition("@")[0] for row in rows if len(row) == 3 and row[1] != "A"})


def foreign_sections(path):
  """The sections of an archive that only the compiler that made it can read."""
  listing = subprocess.run(("readelf", "--wide", "--sections", path), check=True, capture_output=True,
                           text=True).stdout
  return sorted(set(re.findall(r"\.gnu\.(?:lto|debuglto)_\S*", listing)))


def read(path):
  with open(path, encoding="utf-8") as file:
    return file.read()


class Header(unittest.TestCase):
  def compiles(self, compiler, language, standard, body=""):
    # Twice: it guards itself.  First: it needs nothing before it.
    source = '#include "vmreq.h"\n#include "vmreq.h"\n' + body + "\n"
    ran = subprocess.run((compiler, "-x", language, "-std=" + standard, *STRICT, "-I", os.path.dirname(HEADER), "-"),
                         input=source, capture_output=True, text=True)
    self.assertEqual((ran.returncode, ran.stderr), (0, ""))

  def test_strict_c(self):
    body = """struct vmreq_config config = VMREQ_CONFIG_INIT;
              struct vmreq_spec spec = VMREQ_SPEC_INIT;
              struct vmreq_backend backend = VMREQ_BACKEND_INIT;
              vmreq_handle none(void);
              vmreq_handle none(void) { return VMREQ_HANDLE_NONE; }"""
    for compiler in {os.environ.get("CC") or "cc", shutil.which("clang-14") or "cc"}:
      for standard in ("c11", "c17", "gnu11"):
        with self.subTest(compiler=compiler, standard=standard):
          self.compiles(compiler, "c", standard, body)

  def test_cplusplus(self):
    compilers = {c for c in (os.environ.get("CXX"), shutil.which("clang++-14")) if c}
    if not compilers:
      self.skipTest("no C++ compiler")
    body = """int run(vmreq_vm vm) { return vmreq_call_wait(vm, 0, (vmreq_fn)vmreq_now, 1, VMREQ_W(1)); }
              struct vmreq_config config = VMREQ_CONFIG_INIT;
              struct vmreq_spec spec = VMREQ_SPEC_INIT;
              struct vmreq_backend backend = VMREQ_BACKEND_INIT;
              vmreq_handle none();
              vmreq_handle none()
              {
                vmreq_config mine = VMREQ_CONFIG_INIT;
                vmreq_spec of_mine = VMREQ_SPEC_INIT;
                return mine.cpus == 1 && of_mine.cpu == VMREQ_CPU_ANY ? VMREQ_HANDLE_NONE : vmreq_current();
              }"""
    for compiler in compilers:
      for standard in ("c++11", "c++17", "c++20"):
        with self.subTest(compiler=compiler, standard=standard):
          self.compiles(compiler, "c++", standard, "int run(vmreq_vm vm);\n" + body)


class Symbols(unittest.TestCase):
  def setUp(self):
    self.declared = sorted(prototypes(read(HEADER)))
    self.assertGreater(len(self.declared), 50)

  def test_every_mark_is_a_function(self):
    marks = re.sub(r"#define VMREQ_API.*", "", read(HEADER)).count("VMREQ_API ")
    self.assertEqual(marks, len(self.declared))

  def test_shared(self):
    self.assertEqual(names(os.environ["SHARED"], "--dynamic"), self.declared)

  def test_static(self):
    self.assertEqual(names(os.environ["STATIC"]), self.declared)

  def test_static_holds_machine_code_only(self):
    self.assertEqual(foreign_sections(os.environ["STATIC"]), [])


class Tests(unittest.TestCase):
  def test_bad_input_reaches_each(self):
    text = read(os.path.join(ROOT, "tests", "claims", "bad-input.c"))
    named = set(re.findall(r"\b(vmreq_\w+)\b", text))
    self.assertEqual(sorted(set(prototypes(read(HEADER))) - named), [])


class Page(unittest.TestCase):
  def test_prototypes(self):
    self.maxDiff = None
    self.assertEqual(synopsis(read(PAGE)), prototypes(read(HEADER)))

  def test_each_function_is_described(self):
    page = read(PAGE)
    text = page[page.index(".Sh DESCRIPTION"):]
    described = set(re.findall(r"^\.(?:It )?Fn (vmreq_\w+)", text, re.MULTILINE))
    self.assertEqual(sorted(described), sorted(prototypes(read(HEADER))))

  def test_each_error_is_described(self):
    header = re.sub(r"/\*.*?\*/", " ", read(HEADER), flags=re.DOTALL)
    errors = set(re.findall(r"\bVMREQ_E_\w+(?= =)", header))
    self.assertEqual(set(re.findall(r"VMREQ_E_\w+", read(PAGE))), errors)

  def test_mandoc(self):
    if not shutil.which("mandoc"):
      self.skipTest("no mandoc")
    ran = subprocess.run(("mandoc", "-Tlint", PAGE), capture_output=True, text=True)
    self.assertEqual(ran.stdout + ran.stderr, "")


if __name__ == "__main__":
  unittest.main()
