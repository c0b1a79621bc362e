# SPDX-License-Identifier: MIT
"""tool-flood beside a test: starts it, waits until each of its links has begun, ends it, reads its report.

  with flood.Flood(daemon, "never-read", links=50) as attack:
    ...                                       # the attack goes on meanwhile
  attack.report["connected"]
"""
import json
import os
import select
import subprocess

import vmreqtest

TOOL = os.path.join(vmreqtest.BUILD, "tool-flood")


class Flood:
  """Options as tool-flood's: links=20, hold_ms=5, no_read=True, uid="nobody" …"""

  def __init__(self, daemon, pattern, **options):
    self.command = ["setpriv", "--pdeathsig", "KILL", TOOL, "--socket", daemon.path, "--json",
                    "--until-eof"]
    for name, value in options.items():
      option = "--" + name.replace("_", "-")
      self.command += [option] if value is True else [option, str(value)]
    self.command.append(pattern)
    self.process, self.report = None, None

  def __enter__(self):
    self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, env=vmreqtest.sanitizer_env(os.environ))
    if not select.select([self.process.stdout], [], [], vmreqtest.WAIT)[0]:
      self.process.kill()
      raise vmreqtest.Timeout(f"{' '.join(self.command)} is not ready")
    line = self.process.stdout.readline()
    if line != b"ready\n":
      raise AssertionError(f"{' '.join(self.command)}: {line!r} {self.finish()!r}")
    return self

  def __exit__(self, kind, *_):
    if kind is not None:
      self.process.kill()
    result = self.finish()
    if kind is None:
      out, err = result
      if self.process.returncode != 0:
        raise AssertionError(f"{' '.join(self.command)}: {self.process.returncode}\n{out}{err}")
      self.report = json.loads(out)

  def finish(self):
    """Its standard input ends, and so does it."""
    try:
      out, err = self.process.communicate(timeout=vmreqtest.WAIT)
    except subprocess.TimeoutExpired:
      self.process.kill()
      out, err = self.process.communicate()
    return out.decode(errors="replace"), err.decode(errors="replace")
