import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import type { CallOptions } from '../../../../lib/http/index.js';
import type { DiscoveryModuleOptions } from '../../../../lib/nest/index.js';
import { node, nodes, refusing, reset, seen, service, status, type Behaviour, type Service } from '../calls/support.js';

type Body = NonNullable<RequestInit['body']>;

/** Answers with what came. */
const echo: Behaviour = (request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const { url, method, headers } = request;
    response.end(JSON.stringify({ url, method, headers, body: Buffer.concat(chunks).toString() }));
  });
};

type LoadBalancingFunction = Extract<NonNullable<CallOptions['balancing']>, (...args: never[]) => unknown>;

/** This one first, then any that wasn't tried. */
const inOrder =
  (first: { readonly port: number }): LoadBalancingFunction =>
  (instances, { tried }) =>
    instances
      .toSorted((a, b) => Number(b.port === first.port) - Number(a.port === first.port))
      .find(({ url }) => tried?.has(url) !== true);

interface Echoed {
  readonly url: string;
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

async function echoing(options: DiscoveryModuleOptions = {}): Promise<Service> {
  return service([await node(echo)], options);
}

const pending = ({ client }: Service): number => client.instanceStats().reduce((sum, one) => sum + one.pending, 0);

describe('fetch of a bound client', () => {
  test('goes round, and counts each call until its answer has ended', async () => {
    const members = await nodes(2);
    const stock = await service(members);
    for (let i = 0; i < 20; i += 1) {
      const response = await stock.client.fetch('/quote');
      expect(response).toBeInstanceOf(Response);
      expect(response.status).toBe(200);
      await response.json();
    }
    expect(seen(...members)).toEqual([10, 10]);
    expect(pending(stock)).toBe(0);
  });

  test.each([
    ['/a?b=c', '/a?b=c'],
    ['a', '/a'],
    ['lb://STOCK/a', '/a'],
    ['http://STOCK/a', '/a'],
    ['http://stock?b', '/?b'],
    [new URL('http://stock/a/../b'), '/b'],
    [new Request('http://stock/a', { method: 'PUT', body: 'x' }), '/a'],
    [new Request('lb://STOCK/a', { headers: { 'x-a': '1' } }), '/a'],
  ])('takes %s', async (input, path) => {
    const { client } = await echoing();
    expect(await (await client.fetch(input)).json()).toMatchObject({ url: path });
  });

  test.each([
    'http://10.0.0.5/a',
    'https://example.com',
    'http://stock:8080/a',
    'http://stock@evil/',
    'lb://ORDERS/a',
    '//evil/a',
    '/../a',
    '/a/%2e%2e/b',
    'http://stock/a/..%2fb',
  ])('stays in its service: %s', async (url) => {
    const { client } = await echoing();
    await expect(client.fetch(url)).rejects.toMatchObject({ code: 'INVALID_OPTION', field: 'url' });
  });

  test('sends bodies of every kind, with their types', async () => {
    const { client } = await echoing();
    const form = new FormData();
    form.append('a', '1');
    const send = async (body: Body, more: object = {}): Promise<Echoed> =>
      (await (await client.fetch('/', { method: 'PUT', body, ...more })).json()) as Echoed;
    expect(await send('text')).toMatchObject({ body: 'text', headers: { 'content-type': 'text/plain;charset=UTF-8' } });
    expect(await send(new TextEncoder().encode('bytes'))).toMatchObject({ body: 'bytes' });
    expect(await send(new URLSearchParams({ a: '1' }))).toMatchObject({ body: 'a=1' });
    expect(await send(new Blob(['blob'], { type: 'a/b' }))).toMatchObject({
      body: 'blob',
      headers: { 'content-type': 'a/b' },
    });
    const sent = await send(form);
    expect(sent.headers['content-type']).toMatch(/^multipart\/form-data; boundary=/);
    expect(sent.body).toContain('name="a"');
    expect(await send(Readable.toWeb(Readable.from(['str', 'eam'])) as Body, { duplex: 'half' })).toMatchObject({
      body: 'stream',
    });
  });

  test('tries another instance where that is safe: what was not sent always, what was only if it can be sent again', async () => {
    const down = await refusing();
    const broken = await node(reset);
    const well = await node(echo);
    const stock = await service([down, well], { http: { balancing: ([first]) => first } });
    const stream = () => Readable.toWeb(Readable.from(['a', 'b'])) as Body;
    const post = await stock.client.fetch('/', { method: 'POST', body: stream(), duplex: 'half' });
    expect(await post.json()).toMatchObject({ body: 'ab' });

    const other = await service([broken, well], { http: { balancing: ([first]) => first, ejection: false } });
    const form = new FormData();
    form.append('a', '1');
    for (const body of ['text', new Blob(['text']), form]) {
      const put = await other.client.fetch('/', { method: 'PUT', body });
      expect(((await put.json()) as Echoed).body).toContain(body === form ? 'name="a"' : 'text');
    }
    expect(await (await other.client.fetch('/')).json()).toMatchObject({ method: 'GET' });
    await expect(other.client.fetch('/', { method: 'POST', body: 'text' })).rejects.toThrow('fetch failed');
    await expect(other.client.fetch('/', { method: 'PUT', body: stream(), duplex: 'half' })).rejects.toThrow(
      'fetch failed',
    );
    expect(pending(other)).toBe(0);
  });

  test('tries another instance for a gateway’s error, and gives that when there is none', async () => {
    const [bad, worse] = await nodes(2, status(503));
    const well = await node(echo);
    if (bad === undefined || worse === undefined) throw new Error('no nodes');
    const stock = await service([bad, well], { http: { balancing: ([first]) => first } });
    expect((await stock.client.fetch('/')).status).toBe(200);
    expect((await stock.client.fetch('/', { method: 'POST', body: '' })).status).toBe(503);
    const none = await service([bad, worse]);
    const response = await none.client.fetch('/');
    expect([response.status, await response.text()]).toEqual([503, '503']);
    expect(pending(none)).toBe(0);
  });

  test('says what was tried, and that nobody is there', async () => {
    const stock = await service([await refusing(), await refusing()]);
    const failed: unknown = await stock.client.fetch('/').catch((error: unknown) => error);
    expect(failed).toMatchObject({
      message: 'fetch failed',
      cause: { code: 'ECONNREFUSED', message: expect.stringContaining('all of 2 instances of STOCK failed') },
    });
    expect((failed as { cause: { attempts: unknown[] } }).cause.attempts).toHaveLength(2);
    const none = await service([]);
    await expect(none.client.fetch('/')).rejects.toMatchObject({ cause: { code: 'NO_INSTANCE' } });
  });

  test('ejects who fails, for all other calls too', async () => {
    const bad = await node(reset);
    const well = await node();
    const stock = await service([bad, well], { http: { ejection: { consecutiveFailures: 2 } } });
    for (let i = 0; i < 10; i += 1) await (await stock.client.fetch('/')).text();
    expect(
      stock.client
        .instanceStats()
        .map(({ ejected }) => ejected)
        .toSorted(),
    ).toEqual([false, true]);
  });

  test('ends with its signal: before the answer, and within it', async () => {
    const slow = await node((_request, response) => {
      response.write('begun');
    });
    const stock = await service([slow]);
    const controller = new AbortController();
    const response = await stock.client.fetch('/', { signal: controller.signal });
    expect(pending(stock)).toBe(1);
    controller.abort();
    await expect(response.text()).rejects.toMatchObject({ name: 'AbortError' });
    await expect.poll(() => pending(stock)).toBe(0);
    slow.behaviour = () => {};
    await expect(stock.client.fetch('/', { signal: AbortSignal.timeout(50) })).rejects.toMatchObject({
      name: 'TimeoutError',
    });
    await expect.poll(() => pending(stock)).toBe(0);
  });

  test('streams an answer as it comes, and holds it back when nobody reads', async () => {
    let sent = 0;
    let isPaused = false;
    const big = await node((_request, response) => {
      const push = (): void => {
        while (sent < 64 * 1024 * 1024) {
          sent += 65_536;
          if (!response.write(Buffer.alloc(65_536))) {
            isPaused = true;
            response.once('drain', push);
            return;
          }
        }
        response.end();
      };
      push();
    });
    const stock = await service([big]);
    const { body } = await stock.client.fetch('/');
    await expect.poll(() => isPaused).toBe(true);
    const before = sent;
    let read = 0;
    for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) read += chunk.length;
    expect(read).toBe(64 * 1024 * 1024);
    expect(before).toBeLessThan(read);
  });

  test('follows redirects within the instance, and no others unless they are asked for', async () => {
    const elsewhere = await node(echo);
    const members = await nodes(3, (request, response) => {
      const { url = '', headers } = request;
      const location = url.startsWith('/api/away')
        ? `${elsewhere.url}/there`
        : url.startsWith('/api/self')
          ? `http://${String(headers.host)}/api/here`
          : '/api/here';
      if (url === '/api/here') echo(request, response);
      else response.writeHead(302, { location }).end();
    });
    const stock = await service([]);
    for (const one of members) stock.add(one, { metadata: { contextPath: '/api' } });
    await stock.knows(...members);
    for (let i = 0; i < 6; i += 1) {
      const [path, calls] = i % 2 === 0 ? ['/self', 2] : ['/relative', 2];
      const response = await stock.client.fetch(path);
      expect(await response.json()).toMatchObject({ url: '/api/here' });
      expect(seen(...members).toSorted()).toEqual([0, 0, calls]);
    }
    await expect(stock.client.fetch('/away')).rejects.toMatchObject({
      cause: { message: expect.stringContaining('redirects to') },
    });
    const open = stock.runtime.clientFor('any', 'STOCK', { redirects: 'any' });
    const crossed = (await (
      await open.fetch('/away', { headers: { authorization: 'secret', 'x-own': '1', accept: 'a/b' } })
    ).json()) as Echoed;
    expect(crossed).toMatchObject({ url: '/there', headers: { accept: 'a/b' } });
    expect(Object.keys(crossed.headers)).not.toEqual(expect.arrayContaining(['authorization']));
    expect(crossed.headers['x-own']).toBeUndefined();
    const none = stock.runtime.clientFor('none', 'STOCK', { redirects: 'none' });
    expect((await none.fetch('/away')).status).toBe(302);
  });

  test('carries lane and hint, and what is left of the time', async () => {
    const base = await node(echo);
    const lane = await node(echo);
    const stock = await service([], {
      http: { routing: { lane: {} }, deadlineHeader: 'x-left', totalTimeoutMs: 5000 },
    });
    stock.add(base);
    stock.add(lane, { metadata: { lane: 'alice' } });
    await stock.knows(base, lane);
    for (let i = 0; i < 5; i += 1) {
      const { headers } = (await (
        await stock.client.fetch('/', { loadBalancing: { lane: 'alice' } })
      ).json()) as Echoed;
      expect(headers).toMatchObject({ 'x-lane': 'alice', 'x-left': expect.stringMatching(/^\d+$/) });
      await (await stock.client.fetch('/', { headers: { 'X-Lane': 'alice' } })).text();
    }
    expect(seen(base, lane)).toEqual([0, 10]);
    await (await stock.client.fetch('/')).text();
    expect(seen(base, lane)).toEqual([1, 0]);
  });

  test('a stream that is open for long is no stall, and no answer that was slow', async () => {
    const streams = await node((_request, response) => void response.write('data: 1\n\n'));
    const stock = await service([streams, await node()], {
      http: { ejection: { overdueMs: 1 }, balancing: 'round-robin' },
    });
    const open: Response[] = [];
    for (let i = 0; i < 6; i += 1) open.push(await stock.client.fetch('/'));
    const mine = stock.client.instanceStats().find(({ url }) => url.endsWith(`:${streams.port}`));
    expect(mine).toMatchObject({ pending: 3, ejected: false, health: 1 });
    streams.behaviour = (_request, response) => void response.end();
    seen(streams);
    for (let i = 0; i < 10; i += 1) await (await stock.client.fetch('/')).text();
    expect(seen(streams)).toEqual([5]);
    for (const response of open) await response.body?.cancel();
    await expect.poll(() => pending(stock)).toBe(0);
  });
});

describe('fetch with hedging', () => {
  const hedging = { delayMs: 50 };
  const portOf = async (response: Promise<Response>): Promise<unknown> =>
    ((await (await response).json()) as { port: number }).port;

  test('takes the answer that begins first, and gives the other up', async () => {
    let givenUp = false;
    const [slow, fast] = [await node(), await node()];
    slow.behaviour = (request) => void request.socket.once('close', () => (givenUp = true));
    const stock = await service([slow, fast], { http: { hedging, maxAttempts: 1, balancing: inOrder(slow) } });
    expect(await portOf(stock.client.fetch('/'))).toBe(fast.port);
    await expect.poll(() => givenUp).toBe(true);
    expect(seen(slow, fast)).toEqual([1, 1]);
    expect(stock.client.instanceStats().map(({ health }) => health)).toEqual([1, 1]);
    expect(pending(stock)).toBe(0);
    // What must not be sent twice isn't.
    slow.behaviour = (_request, response) => void setTimeout(() => response.end('{"port":0}'), 150);
    expect(await portOf(stock.client.fetch('/', { method: 'POST', body: 'x' }))).toBe(0);
    expect(seen(slow, fast)).toEqual([1, 0]);
  });

  test('waits for who is still at it when a hedge fails, and ends all by its signal', async () => {
    const [slow, failing] = [await node(), await node(status(503))];
    slow.behaviour = (_request, response) => {
      void expect
        .poll(() => failing.hits)
        .toBe(1)
        .then(() => setTimeout(() => response.end('{"port":1}'), 50));
    };
    const stock = await service([slow, failing], { http: { hedging, balancing: inOrder(slow), ejection: false } });
    expect(await portOf(stock.client.fetch('/'))).toBe(1);
    seen(slow, failing);
    slow.behaviour = failing.behaviour = () => {};
    const controller = new AbortController();
    const asked = stock.client.fetch('/', { signal: controller.signal });
    await expect.poll(() => slow.hits + failing.hits).toBe(2);
    controller.abort();
    await expect(asked).rejects.toMatchObject({ name: 'AbortError' });
    await expect.poll(() => pending(stock)).toBe(0);
  });
});

test('a fallback answers a fetch that failed, as JSON unless it is a body or a Response', async () => {
  const given: unknown[] = [];
  let data: unknown = { price: 0 };
  const fallback = (error: unknown, { url, method }: { url?: string; method?: string }): unknown => {
    given.push([(error as Error).message, url, method]);
    return data;
  };
  const { client } = await service([await refusing()], { http: { fallback } });
  const response = await client.fetch('/quote');
  expect([response.status, response.statusText, await response.json()]).toEqual([200, 'OK (fallback)', { price: 0 }]);
  expect(given).toEqual([['fetch failed', '/quote', 'get']]);
  data = 'none';
  expect(await (await client.fetch('/quote')).text()).toBe('none');
  data = new Response(null, { status: 503 });
  expect((await client.fetch('/quote')).status).toBe(503);
});

describe('fetch of the unbound client', () => {
  test('calls services as lb://, and other URLs where they say', async () => {
    const stock = await echoing();
    const { fetch } = stock.runtime.unboundClient();
    expect(await (await fetch('lb://STOCK/a')).json()).toMatchObject({ url: '/a' });
    const other = await node(echo);
    expect(await (await fetch(`${other.url}/b`)).json()).toMatchObject({ url: '/b' });
    await expect(fetch('lb:///a')).rejects.toMatchObject({ code: 'INVALID_NAME' });
  });

  test('knows services whose names are no hosts', async () => {
    const { registry, runtime } = await echoing();
    const one = await node(echo);
    for (const name of ['my service', 'a/b', '10.0', 'ÄÖ', 'UPPER_case']) {
      registry.addInstance(name, { port: one.port });
      const response = await runtime.unboundClient().fetch(`lb://${encodeURIComponent(name)}/x`);
      expect(await response.json()).toMatchObject({ url: '/x' });
    }
  });

  test('is refused when the app was closed', async () => {
    const stock = await echoing();
    await stock.runtime.close();
    await expect(stock.client.fetch('/')).rejects.toMatchObject({ cause: { code: 'BACKEND_CLOSED' } });
  });
});
