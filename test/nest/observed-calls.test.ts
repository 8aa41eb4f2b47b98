import type { IncomingHttpHeaders } from 'node:http';
import { Module, type INestApplication } from '@nestjs/common';
import { request } from 'undici';
import { expect, test } from 'vitest';
import { DiscoveryModule, DiscoveryTelemetry, ServiceHttpClient, type CallObserver } from '../../lib/index.js';
import { serviceDispatcher } from '../../lib/integrations/fetch/index.js';
import { ServiceGatewayModule } from '../../lib/integrations/gateway/index.js';
import { InMemoryRegistry } from '../../lib/testing/index.js';
import { serving } from './plain-servers.js';
import { createApp, portOf } from './support.js';

/** What was told of the calls, each with its tries; and it sends a header along with each try. */
function recorder() {
  const calls: string[] = [];
  const observer: CallObserver = {
    begin: ({ protocol, service, method }) => {
      const tries: string[] = [];
      return {
        attempt: ({ instance, reason }) => ({
          headers: { 'x-try': `${reason} ${instance.id}` },
          end: ({ outcome, status, errorType }) =>
            tries.push(`${reason} ${instance.id} ${outcome} ${status ?? errorType}`),
        }),
        end: ({ outcome, status, errorType }) =>
          calls.push(`${protocol} ${method} ${service} ${outcome} ${status ?? errorType} [${tries.join(', ')}]`),
      };
    },
  };
  return { calls, observer };
}

async function start() {
  const registry = new InMemoryRegistry();
  const seen: IncomingHttpHeaders[] = [];
  const good = await serving(({ headers, url }, response) => {
    seen.push(headers);
    if (url === '/stream') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: 1\n\n');
      return;
    }
    if (url === '/never') return;
    response.writeHead(url === '/none' ? 404 : 200).end('well');
  });
  const bad = await serving((_, response) => response.writeHead(503).end());
  registry.addInstance('STOCK', { id: 'good', port: good });
  registry.addInstance('BOTH', { id: 'good', port: good });
  registry.addInstance('BOTH', { id: 'bad', port: bad });
  @Module({
    imports: [
      ServiceGatewayModule.forRoot({
        routes: [
          { path: '/through', service: 'BOTH' },
          { path: '/one', service: 'STOCK' },
        ],
      }),
      DiscoveryModule.forRoot({
        registry: registry.backend(),
        config: [],
        http: { balancing: 'round-robin', ejection: false, timeoutMs: 3000 },
      }),
    ],
  })
  class AppModule {}
  const app = await createApp(AppModule);
  await app.listen(0, '127.0.0.1');
  const { calls, observer } = recorder();
  app.get(DiscoveryTelemetry).onCall(observer);
  return { app, calls, seen, client: app.get(ServiceHttpClient) };
}

/** Asks until the round has begun with the one that fails. */
async function both(calls: string[], call: () => Promise<unknown>): Promise<string> {
  await call();
  if (!calls.at(-1)?.includes('bad')) await call();
  return calls.at(-1) ?? '';
}

const RETRIED = /success 200 \[first bad failed 503, retry good success 200\]$/;

test('`fetch` is observed: success, failure, tries, nobody to call, given up, a stream', async () => {
  const { calls, seen, client } = await start();
  expect(await (await client.fetch('lb://STOCK/')).text()).toBe('well');
  expect(calls).toEqual(['http GET STOCK success 200 [first good success 200]']);
  expect(seen[0]).toMatchObject({ 'x-try': 'first good' });
  await (await client.fetch('lb://STOCK/none', { headers: { 'x-try': 'my own' } })).text();
  expect(calls.at(-1)).toBe('http GET STOCK failed 404 [first good failed 404]');
  expect(seen[1]).toMatchObject({ 'x-try': 'my own' });
  const retried = await both(calls, async () => (await client.fetch('lb://BOTH/')).text());
  expect(retried).toMatch(RETRIED);
  await expect(client.fetch('lb://NOBODY/')).rejects.toThrow();
  expect(calls.at(-1)).toBe('http GET NOBODY discarded NO_INSTANCE []');
  const cut = new AbortController();
  const before = seen.length;
  const given = client.fetch('lb://STOCK/never', { signal: cut.signal, method: 'PUT' });
  await expect.poll(() => seen.length).toBeGreaterThan(before);
  cut.abort();
  await expect(given).rejects.toThrow();
  expect(calls.at(-1)).toMatch(/^http PUT STOCK discarded \S+ \[first good discarded \S+\]$/);
  await expect(client.fetch('lb://STOCK/never', { method: 'PUT' })).rejects.toThrow();
  expect(calls.at(-1)).toMatch(
    /^http PUT STOCK failed UND_ERR_HEADERS_TIMEOUT \[first good failed UND_ERR_HEADERS_TIMEOUT\]$/,
  );
  // It is told when it has begun: it may go on for hours.
  const count = calls.length;
  const stream = await client.fetch('lb://STOCK/stream');
  expect(calls.slice(count)).toEqual(['http GET STOCK success 200 [first good success 200]']);
  await stream.body?.cancel();
  expect(calls).toHaveLength(count + 1);
});

test("undici's callers are observed", async () => {
  const { calls, client, seen } = await start();
  const dispatcher = serviceDispatcher(client);
  expect(await (await request('http://stock/', { dispatcher })).body.text()).toBe('well');
  expect(calls).toEqual(['http GET STOCK success 200 [first good success 200]']);
  expect(seen[0]).toMatchObject({ 'x-try': 'first good' });
  expect(await both(calls, async () => (await request('http://both/', { dispatcher })).body.text())).toMatch(RETRIED);
  await expect(request('http://nobody/', { dispatcher })).rejects.toThrow();
  expect(calls.at(-1)).toBe('http GET nobody discarded NO_INSTANCE []');
});

test('what the gateway passes on is observed', async () => {
  const { app, calls, seen } = await start();
  const ask = async (path: string, init?: RequestInit) => (await fetch(urlOf(app) + path, init)).text();
  await ask('/one');
  expect(calls).toEqual(['http GET STOCK success 200 [first good success 200]']);
  expect(seen[0]).toMatchObject({ 'x-try': 'first good' });
  expect(await both(calls, () => ask('/through'))).toMatch(RETRIED);
});

const urlOf = (app: INestApplication): string => `http://127.0.0.1:${portOf(app)}`;
