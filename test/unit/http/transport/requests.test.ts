import { PassThrough, Readable } from 'node:stream';
import axios, { AxiosHeaders, type AxiosRequestConfig } from 'axios';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { echo, httpServer, openPath, outcome, type Path, type TestServer } from './support.js';

/** Each config is made anew for each call: streams can be read once. */
const cases: readonly (readonly [name: string, config: () => AxiosRequestConfig])[] = [
  ['GET', () => ({ url: '/things' })],
  ['a path without a slash', () => ({ url: 'things' })],
  ['a path to be escaped', () => ({ url: '/a b/ü/%41?q=ü x#part' })],
  ['dots in a path', () => ({ url: '/a/../b/./c' })],
  ['a query and params', () => ({ url: '/things?a=1', params: { b: [1, 2], c: 'x y', d: null, e: { f: true } } })],
  ['URLSearchParams as params', () => ({ url: '/things', params: new URLSearchParams({ q: 'a&b' }) })],
  ['paramsSerializer', () => ({ url: '/things', params: { a: 1 }, paramsSerializer: { serialize: () => 'x=y' } })],
  ['paramsSerializer as a function', () => ({ url: '/t', params: { a: 1 }, paramsSerializer: (() => 'q=1') as never })],
  [
    'paramsSerializer.encode',
    () => ({ url: '/t', params: { a: 'b c' }, paramsSerializer: { encode: (v: string) => v.toUpperCase() } }),
  ],
  [
    'params that throw',
    () => ({
      url: '/t',
      params: { a: 1 },
      paramsSerializer: {
        serialize: () => {
          throw new Error('no');
        },
      },
    }),
  ],
  ['headers', () => ({ url: '/', headers: { 'X-Own': 'yes', Accept: 'text/plain', 'x-none': null as never } })],
  ['headers in AxiosHeaders', () => ({ url: '/', headers: new AxiosHeaders({ 'x-own': 'yes' }) })],
  ['a header list', () => ({ url: '/', headers: { 'x-list': ['a', 'b'] as never } })],
  ['no User-Agent', () => ({ url: '/', headers: { 'User-Agent': false as never } })],
  [
    'own User-Agent and Accept-Encoding',
    () => ({ url: '/', headers: { 'user-agent': 'me', 'accept-encoding': 'gzip' } }),
  ],
  ['a header with bytes that no header has', () => ({ url: '/', headers: { 'x-own': 'aλb' } })],
  ['basic auth', () => ({ url: '/', auth: { username: 'us:er', password: 'pä55' } })],
  [
    'basic auth over a header',
    () => ({ url: '/', auth: { username: 'a', password: 'b' }, headers: { Authorization: 'Bearer x' } }),
  ],
  ['a header over nothing', () => ({ url: '/', headers: { Authorization: 'Bearer x' } })],
  ...['post', 'put', 'patch', 'delete', 'get'].map(
    (method) => [`${method} of an object`, () => ({ method, url: '/', data: { a: [1, 'ü'] } })] as const,
  ),
  ['an array', () => ({ method: 'post', url: '/', data: [1, 2] })],
  ['POST without a body', () => ({ method: 'post', url: '/' })],
  ['POST of null', () => ({ method: 'post', url: '/', data: null })],
  ['POST of an empty text', () => ({ method: 'post', url: '/', data: '' })],
  ['POST of a number', () => ({ method: 'post', url: '/', data: 5 })],
  ['DELETE without a body', () => ({ method: 'DELETE', url: '/' })],
  ['OPTIONS', () => ({ method: 'OPTIONS', url: '/' })],
  ['a text', () => ({ method: 'post', url: '/', data: 'plain ü' })],
  [
    'a text as JSON',
    () => ({ method: 'post', url: '/', data: 'plain', headers: { 'Content-Type': 'application/json' } }),
  ],
  ['an object with a toJSON', () => ({ method: 'post', url: '/', data: { toJSON: () => ({ b: 2 }) } })],
  [
    'an instance',
    () => ({
      method: 'post',
      url: '/',
      data: new (class Order {
        id = 1;
      })(),
    }),
  ],
  ['a date', () => ({ method: 'post', url: '/', data: new Date(0) })],
  [
    'an object with its own content type',
    () => ({ method: 'post', url: '/', data: { a: 1 }, headers: { 'content-type': 'application/vnd.a+json' } }),
  ],
  ['a Buffer', () => ({ method: 'post', url: '/', data: Buffer.from([1, 2, 255]) })],
  ['an ArrayBuffer', () => ({ method: 'post', url: '/', data: new Uint8Array([1, 2, 3]).buffer })],
  ['a Uint8Array', () => ({ method: 'post', url: '/', data: new Uint8Array([1, 2, 3]) })],
  ['URLSearchParams', () => ({ method: 'post', url: '/', data: new URLSearchParams({ a: 'b c' }) })],
  [
    'an object as a URL-encoded form',
    () => ({
      method: 'post',
      url: '/',
      data: { a: 1, b: { c: 2 } },
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    }),
  ],
  ['a Blob', () => ({ method: 'post', url: '/', data: new Blob(['abc'], { type: 'text/plain' }) })],
  ['a stream', () => ({ method: 'post', url: '/', data: Readable.from(['ab', 'cd']) })],
  [
    'a stream of known length',
    () => ({ method: 'post', url: '/', data: Readable.from(['ab', 'cd']), headers: { 'Content-Length': '4' } }),
  ],
  ['an empty stream', () => ({ method: 'put', url: '/', data: Readable.from([]) })],
  [
    'a stream without redirects',
    () => ({ method: 'post', url: '/', data: Readable.from(['ab', 'cd']), maxRedirects: 0 }),
  ],
  ['an object that is nothing to send', () => ({ method: 'post', url: '/', data: new ReadableStream() })],
  ['maxBodyLength that holds', () => ({ method: 'post', url: '/', data: 'abc', maxBodyLength: 3 })],
  ['maxBodyLength that does not', () => ({ method: 'post', url: '/', data: 'abcd', maxBodyLength: 3 })],
  [
    'a stream over maxBodyLength',
    () => ({ method: 'post', url: '/', data: Readable.from(['ab', 'cd']), maxBodyLength: 3 }),
  ],
  ['a bad timeout', () => ({ url: '/', timeout: 'soon' as never })],
  ['responseType json', () => ({ url: '/', responseType: 'json' })],
  ['responseType text', () => ({ url: '/', responseType: 'text' })],
  ['an absolute URL that is not allowed', () => ({ url: 'http://elsewhere.invalid/a', allowAbsoluteUrls: false })],
  ['another scheme', () => ({ url: 'ftp://127.0.0.1/a' })],
  ['a data: URL', () => ({ url: 'data:text/plain,hello' })],
  ['a URL without slashes', () => ({ url: 'http:127.0.0.1/a' })],
  ['no URL at all', () => ({ url: 'http://', baseURL: '' })],
];

type Measured = (error: Error | null, length?: number) => void;

describe.each(['adapter', 'direct'] as const)('a request by %s goes out as by axios', (name) => {
  let server: TestServer;
  let oracle: Path;
  let ours: Path;

  beforeAll(async () => {
    server = await httpServer(echo);
    const defaults = { baseURL: `${server.url}/base`, timeout: 5000 };
    oracle = openPath('axios', defaults);
    ours = openPath(name, defaults);
  });
  afterAll(() => Promise.all([oracle.close(), ours.close(), server.close()]));

  it.each(cases)('%s', async (_, config) => {
    expect(await outcome(ours.request(config()))).toEqual(await outcome(oracle.request(config())));
  });

  it('a form, with a boundary of its own', async () => {
    const form = (): FormData => {
      const data = new FormData();
      data.append('na"me', 'va\nlue');
      data.append('file', new Blob(['content'], { type: 'text/x' }), 'a"b.txt');
      return data;
    };
    const headers = { 'Content-Type': 'multipart/form-data; boundary=my-boundary-0123456789' };
    const config = (): AxiosRequestConfig => ({ method: 'post', url: '/', data: form(), headers });
    const theirs = await outcome(oracle.request(config()));
    expect(await outcome(ours.request(config()))).toEqual(theirs);
    expect(JSON.stringify(theirs)).toContain('filename=');
  });

  it('a form with a boundary that was made up', async () => {
    const data = new FormData();
    data.append('a', '1');
    const { data: seen } = await ours.request({ method: 'post', url: '/', data });
    const boundary = /boundary=(.+)$/.exec(seen.headers['content-type'])?.[1] ?? '';
    expect(seen.data).toBe(`--${boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--${boundary}--\r\n`);
    expect(seen.headers['content-length']).toBe(String(seen.data.length));
  });

  it('an object as a multipart form, which axios makes with the package form-data', async () => {
    const headers = { 'Content-Type': 'multipart/form-data' };
    const { data } = await ours.request({ method: 'post', url: '/', data: { a: 1, b: ['x'] }, headers });
    expect(data.headers['content-type']).toMatch(/^multipart\/form-data; boundary=/);
    expect(data.headers['content-length']).toBe(String(data.data.length));
    expect(data.data).toContain('name="b[]"');
  });

  it.each([
    ['a form with a file has its length', (done: Measured) => setImmediate(done, null, 4), '4'],
    ['one that cannot tell it has none', (done: Measured) => done(new Error('no such file')), undefined],
  ] as const)('%s', async (_, getLength, length) => {
    const form = Object.assign(Readable.from(['ab', 'cd']), {
      getHeaders: () => ({ 'content-type': 'multipart/form-data; boundary=b' }),
      hasKnownLength: () => false,
      getLength,
    });
    const { data } = await ours.request({ method: 'post', url: '/', data: form });
    expect(data).toMatchObject({ data: 'abcd', headers: { 'content-type': 'multipart/form-data; boundary=b' } });
    expect(data.headers['content-length']).toBe(length);
  });

  it('credentials in the URL', async () => {
    const url = server.url.replace('//', '//us%40er:pass@');
    const config = { baseURL: '', url };
    expect(await outcome(ours.request(config))).toEqual(await outcome(oracle.request(config)));
  });

  it('a request stream that fails', async () => {
    const config = (): AxiosRequestConfig => ({ method: 'post', url: '/', data: failing() });
    const theirs = await outcome(oracle.request(config()));
    expect(await outcome(ours.request(config()))).toEqual(theirs);
    expect(theirs).toMatchObject({ error: { code: 'EBROKEN' } });
  });

  it('a request stream that is given up', async () => {
    const config = (): AxiosRequestConfig => {
      const data = new PassThrough();
      data.write('a');
      setTimeout(() => data.destroy(), 20);
      return { method: 'post', url: '/', data };
    };
    const theirs = await outcome(oracle.request(config()));
    expect(await outcome(ours.request(config()))).toEqual(theirs);
    expect(theirs).toMatchObject({ error: { code: 'ERR_CANCELED' } });
  });

  it('upload progress of a buffer and of a stream', async () => {
    for (const data of [Buffer.alloc(300_000, 'a'), Readable.from([Buffer.alloc(200_000), Buffer.alloc(100_000)])]) {
      const events: number[] = [];
      const config: AxiosRequestConfig = {
        method: 'post',
        url: '/',
        data,
        headers: { 'Content-Length': '300000' },
        onUploadProgress: (event) => {
          expect(event).toMatchObject({ upload: true, lengthComputable: true, total: 300_000 });
          expect(event.progress).toBeCloseTo(event.loaded / 300_000);
          events.push(event.loaded);
        },
      };
      const response = await ours.request(config);
      expect(response.data.data.length).toBe(300_000);
      expect(events.at(-1)).toBe(300_000);
      expect(events).toEqual(events.toSorted((a, b) => a - b));
    }
  });

  it('a config may be sent twice, and is never sent with headers of the first try', async () => {
    const transport = ours.transport;
    const headers = new AxiosHeaders({ 'X-Own': 'yes' });
    const config = { method: 'post', headers, data: 'abc', url: 'http://service.invalid/x' };
    for (const token of ['one', 'two']) {
      const response = await transport.send(config, {
        url: `${server.url}/y`,
        headers: { authorization: token, 'x-own': 'no' },
      });
      const seen = JSON.parse(response.data);
      expect(seen).toMatchObject({ url: '/y', data: 'abc', headers: { authorization: token, 'x-own': 'yes' } });
      expect(response.config).toBe(config);
      expect(seen.headers['content-length']).toBe('3');
    }
  });

  it('defaults for headers, by method and for all', async () => {
    const defaults = {
      baseURL: server.url,
      headers: { common: { 'X-All': '1' }, post: { 'x-post': '2' }, 'X-Top': '3' },
    };
    const [theirs, own] = [openPath('axios', defaults as never), openPath(name, defaults as never)];
    for (const method of ['get', 'post']) {
      const config = { url: '/', method, headers: { 'x-all': 'changed' } };
      expect(await outcome(own.request(config))).toEqual(await outcome(theirs.request(config)));
    }
    await Promise.all([theirs.close(), own.close()]);
  });
});

it('no proxy of the environment is used, unless it was asked for', async () => {
  const proxy = await httpServer((_, response) => response.end('"proxied"'));
  const server = await httpServer((_, response) => response.end('"direct"'));
  const before = process.env['http_proxy'];
  try {
    for (const name of ['axios', 'adapter', 'direct'] as const) {
      const off = openPath(name);
      // Made before the variable is there: it is looked at whenever something is sent.
      delete process.env['http_proxy'];
      const on = openPath(name, {}, { useEnvironmentProxy: true });
      expect((await on.request({ url: server.url })).data).toBe('direct');
      process.env['http_proxy'] = proxy.url;
      expect((await off.request({ url: server.url })).data).toBe('direct');
      expect((await on.request({ url: server.url })).data).toBe('proxied');
      expect((await off.request({ url: server.url, proxy: { host: '127.0.0.1', port: proxy.port } })).data).toBe(
        'proxied',
      );
      await Promise.all([off.close(), on.close()]);
    }
  } finally {
    if (before === undefined) delete process.env['http_proxy'];
    else process.env['http_proxy'] = before;
    await Promise.all([proxy.close(), server.close()]);
  }
});

function failing(): Readable {
  const stream = new Readable({ read() {} });
  stream.push('a');
  setTimeout(() => stream.destroy(Object.assign(new Error('disk gone'), { code: 'EBROKEN' })), 10);
  return stream;
}

it('axios is what it is compared with', () => expect(axios.VERSION).toMatch(/^1\./));
