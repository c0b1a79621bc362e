#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs on the booted system of tests/system/run, as root, and prints TAP.

The tests are one story, told in order: install, use, watch, crash, reload, upgrade, remove.  A test that
fails does not stop the story.  Nothing sleeps: the daemon's answers, its events and the service manager's
own waits say when something has happened; every wait has a deadline.
"""
import glob
import os
import socket
import subprocess
import sys
import threading
import time
import traceback

sys.path.insert(0, "/opt/test/lib")
import vmreqtest  # noqa: E402
from vmreqtest import Client, RpcError  # noqa: E402

WAIT = 30
SOCKET = "/run/vmreqd/{}.sock"


# --- tools -------------------------------------------------------------------------------------------

def note(text):
  for line in str(text).rstrip().splitlines():
    print("#", line, flush=True)


def run(*command, ok=True, user=None, timeout=WAIT, stdin=None):
  """What a command prints.  ok: its exit status has to be 0; None: whatever it is."""
  if user:
    command = ("runuser", "-u", user, "--") + command
  done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, input=stdin, check=False)
  if ok is not None and (done.returncode == 0) != ok:
    raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
  done.text = done.stdout + done.stderr
  return done


def comm(pid):
  try:
    with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
      return file.read().strip()
  except OSError:
    return ""


def show(unit, prop):
  return run("systemctl", "show", "-P", prop, unit).stdout.strip()


def ctl(vm, *words, **how):
  return run("vmreqctl", "-M", vm, *words, **how)


def configure(vm, text, restart=True):
  with open(f"/etc/vmreqd/{vm}.conf", "w", encoding="utf-8") as file:
    file.write(text)
  if restart:
    run("systemctl", "restart", f"vmreqd@{vm}.service")


def connect(vm):
  return Client(SOCKET.format(vm), timeout=WAIT)


def status(vm):
  with connect(vm) as client:
    return client.result(client.request("vmreq.status"))


def journal(*match, unit="vmreqd@demo.service"):
  run("journalctl", "--sync")
  return run("journalctl", "-u", unit, "--no-pager", "-o", "verbose", *match).stdout


def until(what, look, seconds=WAIT):
  """Waits for something that only the service manager knows, on its own signals."""
  end = time.monotonic() + seconds
  with subprocess.Popen(["busctl", "monitor", "--match",
                         "type='signal',sender='org.freedesktop.systemd1'", "org.freedesktop.systemd1"],
                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as monitor:
    try:
      while not look():
        if time.monotonic() > end:
          raise AssertionError(f"not within {seconds} s: {what}")
        vmreqtest.select.select([monitor.stdout], [], [], 0.2)
        if vmreqtest.select.select([monitor.stdout], [], [], 0)[0]:
          os.read(monitor.stdout.fileno(), 65536)
    finally:
      monitor.kill()


class Knocker(threading.Thread):
  """Connects again and again, as strangers would, and counts who was refused."""

  def __init__(self, vm):
    super().__init__()
    self.path = SOCKET.format(vm)
    self.done = threading.Event()
    self.tries = 0
    self.refused = []

  def run(self):
    while not self.done.is_set():
      self.tries += 1
      with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
        try:
          knock.connect(self.path)
          self.done.wait(0.002)
        except OSError as error:
          self.refused.append(str(error))

  def __enter__(self):
    self.start()
    return self

  def __exit__(self, *_):
    self.done.set()
    self.join()
    note(f"{self.tries} connects meanwhile, {len(self.refused)} refused {self.refused[:3]}")


# --- the story ----------------------------------------------------------------------------------------

def test_install():
  """The packages install, with what they need, and start nothing by themselves."""
  debs = sorted(glob.glob("/opt/test/packages/*.deb"))
  note("\n".join(os.path.basename(deb) for deb in debs))
  run("apt-get", "install", "-y", *debs, timeout=120)
  assert not glob.glob("/run/vmreqd/*.sock")
  run("getent", "group", "vmreq")
  for user, groups in (("insider", "vmreq"), ("outsider", "")):
    run("useradd", "--create-home", "-G", groups, user)
  for page in ("vmreqd.8", "vmreqd.conf.5", "vmreqctl.1", "vmreq-protocol.7", "vmreq-module.3", "vmreq.3"):
    assert glob.glob(f"/usr/share/man/man{page[-1]}/{page}.gz"), f"no man page {page}"


def test_first_call_starts_it():
  """Enabling the socket is enough; the first call starts the service and is answered."""
  run("systemctl", "enable", "--now", "vmreqd@demo.socket")
  assert show("vmreqd@demo.service", "ActiveState") == "inactive"
  assert ctl("demo", "call", "vm.state").stdout.strip() in ("CREATED", "RUNNING")
  assert show("vmreqd@demo.service", "ActiveState") == "active"


def test_status_line():
  """systemctl status says how the VM is."""
  text = show("vmreqd@demo.service", "StatusText")
  note(text)
  assert "CREATED" in text and "EMT" in text, text
  configure("demo", "[vm]\ncpus = 2\n[modules]\nload = debug\n")
  with connect("demo") as client:
    client.result(client.request("vm.power_on"))
    until("STATUS with RUNNING", lambda: "RUNNING" in show("vmreqd@demo.service", "StatusText"))
    note(show("vmreqd@demo.service", "StatusText"))


def test_own_user_and_writable():
  """A user of its own; only its runtime directory can be written; dlopen of a plugin works."""
  pid = show("vmreqd@demo.service", "MainPID")
  uid = int(next(l for l in open(f"/proc/{pid}/status", encoding="utf-8") if l.startswith("Uid")).split()[1])
  assert uid >= 61184, f"not a dynamic user: {uid}"
  assert ctl("demo", "call", "debug.add", "40", "2").stdout.strip() == "42"
  probe = ("for d in / /etc/vmreqd /var /usr /run /run/vmreqd /home /root /dev; do "
           "touch $d/.probe 2>/dev/null && echo $d; done; touch $RUNTIME_DIRECTORY/.probe && echo RUNTIME")
  inside = run("nsenter", "-t", pid, "-m", "setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups",
               "env", "RUNTIME_DIRECTORY=/run/vmreqd/demo", "sh", "-c", probe)
  note("writable: " + inside.stdout.replace("\n", " "))
  assert inside.stdout.split() == ["RUNTIME"], inside.stdout


def test_who_may():
  """The socket's mode refuses strangers; inside the group the policy decides; root may everything."""
  refused = ctl("demo", "ping", user="outsider", ok=False)
  note(refused.stderr)
  assert refused.returncode == 2
  assert ctl("demo", "call", "vm.state", user="insider").stdout.strip() == "RUNNING"
  denied = ctl("demo", "call", "vm.power_off", user="insider", ok=False)
  unknown = ctl("demo", "call", "vm.power_offf", user="insider", ok=False)
  note(denied.stderr)
  assert denied.returncode == 4 and "NOT_FOUND" in denied.stderr
  assert denied.stderr.split("(ran")[0].replace("offf", "off").count("\n") == \
      unknown.stderr.split("(ran")[0].replace("offf", "off").count("\n")
  hello = ctl("demo", "--json", "status", user="insider")
  assert '"insider"' not in hello.stdout


def test_caller_credentials():
  """A caller that is not root is known by uid, gid and supplementary groups."""
  code = ("import sys; sys.path.insert(0, '/opt/test/lib'); from vmreqtest import Client\n"
          f"c = Client('{SOCKET.format('demo')}')\n"
          "you = c.result(c.request('vmreq.hello', {}))['you']; print(you['uid'], you['gid'], *you['groups'])")
  words = run("/usr/bin/python3", "-c", code, user="insider").stdout.split()
  uid, gid = run("id", "-u", "insider").stdout.strip(), run("id", "-g", "insider").stdout.strip()
  group = run("getent", "group", "vmreq").stdout.split(":")[2]
  assert words[:2] == [uid, gid] and group in words[2:], words


def test_journal():
  """Calls are in the journal with fields to search by."""
  ctl("demo", "call", "vm.suspend")
  ctl("demo", "call", "vm.resume")
  until("the record", lambda: "VMREQ_SYMBOL=vm.suspend" in journal("VMREQ_SYMBOL=vm.suspend"))
  text = journal("VMREQ_SYMBOL=vm.suspend")
  for field in ("VMREQ_CALLER_UID=0", "MESSAGE_ID=", "VMREQ_REQUEST_ID="):
    assert field in text, f"{field} is not in\n{text}"
  code = ("import sys; sys.path.insert(0, '/opt/test/lib'); from vmreqtest import Client, RpcError\n"
          f"c = Client('{SOCKET.format('demo')}')\n"
          "try: c.result(c.request('vm.power_off'))\n"
          "except RpcError as e: print(e.name)")
  assert run("/usr/bin/python3", "-c", code, user="insider").stdout.strip() == "NOT_FOUND"
  denials = journal("VMREQ_SYMBOL=vm.power_off", f"VMREQ_CALLER_UID={run('id', '-u', 'insider').stdout.strip()}")
  assert "vm.power_off" in denials, "the denial is not in the journal"


def test_reload():
  """A changed policy holds for the next call of a connection that stays open."""
  code = ("import sys; sys.path.insert(0, '/opt/test/lib'); from vmreqtest import Client, RpcError\n"
          f"c = Client('{SOCKET.format('demo')}')\n"
          "for line in sys.stdin:\n"
          "  try: print(c.result(c.request('debug.unblock', 0)), flush=True)\n"
          "  except RpcError as e: print(e.name, flush=True)\n")
  with subprocess.Popen(["runuser", "-u", "insider", "--", "python3", "-c", code], stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE, text=True) as insider:
    def ask():
      insider.stdin.write("\n")
      insider.stdin.flush()
      return insider.stdout.readline().strip()
    first = ask()
    os.makedirs("/etc/vmreqd/policy.d", exist_ok=True)
    with open("/etc/vmreqd/policy.d/50-test.conf", "w", encoding="utf-8") as file:
      file.write("[rule insiders unblock]\nsubject = group:vmreq\nsymbols = debug.unblock\naction = allow\n")
    run("systemctl", "reload", "vmreqd@demo.service")
    until("the new rule holds", lambda: ask() == "False")
    second = ask()
    with open("/etc/vmreqd/policy.d/60-bad.conf", "w", encoding="utf-8") as file:
      file.write("[rule bad]\nsubject = user:nobody-of-that-name\naction = allow\n")
    run("systemctl", "reload", "vmreqd@demo.service", ok=None)
    until("the journal names the bad file", lambda: "60-bad.conf" in journal())
    third = ask()
    os.unlink("/etc/vmreqd/policy.d/60-bad.conf")
    os.unlink("/etc/vmreqd/policy.d/50-test.conf")
    run("systemctl", "reload", "vmreqd@demo.service")
    until("the rule is gone", lambda: ask() == "NOT_FOUND")
    fourth = ask()
    insider.stdin.close()
  note(f"before {first}, allowed {second}, with a bad file {third}, taken back {fourth}")
  assert [first, second, third, fourth] == ["NOT_FOUND", "False", "False", "NOT_FOUND"]


def test_stuck_event():
  """An EMT that does not come back is an event and a record, and its callers go on."""
  configure("demo", "[vm]\ncpus = 2\nemt_stuck_ms = 500\n[modules]\nload = debug\n")
  with connect("demo") as watcher, connect("demo") as caller:
    watcher.result(watcher.request("vmreq.subscribe", "emt.stuck"))
    caller.request("vmreq.call", "debug.block", [], {"cpu": 1})
    seen = None
    while not seen:
      watcher.receive()
      seen = next((data for topic, data in (n[1] for n in watcher.notifications)
                   if topic == "emt.stuck" and data.get("stuck")), None)
    note(seen)
    assert seen["cpu"] == 1 and seen["symbol"] == "debug.block"
    assert watcher.result(watcher.request("debug.unblock", 1))
  assert "debug.block" in journal("VMREQ_SYMBOL=debug.block")


def test_watchdog_restart():
  """emt_stuck=restart: a stuck EMT costs the service its watchdog, and nobody is refused meanwhile."""
  os.makedirs("/etc/systemd/system/vmreqd@demo.service.d", exist_ok=True)
  with open("/etc/systemd/system/vmreqd@demo.service.d/watchdog.conf", "w", encoding="utf-8") as file:
    file.write("[Service]\nWatchdogSec=1s\nTimeoutAbortSec=5s\n")
  run("systemctl", "daemon-reload")
  configure("demo", "[vm]\ncpus = 2\nemt_stuck = restart\nemt_stuck_ms = 500\n[modules]\nload = debug\n")
  before = status("demo")["pid"]
  with Knocker("demo") as knocker:
    with connect("demo") as caller:
      caller.request("vmreq.call", "debug.block", [], {"cpu": 1})
      try:
        while True:
          caller.receive()
      except (EOFError, ConnectionResetError):
        pass
    after = status("demo")["pid"]
  assert after != before
  assert not knocker.refused, knocker.refused[:3]
  assert show("vmreqd@demo.service", "NRestarts") != "0"
  os.unlink("/etc/systemd/system/vmreqd@demo.service.d/watchdog.conf")
  run("systemctl", "daemon-reload")
  configure("demo", "[vm]\ncpus = 2\n[modules]\nload = debug\n")


def test_idle_with_watchdog():
  """A healthy VM with emt_stuck=restart is not restarted."""
  assert show("vmreqd@demo.service", "WatchdogUSec") not in ("0", "infinity")


def test_crashes():
  """Killed 20 times in a row, the service is back each time, and no connect was refused."""
  with Knocker("demo") as knocker:
    pids = set()
    for _ in range(20):
      pid = status("demo")["pid"]
      assert pid not in pids
      pids.add(pid)
      os.kill(pid, 9)
    assert status("demo")["pid"] not in pids
  assert not knocker.refused, knocker.refused[:3]
  assert show("vmreqd@demo.socket", "ActiveState") == "active"


def test_restart_under_load():
  """systemctl restart with 100 calls in flight: each is answered."""
  with Knocker("demo") as knocker, connect("demo") as client:
    ids = [client.request("vmreq.call", "debug.sleep", [20], {"cpu": i % 2}) for i in range(100)]
    run("systemctl", "restart", "vmreqd@demo.service")
    outcome = outcomes(client, ids)
  note(f"restart: {outcome}")
  assert sum(outcome.values()) == 100 and "lost" not in outcome, outcome
  assert not knocker.refused, knocker.refused[:3]


def outcomes(client, ids):
  count = {}
  for msgid in ids:
    try:
      client.result(msgid)
      word = "done"
    except RpcError as error:
      word = f"{error.name} (ran: {error.ran})"
    except (EOFError, ConnectionResetError):
      word = "lost"
    count[word] = count.get(word, 0) + 1
  return count


def test_two_instances():
  """One VM stops, its socket too; the other's stays."""
  run("systemctl", "start", "vmreqd@other.socket")
  assert ctl("other", "ping")
  run("systemctl", "stop", "vmreqd@other.service")
  assert os.path.exists(SOCKET.format("demo")) and os.path.exists(SOCKET.format("other"))
  assert ctl("demo", "ping") and ctl("other", "ping")
  run("systemctl", "stop", "vmreqd@other.socket", "vmreqd@other.service")
  assert not os.path.exists(SOCKET.format("other"))
  assert ctl("demo", "ping")


def test_power_and_exit():
  """power_on=start powers the VM on; on_off=exit ends the service cleanly when the VM is off."""
  configure("brief", "[vm]\npower_on = start\non_off = exit\n", restart=False)
  run("systemctl", "start", "vmreqd@brief.socket")
  assert ctl("brief", "call", "vm.state").stdout.strip() == "RUNNING"
  ctl("brief", "call", "vm.power_off", ok=None)
  until("the service is gone", lambda: show("vmreqd@brief.service", "ActiveState") == "inactive")
  assert show("vmreqd@brief.service", "Result") == "success"
  run("systemctl", "stop", "vmreqd@brief.socket")


def test_exit_when_idle():
  """exit_idle_ms: with no connection and no guest the daemon goes, and comes back at the next call."""
  configure("idle", "[vm]\nexit_idle_ms = 300\n", restart=False)
  run("systemctl", "start", "vmreqd@idle.socket")
  first = status("idle")["pid"]
  until("the idle service is gone", lambda: show("vmreqd@idle.service", "ActiveState") == "inactive")
  assert status("idle")["pid"] != first
  run("systemctl", "stop", "vmreqd@idle.socket", "vmreqd@idle.service")


def test_bad_configuration():
  """A daemon that cannot start says why, slows itself down, and does not take the socket along."""
  configure("bad", "[vm]\ncpus = many\n", restart=False)
  run("systemctl", "start", "vmreqd@bad.socket")
  run("systemctl", "start", "vmreqd@bad.service", ok=False)
  assert "cpus" in journal(unit="vmreqd@bad.service")
  assert show("vmreqd@bad.socket", "ActiveState") == "active"
  configure("bad", "[vm]\ncpus = 1\n", restart=False)
  assert ctl("bad", "ping", timeout=60)
  run("systemctl", "stop", "vmreqd@bad.socket", "vmreqd@bad.service")


def test_kvm():
  """The drop-in lets one VM have /dev/kvm, inside the same sandbox."""
  if not os.path.exists("/dev/kvm"):
    return "no /dev/kvm here"
  run("getent", "group", "kvm", ok=None).returncode == 0 or run("groupadd", "-r", "kvm")
  run("chown", "root:kvm", "/dev/kvm")
  run("chmod", "0660", "/dev/kvm")
  folder = "/etc/systemd/system/vmreqd@guest.service.d"
  os.makedirs(folder, exist_ok=True)
  run("cp", "/usr/share/doc/vmreqd/examples/kvm.conf", folder)
  run("systemctl", "daemon-reload")
  with open("/etc/vmreqd/guest.bin", "wb") as file:
    file.write(b"\xf4\xeb\xfd")  # hlt; jump back to it
  configure("guest", "[vm]\nbackend = kvm\n[kvm]\nimage = /etc/vmreqd/guest.bin\n", restart=False)
  run("systemctl", "start", "vmreqd@guest.socket")
  assert ctl("guest", "call", "vm.state").stdout.strip() == "CREATED"
  ctl("guest", "call", "vm.power_on")
  regs = ctl("guest", "--json", "call", "--cpu", "0", "cpu.regs").stdout
  note(regs[:200])
  assert "rip" in regs
  run("systemctl", "stop", "vmreqd@guest.socket", "vmreqd@guest.service")
  return None


def test_exposure():
  """The sandbox, by systemd's own measure."""
  for unit in ("vmreqd@demo.service", "vmreqd@guest.service"):
    line = run("systemd-analyze", "security", "--no-pager", unit, ok=None).stdout.strip().splitlines()[-1]
    note(line)
    assert float(line.split(":")[1].split()[0]) <= 0.5, line


def test_upgrade():
  """An upgrade with calls in flight: running VMs go on, and each call is answered."""
  debs = sorted(glob.glob("/opt/test/upgrade/*.deb"))
  with Knocker("demo") as knocker, connect("demo") as client:
    pid = client.result(client.request("vmreq.status"))["pid"]
    ids = [client.request("vmreq.call", "debug.sleep", [50], {"cpu": i % 2}) for i in range(100)]
    note(run("dpkg", "-i", *debs, timeout=120).text.splitlines()[-1])
    outcome = outcomes(client, ids)
    assert client.result(client.request("vmreq.status"))["pid"] == pid, "the upgrade restarted a VM"
  note(f"upgrade: {outcome}")
  assert outcome == {"done": 100}, outcome
  assert not knocker.refused, knocker.refused[:3]


def test_remove_and_purge():
  """Removing stops every VM; purging leaves nothing."""
  names = run("dpkg-query", "-W", "-f", "${Package}\n", "*vmreq*").stdout.split()
  run("dpkg", "-r", *names, timeout=120)
  assert not glob.glob("/run/vmreqd/*.sock"), "sockets are left"
  assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and comm(pid) == "vmreqd"], "a daemon is left"
  assert os.path.exists("/etc/vmreqd/demo.conf"), "remove took the settings"
  run("dpkg", "-P", *names, timeout=120)
  left = run("find", "/etc", "/usr", "/var/lib", "/run", "-iname", "*vmreq*", "-not", "-path", "*/systemd/system/vmreq*",
             "-not", "-path", "/run/systemd/*", "-not", "-name", "vmreq-test.service", "-not", "-path", "/var/lib/dpkg/*", "-not", "-path", "/var/lib/private*",
             ok=None).stdout.split()
  note(f"left: {left}")
  assert not left, left
  assert run("getent", "group", "vmreq", ok=None).returncode != 0, "the group is left"


def main():
  with open("/opt/test/names", encoding="utf-8") as file:
    wanted = file.read().split()
  tests = [(name, test) for name, test in globals().items() if name.startswith("test_") and callable(test)]
  if wanted:
    tests = [t for t in tests if t[0] in wanted or t[0] == "test_install"]
  failed = 0
  for number, (name, test) in enumerate(tests, 1):
    began = time.monotonic()
    try:
      skipped = test()
      print(f"ok {number} - {name[5:]}" + (f" # SKIP {skipped}" if skipped else "")
            + f" # {time.monotonic() - began:.1f} s", flush=True)
    except Exception:  # pylint: disable=broad-except
      failed += 1
      note(traceback.format_exc())
      print(f"not ok {number} - {name[5:]}", flush=True)
  print(f"1..{len(tests)}")
  note(f"{len(tests) - failed} passed, {failed} failed")


if __name__ == "__main__":
  main()
