#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Peers that speak something else, or ours wrongly: each is told or closed, none hangs, nobody else notices."""
import msgpack

import vmreqtest


class Negative(vmreqtest.SharedDaemon):
  def setUp(self):
    super().setUp()
    self.bystander = self.daemon.client()
    self.addCleanup(lambda: self.assertEqual(self.bystander.call("debug.add", 40, 2), 42))

  def test_curl(self):
    done = vmreqtest.run("timeout", str(vmreqtest.WAIT), "curl", "-sS", "--max-time", "10", "-i",
                         "--unix-socket", self.daemon.path, "http://localhost/status")
    self.assertEqual(done.code, 0, done)
    self.assertRegex(done.out, r"^HTTP/1\.[01] 400")
    self.assertIn("msgpack", done.out)

  def test_curl_posts(self):
    done = vmreqtest.run("timeout", str(vmreqtest.WAIT), "curl", "-sS", "--max-time", "10", "-i",
                         "--data-binary", "@-", "--unix-socket", self.daemon.path, "http://localhost/",
                         data=b"x" * 100_000)
    # It is answered at the first bytes, and closed: curl, in the middle of its body, reads the answer or
    # finds that nobody listens to the rest.  It does not hang.
    self.assertRegex(done.out + done.err, r"HTTP/1\.[01] 400|Broken pipe|reset by peer")

  def test_nvim_remote_expr(self):
    done = vmreqtest.run("timeout", "-k", "5", str(vmreqtest.WAIT), "nvim", "--headless", "-u", "NONE",
                         "-i", "NONE", "--server", self.daemon.path, "--remote-expr", "1+1",
                         timeout=vmreqtest.WAIT + 10)
    self.assertNotEqual(done.code, 124, "nvim hung")
    self.assertIn("nvim_eval", done.out + done.err)

  def test_go_net_rpc_framing(self):
    """hashicorp's net-rpc-msgpackrpc: a map as the header, the body as a value of its own."""
    client = self.daemon.client()
    header = msgpack.packb({"ServiceMethod": "debug.add", "Seq": 0})
    client.send(header + msgpack.packb([40, 2]))
    self.assertRegex(client.raw_until_eof(), rb"^[ -~]+\r?\n")

  def test_fifth_element(self):
    client = self.daemon.client()
    client.owed.add(9)
    client.send(msgpack.packb([0, 9, "debug.add", [40, 2], None]))
    self.assertEqual(client.error_of(9).name, "INVALID_REQUEST")
    self.assertEqual(client.raw_until_eof(), b"")

  def test_depth_32(self):
    value = 0
    for _ in range(32):
      value = [value]
    client = self.daemon.client()
    client.owed.add(9)
    client.send(msgpack.packb([0, 9, "debug.echo", [value]]))
    self.assertIn(client.error_of(9).name, ("TOO_LARGE", "INVALID_REQUEST"))
    self.assertEqual(client.raw_until_eof(), b"")

  def test_five_bytes_of_promise(self):
    before = self.daemon.rss_kib()
    for header in (b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"):
      client = self.daemon.client()
      client.send(header)
      client.raw_until_eof()
    self.assertLess(self.daemon.rss_kib() - before, 32 << 10)


if __name__ == "__main__":
  vmreqtest.main()
