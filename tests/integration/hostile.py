#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Hostile input: each gets a clear error or an orderly close, the daemon and the others do not notice."""
import os
import random
import socket

import msgpack

import vmreqtest
from calls import nested


class Hostile(vmreqtest.SharedDaemon):
  def setUp(self):
    super().setUp()
    self.bystander = self.daemon.client()
    self.pending = self.bystander.block(1)
    self.addCleanup(self.check_bystander)

  def check_bystander(self):
    """A client with a call in flight sees nothing of it all."""
    self.assertEqual(self.bystander.call("debug.add", 40, 2), 42)
    self.assertFalse(self.bystander.has(self.pending))
    self.bystander.unblock(1, through=0)
    self.assertIsNone(self.bystander.result(self.pending))
    self.bystander.close()

  def refused(self, data, *names, msgid=None):
    """Sends bytes; expects one error for `msgid`, then the end of the connection."""
    client = self.daemon.client()
    if msgid is not None:
      client.owed.add(msgid)
    try:
      client.send(data)
    except (BrokenPipeError, ConnectionResetError):
      pass          # refused before all of it was sent
    try:
      error = client.error_of(msgid)
      self.assertIn(error.name, names, str(error))
      self.assertEqual(error.ran, "no")
    finally:
      self.assertEqual(client.raw_until_eof(), b"")
      client.close()

  def told(self, data, pattern=rb"^[ -~]+\r?\n"):
    """Sends bytes that are not ours; expects one readable line, then the end."""
    client = self.daemon.client()
    client.send(data)
    self.assertRegex(client.raw_until_eof(), pattern)
    client.close()

  def closed(self, data):
    client = self.daemon.client()
    try:
      client.send(data)
    except (BrokenPipeError, ConnectionResetError):
      pass
    client.raw_until_eof()
    client.close()

  def test_truncated_frame_then_end(self):
    whole = msgpack.packb([0, 5, "debug.echo", ["x" * 1000]])
    for cut in (1, 2, 3, 5, 15, 20, len(whole) - 1):
      client = self.daemon.client()
      client.send(whole[:cut])
      client.half_close()
      client.raw_until_eof()
      client.close()

  def test_truncated_frame_then_gone(self):
    whole = msgpack.packb([0, 5, "debug.echo", ["x" * 1000]])
    for cut in range(1, len(whole), 100):
      client = self.daemon.client()
      client.send(whole[:cut])
      client.close()

  def test_answers_before_a_truncated_frame(self):
    client = self.daemon.client()
    msgid, data = client.pack("debug.add", 40, 2)
    client.send(data + b"\x94\x00\x09\xaa")
    self.assertEqual(client.result(msgid), 42)
    client.half_close()
    client.raw_until_eof()

  def test_huge_headers(self):
    huge = (b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff",
            b"\xc6\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x01", b"\xdd\x7f\xff\xff\xff",
            b"\xdf\x80\x00\x00\x00")
    before = self.daemon.rss_kib()
    for header in huge:
      self.closed(header)
      head = b"\x94\x00\x07\xaadebug.echo"
      self.refused(head + b"\x91" + header, "TOO_LARGE", "INVALID_REQUEST", msgid=7)
      self.refused(head + header, "TOO_LARGE", "INVALID_REQUEST", msgid=7)
    self.assertLess(self.daemon.rss_kib() - before, 64 << 10)

  def test_huge_headers_in_numbers_reserve_nothing(self):
    before = self.daemon.rss_kib()
    clients = [self.daemon.client() for _ in range(100)]
    for client in clients:
      client.send(b"\x94\x00\x07\xaadebug.echo\x91\xdb\x00\x7f\x00\x00")   # a promise within the cap
    self.assertEqual(self.bystander.call("vmreq.ping"), "pong")
    self.assertLess(self.daemon.rss_kib() - before, 64 << 10)
    for client in clients:
      client.close()

  def test_too_deep(self):
    for levels in (27, 28, 29, 32, 100):
      data = msgpack.packb([0, 3, "debug.echo", [nested(levels)]])
      self.refused(data, "TOO_LARGE", "INVALID_REQUEST", msgid=3)

  def test_deep_beyond_measure(self):
    self.closed(b"\x91" * 100_000)
    self.closed(b"\x94\x00\x01\xaadebug.echo" + b"\x91" * 100_000)
    self.closed(b"\x94\x00\x01\xaadebug.echo\x91" + b"\x81\x01" * 100_000)

  def test_fifth_element(self):
    self.refused(msgpack.packb([0, 4, "debug.add", [1, 2], "more"]), "INVALID_REQUEST", msgid=4)

  def test_three_elements(self):
    self.refused(msgpack.packb([0, 4, "debug.add"]), "INVALID_REQUEST", msgid=4)

  def test_oversize_frame(self):
    data = msgpack.packb([0, 6, "debug.echo", [b"z" * (9 << 20)]])
    self.refused(data, "TOO_LARGE", msgid=6)
    self.refused(data[:20], "TOO_LARGE", msgid=6)

  def test_undefined_byte(self):
    self.refused(b"\x94\x00\x08\xaadebug.echo\x91\xc1", "INVALID_REQUEST", msgid=8)
    self.closed(b"\x94\xc1")

  def test_strange_messages(self):
    for message in ([9, 1, "debug.add", []], ["0", 1, "debug.add", []], [None, 1, "debug.add", []],
                    [0, -1, "debug.add", []], [0, 2**32, "debug.add", []], [0, "x", "debug.add", []],
                    [2, 5, []], [2, "debug.add"], [], [1], [[]], [0, 1.0, "debug.add", []]):
      self.closed(msgpack.packb(message))

  def test_strange_method_and_params(self):
    for message in ([0, 11, 5, []], [0, 11, None, []], [0, 11, ["x"], []], [0, 11, "debug.add", 5],
                    [0, 11, "debug.add", "xy"]):
      client = self.daemon.client()
      client.owed.add(11)
      client.send(msgpack.packb(message))
      self.assertIn(client.error_of(11).name, ("INVALID_REQUEST", "INVALID_ARGUMENT", "NOT_FOUND"))
      client.close()

  def test_answers_that_nobody_asked_for(self):
    client = self.daemon.client()
    client.send(msgpack.packb([1, 99, None, "x"]))
    try:
      self.assertEqual(client.call("vmreq.ping"), "pong")
    except (EOFError, ConnectionError):
      pass      # closing on it is as good as ignoring it

  def test_http(self):
    for request in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /x HTTP/1.0\r\n\r\n"):
      self.told(request, rb"^HTTP/1\.[01] 400 ")

  def test_other_protocols(self):
    self.told(b"hello\n")
    self.told(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")      # TLS
    self.told(b"\x80")
    self.told(b"{\"jsonrpc\": \"2.0\"}\n")
    self.told(b"\x00\x00\x00\x01")

  def test_garbage(self):
    seed = int(os.environ.get("VMREQ_SEED", "20240229"))
    numbers = random.Random(seed)
    print(f"seed {seed}", flush=True)
    for _ in range(200):
      client = self.daemon.client()
      data = bytes(numbers.getrandbits(8) for _ in range(numbers.randrange(1, 400)))
      if numbers.random() < 0.5:
        data = b"\x94\x00\x01" + data
      try:
        client.send(data)
        client.half_close()
        client.raw_until_eof()
      except (BrokenPipeError, ConnectionResetError):
        pass
      client.close()

  def test_many_connections_leave_no_descriptor(self):
    before = self.daemon.descriptors()
    for _ in range(300):
      client = self.daemon.client()
      client.send(b"\x94")
      client.close()
    self.bystander.until_status(lambda _: self.daemon.descriptors() <= before, "descriptors given back")

  def test_one_who_does_not_read(self):
    """A reader that sleeps is stopped at its byte share; nobody else is."""
    slow = socket.socket(socket.AF_UNIX)
    slow.connect(self.daemon.path)
    slow.setblocking(False)
    call = msgpack.packb([0, 1, "debug.echo", [b"z" * 100_000]])
    sent = 0
    try:
      while sent < 100 << 20:
        sent += slow.send(call[sent % len(call):])
    except BlockingIOError:
      pass
    self.assertLess(sent, 100 << 20)
    self.assertEqual(self.bystander.call("debug.add", 40, 2), 42)
    slow.close()


class Stalled(vmreqtest.SharedDaemon):
  """A frame that was begun must get on: the daemon closes who holds one open, and says why."""

  CONFIG = "[limits]\nframe_stall_ms = 1000\n"

  def test_a_frame_that_does_not_end(self):
    client = self.daemon.client()
    _, data = client.pack("debug.echo", "x" * 1000)
    client.send(data[:50])
    self.assertIn(b"not completed", client.raw_until_eof())
    client.close()
    self.assertEqual(self.client.call("debug.add", 40, 2), 42)

  def test_a_slow_frame_that_gets_on(self):
    # Each piece is answered for by a call on another connection, so the pace is the daemon's own: the
    # frame takes 1.5 s, and no piece of it nearly as long as it may.
    client = self.daemon.client()
    msgid, data = client.pack("debug.echo", "x" * 3_000_000)
    for at in range(0, len(data), 300_000):
      client.send(data[at:at + 300_000])
      self.client.call("debug.sleep", 150)
    self.assertEqual(len(client.result(msgid)), 3_000_000)
    client.close()

  def test_an_idle_connection_is_left_alone(self):
    client = self.daemon.client()
    self.client.call("debug.sleep", 1500)
    self.assertEqual(client.call("debug.add", 40, 2), 42)
    client.close()


class Told(vmreqtest.SharedDaemon):
  """Who is closed for what he sent finds it in an answer, if it had a msgid; and always in the log."""

  def test_in_the_log(self):
    for data, words in ((b"\x94\x00\xc1", "malformed frame"),
                        (b"\x93\x02\xa1x\xc1", "malformed frame"),
                        (b"\x95\x00\xc0\xa1x\x90\x00", "wrong number of elements"),
                        (b"\x94\x05\xc0\xa1x\x90", "the first element is not 0"),
                        (b"\x94\x00\xc0\xa1x\x90", "the msgid is not an integer"),
                        (b"\xdd\xff\xff\xff\xff", "promises more than could fit"),
                        (b"\x91" * 40, "nested deeper"),
                        (b"\x82\x01\x02", "begins no array")):
      with vmreqtest.Client(self.daemon.path) as client:
        client.send(data)
        answer = client.raw_until_eof()
      self.assertTrue(answer == b"" or answer.startswith(b"vmreqd: this socket speaks"), answer)
      self.daemon.until_logged(f"uid {os.getuid()}, pid {os.getpid()} closed: ", words)


class NoRoom(vmreqtest.SharedDaemon):
  """A frame for which its uid has no bytes left is refused like a call, and its connection goes on."""

  CONFIG = "[limits]\nbytes_per_uid = 1048576\n"

  def test_refused_and_passed_over(self):
    for kind in (b"x" * 4_000_000, list(range(1 << 20))):
      large, data = self.client.pack("debug.echo", kind)
      small, more = self.client.pack("debug.add", 40, 2)
      self.client.send(data + more)
      self.assertError(self.client.error_of(large), "BUSY", "bytes of this uid", ran="no")
      self.assertEqual(self.client.result(small), 42)
    self.assertEqual(self.client.call("debug.echo", "x" * 100_000), "x" * 100_000)


class Mutated(vmreqtest.SharedDaemon):
  """Here no EMT is blocked: a mutated call may be a good one, and then has its answer at once."""

  def test_mutated_calls(self):
    seed = int(os.environ.get("VMREQ_SEED", "20240301"))
    numbers = random.Random(seed)
    print(f"seed {seed}", flush=True)
    good = msgpack.packb([0, 1, "vmreq.call", ["debug.echo", [{"k": [1, "x", b"y"]}], {"cpu": "all"}]])
    for _ in range(300):
      data = bytearray(good)
      for _ in range(numbers.randrange(1, 4)):
        data[numbers.randrange(len(data))] = numbers.getrandbits(8)
      client = self.daemon.client()
      try:
        client.send(bytes(data))
        client.half_close()
        client.raw_until_eof()
      except (BrokenPipeError, ConnectionResetError):
        pass
      client.close()


if __name__ == "__main__":
  vmreqtest.main()
