#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Calls: every type of argument and result, positional and named, and what is refused and how."""
import vmreqtest


def nested(levels):
  value = 0
  for _ in range(levels):
    value = [value]
  return value


class Debug(vmreqtest.SharedDaemon):
  def test_add(self):
    self.assertEqual(self.client.call("debug.add", 40, 2), 42)
    self.assertEqual(self.client.call("debug.add", -50, 2), -48)
    self.assertEqual(self.client.call("debug.add", 2**63 - 1, 0), 2**63 - 1)
    self.assertEqual(self.client.call("debug.add", -2**63, 0), -2**63)

  def test_call_says_how(self):
    self.assertEqual(self.client.call("vmreq.call", "debug.add", [40, 2], {"cpu": 1}), 42)
    self.assertEqual(self.client.call("vmreq.call", "debug.add", [40, 2]), 42)
    self.assertIn(self.client.call("vmreq.call", "debug.whoami"), range(self.CPUS))

  def test_named_arguments(self):
    self.assertEqual(self.client.call("debug.add", {"b": 2, "a": 40}), 42)
    self.assertEqual(self.client.call_to("debug.add", {"b": 2, "a": 40}), 42)
    self.assertEqual(self.client.call_to("debug.add", [{"b": 2, "a": 40}]), 42)

  def test_named_arguments_refused(self):
    for args, word in (({"a": 1}, "b"), ({"a": 1, "b": 2, "c": 3}, "c"), ({"a": 1, "b": "x"}, "b")):
      self.assertError(self.client.error("debug.add", args), "INVALID_ARGUMENT", word, ran="no")

  def test_echo_of_every_kind(self):
    values = [None, True, False, 0, 1, -1, 127, 128, -128, -129, 2**31, 2**32, 2**63 - 1, -2**63, 1.5,
              -0.25, "", "text", "ünï", b"", b"\x00\xff", [], [1, [2, [3]]], {}, {"k": {"l": [1]}},
              "x" * 70000, b"y" * 70000, list(range(70000))]
    for value in values:
      self.assertEqual(self.client.call("debug.echo", value), value)

  def test_echo_of_a_map_is_no_named_call(self):
    self.assertEqual(self.client.call("debug.echo", {"value": 1}), {"value": 1})
    self.assertEqual(self.client.call("debug.echo", {"other": 1}), {"other": 1})

  def test_depth_up_to_the_cap(self):
    # frame 1, params 2, so that 26 more make 28
    self.assertEqual(self.client.call("debug.echo", nested(26)), nested(26))

  def test_large_values(self):
    big = b"z" * 4_000_000
    self.assertEqual(self.client.call("debug.echo", big), big)
    almost = b"z" * 8_000_000
    self.assertEqual(self.client.call("debug.echo", almost), almost)

  def test_method_as_bytes_params_nil_large_msgid(self):
    client = self.client
    client.owed.add(2**32 - 1)
    client.send(vmreqtest.msgpack.packb([0, 2**32 - 1, b"debug.add", [1, 2]]))
    self.assertEqual(client.result(2**32 - 1), 3)
    client.owed.add(0)
    client.send(vmreqtest.msgpack.packb([0, 0, "debug.whoami", None]))
    self.assertIn(client.result(0), range(self.CPUS))

  def test_wrong_count(self):
    for args in ((), (1,), (1, 2, 3)):
      self.assertError(self.client.error("debug.add", *args), "INVALID_ARGUMENT", ran="no")

  def test_text_for_a_number_names_the_argument(self):
    error = self.client.error("debug.add", 40, "2")
    self.assertError(error, "INVALID_ARGUMENT", "b", ran="no")
    self.assertRegex(error.message, r"i64|integer")

  def test_wrong_types(self):
    for bad in (None, True, 1.5, [1], {"a": 1}, b"1"):
      self.assertError(self.client.error("debug.add", 40, bad), "INVALID_ARGUMENT", ran="no")

  def test_out_of_range(self):
    self.assertError(self.client.error("debug.sleep", -1), "INVALID_ARGUMENT", "ms", ran="no")
    self.assertError(self.client.error("debug.sleep", 2**32), "INVALID_ARGUMENT", "ms", ran="no")
    self.assertError(self.client.error("debug.add", 2**63, 0), "INVALID_ARGUMENT", "a", ran="no")

  def test_fifteen_words_and_a_sixteenth(self):
    self.assertEqual(self.client.call("debug.sum15", *range(1, 16)), 120)
    self.assertEqual(self.client.call("debug.sum15", *[-1] * 15), -15)
    error = self.client.error("debug.sum15", *range(1, 17))
    self.assertError(error, "INVALID_ARGUMENT", "15", ran="no")

  def test_unknown_symbol(self):
    for name in ("debug.none", "none.none", "vmreq.none", "x"):
      self.assertError(self.client.error(name), "NOT_FOUND", ran="no")
    self.assertError(self.client.error("vmreq.call", "debug.none", []), "NOT_FOUND", ran="no")

  def test_odd_names_are_answered(self):
    for name in ("", ".", "debug..add", "DEBUG.add", "debug.add\x00", "a" * 65, "a." + "b" * 5000,
                 "%s%n", "debug/add"):
      self.assertIn(self.client.error(name).name, ("NOT_FOUND", "INVALID_REQUEST"))
    self.assertEqual(self.client.call("vmreq.ping"), "pong")

  def test_failure(self):
    error = self.client.error("debug.fail", -5, "the disk is gone")
    self.assertError(error, "FAILED", "the disk is gone", "-5", ran="yes")
    error = self.client.error("debug.fail", -2147483648)
    self.assertError(error, "FAILED", "-2147483648", ran="yes")

  def test_a_status_that_is_none_failing(self):
    self.assertIsNone(self.client.call("debug.fail", 0))
    self.assertIsNone(self.client.call("debug.fail", 7))

  def test_text_of_a_failure_cannot_be_nil_like(self):
    self.assertEqual(self.client.error("debug.fail", -1, "").name, "FAILED")

  def test_notification_is_not_answered(self):
    self.client.notify("debug.add", 1, 2)
    self.client.notify("debug.none")
    self.client.notify("debug.add", "x")
    self.client.notify("debug.fail", -1, "x")
    self.client.notify("vmreq.none", 1)
    self.assertEqual(self.client.call("vmreq.ping"), "pong")
    self.assertEqual(self.client.notifications, [])

  def test_notification_runs(self):
    blocked = self.client.block(1)
    until = vmreqtest.deadline()
    while not self.client.has(blocked) and vmreqtest.left(until):
      self.client.notify("debug.unblock", 1)
      self.assertEqual(self.client.call("vmreq.ping"), "pong")
    self.assertIsNone(self.client.result(blocked))

  def test_bad_options(self):
    for options, word in (({"cpu": 99}, "cpu"), ({"cpu": -1}, "cpu"), ({"cpu": "most"}, "cpu"),
                          ({"cpu": 1.5}, "cpu"), ({"priority": 3}, "priority"),
                          ({"timeout_ms": -1}, "timeout_ms"), ({"timeout_ms": "1s"}, "timeout_ms"),
                          ({"on_error": "shrug"}, "on_error"), ({"colour": 1}, "colour")):
      error = self.client.error("vmreq.call", "debug.add", [1, 2], options)
      self.assertError(error, "INVALID_REQUEST", word, ran="no")

  def test_bad_params_of_call(self):
    for params in ([], [7], ["debug.add", 5], ["debug.add", [1, 2], 5], ["debug.add", [1, 2], {}, 0]):
      error = self.client.error("vmreq.call", *params)
      self.assertIn(error.name, ("INVALID_REQUEST", "INVALID_ARGUMENT"))
      self.assertEqual(error.ran, "no")

  def test_timing(self):
    result = self.client.call_to("debug.add", [40, 2], cpu=2, timing=True)
    self.assertEqual((result["value"], result["cpu"]), (42, 2))
    self.assertGreaterEqual(result["queued_us"], 0)
    self.assertGreaterEqual(result["run_us"], 0)

  def test_answers_in_order_of_completion(self):
    blocked = self.client.block(0)
    ids = [self.client.request_to("debug.add", [n, 0], cpu=1) for n in range(100)]
    self.assertEqual([self.client.result(i) for i in ids], list(range(100)))
    self.assertFalse(self.client.has(blocked))
    self.client.unblock(0, through=1)
    self.assertIsNone(self.client.result(blocked))

  def test_unblock_of_nobody(self):
    self.assertIs(self.client.call("debug.unblock", 2), False)
    self.assertEqual(self.client.call_to("debug.whoami", [], cpu=2), 2)

  def test_half_close_gets_its_answers(self):
    ids = [self.client.request_to("debug.add", [n, 1], cpu="any") for n in range(200)]
    self.client.half_close()
    self.client.drain()
    self.assertEqual(sorted(self.client.order[-200:]), sorted(ids))
    self.assertEqual(self.client.owed, set())

  def test_byte_by_byte(self):
    msgid, data = self.client.pack("debug.add", 40, 2)
    for byte in data:
      self.client.send(bytes([byte]))
    self.assertEqual(self.client.result(msgid), 42)


class Probe(vmreqtest.SharedDaemon):
  """A module built outside the tree against vmreq-module.h alone."""

  @classmethod
  def modules(cls):
    return ("debug", vmreqtest.build_probe(cls))

  ARGS = [-128, -32768, -2**31, -2**63, 255, 65535, 2**32 - 1, 2**63 - 1,
          "0xffffffffffffffff", 2.5, "text", b"\x00\x01", {"k": [1]}, [1, "x"], {"m": None}]

  def test_every_type(self):
    self.assertEqual(self.client.call("probe.types", *self.ARGS), self.ARGS)

  def test_every_type_by_name(self):
    names = [p["name"] for p in self.client.call("vmreq.describe", "probe.types")["params"]]
    self.assertEqual(self.client.call("probe.types", dict(zip(names, self.ARGS))), self.ARGS)

  def test_every_bound(self):
    low = [127, 32767, 2**31 - 1, 2**63 - 1, 0, 0, 0, 0, "0x0", 0.0, "", b"", None, [], {}]
    self.assertEqual(self.client.call("probe.types", *low), low)

  def test_one_past_every_bound(self):
    past = {0: (-129, 128), 1: (-32769, 32768), 2: (-2**31 - 1, 2**31), 3: (2**63,), 4: (-1, 256),
            5: (-1, 65536), 6: (-1, 2**32), 7: (-1,),
            8: ("ffff", "0x", "0xg", "0x" + "f" * 17, -1, 1.0), 9: ("1.5", None), 10: (5, None),
            11: (5, None), 13: ({}, 1, None), 14: ([], 1, None)}
    names = [p["name"] for p in self.client.call("vmreq.describe", "probe.types")["params"]]
    for index, values in past.items():
      for value in values:
        args = list(self.ARGS)
        args[index] = value
        error = self.client.error("probe.types", *args)
        self.assertError(error, "INVALID_ARGUMENT", names[index], ran="no")

  def test_tolerances(self):
    args = list(self.ARGS)
    args[8] = 2**64 - 1   # x64 as an integer
    self.assertEqual(self.client.call("probe.types", *args), self.ARGS)
    data = vmreqtest.msgpack.packb([0, 77, "probe.types", args], use_single_float=True)
    self.client.owed.add(77)
    self.client.send(data)
    self.assertEqual(self.client.result(77)[9], 2.5)

  def test_narrow_words_keep_their_signs(self):
    self.assertEqual(self.client.call("probe.narrow", -128, 255, -32768, 65535), 32894)
    self.assertEqual(self.client.call("probe.narrow", -1, 0, -1, 0), -2)

  def test_results(self):
    self.assertIs(self.client.call("probe.flip", True), False)
    self.assertIs(self.client.call("probe.flip", False), True)
    for bad in (1, "true", None):
      self.assertError(self.client.error("probe.flip", bad), "INVALID_ARGUMENT", "value", ran="no")
    self.assertEqual(self.client.call("probe.top", "0xFFFFFFFFFFFFFFFF"), "0xffffffffffffffff")
    self.assertEqual(self.client.call("probe.count", b"\x00" * 300), 300)

  def test_range_and_default(self):
    self.assertEqual(self.client.call("probe.range", -5), 95)
    self.assertEqual(self.client.call("probe.range", 10, 1), 11)
    self.assertEqual(self.client.call("probe.range", 10, None), 110)
    self.assertEqual(self.client.call("probe.range", {"level": 0}), 100)
    for bad in (-6, 11):
      self.assertError(self.client.error("probe.range", bad), "INVALID_ARGUMENT", "level", ran="no")

  def test_registered_destination(self):
    result = self.client.call_to("probe.range", [1], timing=True)
    self.assertEqual(result["cpu"], 1)

  def test_failure_with_a_name(self):
    error = self.client.error("probe.named")
    self.assertError(error, "FAILED", "E_PROBE", "the probe found nothing", "-7", ran="yes")

  def test_describe(self):
    shown = self.client.call("vmreq.describe", "probe.range")
    self.assertEqual((shown["name"], shown["module"], shown["result"]), ("probe.range", "probe", "i64"))
    self.assertEqual(shown["cpu"], 1)
    level, plus = shown["params"]
    self.assertEqual((level["name"], level["type"], level["min"], level["max"], level["doc"]),
                     ("level", "i32", -5, 10, "how far"))
    self.assertEqual((plus["name"], plus["optional"], plus["default"]), ("plus", True, 100))


if __name__ == "__main__":
  vmreqtest.main()
