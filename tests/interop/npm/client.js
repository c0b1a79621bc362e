// SPDX-License-Identifier: MIT
// Clients from npm, each asked to do the same: node client.js CLIENT SOCKET SCENARIO.  Prints one line of JSON.
'use strict';

const net = require('net');
const { Writable } = require('stream');

// By hand on @msgpack/msgpack: what its users write.
async function byHand(path) {
  const { encode, decodeMultiStream } = require('@msgpack/msgpack');
  const socket = net.connect(path);
  const waiting = new Map();
  let next = 0;
  socket.on('error', () => {});
  (async () => {
    for await (const [, msgid, error, result] of decodeMultiStream(socket)) {
      const { resolve, reject } = waiting.get(msgid);
      waiting.delete(msgid);
      if (error !== null) reject(new Error(error));
      else resolve(result);
    }
  })().catch(() => {});
  await new Promise((resolve) => socket.once('connect', resolve));
  const send = (bytes, bytewise) => {
    if (!bytewise) return socket.write(bytes);
    for (const byte of bytes) socket.write(Uint8Array.of(byte));
    return true;
  };
  return {
    request(method, args, bytewise) {
      const msgid = next++;
      return new Promise((resolve, reject) => {
        waiting.set(msgid, { resolve, reject });
        send(encode([0, msgid, method, args]), bytewise);
      });
    },
    notify: (method, args) => send(encode([2, method, args])),
  };
}

// The npm package neovim, by its attach; it asks for nvim_get_api_info first.
async function neovim(path, bytewise) {
  const { attach } = require('neovim');
  let nvim;
  if (bytewise) {
    const socket = net.connect(path);
    const writer = new Writable({
      write(chunk, _, done) {
        for (const byte of chunk) socket.write(Uint8Array.of(byte));
        done();
      },
    });
    nvim = attach({ reader: socket, writer });
  } else {
    nvim = attach({ socket: path });
  }
  await nvim.channelId;
  return {
    request: (method, args) => nvim.request(method, args),
    notify: (method, args) => nvim.notify(method, args),
  };
}

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

const scenarios = {
  async add(client) {
    return client.request('debug.add', [40, 2]);
  },
  async echo(client) {
    const values = [null, true, false, 0, -1, 127, 2 ** 31, 2 ** 53 - 1, -(2 ** 53) + 1, 1.5, '', 'text', 'ä€',
      [1, [2, []]], { k: { v: [true] } }];
    for (const value of values) {
      const got = await client.request('debug.echo', [value]);
      if (!same(got, value)) return `${JSON.stringify(value)} came back as ${JSON.stringify(got)}`;
    }
    const bytes = await client.request('debug.echo', [Uint8Array.of(0, 255, 128)]);
    return same([...bytes], [0, 255, 128]) ? 'same' : 'bytes differ';
  },
  async failure(client) {
    const said = [];
    for (const [method, args] of [['debug.fail', [-5, 'the disk is gone']], ['debug.none', []],
      ['debug.add', [1, 'two']]]) {
      try {
        await client.request(method, args);
        said.push('no failure');
      } catch (error) {
        said.push(error.message);
      }
    }
    return said;
  },
  async outOfOrder(client) {
    const order = [];
    const slow = client.request('vmreq.call', ['debug.sleep', [300], { cpu: 0 }]).then(() => order.push('slow'));
    const quick = [...Array(200).keys()].map((n) =>
      client.request('vmreq.call', ['debug.add', [n, 0], { cpu: 1 }]).then((r) => order.push(r)));
    await Promise.all([slow, ...quick]);
    return [order.length, order[order.length - 1]];
  },
  async large(client) {
    return (await client.request('debug.echo', ['z'.repeat(8000000)])).length;
  },
  async bytewise(client) {
    return client.request('debug.add', [40, 2], true);
  },
  async symbols(client) {
    const names = await client.request('vmreq.symbols', []);
    const [, info] = await client.request('nvim_get_api_info', []);
    const functions = info.functions.map((f) => f.name);
    return [names.includes('debug.add'), functions.includes('debug.add')];
  },
  async rows(client) {
    const rows = await client.request('vmreq.call', ['debug.whoami', [], { cpu: 'all-reverse' }]);
    return rows.map((row) => row.value);
  },
  async notify(client) {
    for (let n = 0; n < 100; n++) client.notify('debug.add', [n, 1]);
    client.notify('debug.none', []);
    return client.request('debug.add', [40, 2]);
  },
  async block(client) {
    return client.request('vmreq.call', ['debug.block', [], { cpu: 0, timeout_ms: 0 }]);
  },
};

(async () => {
  const [, , kind, path, scenario] = process.argv;
  const client = await (kind === 'neovim' ? neovim(path, scenario === 'bytewise') : byHand(path));
  const result = await scenarios[scenario](client);
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
})().catch((error) => {
  process.stderr.write(`${error.stack}\n`, () => process.exit(1));
});
