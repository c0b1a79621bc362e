#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""hello: who answers, what its limits are, and in which style errors come."""
import os
import re

import vmreqtest


class Hello(vmreqtest.SharedDaemon):
  def test_answer(self):
    answer = self.client.call("vmreq.hello", {"client": "test", "version": "1"})
    self.assertEqual((answer["server"], answer["protocol"], answer["vm"]), ("vmreqd", 1, "t"))
    self.assertRegex(answer["version"], r"^\d+\.\d+\.\d+")
    self.assertIsInstance(answer["capabilities"], list)
    self.assertIn(8 << 20, answer["limits"].values())
    self.assertTrue(all(isinstance(v, int) for v in answer["limits"].values()), answer["limits"])
    self.assertEqual(answer["cpus"], self.CPUS)
    you = answer["you"]
    self.assertEqual((you["uid"], you["gid"], you["pid"]), (os.getuid(), os.getgid(), os.getpid()))

  def test_every_setting_that_a_client_meets(self):
    """Each key of [limits], as the manual lists them, and what of [vm] shows in answers and events."""
    with open(os.path.join(vmreqtest.ROOT, "systemd", "vmreqd.conf"), encoding="utf-8") as file:
      keys = re.findall(r"^#(\w+) =", file.read().split("[limits]")[1], re.MULTILINE)
    self.assertGreater(len(keys), 10)
    config = "[vm]\nemt_stuck_ms = 1234\nlane_capacity = 64\nrequest_slab = 512\nexit_idle_ms = 99999\n" \
             "[limits]\nkept_ms = 5000\n"
    with vmreqtest.Daemon(cpus=2, config=config) as daemon:
      limits = daemon.client().call("vmreq.hello")["limits"]
    self.assertLessEqual(set(keys), set(limits))
    expected = {"emt_stuck_ms": 1234, "lane_capacity": 64, "request_slab": 512, "exit_idle_ms": 99999,
                "kept_ms": 5000, "chunk_bytes": 256 << 10, "arguments": 15}
    self.assertEqual({key: limits[key] for key in expected}, expected)

  def test_hello_without_wishes(self):
    self.assertEqual(self.client.call("vmreq.hello", {})["server"], "vmreqd")
    self.assertEqual(self.client.call("vmreq.hello")["server"], "vmreqd")

  def test_bad_hello(self):
    for wishes in ({"errors": "loud"}, {"timeout_ms": -1}, {"timeout_ms": "x"}):
      self.assertIn(self.client.error("vmreq.hello", wishes).name,
                    ("INVALID_REQUEST", "INVALID_ARGUMENT"))

  def test_text_by_default(self):
    error = self.client.error("debug.none")
    self.assertIsInstance(error.raw, str)
    self.assertTrue(error.raw.startswith("NOT_FOUND: "))
    self.assertTrue(error.raw.endswith(" (ran: no)"))

  def test_pair(self):
    self.client.call("vmreq.hello", {"errors": "pair"})
    self.check_pairs()

  def test_pair_for_nvim_clients(self):
    info = self.client.call("nvim_get_api_info")
    self.assertIsInstance(info[0], int)
    self.assertLessEqual({"version", "functions", "ui_events", "ui_options", "types", "error_types"},
                         set(info[1]))
    self.assertIn("debug.add", [function["name"] for function in info[1]["functions"]])
    self.check_pairs()

  def test_pair_after_client_info(self):
    self.client.notify("nvim_set_client_info", "x", {}, "remote", {}, {})
    self.check_pairs()

  def check_pairs(self):
    raw = self.client.error("debug.none").raw
    self.assertEqual(raw[0], 0)
    self.assertRegex(raw[1], r"^NOT_FOUND: .* \(ran: no\)$")
    self.assertEqual(self.client.error("debug.add", "x", 1).raw[0], 1)
    self.assertEqual(self.client.error("vmreq.call", "debug.add", [1, 2], {"cpu": 99}).raw[0], 1)

  def test_map(self):
    self.client.call("vmreq.hello", {"errors": "map"})
    error = self.client.error("debug.fail", -5, "gone")
    self.assertLessEqual({"name", "code", "message", "ran", "data"}, set(error.raw))
    self.assertEqual((error.raw["name"], error.raw["code"], error.raw["ran"]), ("FAILED", 10, "yes"))
    self.assertIn("gone", error.raw["message"])

  def test_style_is_of_the_connection(self):
    self.client.call("vmreq.hello", {"errors": "map"})
    self.assertIsInstance(self.daemon.client().error("debug.none").raw, str)

  def test_back_to_text(self):
    self.client.call("vmreq.hello", {"errors": "map"})
    self.client.call("vmreq.hello", {"errors": "text"})
    self.assertIsInstance(self.client.error("debug.none").raw, str)

  def test_unknown_notifications_are_ignored(self):
    self.client.notify("nvim_error_event", 0, "x")
    self.client.notify("no.such", 1)
    self.assertEqual(self.client.call("vmreq.ping"), "pong")


if __name__ == "__main__":
  vmreqtest.main()
