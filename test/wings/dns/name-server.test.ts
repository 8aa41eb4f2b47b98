import { afterEach, expect, it } from 'vitest';
import type { DnsOptions } from '../../../lib/backends/dns/index.js';
import { nameServer, type Zone } from './name-server.js';
import { open, watching } from './support.js';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function setUp(given: Record<string, Zone>, options: DnsOptions = {}) {
  const zones = new Map(Object.entries(given));
  const server = await nameServer(zones);
  closing.push(server.close);
  const app = await open({ servers: [server.address], pattern: '{service}.x', ...options });
  closing.push(() => app.backend.close());
  return { zones, server, app, seen: watching(app, 'orders') };
}
const srv = (target: string, fields: { priority?: number; weight?: number; port?: number } = {}) => ({
  priority: 0,
  weight: 1,
  port: 80,
  target,
  ...fields,
});

it('only the lowest priority is given, with its weights', async () => {
  const { zones, seen } = await setUp({
    'orders.x': {
      srv: [
        srv('a.x', { priority: 2 }),
        srv('b.x', { priority: 1, weight: 5 }),
        srv('c.x', { priority: 1, weight: 15 }),
      ],
    },
    'a.x': { a: ['10.0.0.1'] },
    'b.x': { a: ['10.0.0.2', '10.0.0.3'] },
    'c.x': { a: ['10.0.0.4'] },
  });
  await expect
    .poll(() => seen.last()?.instances?.map(({ host, weight }) => [host, weight]))
    .toEqual([
      ['10.0.0.2', 5],
      ['10.0.0.3', 5],
      ['10.0.0.4', 15],
    ]);
  zones.set('orders.x', { srv: [srv('a.x', { priority: 2 })] });
  await expect.poll(seen.urls).toEqual(['http://10.0.0.1:80']);
});

it('an address is not asked for again before its TTL is over', async () => {
  const { server } = await setUp({
    'orders.x': { srv: [srv('a.x'), srv('b.x')] },
    'a.x': { a: ['10.0.0.1'], ttl: 3600 },
    'b.x': { a: ['10.0.0.2'] },
  });
  const count = (question: string): number => server.asked.filter((one) => one === question).length;
  await expect.poll(() => count('SRV orders.x')).toBeGreaterThan(4);
  await expect.poll(() => count('A b.x')).toBeGreaterThan(4);
  expect(count('A a.x')).toBe(1);
});

it('no name, no record and no service are an empty list; SERVFAIL is an error, and the list stays', async () => {
  const { zones, app, seen } = await setUp({});
  await expect.poll(seen.urls).toEqual([]);
  zones.set('orders.x', { srv: [srv('a.x')] });
  zones.set('a.x', { a: ['10.0.0.1'] });
  await expect.poll(seen.urls).toEqual(['http://10.0.0.1:80']);
  zones.set('orders.x', { refusal: 2 });
  await expect.poll(() => seen.last()?.error?.code).toBe('BACKEND_UNAVAILABLE');
  expect(app.backend.state.current.phase).toBe('degraded');
  zones.set('orders.x', { srv: [srv('a.x')] });
  await expect.poll(seen.urls).toEqual(['http://10.0.0.1:80']);
  expect(app.backend.state.current.phase).toBe('ready');
  zones.set('orders.x', { a: ['10.0.0.9'] });
  await expect.poll(seen.urls).toEqual([]);
});

it('a target that fails stays where it was, and one that never had an address is left out, once', async () => {
  const { zones, app, seen } = await setUp({
    'orders.x': { srv: [srv('a.x'), srv('b.x'), srv('c.x'), srv('gone.x')] },
    'a.x': { a: ['10.0.0.1'] },
    'b.x': { a: ['10.0.0.2'] },
    'c.x': { refusal: 2 },
  });
  await expect.poll(seen.urls).toEqual(['http://10.0.0.1:80', 'http://10.0.0.2:80']);
  zones.set('b.x', { refusal: 2 });
  zones.set('a.x', { a: ['10.0.0.7'] });
  await expect.poll(seen.urls).toEqual(['http://10.0.0.2:80', 'http://10.0.0.7:80']);
  const skipped = app.events.flatMap((event) => (event.type === 'record.skipped' ? [event.record] : []));
  expect(skipped.sort()).toEqual(['orders/c.x:80', 'orders/gone.x:80']);
  // Nobody can be asked for: that is no list.
  for (const name of ['a.x', 'b.x', 'c.x', 'gone.x']) zones.set(name, { refusal: 2 });
  await expect.poll(() => seen.last()?.error?.code).toBe('BACKEND_UNAVAILABLE');
});

it('thousands of SRV records come by TCP', async () => {
  const targets = Array.from({ length: 2000 }, (_, index) => `t${index}.x`);
  const { server, seen } = await setUp(
    {
      'orders.x': { srv: targets.map((target, index) => srv(target, { port: 1000 + index })) },
      ...Object.fromEntries(targets.map((target, index) => [target, { a: [`10.1.${index >> 8}.${index & 255}`] }])),
    },
    { timeoutMs: 20_000 },
  );
  await expect.poll(() => seen.urls()?.length, { timeout: 30_000 }).toBe(2000);
  expect(server.overTcp()).toBeGreaterThan(0);
});
