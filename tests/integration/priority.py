#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Priority calls overtake what is queued; what is of one lane keeps its order."""
import vmreqtest


class Priority(vmreqtest.SharedDaemon):
  def order(self, ids, blocked, cpu=0, through=1):
    """Lets the EMT go and tells in which order the queued calls were answered."""
    self.client.until_status(
      lambda s: s["emts"][cpu]["queued"] + s["emts"][cpu]["queued_priority"] >= len(ids), "all queued")
    self.client.unblock(cpu, through)
    for msgid in ids:
      self.client.result(msgid)
    self.client.result(blocked)
    return [msgid for msgid in self.client.order if msgid in ids]

  def test_priority_overtakes(self):
    blocked = self.client.block(0)
    normal = [self.client.request_to("debug.add", [n, 0], cpu=0) for n in range(5)]
    urgent = [self.client.request_to("debug.add", [n, 0], cpu=0, priority=True) for n in range(3)]
    self.assertEqual(self.order(normal + urgent, blocked), urgent + normal)

  def test_one_lane_keeps_its_order(self):
    blocked = self.client.block(0)
    ids = [self.client.request_to("debug.add", [n, 0], cpu=0) for n in range(200)]
    self.assertEqual(self.order(ids, blocked), ids)

  def test_normal_calls_are_not_starved(self):
    blocked = self.client.block(0)
    normal = [self.client.request_to("debug.add", [0, 0], cpu=0)]
    urgent = [self.client.request_to("debug.add", [n, 0], cpu=0, priority=True) for n in range(400)]
    order = self.order(normal + urgent, blocked)
    self.assertLess(order.index(normal[0]), len(urgent), "the normal call came last of all")

  def test_poke_is_accepted(self):
    self.assertEqual(self.client.call_to("debug.whoami", [], cpu=1, poke=True, priority=True), 1)


if __name__ == "__main__":
  vmreqtest.main()
