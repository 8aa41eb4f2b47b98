import { createServer, type Server, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { NatsClient, type NatsClientOptions } from '../../../lib/backends/nats/index.js';
import { activeResources, leakedResources } from '../../contract/contract-harness.js';
import { freePorts } from '../../servers/free-port.js';
import { Opened } from './support.js';

/** Accepts, and greets only while it is told to. */
class Silent {
  greets = false;
  readonly open = new Set<Socket>();
  /** Sockets that there were at all, and most of them at a time. */
  seen = 0;
  most = 0;
  private readonly server: Server = createServer((socket) => {
    this.open.add(socket);
    this.seen += 1;
    // The end of the socket before may be told of right after this one.
    setTimeout(() => (this.most = Math.max(this.most, this.open.size)), 30);
    socket.on('error', () => {});
    socket.on('close', () => this.open.delete(socket));
    if (!this.greets) return void socket.resume();
    socket.write(`INFO {"server_id":"S","version":"2.10.0","proto":1,"max_payload":1048576,"headers":true}\r\n`);
    socket.on('data', (data) => {
      if (data.includes('PING\r\n')) socket.write('PONG\r\n');
    });
  });

  async listen(opened: Opened): Promise<string> {
    const { port } = await freePorts('port');
    await new Promise<void>((resolve) => this.server.listen(port, '127.0.0.1', resolve));
    opened.closing(async () => {
      for (const socket of this.open) socket.destroy();
      await new Promise((resolve) => this.server.close(resolve));
    });
    return `127.0.0.1:${port}`;
  }
}

describe.each(['nats', '@nats-io/transport-node'] as const)(
  'a server that accepts and is silent, with %s',
  (library) => {
    const opened = new Opened();
    const quick: NatsClientOptions = { library, connectTimeoutMs: 150, reconnectWaitMs: 50 };

    it.each([
      ['plain', {}],
      ['with TLS from the first byte', { tls: { handshakeFirst: true } }],
      ['with TLS', { tls: { rejectUnauthorized: false } }],
    ] satisfies [string, NatsClientOptions][])(
      'has one socket at a time and none after close: %s',
      async (_, options) => {
        const silent = new Silent();
        const url = await silent.listen(opened);
        const before = activeResources();
        const client = new NatsClient({ servers: url, ...quick, ...options });
        await client.open();
        await expect.poll(() => silent.seen, { timeout: 15_000 }).toBeGreaterThan(5);
        expect(silent.most).toBe(1);
        await client.close();
        await expect.poll(() => silent.open.size).toBe(0);
        await expect.poll(() => leakedResources(before), { timeout: 5000 }).toEqual([]);
      },
    );

    it('has one at a time of a list, too', async () => {
      const [one, other] = [new Silent(), new Silent()];
      const servers = [await one.listen(opened), await other.listen(opened)];
      const client = new NatsClient({ servers, ...quick });
      await client.open();
      await expect.poll(() => Math.min(one.seen, other.seen), { timeout: 15_000 }).toBeGreaterThan(3);
      expect([one.most, other.most]).toEqual([1, 1]);
      await client.close();
      await expect.poll(() => one.open.size + other.open.size).toBe(0);
    });

    it('has one at a time when it was well before, and serves again when it speaks', async () => {
      const silent = new Silent();
      silent.greets = true;
      const url = await silent.listen(opened);
      const before = activeResources();
      const client = new NatsClient({ servers: url, ...quick });
      await client.connect();
      const hangUp = (): void => {
        for (const socket of silent.open) socket.destroy();
      };
      silent.greets = false;
      hangUp();
      await expect.poll(() => silent.seen, { timeout: 15_000 }).toBeGreaterThan(5);
      expect(silent.most).toBe(1);
      silent.greets = true;
      await expect.poll(() => client.session.state.current.phase, { timeout: 15_000 }).toBe('connected');
      expect(silent.most).toBe(1);
      silent.greets = false;
      hangUp();
      const { seen } = silent;
      await expect.poll(() => silent.seen, { timeout: 15_000 }).toBeGreaterThan(seen + 1);
      await client.close();
      await expect.poll(() => silent.open.size).toBe(0);
      await expect.poll(() => leakedResources(before), { timeout: 5000 }).toEqual([]);
    });

    it('is not waited for by close()', async () => {
      const silent = new Silent();
      const client = new NatsClient({ servers: await silent.listen(opened), library, connectTimeoutMs: 600_000 });
      await client.open();
      await expect.poll(() => silent.open.size).toBe(1);
      await client.close();
      await expect.poll(() => silent.open.size).toBe(0);
    });
  },
);
