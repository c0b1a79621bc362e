#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""vmreqctl's other verbs against a real daemon: requests, what they wait for, events, figures, streams, the list of VMs."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

import vmreqtest
from vmreqtest import CANCELLED, FAILED, LOST, OK, REFUSED, TIMED_OUT

try:
  from prometheus_client.openmetrics.parser import text_string_to_metric_families
except ImportError:
  text_string_to_metric_families = None


class Verbs(vmreqtest.SharedCtl):
  def json(self, *args):
    return json.loads(self.good("--json", *args))

  # -- requests

  def test_submit_and_wait(self):
    request = self.good("submit", "debug.add", "40", "2").strip()
    self.assertEqual(self.good("wait", request), "42\n")
    self.assertEqual(self.good("wait", request), "42\n")
    self.good("release", request)
    self.bad(REFUSED, "wait", request, says=("NOT_FOUND",))
    failing = self.good("submit", "debug.fail", "-5", "gone").strip()
    self.bad(FAILED, "wait", failing, says=("gone", "(ran: yes)"))
    rows = self.good("submit", "--cpu", "all", "debug.whoami").strip()
    self.assertEqual(self.good("wait", rows), "cpu 0  DONE  0\ncpu 1  DONE  1\ncpu 2  DONE  2\n")

  def test_wait_has_its_own_limit(self):
    request = self.good("submit", "--cpu", "0", "debug.sleep", "60000").strip()
    self.client.until_runs(0, "debug.sleep")
    self.bad(TIMED_OUT, "--timeout", "100ms", "wait", request, says=("TIMEOUT",))
    self.assertEqual(self.good("cancel", request), "asked\n")
    self.bad(CANCELLED, "wait", request, says=("CANCELLED",))
    self.assertEqual(self.bad_verdict(request), "finished\n")

  def bad_verdict(self, request):
    done = self.ctl("cancel", request)
    self.assertEqual((done.code, done.err), (REFUSED, ""), done)
    return done.out

  def test_nobody_elses(self):
    self.assertEqual(self.bad_verdict("999999999"), "unknown\n")
    self.bad(REFUSED, "wait", "999999999", says=("NOT_FOUND",))
    self.bad(REFUSED, "why", "999999999", says=("NOT_FOUND",))

  # -- with every EMT stuck

  def test_looking_while_all_is_stuck(self):
    blocked = [self.client.block(cpu) for cpu in range(self.CPUS)]
    command = [vmreqtest.VMREQCTL, "-s", self.daemon.path, "call", "--cpu", "1", "debug.whoami"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as waiting:
      self.client.until_status(lambda s: s["emts"][1]["queued"] == 1, "queued on 1")
      records = self.json("ps")
      self.assertEqual([r["symbol"] for r in records], ["debug.block"] * 3 + ["debug.whoami"])
      for record in records[:3]:
        self.assertEqual((record["state"], record["caller"]["pid"]), ("running", os.getpid()))
        self.assertGreaterEqual(record["age_ms"], record["running_ms"])
      self.assertEqual((records[3]["state"], records[3]["caller"]["pid"]), ("queued", waiting.pid))
      table = self.good("ps").split("\n")
      self.assertEqual(len(table), 6)
      self.assertIn(f"uid {os.getuid()} pid {waiting.pid}", table[4])
      self.assertEqual(len(self.json("ps", "--state", "queued")), 1)
      self.assertEqual(len(self.json("ps", "--symbol", "debug.b*", "--cpu", "2")), 1)
      self.assertEqual(len(self.json("ps", "--limit", "2")), 2)
      self.assertIn("2 more; --all shows them", self.good("ps", "--limit", "2"))

      queued = str(records[3]["id"])
      why = self.json("why", queued)
      self.assertEqual([r["id"] for r in why["running"]], [records[1]["id"]])
      self.assertIn(f"#{records[1]['id']} debug.block on cpu 1, running", self.good("why", queued))
      self.assertIn("3", str(len(self.json("status")["emts"])))
      self.assertEqual(self.good("ping"), "pong\n")
      self.assertTrue(self.good("stats"))

      self.assertEqual(self.good("cancel", queued), "removed\n")
      _, said = waiting.communicate(timeout=vmreqtest.WAIT)
      self.assertEqual(waiting.returncode, CANCELLED, said)
      self.assertIn("CANCELLED: ", said)
      self.assertIn("(ran: no)", said)
    for msgid in blocked:
      self.client.cancel(msgid)
    for msgid in blocked:
      self.client.error_of(msgid)

  def test_parallel_broadcast_with_one_stuck(self):
    """The others' rows come at once, the stuck one's when the time is up, and not later."""
    blocked = self.client.block(1)
    command = [vmreqtest.VMREQCTL, "-s", self.daemon.path, "--json", "--timeout", "700ms", "call", "--cpu", "all",
               "--parallel", "--on-error", "continue", "--stream", "debug.whoami"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as call:
      first = [json.loads(call.stdout.readline())["row"] for _ in range(2)]
      self.assertEqual(sorted((r["cpu"], r["fate"]) for r in first), [(0, "DONE"), (2, "DONE")])
      self.assertIsNone(call.poll())
      rest = [json.loads(line) for line in call.stdout]
      self.assertEqual(call.wait(vmreqtest.WAIT), TIMED_OUT)
    self.assertEqual([r["fate"] for r in rest[-1]["result"]], ["DONE", "EXPIRED", "DONE"])
    self.client.cancel(blocked)
    self.client.error_of(blocked)

  # -- streams, keys, times

  def test_streams(self):
    self.assertEqual(self.good("call", "debug.count", "3"), "0\n1\n2\n")
    self.assertEqual(self.json("call", "debug.count", "3"), [0, 1, 2])
    lines = [json.loads(line) for line in self.good("--json", "call", "--stream", "debug.count", "3").split("\n")[:-1]]
    self.assertEqual(lines, [{"chunk": 0}, {"chunk": 1}, {"chunk": 2}, {"result": 3}])
    self.bad(REFUSED, "call", "--no-stream", "debug.pour", "200", "65536", says=("TOO_LARGE", "stream"))
    self.assertEqual(len(self.good("call", "debug.pour", "200", "65536")), 200 * (2 * 65536 + 1))

  def test_interrupted_stream(self):
    command = [vmreqtest.VMREQCTL, "-s", self.daemon.path, "--timeout", "0", "call", "--cpu", "0", "debug.count",
               "4000000000", "20"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as call:
      self.assertEqual([call.stdout.readline() for _ in range(3)], ["0\n", "1\n", "2\n"])
      call.send_signal(signal.SIGINT)
      _, said = call.communicate(timeout=vmreqtest.WAIT)
    self.assertEqual(call.returncode, CANCELLED, said)
    self.assertIn("CANCELLED", said)

  def test_reader_that_has_enough(self):
    done = vmreqtest.run("sh", "-c", f"'{vmreqtest.VMREQCTL}' -s '{self.daemon.path}' call debug.count 1000000 | head -1")
    self.assertEqual((done.code, done.out, done.err), (OK, "0\n", ""), done)

  def test_key(self):
    self.assertEqual(self.good("call", "--key", "k", "debug.add", "40", "2"), "42\n")
    self.assertEqual(self.good("call", "--key", "k", "debug.add", "40", "2"), "42\n")
    self.bad(REFUSED, "call", "--key", "k", "debug.add", "40", "3", says=("key",))

  def test_timing(self):
    done = self.ctl("call", "--timing", "--cpu", "1", "debug.add", "40", "2")
    self.assertEqual((done.code, done.out), (OK, "42\n"), done)
    self.assertRegex(done.err, r"^cpu 1  queued [\d.]+ ms  ran [\d.]+ ms\n$")
    self.assertEqual(self.json("call", "--timing", "--cpu", "1", "debug.add", "40", "2")["value"], 42)

  def test_detached_call_outlives_its_caller(self):
    command = [vmreqtest.VMREQCTL, "-s", self.daemon.path, "call", "--detach", "--cpu", "0", "debug.block"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as call:
      self.client.until_runs(0, "debug.block")
      call.send_signal(signal.SIGINT)
      _, said = call.communicate(timeout=vmreqtest.WAIT)
    self.assertEqual(call.returncode, -signal.SIGINT, said)
    self.assertIn("the call goes on", said)
    self.assertEqual(self.client.emt(0)["symbol"], "debug.block")
    self.client.unblock(0, through=1)

  # -- by name

  def test_named_arguments(self):
    self.assertEqual(self.good("call", "debug.add", "b=2", "a=40"), "42\n")
    self.assertEqual(self.good("call", "debug.add", "40", "b=2"), "42\n")
    self.assertEqual(self.good("call", "debug.echo", "value=a=b"), "a=b\n")
    self.assertEqual(self.good("call", "debug.echo", "a=b"), "a=b\n")
    self.bad(REFUSED, "call", "debug.add", "a=1", "a=2", says=("twice",))
    self.bad(REFUSED, "call", "debug.add", "a=1", "2", says=("stands behind",))

  def test_mistyped_symbols(self):
    self.bad(REFUSED, "call", "debug.ad", "1", "2", says=("did you mean 'debug.add'?",))
    self.bad(REFUSED, "describe", "echo", says=("did you mean 'debug.echo'?",))

  def test_markdown(self):
    text = self.good("describe", "--markdown")
    for symbol in self.client.call("vmreq.symbols"):
      self.assertIn(f"\n## `{symbol}(", text)
    self.assertEqual(self.good("describe", "--markdown", "debug.add").count("\n## "), 1)

  # -- figures

  @unittest.skipIf(text_string_to_metric_families is None, "no python3-prometheus-client")
  def test_openmetrics(self):
    self.good("call", "debug.add", "1", "2")
    self.ctl("call", "debug.none")
    families = {f.name: f for f in text_string_to_metric_families(self.good("stats", "--openmetrics"))}
    self.assertGreater(len(families), 30)
    for family in families.values():
      self.assertTrue(family.documentation, family.name)
      self.assertTrue(family.samples, family.name)
    self.assertEqual(families["vmreqd_request_run_seconds"].unit, "seconds")
    self.assertEqual(families["vmreqd_request_run_seconds"].type, "histogram")
    states = {s.labels["vmreqd_vm_state"]: s.value for s in families["vmreqd_vm_state"].samples}
    self.assertEqual(sum(states.values()), 1)
    self.assertGreaterEqual(families["vmreqd_requests_submitted"].samples[0].value, 1)
    errors = {s.labels["error"]: s.value for s in families["vmreqd_calls_failed"].samples}
    self.assertGreaterEqual(errors["NOT_FOUND"], 1)

  # -- load

  def test_bench(self):
    """Over several connections each call is made, answered and counted; errors by their name."""
    found = self.json("bench", "--clients", "5", "--depth", "7", "--calls", "333", "debug.add", "1", "2")
    self.assertEqual((found["clients"], found["depth"], found["calls"], found["failed"]), (5, 7, 333, {}))
    self.assertEqual(sum(octave["calls"] for octave in found["histogram"]), 333)
    times = [found["latency_us"][key] for key in ("least", "p50", "p90", "p99", "p999", "most")]
    self.assertEqual(times, sorted(times))
    self.assertIn("vmreq.ping: 1 connection", self.good("bench", "--calls", "3"))
    self.bad(REFUSED, "bench", "debug.none", says=("NOT_FOUND",))

  # -- events

  def test_watch_and_wait_state(self):
    state = self.json("call", "vm.state")
    self.assertEqual(self.good("wait-state", state.lower()), f"{state}\n")
    self.bad(TIMED_OUT, "--timeout", "50ms", "wait-state", "FAILED", says=("TIMEOUT",))
    command = [vmreqtest.VMREQCTL, "-s", self.daemon.path, "--json", "watch", "vm.state"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as watch:
      def event():
        return json.loads(watch.stdout.readline())["data"]
      self.assertEqual(event()["state"], state)
      self.assertEqual(event(), {"ready": True})
      waiting = subprocess.Popen([vmreqtest.VMREQCTL, "-s", self.daemon.path, "wait-state", "RUNNING"],
                                 stdout=subprocess.PIPE, text=True)
      self.good("call", "vm.power_on")
      while event()["state"] != "RUNNING":
        pass
      self.assertEqual(waiting.communicate(timeout=vmreqtest.WAIT)[0], "RUNNING\n")
      self.assertEqual(waiting.returncode, OK)
      watch.send_signal(signal.SIGINT)
      self.assertEqual(watch.wait(vmreqtest.WAIT), -signal.SIGINT)
    self.good("call", "vm.power_off")

  def test_watch_ends_with_the_daemon(self):
    daemon = vmreqtest.Daemon().start()
    command = [vmreqtest.VMREQCTL, "-s", daemon.path, "--json", "watch", "request"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as watch:
      self.assertIn("ready", watch.stdout.readline())
      daemon.terminate()
      _, said = watch.communicate(timeout=vmreqtest.WAIT)
      self.assertEqual(watch.returncode, LOST, said)
      self.assertIn("closed the connection", said)
    daemon.finish()

  # -- modules

  def test_modules(self):
    with vmreqtest.Daemon(modules=()) as daemon:
      def ctl(*words):
        return vmreqtest.vmreqctl(daemon.path, *words)
      self.assertEqual(ctl("call", "debug.add", "1", "2").code, REFUSED)
      self.assertEqual((ctl("load", "debug").code, ctl("call", "debug.add", "1", "2").out), (OK, "3\n"))
      done = ctl("load", "nonsense")
      self.assertEqual(done.code, REFUSED, done)
      self.assertRegex(ctl("modules").out, r"(?m)^debug +\S+ +loaded +\d+ +0 ")
      self.assertEqual(ctl("complete", "--", "unload", "de").out, "debug\n")

      client = daemon.client()
      blocked = client.block(0)
      done = ctl("--timeout", "50ms", "unload", "debug")
      self.assertEqual(done.code, REFUSED, done)
      self.assertIn("BUSY: ", done.err)
      self.assertIn("debug.block", done.err)
      self.assertRegex(ctl("modules").out, r"(?m)^debug +\S+ +draining +0 +1 ")
      self.assertEqual(ctl("call", "debug.add", "1", "2").code, REFUSED)
      client.cancel(blocked)
      client.error_of(blocked)
      self.assertEqual(ctl("unload", "debug").code, OK)
      self.assertNotIn("debug", ctl("modules").out)

  # -- JSON of everything

  def test_json_is_json(self):
    for words in (("status",), ("ping",), ("ps",), ("stats",), ("modules",), ("symbols",), ("describe", "debug.add"),
                  ("call", "debug.whoami"), ("describe", "--markdown", "debug.*")):
      json.loads(self.good("--json=pretty", *words))
      json.loads(self.good(words[0], "--json", *words[1:]))


class List(vmreqtest.TestCase):
  def test_list(self):
    folder = tempfile.mkdtemp(prefix="vmreq-")
    self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
    sockets = os.path.join(folder, "vmreqd")
    os.mkdir(sockets)
    env = {"XDG_RUNTIME_DIR": folder}
    one = vmreqtest.Daemon(cpus=1, name="one", socket_path=os.path.join(sockets, "one.sock"))
    stopped = vmreqtest.Daemon(cpus=1, name="stopped", socket_path=os.path.join(sockets, "stopped.sock"))
    dead = vmreqtest.Daemon(cpus=1, name="dead", socket_path=os.path.join(sockets, "dead.sock"))
    try:
      one.start()
      stopped.start()
      dead.start()
      dead.process.kill()
      dead.process.wait()
      stopped.process.send_signal(signal.SIGSTOP)
      listed = {vm["name"]: vm for vm in json.loads(vmreqtest.run(
        vmreqtest.VMREQCTL, "--json", "--timeout", "1", "list", env=env).out) if vm["socket"].startswith(folder)}
      self.assertEqual((listed["one"]["alive"], listed["one"]["state"], listed["one"]["pid"]),
                       (True, "CREATED", one.process.pid))
      self.assertEqual((listed["dead"]["alive"], listed["dead"]["problem"]), (False, "dead"))
      self.assertEqual((listed["stopped"]["alive"], listed["stopped"]["problem"]), (False, "not answering"))
      stopped.process.send_signal(signal.SIGCONT)
      table = vmreqtest.run(vmreqtest.VMREQCTL, "list", env=env).out
      self.assertRegex(table, r"(?m)^dead +dead ")
      self.assertRegex(table, r"(?m)^stopped +CREATED +1 ")
      done = vmreqtest.run(vmreqtest.VMREQCTL, "-M", "one", "ping", env=env)
      self.assertEqual((done.code, done.out), (OK, "pong\n"), done)
    finally:
      stopped.process.send_signal(signal.SIGCONT)
      one.stop()
      stopped.stop()
      dead.close()


if __name__ == "__main__":
  vmreqtest.main()
