import { describe, expect, it } from 'vitest';
import type { Behaviour, Node } from './support.js';
import { node, seen, service } from './support.js';

const echo: Behaviour = (request, response) => {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ url: request.url, headers: request.headers }));
};

const SECRETS = { Authorization: 'Bearer t', Cookie: 'a=1', 'X-Api-Key': 'k' };

describe.each([{ transport: 'undici' } as const, { transport: 'axios' } as const])(
  'a bound client through $transport',
  (transport) => {
    const open = async (
      http: object = {},
    ): Promise<readonly [Awaited<ReturnType<typeof service>>, own: Node, other: Node]> => {
      const [own, other] = [await node(echo), await node(echo)];
      const stock = await service([], { ...transport, http });
      stock.add(own, { metadata: { contextPath: '/public' } });
      stock.registry.addInstance('OTHER', { port: other.port });
      await stock.knows(own);
      return [stock, own, other];
    };

    it('calls nothing else, whoever wrote the address', async () => {
      const [{ client }, own, other] = await open();
      const addresses = [
        `${other.url}/x`,
        `HTTP://127.0.0.1:${other.port}/`,
        'lb://OTHER/x',
        `//127.0.0.1:${other.port}/`,
      ];
      for (const url of [...addresses, `\\\\127.0.0.1:${other.port}/`, `ftp://u:secret@127.0.0.1:${other.port}/`]) {
        for (const call of [
          () => client.axiosRef.get(url, { headers: SECRETS }),
          () =>
            new Promise((resolve, reject) =>
              client.get(url, { headers: SECRETS }).subscribe({ next: resolve, error: reject }),
            ),
        ]) {
          await expect(call()).rejects.toMatchObject({
            code: 'INVALID_OPTION',
            field: 'url',
            service: 'STOCK',
            message: expect.stringMatching(/STOCK.*allowAbsoluteUrls/) as string,
          });
        }
      }
      await expect(client.axiosRef.get('/x', { baseURL: other.url })).rejects.toMatchObject({ field: 'url' });
      client.axiosRef.interceptors.request.use((config) => Object.assign(config, { url: `${other.url}/x` }));
      await expect(client.axiosRef.get('/x')).rejects.toMatchObject({ field: 'url' });
      expect(seen(own, other)).toEqual([0, 0]);
    });

    it.each([
      '../admin',
      '/x/../../admin',
      '/..',
      '/x/%2e%2e/%2E%2e/admin',
      '/.%2e/admin',
      '/x/..%2f..%2fadmin',
      '/x\\..\\..\\admin',
      '/x/..%5c..%5cadmin',
      '/.\t./admin',
      '/%2\ne%2e/admin',
      '/..;a=b/admin',
    ])('takes no way up: %j', async (url) => {
      const [{ client }, own] = await open();
      await expect(client.axiosRef.get(url)).rejects.toMatchObject({ code: 'INVALID_OPTION', field: 'url' });
      await expect(client.axiosRef.get('x', { baseURL: `lb://STOCK${url}` })).rejects.toMatchObject({ field: 'url' });
      expect(seen(own)).toEqual([0]);
    });

    it.each([
      ['/a..b/...', '/public/a..b/...'],
      ['/x?to=../y', '/public/x?to=../y'],
      ['/x?to=http://a/b', '/public/x?to=http://a/b'],
      ['lb://STOCK/x', '/public/x'],
      ['', '/public/'],
    ])('takes %j', async (url, asked) => {
      const [{ client }] = await open();
      expect((await client.axiosRef.get<{ url: string }>(url)).data.url).toBe(asked);
    });

    it('goes where it is sent when that is allowed, but takes no way up', async () => {
      const [{ client, runtime }, , other] = await open();
      const free = runtime.clientFor('free', 'STOCK', { allowAbsoluteUrls: true });
      for (const url of [`${other.url}/x`, 'lb://OTHER/x']) await free.axiosRef.get(url);
      expect(seen(other)).toEqual([2]);
      await expect(free.axiosRef.get('/../x')).rejects.toMatchObject({ field: 'url' });
      await expect(client.axiosRef.get(`${other.url}/x`)).rejects.toMatchObject({ field: 'url' });
      const unbound = runtime.unboundClient().axiosRef;
      for (const url of [`${other.url}/x/../y`, 'lb://OTHER/x/../y']) await unbound.get(url);
      expect(seen(other)).toEqual([2]);
    });
  },
);
