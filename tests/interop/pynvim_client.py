#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""pynvim as a client: its raw session, and attach, which wants nvim_get_api_info.  In processes of their own."""
import concurrent.futures
import json
import sys

import vmreqtest

RAW = """
import json, sys
from pynvim.msgpack_rpc import socket_session
s = socket_session(sys.argv[1])
s.error_wrapper = Exception
def show(value):
  print(json.dumps(value, default=lambda b: b.decode()), flush=True)
"""

ATTACH = """
import json, sys, pynvim
n = pynvim.attach('socket', path=sys.argv[1])
def show(value):
  print(json.dumps(value), flush=True)
"""

CATCH = """
try:
  {call}
  sys.exit(0)
except Exception as error:
  print(error, flush=True)
  sys.exit(3)
"""


class Pynvim(vmreqtest.SharedDaemon):
  def python(self, code):
    return vmreqtest.run("timeout", "-k", "5", str(vmreqtest.WAIT), sys.executable, "-B", "-c", code,
                         self.daemon.path, timeout=vmreqtest.WAIT + 10)

  def shows(self, code, value):
    done = self.python(code)
    self.assertEqual(done.code, 0, done)
    self.assertEqual(json.loads(done.out), value, done)

  # -- raw session

  def test_raw_add(self):
    self.shows(RAW + "show(s.request('debug.add', 40, 2))", 42)

  def test_raw_echo(self):
    values = [None, True, False, 0, -1, 2**31, 2**63 - 1, -2**63, 1.5, "text", [1, [2]], {"k": "v"}]
    self.shows(RAW + f"show([s.request('debug.echo', v) for v in {values!r}])", values)

  def test_raw_notify(self):
    self.shows(RAW + "s.request('debug.add', 1, 2, async_=True)\n"
               "s.request('debug.none', async_=True)\nshow(s.request('debug.add', 40, 2))", 42)

  def test_raw_failure(self):
    done = self.python(RAW + CATCH.format(call="s.request('debug.fail', -5, 'the disk is gone')"))
    self.assertEqual(done.code, 3, done)
    self.assertIn("the disk is gone", done.out)

  def test_raw_rows(self):
    done = self.python(RAW + "show(s.request('vmreq.call', 'debug.whoami', [], {'cpu': 'all-reverse'}))")
    self.assertEqual([row["value"] for row in json.loads(done.out)], [2, 1, 0], done)

  def test_raw_large_reply(self):
    self.shows(RAW + "show(len(s.request('debug.echo', 'z' * 8000000)))", 8_000_000)

  # -- attach: sends the names of methods as bin

  def test_attach_add(self):
    self.shows(ATTACH + "show(n.request('debug.add', 40, 2))", 42)

  def test_attach_knows_its_channel(self):
    done = self.python(ATTACH + "show(n.channel_id)")
    self.assertEqual(done.code, 0, done)
    self.assertIsInstance(json.loads(done.out), int)

  def test_attach_failure(self):
    done = self.python(ATTACH + CATCH.format(call="n.request('debug.fail', -5, 'the disk is gone')"))
    self.assertEqual(done.code, 3, done)
    self.assertIn("the disk is gone", done.out)
    self.assertIn("FAILED", done.out)

  def test_attach_wrong_argument(self):
    done = self.python(ATTACH + CATCH.format(call="n.request('debug.add', 40, 'two')"))
    self.assertEqual(done.code, 3, done)
    self.assertIn("INVALID_ARGUMENT", done.out)

  def test_attach_lists_the_symbols(self):
    self.shows(ATTACH + "show('debug.add' in [f['name'] for f in n.metadata['functions']])", True)
    self.shows(ATTACH + "show('debug.add' in n.request('vmreq.symbols'))", True)

  def test_eight_in_parallel(self):
    code = RAW + "show(sum(s.request('debug.add', n, 0) for n in range(200)))"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
      for done in pool.map(lambda _: self.python(code), range(8)):
        self.assertEqual((done.code, done.out), (0, "19900\n"), done)


if __name__ == "__main__":
  vmreqtest.main()
