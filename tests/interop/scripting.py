#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Perl's Data::MessagePack and Ruby's msgpack by hand, as a script of an administrator would use them."""
import concurrent.futures
import json
import shutil
import signal
import subprocess
import unittest

import vmreqtest

PERL = r"""
use strict; use warnings;
use IO::Socket::UNIX; use Data::MessagePack; use JSON::PP ();
sub Data::MessagePack::Boolean::TO_JSON { ${$_[0]} ? JSON::PP::true() : JSON::PP::false() }
sub message { my ($v) = @_; JSON::PP::is_bool($v) ? ($v ? Data::MessagePack::true() : Data::MessagePack::false()) : $v }
my ($path, $method, @words) = @ARGV;
my $socket = IO::Socket::UNIX->new(Peer => $path) or die "connect: $!";
my $packer = Data::MessagePack->new->prefer_integer->utf8;
my @args = map { message(JSON::PP->new->allow_nonref->decode($_)) } @words;
$socket->syswrite($packer->pack([0, 1, $method, \@args]));
my ($bytes, $unpacker) = ("", Data::MessagePack::Unpacker->new->utf8);
my $offset = 0;
while ($socket->sysread(my $more, 65536)) {
  $bytes .= $more;
  $offset = $unpacker->execute($bytes, $offset);
  next unless $unpacker->is_finished;
  my (undef, undef, $error, $result) = @{$unpacker->data};
  if (defined $error) { print STDERR "$error\n"; exit 3 }
  print JSON::PP->new->allow_nonref->convert_blessed->encode($result), "\n";
  exit 0;
}
die "the daemon closed the connection\n";
"""

RUBY = r"""
require 'socket'
require 'json'
require 'msgpack'
path, method, *words = ARGV
socket = UNIXSocket.new(path)
args = words.map { |word| JSON.parse("[#{word}]")[0] }
socket.write([0, 1, method, args].to_msgpack)
MessagePack::Unpacker.new(socket).each do |_, _, error, result|
  if error
    warn error
    exit 3
  end
  puts JSON.generate(result)
  exit 0
end
abort 'the daemon closed the connection'
"""


def missing(*command):
  return not shutil.which(command[0]) or vmreqtest.run(*command).code != 0


class Scripts(vmreqtest.SharedDaemon):
  COMMAND = None   # the interpreter and how it takes a script

  @classmethod
  def setUpClass(cls):
    if cls.COMMAND is None:
      raise unittest.SkipTest("the tests of both")
    super().setUpClass()

  @classmethod
  def tearDownClass(cls):
    if cls.COMMAND is not None:
      super().tearDownClass()

  def script(self, method, *args):
    return vmreqtest.run(*self.COMMAND, self.daemon.path, method, *(json.dumps(a) for a in args))

  def shows(self, value, method, *args):
    done = self.script(method, *args)
    self.assertEqual(done.code, 0, done)
    self.assertEqual(json.loads(done.out), value, done)

  def test_add(self):
    self.shows(42, "debug.add", 40, 2)

  def test_echo(self):
    for value in (None, True, False, 0, -1, 127, 2**31, 2**53, "text", "ä€", [1, ["two"]], {"k": {"v": [1]}}):
      self.shows(value, "debug.echo", value)

  def test_failures(self):
    for method, args, name in (("debug.fail", (-5, "the disk is gone"), "the disk is gone"),
                               ("debug.none", (), "NOT_FOUND"), ("debug.add", (1, "two"), "INVALID_ARGUMENT")):
      done = self.script(method, *args)
      self.assertEqual(done.code, 3, done)
      self.assertIn(name, done.err)

  def test_rows(self):
    done = self.script("vmreq.call", "debug.whoami", [], {"cpu": "all-reverse"})
    self.assertEqual([row["value"] for row in json.loads(done.out)], [2, 1, 0], done)

  def test_symbols(self):
    self.assertIn("debug.add", json.loads(self.script("vmreq.symbols").out))
    self.assertIn("debug.add", self.script("nvim_get_api_info").out)

  def test_eight_in_parallel(self):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
      results = list(pool.map(lambda n: self.script("debug.add", n, 2).out, range(8)))
    self.assertEqual(results, [f"{n + 2}\n" for n in range(8)])

  def test_killed_in_mid_call(self):
    command = [*self.COMMAND, self.daemon.path, "vmreq.call", '"debug.block"', "[]",
               '{"cpu": 0, "timeout_ms": 0}']
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
      try:
        self.client.until_runs(0, "debug.block")
      finally:
        process.send_signal(signal.SIGKILL)
    self.client.until_idle(0)


@unittest.skipIf(missing("perl", "-MData::MessagePack", "-MJSON::PP", "-e1"), "no Data::MessagePack for perl")
class Perl(Scripts):
  COMMAND = ("perl", "-e", PERL)


@unittest.skipIf(missing("ruby", "-rmsgpack", "-e", "1"), "no msgpack for ruby")
class Ruby(Scripts):
  COMMAND = ("ruby", "-e", RUBY)


if __name__ == "__main__":
  vmreqtest.main()
