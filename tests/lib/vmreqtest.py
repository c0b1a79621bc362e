# SPDX-License-Identifier: MIT
"""The harness of the integration, interop and stress tests: the real daemon and a client by hand.

Nothing here sleeps.  The daemon is ready when it says so on the notify socket that the harness binds; a
call runs when vmreq.status says so; all waits end at a deadline, and the whole test at an alarm.
Environment: VMREQ_BUILD (the build directory), VMREQ_SANITIZE (as CMake's, scales the deadlines).
"""
import array
import atexit
import contextlib
import faulthandler
import json
import os
import pty
import re
import reprlib
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import msgpack

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.path.abspath(os.environ.get("VMREQ_BUILD") or os.path.join(ROOT, "build"))
SANITIZE = os.environ.get("VMREQ_SANITIZE", "")
SLOW = 4 if SANITIZE else 1          # factor on every deadline
VMREQD = os.path.join(BUILD, "vmreqd")
VMREQCTL = os.path.join(BUILD, "vmreqctl")
MODULE_DIR = os.environ.get("VMREQ_MODULE_DIR") or os.path.join(BUILD, "modules")

WAIT = 20 * SLOW                     # one answer, one datagram, one process
TEST = 60 * SLOW                     # one test
SOON = 5 * SLOW                      # what is to be quick, on a machine that does other things

# Settings for tests of the way down: long enough to end what runs, short enough for a test.
SHORT_DRAIN = f"[limits]\ndrain_ms = {1500 * SLOW}\n"

# Whoever runs the tests may have these ignored, as nohup and a shell's & do; the programs under test are not to inherit
# that, and what is handled is not.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
  if signal.getsignal(number) == signal.SIG_IGN:
    signal.signal(number, lambda *_: None)

SANITIZER_REPORT = re.compile(r"(ERROR: \w*Sanitizer|WARNING: ThreadSanitizer|runtime error:|"
                              r"SUMMARY: \w*Sanitizer|Assertion .* failed|FATAL: ThreadSanitizer)")


def sanitizer_env(environment):
  """Sanitizers say what they found, all of it, and fail the process that did it."""
  env = dict(environment)
  env.setdefault("ASAN_OPTIONS", "abort_on_error=0:detect_leaks=1:exitcode=99")
  env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1:exitcode=99")
  env.setdefault("TSAN_OPTIONS", "halt_on_error=0:second_deadlock_stack=1:exitcode=99")
  return env


def deadline(seconds=WAIT):
  return time.monotonic() + seconds


def left(until):
  return max(0.0, until - time.monotonic())


class Timeout(AssertionError):
  """A wait reached its deadline."""


# --- a client by hand -------------------------------------------------------------------------------

class RpcError(Exception):
  """An error answer, in whichever style: name, message, ran, data; `raw` as it came."""

  def __init__(self, raw):
    self.raw = raw
    self.data = None
    if isinstance(raw, dict):
      self.name, self.message, self.ran = raw.get("name"), raw.get("message"), raw.get("ran")
      self.data = raw.get("data")
      super().__init__(f"{self.name}: {self.message} (ran: {self.ran})")
      return
    text = raw[1] if isinstance(raw, (list, tuple)) and len(raw) == 2 else raw
    if not isinstance(text, str):
      raise AssertionError(f"an error that is no text: {raw!r}")
    match = re.fullmatch(r"([A-Z_]+): (.*) \(ran: (no|yes|maybe)\)", text, re.DOTALL)
    if not match:
      raise AssertionError(f"not of the form NAME: text (ran: …): {text!r}")
    self.name, self.message, self.ran = match.groups()
    super().__init__(text)


class Client:
  """One connection.  Calls may be pipelined: request() … request(), then result() of each, in any order.

  Every answer is checked as it comes: four elements, a msgid that is owed, one of error and result nil.
  """

  def __init__(self, path, timeout=WAIT):
    self.timeout = timeout
    self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    self.socket.settimeout(timeout)
    self.socket.connect(path)
    self.unpacker = msgpack.Unpacker(raw=False, strict_map_key=True, max_buffer_size=1 << 28)
    self.next_id = 1
    self.owed = set()
    self.answers = {}       # msgid → (error, result), in order of arrival
    self.order = []         # msgids in the order of their answers
    self.notifications = []  # (method, params)

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self.close()

  def close(self):
    self.socket.close()

  def half_close(self):
    self.socket.shutdown(socket.SHUT_WR)

  # -- sending

  def send(self, data):
    self.socket.sendall(data)

  def pack(self, method, *params):
    """The bytes of a request; its answer is then owed."""
    msgid, self.next_id = self.next_id, self.next_id + 1
    self.owed.add(msgid)
    return msgid, msgpack.packb([0, msgid, method, list(params)])

  def request(self, method, *params):
    msgid, data = self.pack(method, *params)
    self.send(data)
    return msgid

  def request_to(self, symbol, args=(), **options):
    return self.request("vmreq.call", symbol, args if isinstance(args, dict) else list(args), options)

  def notify(self, method, *params):
    self.send(msgpack.packb([2, method, list(params)]))

  # -- receiving

  def receive(self, until=None):
    """Takes in one message.  EOFError when the daemon has closed."""
    until = until or deadline(self.timeout)
    while True:
      for message in self.unpacker:
        self.take(message)
        return message
      if not select.select([self.socket], [], [], left(until))[0]:
        raise Timeout(f"no message; owed: {sorted(self.owed)[:10]}")
      data = self.socket.recv(1 << 16)
      if not data:
        raise EOFError("the daemon closed the connection")
      self.unpacker.feed(data)

  def take(self, message):
    if not isinstance(message, list) or not message:
      raise AssertionError(f"not a message: {reprlib.repr(message)}")
    if message[0] == 2 and len(message) == 3:
      self.notifications.append((message[1], message[2]))
      return
    if message[0] != 1 or len(message) != 4:
      raise AssertionError(f"not an answer of four elements: {reprlib.repr(message)}")
    _, msgid, error, result = message
    if msgid not in self.owed:
      raise AssertionError(f"an answer that nobody is owed, or a second one: {reprlib.repr(message)}")
    if error is not None and (not error or result is not None):
      raise AssertionError(f"an error that reads like none, or with a result: {reprlib.repr(message)}")
    self.owed.remove(msgid)
    self.answers[msgid] = (error, result)
    self.order.append(msgid)

  def has(self, msgid):
    """Is the answer here already?  Reads what is there, waits for nothing."""
    try:
      while msgid not in self.answers:
        self.receive(until=time.monotonic())
    except Timeout:
      return False
    return True

  def result(self, msgid, timeout=None):
    until = deadline(timeout or self.timeout)
    while msgid not in self.answers:
      self.receive(until)
    error, result = self.answers.pop(msgid)
    if error is not None:
      raise RpcError(error)
    return result

  def drain(self):
    """Takes in everything up to the end of file."""
    until = deadline(self.timeout)
    try:
      while True:
        self.receive(until)
    except (EOFError, ConnectionResetError):
      return

  def raw_until_eof(self, limit=1 << 20):
    """The bytes up to the end of file, undecoded."""
    until, data = deadline(self.timeout), b""
    while len(data) < limit:
      if not select.select([self.socket], [], [], left(until))[0]:
        raise Timeout(f"the daemon did not close; it sent {data[:200]!r}")
      try:
        got = self.socket.recv(1 << 16)
      except ConnectionResetError:
        return data
      if not got:
        return data
      data += got
    raise AssertionError("more bytes than expected")

  # -- conveniences

  def call(self, method, *params):
    return self.result(self.request(method, *params))

  def call_to(self, symbol, args=(), **options):
    return self.result(self.request_to(symbol, args, **options))

  def error(self, method, *params):
    """The error of a call that must fail."""
    return self.error_of(self.request(method, *params))

  def error_of(self, msgid):
    try:
      result = self.result(msgid)
    except RpcError as error:
      return error
    raise AssertionError(f"a result where an error was expected: {reprlib.repr(result)}")

  def status(self):
    return self.call("vmreq.status")

  def emt(self, cpu):
    return self.status()["emts"][cpu]

  def until_status(self, predicate, what):
    """Asks for the status until the predicate holds of it; every round waits for an answer."""
    until = deadline(self.timeout)
    while True:
      status = self.status()
      if predicate(status):
        return status
      if not left(until):
        raise Timeout(f"never {what}: {status}")

  def until_runs(self, cpu, symbol):
    return self.until_status(lambda s: s["emts"][cpu].get("symbol") == symbol, f"{symbol} on {cpu}")

  def until_idle(self, cpu):
    return self.until_status(lambda s: not s["emts"][cpu].get("symbol"), f"idle on {cpu}")

  def block(self, cpu, **options):
    """Blocks an EMT; returns the msgid of the blocking call, once it runs."""
    msgid = self.request_to("debug.block", [], cpu=cpu, timeout_ms=0, **options)
    self.until_runs(cpu, "debug.block")
    return msgid

  def unblock(self, cpu, through):
    """Lets the blocked EMT go on, by a call that runs on another one.

    That debug.block has begun does not say yet that it blocks: until then unblock answers false.
    """
    until = deadline(self.timeout)
    while not self.call_to("debug.unblock", [cpu], cpu=through, timeout_ms=0):
      if not left(until):
        raise Timeout(f"nothing blocks EMT {cpu}")

  def cancel(self, msgid):
    return self.call("vmreq.cancel", {"msgid": msgid})


def temporary(test):
  """A folder that goes with the test."""
  folder = tempfile.mkdtemp(prefix="vmreq-")
  test.addCleanup(shutil.rmtree, folder, ignore_errors=True)
  return folder


# --- somebody else ----------------------------------------------------------------------------------

IS_ROOT = os.geteuid() == 0
NEEDS_ROOT = "connects as other users: run it as root"


@contextlib.contextmanager
def identity(uid, gid=None, groups=()):
  """Whoever connects inside is this user, as far as the daemon can tell.  Root only."""
  before = os.getgroups()
  gid = uid if gid is None else gid
  os.setgroups(groups)
  os.setegid(gid)
  os.seteuid(uid)
  try:
    yield
  finally:
    os.seteuid(0)
    os.setegid(0)
    os.setgroups(before)


# --- the daemon -------------------------------------------------------------------------------------

class NotifySocket:
  """Where the service manager would listen for READY=1 and STOPPING=1."""

  def __init__(self, path):
    self.path = path
    self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    self.socket.bind(path)
    self.seen = []

  def close(self):
    self.socket.close()

  def take_all(self):
    while self.socket.fileno() >= 0 and select.select([self.socket], [], [], 0)[0]:
      data, control, _, _ = self.socket.recvmsg(8192, socket.CMSG_SPACE(16 * 4))
      for level, kind, payload in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
          for fd in array.array("i", payload[:len(payload) - len(payload) % 4]):
            os.close(fd)
      self.seen += data.decode(errors="replace").split("\n")

  def wait(self, line, process, until):
    """Waits for a line, or for the end of the process that should send it."""
    end = os.pidfd_open(process.pid)
    try:
      while True:
        self.take_all()
        if line in self.seen:
          return True
        if process.poll() is not None:
          return False
        if not select.select([self.socket, end], [], [], left(until))[0]:
          raise Timeout(f"no {line} from the daemon")
    finally:
      os.close(end)


class Daemon:
  """A vmreqd of its own on a private socket.  `with Daemon(cpus=3) as daemon:` starts and stops it."""

  def __init__(self, cpus=3, args=(), config=None, modules=("debug",), env=None, name="t",
               folder=None, socket_path=None, listen=None, wrap=()):
    self.folder = folder or tempfile.mkdtemp(prefix="vmreq-")
    self.own_folder = folder is None
    if self.own_folder:
      atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
    self.path = socket_path or os.path.join(self.folder, "s")
    self.listen = listen
    self.wrap = tuple(wrap)     # a program that starts it, such as prlimit with its options
    self.stderr_path = os.path.join(self.folder, "stderr")
    self.stdout_path = os.path.join(self.folder, "stdout")
    self.args = ["--name", name, "--cpus", str(cpus), "--module-dir", MODULE_DIR]
    if listen is None:
      self.args += ["--socket", self.path]
    for module in modules:
      self.args += ["--module", module]
    if config is not None:
      file = os.path.join(self.folder, "vmreqd.conf")
      with open(file, "w", encoding="utf-8") as out:
        out.write(config)
      self.args += ["--config", file]
    self.args += list(args)
    self.env = env or {}
    self.process = None
    self.notify = None
    self.clients = []

  def __enter__(self):
    self.start()
    return self

  def __exit__(self, kind, *_):
    if kind is None:
      self.stop()
    else:
      self.kill()

  def spawn(self):
    env = sanitizer_env(os.environ)
    for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC", "XDG_RUNTIME_DIR"):
      env.pop(name, None)
    path = os.path.join(self.folder, "notify")
    if os.path.exists(path):
      os.unlink(path)
    self.notify = NotifySocket(path)
    env["NOTIFY_SOCKET"] = path
    env.update(self.env)
    # Dies with the test, however that ends.
    command = ["setpriv", "--pdeathsig", "KILL", *self.wrap, VMREQD] + self.args
    options = {}
    if self.listen is not None:
      # As systemd does it: descriptor 3, and the process's own id.
      fd = self.listen.fileno()
      script = f'exec 3<&{fd}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'
      command = ["sh", "-c", script, "sh"] + command
      options["pass_fds"] = (fd,)
    with open(self.stderr_path, "ab") as err, open(self.stdout_path, "ab") as out:
      self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=out,
                                      stderr=err, **options)
    return self

  def start(self):
    self.spawn()
    if not self.notify.wait("READY=1", self.process, deadline()):
      raise AssertionError(f"vmreqd ended with {self.process.returncode}:\n{self.stderr()}")
    return self

  def stderr(self):
    with open(self.stderr_path, encoding="utf-8", errors="replace") as file:
      return file.read()

  def until_logged(self, *words):
    """Reads its standard error until it has all of these: a thread of its own writes it, some time."""
    until = deadline()
    with Client(self.path) as client:
      while True:
        text = self.stderr()
        if all(word in text for word in words):
          return text
        if not left(until):
          raise Timeout(f"never logged: {[word for word in words if word not in text]}:\n{text[-4000:]}")
        client.call("vmreq.ping")

  def client(self, **options):
    client = Client(self.path, **options)
    self.clients.append(client)
    return client

  def client_as(self, uid, gid=None, groups=(), **options):
    """A connection of somebody else's, who is let through by whatever stands before the policy."""
    os.chmod(self.folder, 0o755)
    with identity(uid, gid, groups):
      return self.client(**options)

  def reload(self):
    """SIGHUP, and what the daemon tells the service manager when it is through."""
    self.notify.take_all()
    self.notify.seen.clear()
    self.process.send_signal(signal.SIGHUP)
    self.notify.wait("RELOADING=1", self.process, deadline())
    self.notify.wait("READY=1", self.process, deadline())

  def terminate(self):
    self.process.send_signal(signal.SIGTERM)

  def wait(self, timeout=None):
    try:
      return self.process.wait(timeout or WAIT)
    except subprocess.TimeoutExpired:
      raise Timeout(f"vmreqd does not end:\n{self.stderr()[-4000:]}") from None

  def finish(self, timeout=None):
    """After SIGTERM: it ends with 0, and no sanitizer had anything to say."""
    code = self.wait(timeout)
    self.close()
    text = self.stderr()
    if SANITIZER_REPORT.search(text):
      raise AssertionError(f"a sanitizer report:\n{text[-20000:]}")
    if code != 0:
      raise AssertionError(f"vmreqd ended with {code}:\n{text[-4000:]}")

  def stop(self):
    self.close_clients()
    if self.process.poll() is None:
      self.terminate()
    self.finish()

  def kill(self):
    self.close_clients()
    if self.process and self.process.poll() is None:
      self.process.kill()
      self.process.wait()
    self.close()
    sys.stderr.write(f"--- vmreqd's stderr:\n{self.stderr()[-20000:]}\n---\n")

  def close_clients(self):
    for client in self.clients:
      client.close()

  def close(self):
    self.close_clients()
    if self.notify:
      self.notify.take_all()
      self.notify.close()

  def rss_kib(self):
    with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
      return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))

  def descriptors(self):
    # What nobody reads from the notify socket holds the daemon's thread there, and its descriptor.
    self.notify.take_all()
    return len(os.listdir(f"/proc/{self.process.pid}/fd"))


# --- programs ---------------------------------------------------------------------------------------

class Finished:
  """What a program that ran to its end left: code, out, err, seconds."""

  def __init__(self, command, code, out, err, seconds):
    self.command, self.code, self.seconds = command, code, seconds
    self.out, self.err = out.decode(errors="replace"), err.decode(errors="replace")

  def __repr__(self):
    return f"{' '.join(self.command)}\n→ {self.code}\n{self.out}{self.err}"


def run(*command, timeout=None, data=b"", env=None, cwd=None):
  """Runs a program to its end; a sanitizer report of it fails the test."""
  started = time.monotonic()
  environment = sanitizer_env(os.environ)
  environment.update(env or {})
  try:
    done = subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=timeout or WAIT, env=environment, cwd=cwd, check=False)
  except subprocess.TimeoutExpired as late:
    raise Timeout(f"{' '.join(command)} did not end; {late.stdout!r} {late.stderr!r}") from None
  finished = Finished(command, done.returncode, done.stdout, done.stderr, time.monotonic() - started)
  if SANITIZER_REPORT.search(finished.err):
    raise AssertionError(f"a sanitizer report: {finished!r}")
  return finished


class Terminal:
  """A program at a terminal of its own: keys go in, what it shows comes out."""

  def __init__(self, *command, env=None):
    self.shown = b""
    environment = sanitizer_env(os.environ)
    environment.update({"TERM": "xterm", "LC_ALL": "C.UTF-8"})
    environment.pop("NO_COLOR", None)
    environment.update(env or {})
    self.pid, self.fd = pty.fork()
    if self.pid == 0:
      os.execvpe(command[0], command, environment)
    self.code = None

  def __enter__(self):
    return self

  def __exit__(self, *_):
    if self.code is None:
      os.kill(self.pid, signal.SIGKILL)
      os.waitpid(self.pid, 0)
    os.close(self.fd)

  def type(self, keys):
    os.write(self.fd, keys.encode())

  def read(self, until):
    if not select.select([self.fd], [], [], left(until))[0]:
      raise Timeout(f"the terminal shows {self.shown[-2000:]!r}")
    try:
      data = os.read(self.fd, 65536)
    except OSError:  # the other side has been closed
      data = b""
    self.shown += data
    return bool(data)

  def expect(self, pattern):
    """Waits until what it shows has this (a regular expression of bytes), and takes it off."""
    until = deadline()
    while True:
      match = re.search(pattern, self.shown, re.DOTALL)
      if match:
        self.shown = self.shown[match.end():]
        return match
      if not self.read(until):
        raise AssertionError(f"it ended, and showed {self.shown[-2000:]!r}")

  def end(self):
    """Waits for the end of the program; its exit status, negative for a signal."""
    until = deadline()
    while self.read(until):
      pass
    self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
    return self.code


# The exit statuses of vmreqctl.
OK, USAGE, LOST, FAILED, REFUSED, TIMED_OUT, CANCELLED = range(7)


def vmreqctl(path, *args, **options):
  return run(VMREQCTL, "-s", path, *args, **options)


def vmreqd(*args, **options):
  return run(VMREQD, *args, **options)


def build_probe(case):
  """Builds tests/integration/probe.c outside the tree, against vmreq-module.h alone; its path.

  `case` is the test class whose end it goes with.
  """
  folder = tempfile.TemporaryDirectory(prefix="vmreq-probe-")
  case.addClassCleanup(folder.cleanup)
  include = os.path.join(folder.name, "include")
  os.mkdir(include)
  os.symlink(os.path.join(ROOT, "daemon", "symbols", "vmreq-module.h"),
             os.path.join(include, "vmreq-module.h"))
  plugin = os.path.join(folder.name, "probe.so")
  subprocess.run([os.environ.get("VMREQ_CC", "cc"), "-shared", "-fPIC", "-std=gnu11", "-Wall", "-Wextra",
                  "-Werror", "-I", include, "-o", plugin,
                  os.path.join(ROOT, "tests", "integration", "probe.c")], check=True, timeout=WAIT)
  return plugin


# --- the test case ----------------------------------------------------------------------------------

class TestCase(unittest.TestCase):
  """A test with a hard end: an alarm fails it, and a second, later one ends the process."""

  SECONDS = TEST

  def run(self, result=None):
    def on_alarm(*_):
      raise Timeout(f"{self.id()} took longer than {self.SECONDS} s")
    previous = signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(int(self.SECONDS))
    faulthandler.dump_traceback_later(self.SECONDS + 30, exit=True)
    try:
      return super().run(result)
    finally:
      faulthandler.cancel_dump_traceback_later()
      signal.alarm(0)
      signal.signal(signal.SIGALRM, previous)

  def assertError(self, error, name, *words, ran=None):
    self.assertEqual(error.name, name, str(error))
    for word in words:
      self.assertIn(word, error.message + json.dumps(error.data, default=str))
    if ran is not None:
      self.assertEqual(error.ran, ran, str(error))


class SharedDaemon(TestCase):
  """One daemon for all tests of a class, and one fresh connection, self.client, for each test."""

  CPUS = 3
  MODULES = ("debug",)
  CONFIG = None

  @classmethod
  def setUpClass(cls):
    cls.daemon = Daemon(cpus=cls.CPUS, modules=cls.modules(), config=cls.CONFIG)
    cls.daemon.start()

  @classmethod
  def modules(cls):
    return cls.MODULES

  @classmethod
  def tearDownClass(cls):
    cls.daemon.stop()

  def setUp(self):
    self.client = self.daemon.client()
    self.addCleanup(self.check_alive)

  def check_alive(self):
    """Whatever a test did to it: the daemon lives, every EMT is free and runs calls."""
    self.client.close()
    self.assertIsNone(self.daemon.process.poll(), f"vmreqd is gone:\n{self.daemon.stderr()[-4000:]}")
    with Client(self.daemon.path) as other:
      for cpu in range(self.CPUS):
        self.assertEqual(other.call_to("debug.whoami", [], cpu=cpu), cpu)


class SharedCtl(SharedDaemon):
  """The same for tests of vmreqctl."""

  def ctl(self, *args, **options):
    return vmreqctl(self.daemon.path, *args, **options)

  def good(self, *args, **options):
    """What it prints, having nothing to complain of."""
    done = self.ctl(*args, **options)
    self.assertEqual((done.code, done.err), (OK, ""), done)
    return done.out

  def bad(self, code, *args, says=(), **options):
    """It ends with this status, and says why on one line, with these words in it."""
    done = self.ctl(*args, **options)
    self.assertEqual(done.code, code, done)
    self.assertTrue(done.err.strip(), done)
    self.assertEqual(len(done.err.strip().split("\n")), 1, done)
    for word in says:
      self.assertIn(word, done.err)
    return done


def uint32(value):
  return struct.pack(">I", value)


def main():
  unittest.main(verbosity=2)
