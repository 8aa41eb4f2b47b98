import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { echo, httpServer, openPath, outcome, type Path, type TestServer } from './support.js';

/** Options that a dependency with a hole may have put into every object. */
const smuggled: readonly (readonly [name: string, value: unknown])[] = [
  ['auth', 'evil:creds'],
  ['auth', { username: 'evil', password: 'creds' }],
  ['params', { evil: 1 }],
  ['data', { evil: 1 }],
  ['baseURL', 'http://evil.invalid/'],
  ['url', '/evil'],
  ['method', 'delete'],
  ['maxRedirects', 0],
  ['responseType', 'arraybuffer'],
  ['responseEncoding', 'base64'],
  ['parseReviver', () => 'evil'],
  ['httpAgent', {}],
  ['timeout', 1],
];

describe.each(['adapter', 'direct'] as const)('what was put into Object.prototype is no option: %s', (name) => {
  let server: TestServer;
  let ours: Path;
  let path: string | undefined;

  beforeAll(async () => {
    server = await httpServer((request, response) => {
      if (request.url?.startsWith('/from')) response.writeHead(302, { location: '/to' }).end();
      else setTimeout(() => echo(request, response), 5);
    });
    ours = openPath(name);
  });
  afterEach(() => {
    if (path !== undefined) Reflect.deleteProperty(Object.prototype, path);
  });
  afterAll(() => Promise.all([ours.close(), server.close()]));

  function smuggle(option: string, value: unknown): void {
    path = option;
    // oxlint-disable-next-line no-extend-native -- that it can be done is what the test is about
    Object.defineProperty(Object.prototype, option, { value, configurable: true, writable: true, enumerable: false });
  }

  it.each(smuggled)('%s %s', async (option, value) => {
    const clean = await outcome(ours.request({ url: `${server.url}/from` }));
    smuggle(option, value);
    const { status, data } = await ours.request({ url: `${server.url}/from` });
    expect({ status, data }).toMatchObject({ status: 200, data: { method: 'GET', url: '/to', data: '' } });
    Reflect.deleteProperty(Object.prototype, option);
    expect(data).toEqual((clean as { response: { data: unknown } }).response.data);
  });

  it.each(['beforeRedirect', 'onDownloadProgress', 'paramsSerializer'])('%s is not called', async (option) => {
    const evil = vi.fn<() => string>(() => 'evil');
    smuggle(option, evil);
    const { data } = await ours.request({ url: `${server.url}/from`, params: { a: 1 } });
    await new Promise((resolve) => setImmediate(resolve));
    expect(data.url).toBe('/to');
    expect(evil).not.toHaveBeenCalled();
  });
});
