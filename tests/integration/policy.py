#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Who may: policy files against real users, their reload, and what vmreqd says about them."""
import grp
import os
import pwd
import unittest

import vmreqtest

OPEN = "[socket]\nmode = 0666\n"
# Users and groups that every Debian has, and nobody runs anything as.
ALICE, BOB, CAROL = (pwd.getpwnam(name).pw_uid for name in ("games", "news", "irc"))
TEAM = grp.getgrnam("audio").gr_gid

RULES = """
[rule nobody pokes]
subject = user:games
subject = group:audio
flags = poke
action = deny

[rule alice adds]
subject = user:games
symbols = debug.add
symbols = debug.whoami
action = allow

[rule the team]
subject = group:audio
symbols = debug.*
cpus = 1
cpus = 2-7
flags = priority
action = allow

[rule bob watches]
subject = uid:%d
symbols = vmreq.ps
symbols = vmreq.status
action = allow

[rule carol is out]
subject = user:irc
action = deny

[rule elsewhere]
vm = another-*
action = allow

[rule everything is denied to root]
subject = user:root
action = deny
""" % BOB


def write(folder, name, text):
  os.makedirs(folder, exist_ok=True)
  path = os.path.join(folder, name)
  with open(path, "w", encoding="utf-8") as file:
    file.write(text)
  return path


class WithPolicy(vmreqtest.TestCase):
  def daemon_with(self, *files, config=OPEN):
    self.folder = vmreqtest.temporary(self)
    for number, text in enumerate(files):
      write(self.folder, f"{10 + number}.conf", text)
    daemon = vmreqtest.Daemon(config=config, args=["--policy-dir", self.folder])
    daemon.start()
    self.addCleanup(daemon.stop)
    self.daemon = daemon
    return daemon


@unittest.skipUnless(vmreqtest.IS_ROOT, vmreqtest.NEEDS_ROOT)
class Rules(WithPolicy):
  def setUp(self):
    self.daemon_with(RULES)

  def not_found(self, client, method, *params):
    """Exactly what is said of a symbol that does not exist."""
    error = client.error(method, *params)
    self.assertEqual(str(error),
                     f'NOT_FOUND: there is no symbol "{method}" that you may call (ran: no)')

  def refused_so(self, client, symbol, args, **options):
    """A call that would be allowed otherwise is refused in the very same words."""
    error = client.error("vmreq.call", symbol, args, options)
    self.assertEqual(str(error),
                     f'NOT_FOUND: there is no symbol "{symbol}" that you may call (ran: no)')

  def test_a_user(self):
    alice = self.daemon.client_as(ALICE)
    self.assertEqual(alice.call("debug.add", 40, 2), 42)
    self.not_found(alice, "debug.echo", 1)
    self.not_found(alice, "debug.none", 1)
    self.not_found(alice, "vm.state")
    self.not_found(alice, "vmreq.ps")
    self.not_found(alice, "vmreq.nothing")
    self.assertEqual(alice.call("vmreq.ping"), "pong")
    self.assertEqual(alice.call_to("debug.add", [1, 2], priority=True), 3)
    self.refused_so(alice, "debug.add", [1, 2], poke=True)
    self.assertEqual(alice.call("vmreq.hello")["you"]["rights"], ["connected"])

  def test_what_is_denied_is_not_described(self):
    alice = self.daemon.client_as(ALICE)
    self.assertEqual(alice.call("vmreq.symbols"), ["debug.add", "debug.whoami"])
    self.assertEqual(alice.call("vmreq.symbols", {"glob": "debug.e*"}), [])
    self.assertEqual(alice.call("vmreq.describe", "debug.add")["name"], "debug.add")
    for name in ("debug.echo", "debug.none"):
      self.assertEqual(str(alice.error("vmreq.describe", name)),
                       f'NOT_FOUND: there is no symbol "{name}" that you may call (ran: no)')
    functions = alice.call("nvim_get_api_info")[1]["functions"]
    self.assertEqual([function["name"] for function in functions], ["debug.add", "debug.whoami"])

  def test_a_group(self):
    for member in (self.daemon.client_as(4001, TEAM), self.daemon.client_as(4001, 4001, [7, TEAM])):
      self.assertEqual(member.call_to("debug.whoami", [], cpu=1), 1)
      self.assertEqual(member.call_to("debug.whoami", [], cpu=2, priority=True), 2)
      self.refused_so(member, "debug.whoami", [], cpu=0)
      self.refused_so(member, "debug.whoami", [], cpu="any")
      self.refused_so(member, "debug.whoami", [], cpu="all")
      self.refused_so(member, "debug.whoami", [], cpu=1, poke=True)
      self.not_found(member, "debug.whoami")      # registered for any vCPU
      self.assertIn("debug.echo", member.call("vmreq.symbols"))
      self.not_found(member, "vmreq.status")      # of a rule with cpus no method is meant

  def test_submit_and_notify(self):
    alice = self.daemon.client_as(ALICE)
    self.assertEqual(alice.call("vmreq.wait", alice.call("vmreq.submit", "debug.add", [1, 2])), 3)
    self.assertEqual(alice.error("vmreq.submit", "debug.echo", [1]).name, "NOT_FOUND")
    alice.notify("debug.block")
    self.assertEqual(alice.call("vmreq.ping"), "pong")
    with vmreqtest.Client(self.daemon.path) as root:
      self.assertEqual(root.call("vmreq.status")["calls"], 0)

  def test_methods(self):
    bob = self.daemon.client_as(BOB)
    self.assertIn("requests", bob.call("vmreq.ps"))
    self.assertEqual(bob.call("vmreq.status")["vm"], "t")
    self.not_found(bob, "vmreq.stats")
    self.not_found(bob, "debug.add", 1, 2)
    self.assertEqual(bob.call("vmreq.symbols"), [])
    carol = self.daemon.client_as(CAROL)
    self.not_found(carol, "vmreq.ping")
    self.not_found(carol, "vmreq.hello", {})
    self.not_found(carol, "nvim_get_api_info")

  def test_strangers_have_the_defaults(self):
    stranger = self.daemon.client_as(4321)
    self.not_found(stranger, "debug.add", 1, 2)
    self.not_found(stranger, "vmreq.status")
    self.assertEqual(stranger.call("vmreq.ping"), "pong")
    self.assertEqual(stranger.call("vmreq.hello")["you"]["uid"], 4321)
    nobody = self.daemon.client_as(65534)
    self.not_found(nobody, "debug.add", 1, 2)

  def test_root_whatever_the_rules_say(self):
    root = self.daemon.client()
    self.assertEqual(root.call_to("debug.add", [40, 2], poke=True), 42)
    self.assertEqual(root.call("vmreq.hello")["you"]["rights"],
                     ["connected", "observe", "control", "read", "all"])

  def test_others_calls(self):
    """Ids of others are unknown to whom they do not concern."""
    root = self.daemon.client()
    number = root.call("vmreq.submit", "debug.block", [], {"cpu": 1, "timeout_ms": 0})
    root.until_runs(1, "debug.block")
    for other in (self.daemon.client_as(ALICE), self.daemon.client_as(BOB)):
      self.assertEqual(other.call("vmreq.cancel", number), "unknown")
    self.assertEqual(root.call("vmreq.cancel", number), "asked")

  def test_denials_are_recorded(self):
    alice = self.daemon.client_as(ALICE)
    self.not_found(alice, "debug.echo", 1)
    self.daemon.stop()
    self.assertRegex(self.daemon.stderr(), rf"debug\.echo denied to uid {ALICE}, pid \d+")

  def test_overflow_ids(self):
    self.daemon.stop()
    self.daemon_with("[rule all]\naction = allow\n")
    self.assertEqual(self.daemon.client_as(4001).call("debug.add", 1, 2), 3)
    nobody = self.daemon.client_as(65534, 4001)
    self.not_found(nobody, "debug.add", 1, 2)
    # So nothing can be kept under a uid that is not one user's: neither of its own nor for others.
    for options in ({"detach": True}, {"key": "k"}, {"detach": True, "key": "k"}):
      for method in ("vmreq.call", "vmreq.submit"):
        self.assertError(nobody.error(method, "debug.add", [1, 2], options), "NOT_FOUND", "debug.add", ran="no")
    nobody.notify("debug.block")
    self.assertEqual(nobody.call("vmreq.hello")["you"]["rights"], ["connected"])
    other = self.daemon.client_as(4001)
    number = other.call("vmreq.submit", "debug.add", [1, 2], {"detach": True, "key": "k"})
    self.assertEqual(other.call("vmreq.wait", number), 3)
    for method in ("vmreq.wait", "vmreq.release"):
      self.assertError(nobody.error(method, number), "NOT_FOUND", ran="maybe")
    self.assertEqual(nobody.call("vmreq.cancel", number), "unknown")
    self.assertEqual(self.daemon.client().call("vmreq.ps")["requests"], [])


class Reload(WithPolicy):
  @unittest.skipUnless(vmreqtest.IS_ROOT, vmreqtest.NEEDS_ROOT)
  def test_rights_change_under_a_connection(self):
    daemon = self.daemon_with()
    alice = daemon.client_as(ALICE)
    self.assertEqual(alice.error("debug.add", 1, 2).name, "NOT_FOUND")
    write(self.folder, "50.conf", "[rule a]\nsubject = user:games\nsymbols = debug.*\naction = allow\n")
    daemon.reload()
    self.assertEqual(alice.call("debug.add", 1, 2), 3)
    # Whatever is wrong with it, the old policy stays, and the journal says where.
    bad = write(self.folder, "60.conf", "[rule b]\naction = deny\nsubject = user:no-such-user\n")
    daemon.reload()
    self.assertEqual(alice.call("debug.add", 1, 2), 3)
    os.unlink(bad)
    os.unlink(os.path.join(self.folder, "50.conf"))
    daemon.reload()
    self.assertEqual(alice.error("debug.add", 1, 2).name, "NOT_FOUND")
    daemon.stop()
    self.assertIn(f'{bad}:3: subject: there is no user "no-such-user"', daemon.stderr())
    self.assertIn("reloaded: 1 rules", daemon.stderr())

  def test_limits_change_and_calls_go_on(self):
    daemon = self.daemon_with(config=OPEN + "[limits]\ncalls_per_connection = 3\n")
    client = daemon.client()
    blocked = client.block(1)
    with open(os.path.join(daemon.folder, "vmreqd.conf"), "w", encoding="utf-8") as file:
      file.write(OPEN + "[vm]\nlane_capacity = 99\n[limits]\ncalls_per_connection = 1\n")
    daemon.reload()
    self.assertEqual(client.call("vmreq.hello")["limits"]["calls_per_connection"], 1)
    self.assertError(client.error("debug.add", 1, 2), "BUSY", "1 of 1", ran="no")
    with vmreqtest.Client(daemon.path) as other:
      other.unblock(1, through=0)
    self.assertIsNone(client.result(blocked))
    self.assertEqual(client.call("debug.add", 1, 2), 3)
    daemon.stop()
    self.assertIn("changed, for the next start: [vm] lane_capacity", daemon.stderr())

  def test_a_bad_configuration_changes_nothing(self):
    daemon = self.daemon_with(config=OPEN + "[limits]\ncalls_per_connection = 3\n")
    path = os.path.join(daemon.folder, "vmreqd.conf")
    with open(path, "w", encoding="utf-8") as file:
      file.write("[limits]\ncalls_per_connection = 4\ncalls = many\n")
    daemon.reload()
    self.assertEqual(daemon.client().call("vmreq.hello")["limits"]["calls_per_connection"], 3)
    daemon.stop()
    self.assertIn(f"{path}:3: calls: expected a number", daemon.stderr())

  @unittest.skipUnless(vmreqtest.IS_ROOT, vmreqtest.NEEDS_ROOT)
  def test_a_topic_is_taken_away(self):
    daemon = self.daemon_with("[rule a]\nsubject = user:games\nsymbols = vmreq.subscribe*\naction = allow\n")
    alice = daemon.client_as(ALICE)
    alice.call("vmreq.subscribe", "vm.state")
    os.unlink(os.path.join(self.folder, "10.conf"))
    daemon.reload()
    alice.call("vmreq.ping")
    seen = len(alice.notifications)
    root = daemon.client()
    root.call("vm.power_on")
    alice.call("vmreq.ping")
    self.assertFalse([data for _, data in alice.notifications[seen:]
                      if isinstance(data[1], dict) and "state" in data[1]])

  def test_many_reloads_under_load(self):
    daemon = self.daemon_with("[rule a]\naction = allow\n")
    client = daemon.client()
    for _ in range(20):
      pending = [client.request("debug.add", 40, 2) for _ in range(50)]
      daemon.process.send_signal(vmreqtest.signal.SIGHUP)
      for msgid in pending:
        self.assertEqual(client.result(msgid), 42)


class Program(WithPolicy):
  """vmreqd --check and --explain-policy, and a start with a policy that is no good."""

  def setUp(self):
    self.folder = vmreqtest.temporary(self)

  def test_check(self):
    write(self.folder, "10.conf", "[rule a]\naction = allow\n")
    done = vmreqtest.vmreqd("--check", "--policy-dir", self.folder)
    self.assertEqual((done.code, done.err), (0, ""))
    path = write(self.folder, "20.conf", "[rule b]\naction = deny\nsymbols = vmreq.cancle\n")
    done = vmreqtest.vmreqd("--check", "--policy-dir", self.folder)
    self.assertEqual((done.code, done.err),
                     (0, f'vmreqd: {path}:1: warning: the rule "b" names "vmreq.cancle", which is no method and '
                         "no symbol's name\n"))
    path = write(self.folder, "20.conf", "[rule b]\naction = allow\ncpu = 1\n")
    done = vmreqtest.vmreqd("--check", "--policy-dir", self.folder)
    self.assertEqual(done.code, 1)
    self.assertEqual(done.err, f'vmreqd: {path}:3: unknown key "cpu"; a rule has vm, subject, symbols, '
                               "cpus, flags, action\n")
    self.assertEqual(vmreqtest.vmreqd("--check", "--policy-dir", self.folder + "/none").code, 1)

  def test_a_bad_policy_does_not_start(self):
    path = write(self.folder, "10.conf", "[rule b]\n")
    done = vmreqtest.vmreqd("--socket", os.path.join(self.folder, "s"), "--policy-dir", self.folder)
    self.assertEqual((done.code, done.err),
                     (1, f'vmreqd: {path}:1: the rule "b" has no action=\n'))
    self.assertFalse(os.path.exists(os.path.join(self.folder, "s")))

  def explain(self, user, symbol, *args):
    done = vmreqtest.vmreqd("--module-dir", vmreqtest.MODULE_DIR, "--module", "debug", "--policy-dir",
                            self.folder, "--socket", os.path.join(self.folder, "s"),
                            "--explain-policy", user, symbol, *args)
    self.assertEqual(done.code, 0, done)
    return done.out

  def test_explain(self):
    path = write(self.folder, "10.conf", "[rule a]\nsubject = user:games\nsymbols = debug.add\ncpus = 0\n"
                                         "action = allow\n[rule b]\nsubject = user:games\naction = deny\n")
    os.chmod(self.folder, 0o755)
    write(self.folder, "20.conf", "")
    out = self.explain("games", "debug.echo", "--cpus", "2")
    self.assertRegex(out, rf"(?m)^denied: the socket {self.folder}/s .*does not let games connect")
    self.assertRegex(out, rf"(?m)^{path}:6: \[rule b\] deny$")
    out = self.explain("games", "debug.add", "--cpus", "2")
    self.assertRegex(out, r"(?m)^depends: ")
    self.assertRegex(out, rf"(?m)^{path}:1: \[rule a\] allow, if nothing but vCPU 0 can come to run it$")
    self.assertRegex(self.explain("games", "debug.add"), rf"(?m)^{path}:1: \[rule a\] allow$")
    self.assertRegex(self.explain("root", "debug.add"),
                     r"(?m)^allowed: root \(uid 0\), debug\.add on VM default$")
    self.assertRegex(self.explain("news", "vmreq.status"), r"(?m)^default: deny: ")
    done = vmreqtest.vmreqd("--policy-dir", self.folder, "--explain-policy", "no-such-user", "debug.add")
    self.assertEqual((done.code, done.err), (1, 'vmreqd: there is no user "no-such-user"\n'))


if __name__ == "__main__":
  vmreqtest.main()
