import axios, { AxiosError, type AxiosInstance, type AxiosRequestConfig } from 'axios';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DirectPath, PooledTransport } from '../../../../lib/http/transport/index.js';
import { httpServer, type TestServer } from './support.js';

let server: TestServer;
const transport = new PooledTransport();
type Way = (config: AxiosRequestConfig) => Promise<unknown>;
const ways: { axios: Way; adapter: Way; direct: Way } = { axios: fail, adapter: fail, direct: fail };

beforeAll(async () => {
  // What arrives at the server, without what differs by nature.
  server = await httpServer((request, response) => {
    if (request.url?.startsWith('/moved') === true) {
      response.writeHead(302, { location: '/there' }).end();
      return;
    }
    const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
    const { method, url } = request;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ method, url, length, encoding }));
  });
  const base = axios.create({ baseURL: server.url });
  const adapted: AxiosInstance = axios.create({ baseURL: server.url, adapter: (config) => transport.send(config) });
  const path = new DirectPath(adapted);
  ways.axios = (config) => base.request(config);
  ways.adapter = (config) => adapted.request(config);
  ways.direct = (config) =>
    path.isOpen(config) ? path.request(config, (ready) => transport.send(ready)) : adapted.request(config);
});
afterAll(() => Promise.all([transport.close(), server.close()]));

function fail(): never {
  throw new Error('not ready');
}

async function outcome(way: Way, config: AxiosRequestConfig): Promise<unknown> {
  try {
    const { status, data } = (await way({ ...config })) as { status: number; data: unknown };
    return { status, data };
  } catch (error) {
    const { code, name } = error as AxiosError;
    return { isAxiosError: axios.isAxiosError(error), code, name };
  }
}

const circular: Record<string, unknown> = { a: 1 };
circular['self'] = circular;

describe('small cases are as with axios', () => {
  it.each<[string, AxiosRequestConfig]>([
    ['POST without a body', { method: 'POST' }],
    ['DELETE without a body', { method: 'DELETE' }],
    ['DATA: in capitals', { url: 'DATA:text/plain;base64,aGVsbG8=', baseURL: '' }],
    ['data:', { url: 'data:text/plain;base64,aGVsbG8=', baseURL: '' }],
    ['transitional: null', { transitional: null as never }],
    ['circular params', { params: circular }],
    ['responseType: null', { responseType: null as never }],
    ['signal: {}', { signal: {} as never }],
    [
      'a redirect to another scheme',
      { url: '/moved', beforeRedirect: (options: Record<string, unknown>) => void (options['protocol'] = 'ftp:') },
    ],
  ])('%s', async (_, config) => {
    const expected = await outcome(ways.axios, config);
    expect(await outcome(ways.adapter, config)).toEqual(expected);
    expect(await outcome(ways.direct, config)).toEqual(expected);
  });
});
