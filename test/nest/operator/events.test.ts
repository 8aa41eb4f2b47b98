import { connect, type Socket } from 'node:net';
import type { INestApplication } from '@nestjs/common';
import { afterEach, describe, expect, test } from 'vitest';
import { DiscoveryClient, enableGracefulShutdown, EventHub, ServiceHttpClient } from '../../../lib/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { portOf, registered, type Platform } from '../support.js';
import { ask, read, startOperated, stockServer } from './support.js';

const sockets: Socket[] = [];

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

interface Watched {
  /** Everything that came, as text. */
  text: string;
  readonly socket: Socket;
  isOver: boolean;
}

/** Opens a stream of events as a browser does. */
function watch(app: INestApplication, headers: readonly string[] = [], path = '/discovery/events'): Watched {
  const socket = connect(portOf(app), '127.0.0.1');
  sockets.push(socket);
  const watched: Watched = { text: '', socket, isOver: false };
  socket.on('data', (chunk) => (watched.text += chunk.toString()));
  socket.on('close', () => (watched.isOver = true));
  socket.on('error', () => {});
  const lines = [`GET ${path} HTTP/1.1`, 'host: localhost', 'accept: text/event-stream', ...headers];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  return watched;
}

async function opened(watched: Watched): Promise<Watched> {
  await expect.poll(() => watched.text).toContain('retry: 2000');
  return watched;
}

describe.each<Platform>(['express', 'fastify'])('events on %s', (platform) => {
  test('come as they happen, with those that were before, and from where one was', async () => {
    const registry = new InMemoryRegistry();
    const app = await startOperated(platform, registry);
    await registered(app);
    const first = await opened(watch(app));
    await expect.poll(() => first.text).toContain('is registered at in-memory as UP');
    registry.fail();
    await expect.poll(() => first.text).toContain("in-memory doesn't answer");
    const { events } = await read(app, '/discovery/events');
    const last = (events as { id: number }[]).at(-1)?.id ?? 0;
    const second = await opened(watch(app, [`last-event-id: ${last}`]));
    registry.recover();
    await expect.poll(() => second.text).toContain('in-memory answers');
    expect(second.text).not.toContain('is registered');
    expect(second.text).toMatch(/content-security-policy: default-src 'none'/i);
  });

  test('tell of calls that were tried again, which are listened to only while somebody watches', async () => {
    const registry = new InMemoryRegistry();
    const [good, bad] = [await stockServer(), await stockServer()];
    bad.status = 503;
    registry.addInstance('STOCK', { id: 'good', port: good.port });
    registry.addInstance('STOCK', { id: 'bad', port: bad.port });
    for (const { port } of [good, bad]) registry.addInstance('OTHER', { port });
    const app = await startOperated(platform, registry);
    const client = app.get(ServiceHttpClient).axiosRef;
    await client.get('lb://STOCK/quote');
    const stream = await opened(watch(app));
    for (let call = 0; call < 4; call += 1) await client.get('lb://STOCK/quote');
    await expect.poll(() => stream.text).toMatch(/STOCK: \d (?:try|tries) again at another instance/);
    await client.get('lb://STOCK/quote');
    const discovery = app.get(DiscoveryClient);
    const { instance } = await discovery.pick('OTHER');
    (await discovery.pick('OTHER', { tried: new Set([instance.url]) })).succeeded();
    await expect.poll(() => stream.text).toContain('OTHER: 1 try again at another instance');
    stream.socket.destroy();
    await expect
      .poll(async () => ((await read(app, '/discovery/overview'))['events'] as { streams: number }).streams)
      .toBe(0);
  });

  test('are for so many browsers at once, and end when the app stops', async () => {
    const registry = new InMemoryRegistry();
    const app = await startOperated(platform, registry, { maxStreams: 50 });
    enableGracefulShutdown(app);
    await registered(app);
    const all = await Promise.all(Array.from({ length: 50 }, () => opened(watch(app))));
    const refused = await ask(app, '/discovery/events', { headers: { accept: 'text/event-stream' } });
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5']);
    all[0]?.socket.destroy();
    await expect
      .poll(async () => ((await read(app, '/discovery/overview'))['events'] as { streams: number }).streams)
      .toBe(49);
    const last = await opened(watch(app));
    await app.close();
    await expect.poll(() => all.every(({ isOver }) => isOver) && last.isOver).toBe(true);
    for (const { text } of all.slice(1)) expect(text).toContain('the app takes no traffic: it is shutting down');
  });

  test('a flood is dropped with a count, and drowns no outage', async () => {
    const registry = new InMemoryRegistry();
    const app = await startOperated(platform, registry);
    const stream = await opened(watch(app));
    const hub = app.get(EventHub);
    const error = Object.assign(new Error('x'), { code: 'INVALID_INSTANCE' }) as never;
    for (let count = 0; count < 5000; count += 1) {
      hub.report({
        type: 'record.skipped',
        backend: 'in-memory',
        record: `${'long'.repeat(300)}\u001b${count}`,
        error,
      });
    }
    registry.fail();
    await expect.poll(() => stream.text).toContain("in-memory doesn't answer");
    await expect.poll(() => stream.text).toMatch(/"text":"49\d{2} more events were too many to show"/);
    expect(stream.text).not.toContain('\u001b');
    const { events, dropped } = await read(app, '/discovery/events');
    expect((events as unknown[]).length).toBeLessThanOrEqual(300);
    expect(dropped).toBeGreaterThan(4800);
    registry.recover();
  });
});
