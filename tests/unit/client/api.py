#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""libvmreqclient's outside, held against its header as libvmreq's is: strict C11 and C++, exported symbols, man page; and
vmreqctl, which must get along with that header alone.

Environment: CC, CXX (may be empty), SHARED, STATIC (the two libraries), VMREQCTL (the program).
"""
import os
import re
import shutil
import subprocess
import sys
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "unit", "vm"))

from api import STRICT, foreign_sections, names, prototypes, read, synopsis  # noqa: E402

CLIENT = os.path.join(ROOT, "client")
HEADER = os.path.join(CLIENT, "vmreq-client.h")
PAGE = os.path.join(CLIENT, "vmreqclient.3")


def declared():
  return prototypes(read(HEADER), "VMREQ_CLIENT_API")


class Header(unittest.TestCase):
  def compiles(self, compiler, language, standard):
    body = """struct vmreq_client_config config = VMREQ_CLIENT_CONFIG_INIT;
              struct vmreq_client_options options = VMREQ_CLIENT_OPTIONS_INIT;\n"""
    source = '#include "vmreq-client.h"\n#include "vmreq-client.h"\n' + body
    ran = subprocess.run((compiler, "-x", language, "-std=" + standard, *STRICT, "-I", CLIENT, "-"),
                         input=source, capture_output=True, text=True)
    self.assertEqual((ran.returncode, ran.stderr), (0, ""))

  def test_strict_c(self):
    for compiler in {os.environ.get("CC") or "cc", shutil.which("clang-14") or "cc"}:
      for standard in ("c11", "c17", "gnu11"):
        with self.subTest(compiler=compiler, standard=standard):
          self.compiles(compiler, "c", standard)

  def test_cplusplus(self):
    compilers = {c for c in (os.environ.get("CXX"), shutil.which("clang++-14")) if c}
    if not compilers:
      self.skipTest("no C++ compiler")
    for compiler in compilers:
      for standard in ("c++11", "c++20"):
        with self.subTest(compiler=compiler, standard=standard):
          self.compiles(compiler, "c++", standard)


class Symbols(unittest.TestCase):
  def setUp(self):
    self.declared = sorted(declared())
    self.assertGreater(len(self.declared), 20)

  def test_every_mark_is_a_function(self):
    marks = re.sub(r"#define VMREQ_CLIENT_API.*", "", read(HEADER)).count("VMREQ_CLIENT_API ")
    self.assertEqual(marks, len(self.declared))

  def test_shared(self):
    self.assertEqual(names(os.environ["SHARED"], "--dynamic"), self.declared)

  def test_static(self):
    self.assertEqual(names(os.environ["STATIC"]), self.declared)

  def test_static_holds_machine_code_only(self):
    self.assertEqual(foreign_sections(os.environ["STATIC"]), [])


class Page(unittest.TestCase):
  def test_prototypes(self):
    self.maxDiff = None
    self.assertEqual(synopsis(read(PAGE)), declared())

  def test_each_function_is_described(self):
    page = read(PAGE)
    text = page[page.index(".Sh DESCRIPTION"):]
    described = set(re.findall(r"^\.(?:It )?Fn (vmreq_\w+)", text, re.MULTILINE))
    self.assertEqual(sorted(described), sorted(declared()))

  def test_each_name_is_described(self):
    header = re.sub(r"/\*.*?\*/", " ", read(HEADER), flags=re.DOTALL)
    in_header = set(re.findall(r"\bVMREQ_CLIENT_[A-Z_]+\b", header))
    in_header -= {"VMREQ_CLIENT_H", "VMREQ_CLIENT_API", "VMREQ_CLIENT_OK"}
    in_page = set(re.findall(r"VMREQ_CLIENT_[A-Z_]+", read(PAGE)))
    self.assertEqual(in_header - in_page - {"VMREQ_CLIENT_RAN_YES"}, set())
    self.assertEqual(in_page - in_header, set())

  def test_mandoc(self):
    if not shutil.which("mandoc"):
      self.skipTest("no mandoc")
    ran = subprocess.run(("mandoc", "-Tlint", PAGE), capture_output=True, text=True)
    # The pages that it refers to need not be installed here.
    said = [line for line in (ran.stdout + ran.stderr).splitlines() if "referenced manual" not in line]
    self.assertEqual(said, [])


class Vmreqctl(unittest.TestCase):
  INNER = ("answer", "client-internal", "link", "notice", "table")

  def test_uses_the_public_header_only(self):
    """A file that is not the library's includes nothing of its inside."""
    listing = read(os.path.join(CLIENT, "CMakeLists.txt"))
    library = re.search(r"vmreq_room\(vmreq-client STRICT\s+SOURCES(.*?)USES", listing, re.DOTALL)[1].split()
    self.assertIn("client.c", library)
    inner = {f"client/{name}.h" for name in self.INNER}
    for name in sorted(os.listdir(CLIENT)):
      if not name.endswith((".c", ".h")) or name in library or name[:-2] in self.INNER:
        continue
      used = set(re.findall(r'#include "([^"]+)"', read(os.path.join(CLIENT, name))))
      self.assertEqual(used & inner, set(), name)


class Manual(unittest.TestCase):
  """vmreqctl(1) has every verb and option that the program has, and no other."""

  def setUp(self):
    page = read(os.path.join(CLIENT, "vmreqctl.1"))
    self.text = page[page.index(".Sh DESCRIPTION"):page.index(".Sh ENVIRONMENT")]

  def ctl(self, *words):
    return subprocess.run((os.environ["VMREQCTL"], *words), capture_output=True, text=True, check=True).stdout

  def verbs(self):
    return re.findall(r"^  ([a-z-]+) +[a-z]", self.ctl("--help").split("\n\n")[1], re.MULTILINE)

  def test_verbs(self):
    self.assertGreater(len(self.verbs()), 18)
    documented = re.findall(r"^\.It Cm ([a-z-]+)", self.text, re.MULTILINE)
    self.assertEqual(set(documented), set(self.verbs()) | {"complete"})

  def test_options(self):
    known = set()
    for verb in self.verbs():
      known |= set(re.findall(r"^  .{3} --([a-z-]+)", self.ctl(verb, "--help"), re.MULTILINE))
    documented = set(re.findall(r"^\.It Fl -([a-z-]+)", self.text, re.MULTILINE))
    documented |= set(re.findall(r"^\.It Fl . .*, Fl -([a-z-]+)", self.text, re.MULTILINE))
    self.assertEqual(documented - {"markdown"}, known - {"markdown"})

  def test_mandoc(self):
    if not shutil.which("mandoc"):
      self.skipTest("no mandoc")
    ran = subprocess.run(("mandoc", "-Tlint", os.path.join(CLIENT, "vmreqctl.1")), capture_output=True, text=True)
    said = [line for line in ran.stdout.splitlines() if "referenced manual" not in line]
    self.assertEqual(said, [])


if __name__ == "__main__":
  unittest.main()
