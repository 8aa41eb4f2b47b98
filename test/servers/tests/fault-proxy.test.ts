import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createFaultProxy, type FaultProxy } from '../fault-proxy.js';
import { isFree } from '../free-port.js';
import { waitFor } from '../wait.js';

/** A client's socket and all that has happened to it. */
class Client {
  received = '';
  ended = false;
  closed = false;
  error: string | undefined;

  constructor(readonly socket: Socket) {
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => (this.received += text));
    socket.on('end', () => (this.ended = true));
    socket.on('close', () => (this.closed = true));
    socket.on('error', (error: NodeJS.ErrnoException) => (this.error = error.code));
  }

  send(text: string): this {
    this.socket.write(text);
    return this;
  }
}

const until = (what: string, condition: () => boolean) => waitFor(condition, { what, timeoutMs: 5_000, intervalMs: 2 });

describe('fault proxy', () => {
  let server: Server;
  let accepted: Client[];
  let proxy: FaultProxy;
  let clients: Client[];

  beforeEach(async () => {
    accepted = [];
    clients = [];
    // An echo: whatever arrives goes back.
    server = createServer((socket) => {
      accepted.push(new Client(socket));
      socket.on('data', (data) => socket.write(data));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    proxy = await createFaultProxy([{ name: 'echo', host: '127.0.0.1', port: (server.address() as AddressInfo).port }]);
  });

  afterEach(async () => {
    for (const client of [...clients, ...accepted]) client.socket.destroy();
    await proxy.close();
    server.close();
  });

  async function open(): Promise<Client> {
    const client = new Client(connect({ host: '127.0.0.1', port: proxy.port }));
    clients.push(client);
    await until('a connection', () => !client.socket.connecting || client.error !== undefined);
    return client;
  }

  async function talking(): Promise<{ client: Client; peer: Client }> {
    const client = (await open()).send('hello');
    await until('an echo', () => client.received === 'hello');
    const peer = accepted.at(-1);
    if (!peer) throw new Error('the server has accepted nothing');
    return { client, peer };
  }

  it('passes bytes and ends in both directions, and counts', async () => {
    const { client, peer } = await talking();
    expect(proxy.counts).toEqual({ open: 1, total: 1, bytesToServer: 5, bytesToClient: 5 });
    client.socket.end();
    await until('the end at the server', () => peer.ended);
    await until('the close', () => client.closed && proxy.counts.open === 0);
    expect(client.error).toBeUndefined();
    expect(proxy.counts.total).toBe(1);
  });

  it('passes large amounts unchanged, whatever the buffers do', async () => {
    const client = await open();
    const text = 'abcdefghij'.repeat(800_000);
    client.send(text);
    await until('all of it', () => client.received.length === text.length);
    expect(client.received).toBe(text);
  });

  it('passes on an RST as an RST', async () => {
    const { client, peer } = await talking();
    peer.socket.resetAndDestroy();
    await until('the reset', () => client.error === 'ECONNRESET');
  });

  it('answers with an RST when the server is gone', async () => {
    for (const client of accepted) client.socket.destroy();
    server.close();
    const client = await open();
    await until('the reset', () => client.error === 'ECONNRESET');
  });

  it('delays both directions and keeps the order', async () => {
    const { client } = await talking();
    proxy.delay(200);
    const begin = performance.now();
    client.send('1');
    client.send('2');
    client.send('3');
    await until('the echo', () => client.received === 'hello123');
    expect(performance.now() - begin).toBeGreaterThanOrEqual(390);
    proxy.delay(600_000);
    await proxy.heal();
    client.send('4');
    await until('the quick echo', () => client.received === 'hello1234');
  });

  it('drops: ends what exists, refuses what comes, until healed', async () => {
    const { client, peer } = await talking();
    await proxy.drop();
    await until('the ends', () => client.closed && peer.closed);
    expect(client.error).toBeUndefined();
    expect((await open()).error).toBe('ECONNREFUSED');
    await proxy.heal();
    await talking();
  });

  it('resets what exists and lets new connections work', async () => {
    const { client, peer } = await talking();
    proxy.reset();
    await until('the resets', () => client.error === 'ECONNRESET' && peer.error === 'ECONNRESET');
    await talking();
  });

  it('resets new connections too when asked, until healed', async () => {
    proxy.reset({ newToo: true });
    const client = await open();
    await until('the reset', () => client.error === 'ECONNRESET');
    await proxy.heal();
    await talking();
  });

  it('is a black hole for old and new connections, and delivers what waited after healing', async () => {
    const { client, peer } = await talking();
    proxy.blackhole();
    client.send('lost?');
    peer.send('news');
    const late = (await open()).send('anyone?');
    // What passes through is seen within a round trip of a connection that is not held.
    await roundTripElsewhere();
    expect([client.received, peer.received, late.received]).toEqual(['hello', 'hello', '']);
    expect([client.closed, late.closed, late.error]).toEqual([false, false, undefined]);
    await proxy.heal();
    await until('what waited', () => client.received === 'hellonewslost?' && late.received === 'anyone?');
  });

  it('holds back ends and resets in a black hole', async () => {
    const { client, peer } = await talking();
    proxy.blackhole();
    client.socket.destroy();
    await roundTripElsewhere();
    expect([peer.ended, peer.closed]).toEqual([false, false]);
    await proxy.heal();
    await until('the end', () => peer.ended || peer.closed);
  });

  it('cuts one direction only', async () => {
    const { client, peer } = await talking();
    proxy.blackhole('to-client');
    client.send('out');
    await until('arrival at the server', () => peer.received === 'helloout');
    await roundTripElsewhere();
    expect(client.received).toBe('hello');
    await proxy.heal();
    await until('the answer', () => client.received === 'helloout');
  });

  it('resets what a black hole held back when asked', async () => {
    const { client } = await talking();
    proxy.blackhole();
    await proxy.heal({ resetHeld: true });
    await until('the reset', () => client.error === 'ECONNRESET');
    await talking();
  });

  it('leaves the client half open when the server vanishes', async () => {
    const { client, peer } = await talking();
    proxy.halfOpen('server');
    await until("the server's loss", () => peer.closed);
    client.send('still there?');
    await roundTripElsewhere();
    expect([client.received, client.closed, client.error]).toEqual(['hello', false, undefined]);
    await talking();
    await proxy.heal();
    expect(client.closed).toBe(false);
  });

  it('leaves the server half open when the client vanishes', async () => {
    const { client, peer } = await talking();
    proxy.halfOpen('client');
    await until("the client's loss", () => client.closed);
    await roundTripElsewhere();
    expect([peer.ended, peer.closed, peer.error]).toEqual([false, false, undefined]);
  });

  it('stands in front of several ports at their distances', async () => {
    const second = createServer((socket) => socket.end('second')).listen(0, '127.0.0.1');
    await once(second, 'listening');
    const two = await createFaultProxy([
      { name: 'http', host: '127.0.0.1', port: (server.address() as AddressInfo).port, offset: 0 },
      { name: 'grpc', host: '127.0.0.1', port: (second.address() as AddressInfo).port, offset: 1_000 },
    ]);
    expect(two.ports).toEqual({ http: two.port, grpc: two.port + 1_000 });
    const client = new Client(connect({ host: '127.0.0.1', port: two.port + 1_000 }));
    await until('the second server', () => client.received === 'second');
    await two.close();
    second.close();
  });

  it('frees its port and its connections when closed', async () => {
    const { client, peer } = await talking();
    proxy.blackhole();
    await proxy.close();
    await until('the ends', () => client.closed && peer.closed);
    expect(await isFree(proxy.port)).toBe(true);
  });

  /** Time enough for anything on loopback to have arrived, measured by a connection through a proxy without faults. */
  async function roundTripElsewhere(): Promise<void> {
    const other = await createFaultProxy([
      { name: 'echo', host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    ]);
    for (let i = 0; i < 10; i++) {
      const socket = connect({ host: '127.0.0.1', port: other.port });
      socket.write('ping');
      await once(socket, 'data');
      socket.destroy();
    }
    await other.close();
  }
});
