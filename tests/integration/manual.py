#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""vmreq-protocol(7) against the daemon: each key of each answer and event stands in the section of its
method, each option and error on the page; and pages, verdicts and streams are tried as it has them."""
import os
import re

import vmreqtest

PAGE = os.path.join(vmreqtest.ROOT, "proto", "vmreq-protocol.7")


def words_of(text):
  return set(re.findall(r"[a-z][a-z0-9_.-]*[a-z0-9]|[a-z]", text.replace("\\(dq", " ")))


class Manual(vmreqtest.SharedDaemon):
  CPUS = 2

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    with open(PAGE, encoding="utf-8") as file:
      cls.page = file.read()

  def section(self, begin, end):
    text = self.page.split(begin, 1)[1]
    return words_of(text.split(end, 1)[0])

  def method(self, name):
    """The words of a method's item."""
    return self.section(f".It Li {name}", ".It Li vmreq.")

  def has(self, words, answer):
    self.assertEqual(set(answer) - words, set())

  def test_hello(self):
    words = self.method("vmreq.hello")
    answer = self.client.call("vmreq.hello", {})
    self.has(words, answer)
    self.has(words, answer["you"])
    self.has(words, answer["you"]["rights"])
    with open(os.path.join(vmreqtest.ROOT, "daemon", "vmreqd.conf.5"), encoding="utf-8") as file:
      self.has(words | words_of(file.read()), answer["limits"])

  def test_symbols(self):
    names = self.client.call("vmreq.symbols")
    self.assertEqual(names, sorted(names))
    self.assertEqual(self.client.call("vmreq.symbols", {"after": names[0], "limit": 2}), names[1:3])
    words = self.method("vmreq.describe")
    for name in names:
      answer = self.client.call("vmreq.describe", name)
      self.has(words, answer)
      self.has(words, answer["flags"])
      for param in answer["params"]:
        self.has(words, param)

  def test_requests(self):
    blocked = self.client.block(0)
    queued = self.client.request_to("debug.add", [1, 2], cpu=0)
    other = self.daemon.client()
    other.call("vmreq.hello", {"errors": "map"})
    self.has(self.method("vmreq.status"), other.status())
    self.has(self.method("vmreq.status"), other.emt(0))
    words = self.method("vmreq.ps")
    ps = other.call("vmreq.ps", {"filter": {"symbol": "debug.*", "uid": os.getuid(), "cpu": 0, "state": "queued"}})
    self.has(words, ps)
    record, = ps["requests"]
    self.has(words, record)
    self.has(words, record["caller"])
    self.has(words | self.method("vmreq.why"), other.call("vmreq.why", record["id"]))
    self.assertEqual(other.error("vmreq.why", 2**40).name, "NOT_FOUND")
    self.assertEqual(other.call("vmreq.cancel", record["id"]), "removed")
    self.assertError(self.client.error_of(queued), "CANCELLED", ran="no")
    self.assertEqual(self.client.cancel(blocked), "asked")
    self.client.error_of(blocked)

  def test_stats(self):
    words = self.method("vmreq.stats")
    stats = self.client.call("vmreq.stats")
    self.has(words, stats)
    for part in ("requests", "packets", "any", "calls", "connections", "bytes", "log", "events"):
      self.has(words, stats[part])
    for emt in stats["emts"]:
      self.has(words, emt)
      self.has(words, emt["lanes"])
      self.has(words, emt["lanes"]["normal"])
      self.has(words, emt["run_us"])
      self.assertEqual(len(emt["run_us"]["counts"]), len(emt["run_us"]["bounds_us"]) + 1)

  def test_modules(self):
    for record in self.client.call("vmreq.modules"):
      self.has(self.method("vmreq.modules"), record)
      self.assertIn(record["state"], self.method("vmreq.modules"))

  def test_events(self):
    other = self.daemon.client()
    other.call("vmreq.subscribe", "vm.state", "emt.stuck", "request")
    self.client.call("debug.add", 1, 2)
    until = vmreqtest.deadline()
    while not any("fate" in data for _, (_, data) in other.notifications):
      other.receive(until)
    words = self.section(".Ss Events", ".Ss Errors")
    for method, (topic, data) in other.notifications:
      self.assertEqual(method, "vmreq.event")
      self.assertIn(topic, words)
      self.has(words, data)

  def test_streams(self):
    self.assertEqual(self.client.call_to("debug.count", [2], stream=True), 2)
    self.assertEqual([params[1:] for _, params in self.client.notifications], [[0, 0], [1, 1]])
    self.assertEqual(self.client.call_to("debug.count", [2]), [0, 1])
    words = self.section(".Ss Calling a symbol", ".Ss Requests")
    for row in self.client.call_to("debug.add", [1, 2], cpu="all"):
      self.has(words, row)
    self.has(words, self.client.call_to("debug.add", [1, 2], timing=True))
    self.client.call("vmreq.hello", {"completed": True})
    self.client.notifications.clear()
    number = self.client.call("vmreq.submit", "debug.add", [1, 2])
    self.assertEqual(self.client.call("vmreq.wait", number), 3)
    while not self.client.notifications:
      self.client.receive()
    self.assertEqual(self.client.notifications, [("vmreq.completed", [number, None, 3])])
    self.assertIsNone(self.client.call("vmreq.release", number))
    self.assertEqual(self.client.call("vmreq.cancel", number), "unknown")

  def test_every_option_and_error(self):
    error = self.client.error("vmreq.submit", "debug.add", [1, 2], {"colour": 1})
    options = re.search(r"there are (.*) \(ran", str(error)).group(1)
    self.has(self.section(".Ss Calling a symbol", ".Ss Requests"), options.split(", "))
    with open(os.path.join(vmreqtest.ROOT, "proto", "codes.h"), encoding="utf-8") as file:
      codes = re.findall(r"X\((\w+), (\d+),", file.read())
    self.assertEqual(re.findall(r"\n\.It ([A-Z_]+)\n(\d+):", self.page), codes)


if __name__ == "__main__":
  vmreqtest.main()
