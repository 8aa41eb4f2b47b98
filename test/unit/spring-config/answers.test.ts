import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { springConfig, type SpringConfigOptions } from '../../../lib/backends/spring-config/index.js';
import type { ConfigReport } from '../../../lib/backend/index.js';
import type { DiscoveryEvent } from '../../../lib/model/index.js';
import { createContext } from '../../contract/contract-harness.js';

/** A server that answers as it is told, and a watch of it. */
async function watching(answer: RequestListener, options: SpringConfigOptions = {}) {
  const asked: { readonly url: string; readonly headers: NodeJS.Dict<string | string[]> }[] = [];
  const server = createServer((request, response) => {
    asked.push({ url: request.url ?? '', headers: request.headers });
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://us%40er:pa%3Ass@127.0.0.1:${(server.address() as AddressInfo).port}/base/`;
  const events: DiscoveryEvent[] = [];
  const backend = springConfig({ url, pollMs: 50, ...options }).create(createContext(events));
  onTestFinished(() => backend.close());
  await backend.open();
  const reports: ConfigReport[] = [];
  const scope = { kind: 'application', application: 'orders', profiles: ['a', 'b'] } as const;
  const watch = backend.config?.watch(scope, (report) => reports.push(report));
  await expect.poll(() => reports.length).toBeGreaterThan(0);
  return { asked, backend, events, reports, watch, first: () => reports[0] };
}

const json =
  (body: unknown, status = 200): RequestListener =>
  (_, response) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));

const sources = (...list: unknown[]) => json({ name: 'orders', propertySources: list });

it('asks with what it was given', async () => {
  const { asked } = await watching(sources(), { label: 'feature/x', token: 'vault', headers: { 'x-own': '1' } });
  expect(asked[0]).toMatchObject({
    url: '/base/orders/a,b/feature(_)x',
    headers: {
      accept: 'application/json',
      authorization: `Basic ${Buffer.from('us@er:pa:ss').toString('base64')}`,
      'x-config-token': 'vault',
      'x-own': '1',
    },
  });
});

it('takes the first label that there is', async () => {
  const { asked, first } = await watching(
    (request, response) =>
      request.url?.endsWith('/old') === true
        ? sources({ name: 's', source: { a: 1 } })(request, response)
        : json({}, 404)(request, response),
    { label: ['new', 'old'] },
  );
  expect(asked.slice(0, 2).map(({ url }) => url)).toEqual(['/base/orders/a,b/new', '/base/orders/a,b/old']);
  expect(first()?.documents).toHaveLength(1);
});

it('gives the documents, those that win last, without the conditions that the server looked at', async () => {
  const { first, events } = await watching(
    sources(
      { name: 'one', source: { 'a.b': 1.5, 'spring.config.activate.on-profile': 'x', 'invalid.pw': '<n/a>', t: true } },
      { name: 'two', source: {} },
      { name: 'one', source: { n: null, __proto__x: 'y', 'list[0]': 'z' } },
    ),
  );
  expect(first()?.documents?.map(({ id, content }) => [id, content])).toEqual([
    ['one (2)', { format: 'entries', entries: { n: '', __proto__x: 'y', 'list[0]': 'z' } }],
    ['one', { format: 'entries', entries: { 'a.b': '1.5', t: 'true' } }],
  ]);
  expect(events).toContainEqual(
    expect.objectContaining({ type: 'record.skipped', error: expect.objectContaining({ field: 'pw' }) as unknown }),
  );
});

it.each<[string, RequestListener, string, RegExp]>([
  ['a page', (_, response) => response.end('<html>'), 'BACKEND_UNAVAILABLE', /isn't a config server's/],
  ['nothing', (_, response) => response.end(), 'BACKEND_UNAVAILABLE', /isn't a config server's/],
  ['other JSON', json([1]), 'BACKEND_UNAVAILABLE', /isn't a config server's/],
  ['JSON of another kind', json({ propertySources: 'x' }), 'BACKEND_UNAVAILABLE', /has no propertySources/],
  ['a source without name', sources({ source: {} }), 'BACKEND_UNAVAILABLE', /has no name/],
  ['a source without values', sources({ name: 'x', source: 1 }), 'BACKEND_UNAVAILABLE', /isn't a config server's/],
  ['nested values', sources({ name: 'x', source: { a: { b: 1 } } }), 'BACKEND_UNAVAILABLE', /value of a is neither/],
  ['bytes', (_, response) => response.end(Buffer.from([0x7b, 0xff])), 'BACKEND_UNAVAILABLE', /isn't a config server's/],
  ['too much', (_, response) => response.end('x'.repeat(5000)), 'BACKEND_UNAVAILABLE', /longer than 2048 bytes|2048/],
  [
    'a cut answer',
    (_, response) => void response.writeHead(200, { 'content-length': 9 }).write('{', () => response.destroy()),
    'BACKEND_UNAVAILABLE',
    /no server of spring-config answered/,
  ],
  ['no answer', () => {}, 'BACKEND_UNAVAILABLE', /longer than 300 ms/],
  ['401', json({}, 401), 'BACKEND_REFUSED', /status 401: give username/],
  ['404', json({}, 404), 'BACKEND_REFUSED', /no configuration of orders, profiles a, b/],
  ['500', json({}, 500), 'BACKEND_UNAVAILABLE', /status 500/],
  [
    'a redirect',
    (_, response) => response.writeHead(302, { location: '/login' }).end(),
    'BACKEND_REFUSED',
    /status 302/,
  ],
])('%s is an error and no empty configuration, and shows no secret', async (name, answer, code, message) => {
  const { first } = await watching(answer, {
    maxResponseBytes: 2048,
    ...(name === 'no answer' ? { requestTimeoutMs: 300 } : {}),
  });
  expect(first()?.documents).toBeUndefined();
  expect(first()?.error).toMatchObject({ code, message: expect.stringMatching(message) as string });
  expect(first()?.error?.message).not.toMatch(/pa(?:%3A|:)ss|us(?:%40|@)er/);
});

it('an lb: URL without a registry is an error that says so; one without instances too', async () => {
  const ask = async (context: Parameters<typeof createContext>[1]) => {
    const backend = springConfig({ url: 'lb://CONFIG/base' }).create(createContext([], context));
    onTestFinished(() => backend.close());
    return backend.config?.read('x.yaml');
  };
  await expect(ask({})).rejects.toMatchObject({ code: 'UNSUPPORTED', field: 'url' });
  await expect(ask({ instances: () => Promise.resolve([]) })).rejects.toThrow(/lb:\/\/CONFIG\/base has no instance/);
});

it.each<[unknown, string]>([
  [{ url: 'ftp://x' }, 'url'],
  [{ url: 'http://x/?a=b' }, 'url'],
  [{ url: [] }, 'url'],
  [{ password: 'x' }, 'username'],
  [{ username: 'a:b' }, 'username'],
  [{ token: 'a\r\nb' }, 'token'],
  [{ headers: { a: 'b\nc' } }, 'headers.a'],
  [{ application: '../x' }, 'application'],
  [{ label: '..' }, 'label'],
  [{ profiles: ['a/b', '\n'] }, 'profiles'],
  [{ pollMs: 1 }, 'pollMs'],
  [{ uri: 'x' }, 'uri'],
])('refuses %j, naming %s', (options, field) => {
  expect(() => springConfig(options as SpringConfigOptions)).toThrow(expect.objectContaining({ field }));
});
