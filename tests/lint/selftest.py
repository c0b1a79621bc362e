#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The lints, tested: a small tree that all accept, then one planted violation each that they must name."""
import os
import shutil
import tempfile
import unittest

import doors
import hygiene
import layering
import manuals
import tree

SPDX = "/* SPDX-License-Identifier: MIT */\n"

CLEAN = {
  "CMakeLists.txt": "project(x)\n",
  "README.md": "x\n",
  ".gitignore": "/build/\n",
  "build/junk.o": "",
  "proto/frame.h": SPDX + "#pragma once\n#include <stddef.h>\n#include <limits.h>\n",
  "proto/limits.h": SPDX + "#pragma once\n",
  "proto/frame.c": SPDX + '#include "proto/frame.h"\n#include <msgpack.h>\n',
  "proto/CMakeLists.txt": "vmreq_room(vmreq-proto SOURCES frame.c USES PkgConfig::MSGPACK)\n",
  "client/main.c": SPDX + '#include <jansson.h>\n#include "proto/frame.h"\n',
  "daemon/main.c": SPDX + '#include "rpc/server.h"\n#include "vm/vmreq.h"\n#include "proto/frame.h"\n',
  "daemon/sd.c": SPDX + "#include <systemd/sd-daemon.h>\n",
  "daemon/base/clock.h": SPDX + "#pragma once\n",
  "daemon/vm/vmreq.h": SPDX + '#pragma once\n#include "base/clock.h"\n',
  "daemon/vm/queue.c": SPDX + '#include "vm/vmreq.h"\n/* sleep(1), volatile: words of a comment */\n'
                              'const char *s = "nanosleep(1) // volatile";\n'
                              "static volatile sig_atomic_t seen;\n"
                              "int f(void) { return atomic_load_explicit(&x, memory_order_acquire); }\n"
                              "int g(void) { return atomic_fetch_add_explicit(&x, 1, o); }\n",
  "daemon/vm/futex.h": SPDX + "#include <linux/futex.h>\n",
  "daemon/symbols/plugin.c": SPDX + "#include <dlfcn.h>\nvoid *f(void) { return dlopen(0, 0); }\n",
  "daemon/rpc/server.h": SPDX + '#pragma once\n#include <uv.h>\n#include "symbols/registry.h"\n',
  "daemon/symbols/registry.h": SPDX + '#pragma once\n#include "vm/vmreq.h"\n',
  "daemon/modules/mod-debug.c": SPDX + "static int debug_sleep(int ms) { return ms; }\n",
  "tests/unit/proto/test-frame.c": SPDX + '#include "proto/frame.h"\n',
  "tests/unit/client/test-main.c": SPDX,
  "tests/unit/daemon/test-sd.c": SPDX,
  "tests/unit/vm/test-queue.c": SPDX,
  "tests/unit/symbols/test-plugin.c": SPDX,
  "tests/unit/modules/test-mod-debug.c": SPDX,
  "tests/lint/mirror-exceptions.txt": "# path reason\ndaemon/main.c run as a program elsewhere\n",
}


class Planted(unittest.TestCase):
  def check(self, lint, changes):
    with tempfile.TemporaryDirectory(prefix="vmreq-lint-") as root:
      for path, text in {**CLEAN, **changes}.items():
        if text is None:
          continue
        os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
        with open(os.path.join(root, path), "w", encoding="utf-8") as file:
          file.write(text)
      return lint.check(root)

  def refuses(self, lint, path, text, said, **more):
    complaints = self.check(lint, {path: text, **more})
    self.assertEqual(len(complaints), 1, complaints)
    self.assertIn(said, complaints[0])
    self.assertTrue(complaints[0].split(":")[1].isdigit(), complaints[0])

  def test_clean_tree_passes_all(self):
    for lint in (layering, doors, hygiene, manuals, tree):
      self.assertEqual(self.check(lint, {}), [], lint.__name__)

  # -- layering

  def test_every_arrow_that_is_not_drawn_is_refused(self):
    homes = {"proto": "proto", "client": "client", "daemon": "daemon"}
    folder = {room: homes.get(room, f"daemon/{room}") for room in layering.ARROWS}
    include = {room: f"{room}/z.h" if room != "daemon" else "z-main.h" for room in layering.ARROWS}
    headers = {f"{folder[r]}/{include[r].split('/')[-1]}": SPDX for r in layering.ARROWS}
    for room, arrows in layering.ARROWS.items():
      for other in layering.ARROWS:
        source = {f"{folder[room]}/z.c": SPDX + f'#include "{include[other]}"\n'}
        complaints = self.check(layering, {**headers, **source})
        expected = 0 if other == room or other in arrows else 1
        self.assertEqual(len(complaints), expected, (room, other, complaints))

  def test_rpc_may_not_see_modules(self):
    self.refuses(layering, "daemon/rpc/call.c", SPDX + '#include "modules/modules.h"\n',
                 "rpc may not include modules", **{"daemon/modules/modules.h": SPDX})

  def test_include_with_blanks_and_comments(self):
    self.refuses(layering, "daemon/vm/emt.c", SPDX + '  #  include  /* odd */ "rpc/server.h"\n',
                 "vm may not include rpc")

  def test_include_in_a_comment_is_none(self):
    self.assertEqual(self.check(layering, {"daemon/vm/z.c": '/*\n#include "rpc/server.h"\n*/\n'}), [])

  def test_neighbour_by_bare_name_is_own_room(self):
    self.assertEqual(self.check(layering, {"daemon/vm/z.c": SPDX + '#include "vmreq.h"\n'}), [])

  def test_angle_brackets_do_not_hide_an_arrow(self):
    self.refuses(layering, "daemon/vm/z.c", SPDX + "#include <rpc/server.h>\n", "is ours")

  def test_dots_are_refused(self):
    self.refuses(layering, "daemon/vm/z.c", SPDX + '#include "../base/clock.h"\n', '".."')

  def test_macro_include_is_refused(self):
    self.refuses(layering, "daemon/vm/z.c", SPDX + "#include HEADER\n", "macro")

  def test_unknown_file_is_refused(self):
    self.refuses(layering, "daemon/vm/z.c", SPDX + '#include "vm/none.h"\n', "no file of the tree")

  def test_including_a_test_is_refused(self):
    self.refuses(layering, "daemon/vm/z.c", SPDX + '#include "tests/unit/vm/test-queue.c"\n',
                 "outside the rooms")

  def test_unknown_room_is_refused(self):
    self.refuses(layering, "daemon/util/z.c", SPDX, "no room")

  def test_link_against_the_arrow_is_refused(self):
    self.refuses(layering, "daemon/vm/CMakeLists.txt", "vmreq_room(vmreq-vm\n  USES vmreq-rpc)\n",
                 "vm may not link vmreq-rpc")

  # -- doors

  def test_each_door(self):
    for include, place in (("msgpack.h", "daemon/rpc/z.c"), ("msgpack.h", "proto/z.h"),
                           ("msgpack/object.h", "client/z.c"), ("uv.h", "daemon/vm/z.c"),
                           ("uv.h", "daemon/main.c"), ("systemd/sd-journal.h", "daemon/rpc/z.c"),
                           ("linux/kvm.h", "daemon/vm/z.c"), ("linux/futex.h", "daemon/vm/emt.c"),
                           ("dlfcn.h", "daemon/symbols/z.c"), ("ini.h", "daemon/rpc/z.c"),
                           ("jansson.h", "daemon/rpc/z.c")):
      self.refuses(doors, place, SPDX + f"#include <{include}>\n", include)

  def test_each_door_by_its_words(self):
    for code, place in (("x = syscall(SYS_futex, p);", "daemon/vm/emt.c"),
                        ("h = dlopen(p, 0);", "daemon/modules/z.c"),
                        ("sd_notify(0, s);", "daemon/main.c"),
                        ("msgpack_pack_nil(p);", "daemon/rpc/z.c"),
                        ("ioctl(fd, KVM_CREATE_VM, 0);", "daemon/vm/z.c")):
      self.refuses(doors, place, SPDX + f"void f(void)\n{{\n        {code}\n}}\n", ":4:")

  # -- hygiene

  def test_sleeps(self):
    for place in ("daemon/vm/z.c", "client/z.c", "proto/z.c", "tests/unit/vm/z.c"):
      for call in ("sleep(1)", "usleep (5)", "nanosleep(&t, 0)", "clock_nanosleep(0, 0, &t, 0)"):
        self.refuses(hygiene, place, SPDX + f"void f(void) {{ {call}; }}\n", "a sleep")

  def test_python_sleep(self):
    self.refuses(hygiene, "tests/integration/z.py", "import time\ntime.sleep(1)\n", ":2: a sleep")

  def test_fences(self):
    for call in ("atomic_thread_fence(memory_order_seq_cst)", "__sync_synchronize()"):
      self.refuses(hygiene, "daemon/vm/z.c", SPDX + f"void f(void) {{ {call}; }}\n", "fence")

  def test_volatile(self):
    self.refuses(hygiene, "daemon/vm/z.c", SPDX + "static volatile int x;\n", "volatile")

  def test_atomics_without_order(self):
    for call in ("atomic_load(&x)", "atomic_store(&x, 1)", "atomic_fetch_add(&x, 1)",
                 "atomic_compare_exchange_strong(&x, &y, 1)", "atomic_exchange(&x, 1)"):
      self.refuses(hygiene, "daemon/vm/z.c", SPDX + f"int f(void) {{ return {call}; }}\n", "_explicit")

  def test_notes(self):
    self.refuses(hygiene, "daemon/vm/z.c", SPDX + "/* TODO: later */\n", "open note")
    self.refuses(hygiene, "daemon/vm/z.c", SPDX + "int x; // why\n", "// comment")
    self.assertEqual(self.check(hygiene, {"daemon/vm/z.c": SPDX + "/* TODO(#12): lanes */\n"}), [])

  def test_spdx(self):
    self.refuses(hygiene, "daemon/vm/z.c", "int x;\n", "SPDX")

  def test_too_long(self):
    for place in ("daemon/vm/z.c", "tests/unit/vm/z.c"):
      self.refuses(hygiene, place, SPDX + "int x;\n" * 701, "several files")

  # -- manuals

  def test_options_and_keys(self):
    page = ".Dd November 22, 2026\n.Dt X %s\n.Os\n.Sh NAME\n.Nm x\n.Nd x\n.Sh DESCRIPTION\n"
    tag = ".Bl -tag -width Ds\n.It {} Ar z\nIt is.\n.El\n"
    options = SPDX + '{"config", required_argument, NULL, 1},\n'
    keys = SPDX + 'NUMBER("vm", "cpus", cpus, 1, 2)\nif (strcmp(key, "path") == 0)\n'
    rules = SPDX + '{"vm", set_vm}\n'
    more = {"tests/unit/daemon/test-options.c": SPDX, "tests/unit/daemon/test-config.c": SPDX}
    for path, page_path, text, word, said in (
        ("daemon/options.c", "daemon/vmreqd.8", options, "Fl f , Fl Fl config", "option config"),
        ("daemon/config.c", "daemon/vmreqd.conf.5", keys, "Cm cpus , path", "key"),
        ("daemon/policy-file.c", "daemon/vmreqd.policy.5", rules, "Cm vm", "name vm")):
      good = self.check(manuals, {path: text, page_path: page % page_path[-1] + tag.format(word), **more})
      self.assertEqual(good, [])
      bad = self.check(manuals, {path: text, page_path: page % page_path[-1] + tag.format("x"), **more})
      self.assertTrue(bad and said in bad[0], bad)
    bad = self.check(manuals, {"daemon/config.c": keys, "systemd/vmreqd.conf": "#cpus = 1\n", **more})
    self.assertEqual(bad, ["systemd/vmreqd.conf:1: the key path is not in it"])

  @unittest.skipUnless(shutil.which("mandoc"), "no mandoc")
  def test_manuals_are_well_formed(self):
    self.refuses(manuals, "daemon/vmreqd.8", ".Dd November 22, 2026\n.Dt X 8\n.Os\n.Sh NAME\n.Nm x\n.Nd x\n.Zz\n",
                 "Zz")

  # -- tree

  def test_top_level(self):
    self.refuses(tree, "notes/plan.txt", "x", "not a name of the top level")

  def test_head_comment(self):
    long = "".join(f"int x{n};\n" for n in range(120))
    mirror = {"tests/unit/vm/test-z.c": SPDX}
    self.refuses(tree, "daemon/vm/z.c", SPDX + "#include <stdio.h>\n" + long, "no head comment", **mirror)
    late = SPDX + "int a;\n/*\n * Too late.\n */\n" + long
    self.refuses(tree, "daemon/vm/z.c", late, "no head comment", **mirror)
    good = SPDX + "/*\n * What this does.\n * And why.\n */\n#include <stdio.h>\n" + long
    self.assertEqual(self.check(tree, {"daemon/vm/z.c": good, **mirror}), [])

  def test_mirror(self):
    self.refuses(tree, "daemon/vm/z.c", SPDX, "no tests/unit/vm/test-z.c")

  def test_mirror_exceptions(self):
    path = "tests/lint/mirror-exceptions.txt"
    have = CLEAN[path]
    self.refuses(tree, path, have + "daemon/vm/gone.c it is not there any more\n", "does not exist")
    self.refuses(tree, path, have + "daemon/vm/queue.c it used to have none\n", "remove the entry")
    self.refuses(tree, path, have + "daemon/vm/z.c no\n", "has no reason", **{"daemon/vm/z.c": SPDX})


if __name__ == "__main__":
  unittest.main()
