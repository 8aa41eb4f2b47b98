import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { IncomingHeaders } from '../../../../lib/http/index.js';
import { node, seen, service, type Behaviour, type Node, type Service } from './support.js';

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

const echo: Behaviour = (request, response) => {
  void text(request).then((body) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, body }));
  });
};

/** Sends `/to/307/<address>` there, and echoes everything else. */
const sends: Behaviour = (request, response) => {
  const [, status = '', to = ''] = /^\/to\/(\d+)\/(.*)/.exec(request.url ?? '') ?? [];
  if (to === '') return echo(request, response);
  request.resume();
  response.writeHead(Number(status), { location: decodeURIComponent(to) }).end();
};

const to = (status: number, address: string): string => `/to/${status}/${encodeURIComponent(address)}`;

const HEADERS = {
  Authorization: 'Bearer t',
  Cookie: 'a=1',
  'X-Api-Key': 'k',
  Accept: 'application/json',
  'Accept-Language': 'de',
  'Content-Type': 'application/json',
};

describe.each([{ transport: 'undici' } as const, { transport: 'axios' } as const])(
  'redirects of calls through $transport',
  (transport) => {
    const open = async (http: object = {}): Promise<readonly [Service, own: Node, other: Node]> => {
      const [own, other] = [await node(sends), await node(echo)];
      return [await service([own], { ...transport, http }), own, other];
    };

    it('are followed within the instance’s origin', async () => {
      const [{ client }, own] = await open();
      for (const address of ['/new', `${own.url}/new`]) {
        const { data } = await client.axiosRef.post<Seen>(to(307, address), { a: 1 }, { headers: HEADERS });
        expect(data).toMatchObject({ method: 'POST', url: '/new', body: '{"a":1}' });
        expect(data.headers).toMatchObject({ authorization: 'Bearer t', 'x-api-key': 'k', cookie: 'a=1' });
      }
    });

    it.each([302, 307])('%i: are not followed to another one', async (status) => {
      const [stock, own, other] = await open();
      const unbound = stock.runtime.unboundClient().axiosRef;
      const { port } = own;
      const elsewhere = [`${other.url}/x`, `https://127.0.0.1:${port}/`, `http://localhost:${port}/`];
      for (const address of [...elsewhere, `//127.0.0.1:${other.port}/`]) {
        const calls = [
          stock.client.axiosRef.get(to(status, address)),
          stock.client.axiosRef.post(to(status, address), { secret: 1 }),
          unbound.post(`lb://STOCK${to(status, address)}`, { secret: 1 }),
          // Neither may the hook of a call.
          stock.client.axiosRef.get(to(status, '/new'), {
            beforeRedirect: (options) => {
              options['port'] = other.port;
              options['host'] = `127.0.0.1:${other.port}`;
            },
          }),
        ];
        for (const call of calls) {
          await expect(call).rejects.toMatchObject({
            code: 'ERR_FR_REDIRECTION_FAILURE',
            message: expect.stringMatching(/redirects to http.*redirects: 'any'/) as string,
          });
        }
      }
      expect(seen(other)).toEqual([0]);
      expect(stock.client.instanceStats()).toMatchObject([{ pending: 0 }]);
    });

    it('are followed to any when asked for, but credentials, forwarded and own headers never are', async () => {
      const [stock, own, other] = await open({
        redirects: 'any',
        forwardHeaders: ['x-tenant'],
        deadlineHeader: 'x-deadline',
      });
      const { client, runtime } = stock;
      client.axiosRef.interceptors.request.use((config) => {
        config.headers.set('X-Added', 'secret');
        return config;
      });
      expect(runtime.incoming).toBeInstanceOf(IncomingHeaders);
      const call = (address: string): Promise<Seen> =>
        runtime.incoming.within({ 'x-tenant': 'carla' }, async () => {
          const config = { headers: HEADERS, beforeRedirect: () => {} };
          return (await client.axiosRef.post<Seen>(to(307, address), { a: 1 }, config)).data;
        });
      const stayed = await call(`${own.url}/new`);
      expect(stayed.headers).toMatchObject({ 'x-tenant': 'carla', 'x-added': 'secret', authorization: 'Bearer t' });
      const { headers, body } = await call(`${other.url}/new`);
      expect(body).toBe('{"a":1}');
      expect(headers).toMatchObject({ accept: 'application/json', 'accept-language': 'de' });
      expect(headers).toMatchObject({ 'content-type': 'application/json', host: `127.0.0.1:${other.port}` });
      for (const name of ['authorization', 'cookie', 'x-api-key', 'x-tenant', 'x-added', 'x-deadline']) {
        expect(headers).not.toHaveProperty(name);
      }
      other.behaviour = (_, response) => void response.writeHead(307, { location: `${own.url}/back` }).end();
      expect((await call(`${other.url}/new`)).headers).not.toHaveProperty('x-api-key');
      const { data } = await client.axiosRef.get<Seen>(to(302, `http://localhost:${own.port}/x`), {
        auth: { username: 'u', password: 'p' },
      });
      expect(data.headers).not.toHaveProperty('authorization');
    });

    it('are given to the caller when asked for', async () => {
      const [{ client }, own, other] = await open({ redirects: 'none' });
      for (const address of [`${own.url}/new`, other.url]) {
        await expect(client.axiosRef.get(to(302, address))).rejects.toMatchObject({
          response: { status: 302, headers: { location: address } },
        });
      }
      const { status } = await client.axiosRef.post(to(307, '/x'), { a: 1 }, { validateStatus: null });
      expect(status).toBe(307);
      expect(seen(other)).toEqual([0]);
    });

    it('of other URLs are followed as by axios', async () => {
      const [{ runtime }, own, other] = await open();
      const { data } = await runtime
        .unboundClient()
        .axiosRef.get<Seen>(own.url + to(302, `${other.url}/x`), { headers: { 'X-Own': '1' } });
      expect(data.headers).toMatchObject({ 'x-own': '1' });
    });
  },
);
