#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""nvim as a client: sockconnect with rpc, in its Lua and its Vimscript form."""
import concurrent.futures
import json
import os
import signal
import subprocess
import tempfile

import vmreqtest

NVIM = ["nvim", "--headless", "-u", "NONE", "-i", "NONE", "-n"]


def lua(path, body):
  """Runs Lua with `ch` connected; the script says how nvim ends.  nvim has no request timeout of its own."""
  script = f"""
local ok, ch = pcall(vim.fn.sockconnect, 'pipe', '{path}', {{rpc = true}})
if not ok then io.stdout:write(tostring(ch)..'\\n') vim.cmd('cquit 4') end
local function try(...)
  return pcall(vim.rpcrequest, ch, ...)
end
local function show(ok, r)
  io.stdout:write((ok and vim.json.encode(r) or tostring(r))..'\\n')
  vim.cmd(ok and 'qall!' or 'cquit 3')
end
{body}
"""
  with tempfile.NamedTemporaryFile("w", prefix="vmreq-", suffix=".lua") as file:
    file.write(script)
    file.flush()
    # A script that fails on its own must not leave nvim sitting there.
    guard = f"lua local ok,e=pcall(dofile,'{file.name}'); " \
            f"if not ok then io.stdout:write(tostring(e)..'\\n') vim.cmd('cquit 9') end"
    return vmreqtest.run("timeout", "-k", "5", str(vmreqtest.WAIT), *NVIM, f"+{guard}",
                         timeout=vmreqtest.WAIT + 10)


class Nvim(vmreqtest.SharedDaemon):
  def lua(self, body):
    return lua(self.daemon.path, body)

  def test_add_prints_42(self):
    done = self.lua("show(try('debug.add', 40, 2))")
    self.assertEqual((done.code, done.out), (0, "42\n"), done)

  def test_add_in_one_line(self):
    """The command line as documented for users."""
    done = vmreqtest.run(
      "timeout", str(vmreqtest.WAIT), *NVIM,
      f"+lua local ch=vim.fn.sockconnect('pipe','{self.daemon.path}',{{rpc=true}}); "
      "local ok,r=pcall(vim.rpcrequest,ch,'debug.add',40,2); "
      "io.stdout:write((ok and vim.json.encode(r) or tostring(r))..'\\n'); "
      "vim.cmd(ok and 'qall!' or 'cquit 3')")
    self.assertEqual((done.code, done.out), (0, "42\n"), done)

  def test_failing_call_shows_its_text_and_counts_as_failed(self):
    done = self.lua("show(try('debug.fail', -5, 'the disk is gone'))")
    self.assertEqual(done.code, 3, done)
    self.assertIn("the disk is gone", done.out)
    self.assertIn("FAILED", done.out)
    done = self.lua("show(try('debug.none'))")
    self.assertEqual(done.code, 3, done)
    self.assertIn("NOT_FOUND", done.out)

  def test_failure_text_after_api_info_too(self):
    done = self.lua("try('nvim_get_api_info') show(try('debug.fail', -5, 'the disk is gone'))")
    self.assertEqual(done.code, 3, done)
    self.assertIn("the disk is gone", done.out)

  def test_echo_of_scalars(self):
    for text in ("0", "-1", "127", "2147483648", "9007199254740991", "-9223372036854775807", "true",
                 "false", "'text'", "''", "1.5"):
      done = self.lua(f"""
local ok, r = try('debug.echo', {text})
show(ok, ok and r == {text} and 'same' or r)""")
      self.assertEqual((done.code, done.out), (0, '"same"\n'), done)
    done = self.lua("local ok, r = try('debug.echo', vim.NIL) show(ok, r == vim.NIL and 'same' or r)")
    self.assertEqual((done.code, done.out), (0, '"same"\n'), done)

  def test_echo_of_containers(self):
    done = self.lua("show(try('debug.echo', {1, 'two', {k = {true}}}))")
    self.assertEqual((done.code, json.loads(done.out)), (0, [1, "two", {"k": [True]}]), done)

  def test_options_and_rows(self):
    done = self.lua("show(try('vmreq.call', 'debug.whoami', {}, {cpu = 'all-reverse'}))")
    self.assertEqual(done.code, 0, done)
    self.assertEqual([row["value"] for row in json.loads(done.out)], [2, 1, 0])

  def test_broker_methods(self):
    for method in ("vmreq.status", "vmreq.symbols", "nvim_get_api_info"):
      done = self.lua(f"show(try('{method}'))")
      self.assertEqual(done.code, 0, done)
    done = self.lua("show(try('vmreq.hello', {client = 'nvim'}))")
    self.assertEqual(json.loads(done.out)["server"], "vmreqd")

  def test_large_reply(self):
    done = self.lua("""
local ok, r = try('debug.echo', string.rep('z', 8000000))
show(ok, ok and #r or r)""")
    self.assertEqual((done.code, done.out), (0, "8000000\n"), done)

  def test_deepest_reply_leaves_nvim_alive(self):
    done = self.lua("""
local v = 0
for _ = 1, 25 do v = {v} end
local ok, r = try('debug.echo', v)
local n = 0
while ok and type(r) == 'table' do r = r[1] n = n + 1 end
show(ok, ok and n or r)""")
    self.assertEqual((done.code, done.out), (0, "25\n"), done)

  def test_notifications(self):
    done = self.lua("""
for _ = 1, 1000 do vim.rpcnotify(ch, 'debug.add', 1, 2) end
vim.rpcnotify(ch, 'debug.none', 1)
show(try('debug.add', 40, 2))""")
    self.assertEqual((done.code, done.out), (0, "42\n"), done)

  def test_many_calls(self):
    done = self.lua("""
local sum = 0
for n = 1, 1000 do
  local ok, r = try('debug.add', n, 0)
  if not ok then show(ok, r) end
  sum = sum + r
end
show(true, sum)""")
    self.assertEqual((done.code, done.out), (0, "500500\n"), done)

  def test_timeout_is_an_error(self):
    done = self.lua("show(try('vmreq.call', 'debug.sleep', {60000}, {timeout_ms = 50}))")
    self.assertEqual(done.code, 3, done)
    self.assertIn("TIMEOUT", done.out)

  def test_eight_in_parallel(self):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
      results = list(pool.map(lambda n: self.lua(f"show(try('debug.add', {n}, 2))"), range(8)))
    self.assertEqual([(r.code, r.out) for r in results], [(0, f"{n + 2}\n") for n in range(8)])

  def test_vimscript(self):
    done = vmreqtest.run(
      "timeout", str(vmreqtest.WAIT), *NVIM,
      "--cmd", f"let ch=sockconnect('pipe','{self.daemon.path}',{{'rpc':1}})",
      "--cmd", "echo json_encode(rpcrequest(ch,'debug.add',40,2))", "--cmd", "qall!")
    self.assertEqual((done.code, done.err.strip()), (0, "42"), done)

  def test_vimscript_failure(self):
    with tempfile.NamedTemporaryFile("w", prefix="vmreq-", suffix=".vim") as file:
      file.write(f"""
try
  let ch = sockconnect('pipe', '{self.daemon.path}', {{'rpc': 1}})
  call rpcrequest(ch, 'debug.fail', -5, 'the disk is gone')
  qall!
catch
  echo v:exception
  cquit 3
endtry
""")
      file.flush()
      done = vmreqtest.run("timeout", str(vmreqtest.WAIT), *NVIM, "-S", file.name)
    self.assertEqual(done.code, 3, done)
    self.assertIn("the disk is gone", done.err + done.out)

  def test_nobody_there(self):
    done = lua("/nonexistent/socket", "show(try('debug.add', 40, 2))")
    self.assertEqual(done.code, 4, done)

  def test_killed_in_mid_call(self):
    script = f"lua local ch=vim.fn.sockconnect('pipe','{self.daemon.path}',{{rpc=true}}); " \
             "vim.rpcrequest(ch,'vmreq.call','debug.block',{{}},{cpu=0,timeout_ms=0})"
    script = script.replace("{{}}", "{}")
    with subprocess.Popen(NVIM + [f"+{script}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, start_new_session=True) as process:
      try:
        self.client.until_runs(0, "debug.block")
      finally:
        os.killpg(process.pid, signal.SIGKILL)
    self.client.until_idle(0)


if __name__ == "__main__":
  vmreqtest.main()
