import axios, { type AxiosRequestConfig } from 'axios';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DirectPath, PooledTransport } from '../../../../lib/http/transport/index.js';
import { echo, httpServer, type TestServer } from './support.js';

let server: TestServer;
const transport = new PooledTransport();
const make = () => {
  const instance = axios.create({ baseURL: server.url, adapter: (config) => transport.send(config) });
  return { instance, path: new DirectPath(instance) };
};

beforeAll(async () => {
  server = await httpServer(echo);
});
afterAll(() => Promise.all([transport.close(), server.close()]));

describe('the direct path', () => {
  it('is open for common calls', () => {
    const { path } = make();
    const configs: AxiosRequestConfig[] = [
      {},
      { method: 'post', data: { a: 1 }, headers: { a: 'b' }, params: { a: 1 }, timeout: 1, responseType: 'json' },
      { adapter: undefined as never, transformRequest: undefined as never },
    ];
    for (const config of configs) expect(path.isOpen(config)).toBe(true);
  });

  it('closes for what only the pipeline does, and opens again', async () => {
    const { instance, path } = make();
    const ids = [instance.interceptors.request.use((config) => config), instance.interceptors.response.use((r) => r)];
    expect(path.isOpen({})).toBe(false);
    instance.interceptors.request.eject(ids[0] ?? -1);
    expect(path.isOpen({})).toBe(false);
    instance.interceptors.response.eject(ids[1] ?? -1);
    expect(path.isOpen({})).toBe(true);
  });

  it.each([
    ['transformRequest', { transformRequest: [] }],
    ['transformResponse', { transformResponse: (data: unknown) => data }],
    ['adapter', { adapter: 'http' }],
    ['transitional', { transitional: { silentJSONParsing: false } }],
    ['headers by method', { headers: { common: { a: 'b' } } }],
    ['a misspelled option', { baseUrl: 'x' }],
  ])('closes for %s in a config', (_, config) => {
    expect(make().path.isOpen(config as AxiosRequestConfig)).toBe(false);
  });

  it('closes for what was changed on the instance', () => {
    const changes: ((one: ReturnType<typeof make>['instance']) => void)[] = [
      (one) => (one.defaults.adapter = 'http'),
      (one) => (one.defaults.transformRequest = []),
      (one) =>
        (one.defaults.transformResponse = [
          ...[one.defaults.transformResponse].flat(),
          (data: unknown) => data,
        ] as never),
      (one) => (one.request = (() => Promise.resolve('mocked')) as never),
    ];
    for (const change of changes) {
      const { instance, path } = make();
      change(instance);
      expect(path.isOpen({})).toBe(false);
    }
  });

  it('a closed path is the pipeline', async () => {
    const { instance, path } = make();
    instance.interceptors.request.use((config) => {
      config.headers.set('x-intercepted', 'yes');
      return config;
    });
    const { data } = await path.request<{ headers: object }>({ url: '/' }, (config) => transport.send(config));
    expect(data.headers).toMatchObject({ 'x-intercepted': 'yes' });
  });

  it('reads the defaults of the moment', async () => {
    const { instance, path } = make();
    instance.defaults.headers.common['X-Token'] = 'new';
    instance.defaults.params = { a: 1 };
    const { data } = await path.request<{ headers: object; url: string }>({ url: '/x' }, (config) =>
      transport.send(config),
    );
    expect(data).toMatchObject({ url: '/x?a=1', headers: { 'x-token': 'new' } });
  });

  it('hears of every change of them between two calls', async () => {
    const { instance, path } = make();
    const asked = async () => {
      const { data } = await path.request<{ headers: Record<string, string>; url: string }>({ url: '/x' }, (config) =>
        transport.send(config),
      );
      return [data.url, data.headers['x-token']];
    };
    expect(await asked()).toEqual(['/x', undefined]);
    instance.defaults.params = { a: 1 };
    expect(await asked()).toEqual(['/x?a=1', undefined]);
    instance.defaults.params = { a: 2 };
    instance.defaults.headers.common['X-Token'] = 'new';
    expect(await asked()).toEqual(['/x?a=2', 'new']);
    delete instance.defaults.params;
    instance.defaults.headers.common['X-Token'] = 'newer';
    expect(await asked()).toEqual(['/x', 'newer']);
    // As many as before, of another name.
    instance.defaults.params = { a: 3 };
    delete instance.defaults.timeout;
    expect(await asked()).toEqual(['/x?a=3', 'newer']);
  });

  it('leaves what it was given as it was', async () => {
    const { path } = make();
    const headers = Object.freeze({ 'x-a': '1' });
    const data = Object.freeze({ a: 1 });
    const config = Object.freeze({ method: 'POST', url: '/', headers, data });
    const response = await path.request(config, (config) => transport.send(config));
    expect(config).toEqual({ method: 'POST', url: '/', headers: { 'x-a': '1' }, data: { a: 1 } });
    expect(response.config.headers).not.toBe(headers);
  });

  it('gives JSON that was asked for and is none as an error', async () => {
    const bad = await httpServer((_, response) => response.end('{"a":'));
    const instance = axios.create({
      adapter: (config) => transport.send(config),
      transitional: { silentJSONParsing: false },
    });
    const path = new DirectPath(instance);
    const call = path.request({ url: bad.url, responseType: 'json' }, (config) => transport.send(config));
    await expect(call).rejects.toMatchObject({
      name: 'SyntaxError',
      code: 'ERR_BAD_RESPONSE',
      response: { status: 200 },
    });
    await bad.close();
  });
});
