import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { Module, type INestApplication } from '@nestjs/common';
import { WebSocket } from 'undici';
import { describe, expect, test } from 'vitest';
import { DiscoveryModule, DiscoveryTelemetry } from '../../../lib/index.js';
import { ServiceGatewayModule } from '../../../lib/integrations/gateway/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { switching } from '../../servers/switching.js';
import { createOn, portOf, type Platform } from '../support.js';
import { afterTest, open, upstream, type Upstream } from './support.js';

async function before(platform: Platform, services: readonly Upstream[]): Promise<INestApplication> {
  const registry = new InMemoryRegistry();
  for (const { port } of services) registry.addInstance('CHAT', { port });
  const backend = registry.backend();
  @Module({
    imports: [
      ServiceGatewayModule.forRoot({ routes: [{ path: '/chat/**', service: 'CHAT' }] }),
      DiscoveryModule.forRoot({ registry: backend, config: backend }),
    ],
  })
  class AppModule {}
  const app = await createOn(platform, AppModule);
  await app.listen(0, '127.0.0.1');
  return app;
}

interface Chat extends Upstream {
  /** What it was sent by each of those who came. */
  readonly sent: Buffer[];
  readonly sockets: Duplex[];
}

/** Agrees to every upgrade, and then does this. */
async function chat(then: (socket: Duplex) => void = () => {}): Promise<Chat> {
  const service = await upstream();
  const sent: Buffer[] = [];
  const sockets: Duplex[] = [];
  service.server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
    const at = sockets.push(socket) - 1;
    sent.push(Buffer.alloc(0));
    socket.on('error', () => {});
    socket.on('data', (piece: Buffer) => (sent[at] = Buffer.concat([sent[at] ?? piece, piece])));
    socket.on('end', () => socket.end());
    afterTest(() => socket.destroy());
    socket.write(switching(request));
    then(socket);
  });
  return { ...service, sent, sockets };
}

const HANDSHAKE =
  'GET /chat/x HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n' +
  'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';

/** As a client sends it: under a mask, here of zeros. */
function frame(operation: number, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x80 | operation, 0x80 | payload.length, 0, 0, 0, 0]), payload]);
}

/** What a client's frame of up to 125 bytes says. */
function unmasked(bytes: Buffer): Buffer {
  const mask = bytes.subarray(2, 6);
  return Buffer.from(bytes.subarray(6).map((byte, at) => byte ^ (mask[at % 4] ?? 0)));
}

describe.each(['express', 'fastify'] as const)("WebSockets at the gateway's end and at theirs, on %s", (platform) => {
  test('the stop of the app closes them with 1001 on both sides', async () => {
    const service = await chat((socket) => socket.write(Buffer.from([0x81, 2, 0x68, 0x69])));
    const app = await before(platform, [service]);
    const socket = new WebSocket(`ws://127.0.0.1:${portOf(app)}/chat/x`);
    const closed = new Promise<{ code: number; wasClean: boolean }>((resolve) => {
      socket.addEventListener('close', ({ code, wasClean }) => resolve({ code, wasClean }));
    });
    await new Promise<void>((resolve) => socket.addEventListener('message', () => resolve()));
    await app.close();
    expect(await closed).toMatchObject({ code: 1001 });
    await expect.poll(() => service.sent[0]?.length).toBe(8);
    const [bytes = Buffer.alloc(0)] = service.sent;
    expect([...bytes.subarray(0, 2)]).toEqual([0x88, 0x82]);
    expect(unmasked(bytes).readUInt16BE()).toBe(1001);
  });

  test('in the middle of a frame nothing is put in, and it ends all the same', async () => {
    // A text of 100 bytes, of which two have come.
    const service = await chat((socket) => socket.write(Buffer.from([0x81, 100, 0x68, 0x69])));
    const app = await before(platform, [service]);
    const socket = open(portOf(app));
    let got = Buffer.alloc(0);
    socket.on('data', (piece: Buffer) => (got = Buffer.concat([got, piece])));
    socket.write(HANDSHAKE);
    await expect.poll(() => got.subarray(-2).toString()).toBe('hi');
    const closed = once(socket, 'close');
    await app.close();
    await closed;
    expect(got.subarray(-2).toString()).toBe('hi');
    expect(service.sent[0]).toHaveLength(0);
    await expect.poll(() => service.sockets[0]?.destroyed).toBe(true);
  });

  test('who says something and closes in one go has not been broken off', async () => {
    // It hangs up when it is told to close, without an answer.
    const service = await chat((socket) => {
      socket.on('data', (piece: Buffer) => {
        if (piece.includes(Buffer.from([0x88, 0x82]))) socket.end();
      });
    });
    const app = await before(platform, [service]);
    for (let i = 1; i <= 3; i += 1) {
      const socket = open(portOf(app));
      socket.resume();
      const closed = once(socket, 'close');
      socket.write(HANDSHAKE);
      await once(socket, 'data');
      const bye = Buffer.concat([frame(1, Buffer.from('bye')), frame(8, Buffer.from([0x03, 0xe8]))]);
      // The last frame comes in pieces besides.
      socket.write(bye.subarray(0, 4));
      await expect.poll(() => service.sent[i - 1]?.length).toBe(4);
      socket.write(bye.subarray(4));
      await closed;
      await expect.poll(() => service.sockets[i - 1]?.destroyed).toBe(true);
    }
    const failures = (): number | undefined => app.get(DiscoveryTelemetry).instances('CHAT')?.[0]?.failures;
    await expect.poll(() => app.get(DiscoveryTelemetry).instances('CHAT')?.[0]?.pending).toBe(0);
    expect(failures()).toBe(0);
  });
});
