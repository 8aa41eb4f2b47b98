import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { AxiosRequestConfig } from 'axios';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { httpServer, openPath, outcome, type Path, type TestServer } from './support.js';

const SECRETS = {
  Authorization: 'Bearer t',
  Cookie: 'a=1',
  'Proxy-Authorization': 'Basic x',
  'X-Own': 'kept',
  'X-Secret': 's',
};

describe.each(['adapter', 'direct'] as const)('redirects by %s as by axios', (name) => {
  let server: TestServer;
  let other: TestServer;
  let oracle: Path;
  let ours: Path;

  beforeAll(async () => {
    other = await httpServer((request, response) => {
      void text(request).then((data) => {
        if (request.url?.startsWith('/back') === true) {
          response.writeHead(302, { location: `${server.url}/echo` }).end();
          return;
        }
        const { host: _, connection: __, ...headers } = request.headers;
        response.end(JSON.stringify({ other: true, method: request.method, url: request.url, headers, data }));
      });
    });
    server = await httpServer((request, response) => {
      void text(request).then((data) => {
        const [, kind = '', status = '302', to = ''] = request.url?.split('/') ?? [];
        if (kind === 'to') {
          const location =
            {
              echo: '/echo?x=1',
              relative: '../../echo',
              full: `${server.url}/echo`,
              other: `${other.url}/echo`,
              back: `${other.url}/back`,
              loop: request.url ?? '',
              bad: 'http://',
              ftp: 'ftp://a/b',
              escaped: '/echo/ü b',
            }[to] ?? '';
          response
            .writeHead(Number(status), location === '' ? {} : { location: Buffer.from(location).toString('latin1') })
            .end('moved');
          return;
        }
        const { host: _, connection: __, ...headers } = request.headers;
        response.end(JSON.stringify({ method: request.method, url: request.url, headers, data }));
      });
    });
    oracle = openPath('axios', { baseURL: server.url, timeout: 3000 });
    ours = openPath(name, { baseURL: server.url, timeout: 3000 });
  });
  afterAll(() => Promise.all([oracle.close(), ours.close(), server.close(), other.close()]));

  const same = async (config: () => AxiosRequestConfig): Promise<unknown> => {
    const theirs = await outcome(oracle.request(config()));
    expect(await outcome(ours.request(config()))).toEqual(theirs);
    return theirs;
  };

  describe.each([301, 302, 303, 304, 307, 308])('%i', (status) => {
    it.each(['get', 'head', 'post', 'put', 'delete'])('%s', async (method) => {
      const data = method === 'post' || method === 'put' ? { a: 1 } : undefined;
      await same(() => ({ method, url: `/to/${status}/echo`, data, headers: { 'X-Own': '1' } }));
    });
    it('a stream as the body', async () => {
      await same(() => ({ method: 'post', url: `/to/${status}/echo`, data: Readable.from(['ab', 'cd']) }));
    });
  });

  it.each(['relative', 'full', 'other', 'none', 'bad', 'ftp', 'escaped'])('to an address: %s', async (to) => {
    await same(() => ({ url: `/to/302/${to}`, headers: { 'X-Own': '1' } }));
  });

  it('credentials stay with the origin', async () => {
    for (const to of ['full', 'other', 'back']) {
      await same(
        () => ({ url: `/to/307/${to}`, headers: SECRETS, sensitiveHeaders: ['x-secret'] }) as AxiosRequestConfig,
      );
      await same(() => ({ url: `/to/307/${to}`, auth: { username: 'u', password: 'p' } }));
    }
    const { data } = await ours.request({ url: '/to/302/other', headers: SECRETS });
    expect(Object.keys(data.headers)).not.toEqual(expect.arrayContaining(['authorization']));
    expect(data.headers).toMatchObject({ 'x-own': 'kept' });
  });

  it('none when told so', async () => {
    expect(await same(() => ({ url: '/to/302/echo', maxRedirects: 0 }))).toMatchObject({
      error: { code: 'ERR_BAD_RESPONSE', status: 302 },
    });
    await same(() => ({ url: '/to/302/echo', maxRedirects: 0, validateStatus: null }));
  });

  it('too many', async () => {
    expect(await same(() => ({ url: '/to/302/loop' }))).toMatchObject({ error: { code: 'ERR_FR_TOO_MANY_REDIRECTS' } });
    await same(() => ({ url: '/to/302/loop', maxRedirects: 2 }));
    await same(() => ({ url: '/to/302/echo', maxRedirects: 1 }));
  });

  it('beforeRedirect sees and changes the next hop, and may refuse it', async () => {
    const seen: unknown[] = [];
    const beforeRedirect: AxiosRequestConfig['beforeRedirect'] = (options, { headers, statusCode }, request) => {
      const { method, hostname, path } = options;
      seen.push({
        method,
        hostname,
        path,
        location: headers['location'],
        statusCode,
        from: request.url,
        before: request.method,
      });
      options.headers['x-added'] = 'yes';
      options.path = '/echo?changed';
    };
    await same(() => ({ method: 'post', data: 'a', url: '/to/302/echo', beforeRedirect }));
    expect(seen).toHaveLength(2);
    expect(seen[1]).toEqual(seen[0]);
    const refuse = (): AxiosRequestConfig => ({
      url: '/to/302/echo',
      beforeRedirect: () => {
        throw new Error('not there');
      },
    });
    expect(await same(refuse)).toMatchObject({ error: { code: 'ERR_FR_REDIRECTION_FAILURE' } });
  });

  it('beforeRedirect sees and gives `auth`', async () => {
    const seen: unknown[] = [];
    const give = (auth: unknown): AxiosRequestConfig => ({
      url: '/to/302/echo',
      beforeRedirect: (options) => {
        seen.push(options['auth']);
        options['auth'] = auth;
      },
    });
    for (const auth of ['user:password', '', undefined]) {
      await same(() => give(auth));
      await same(() => ({ ...give(auth), auth: { username: 'u', password: 'p' } }));
      await same(() => ({ ...give(auth), headers: { Authorization: 'Bearer t' } }));
      await same(() => ({ ...give(auth), url: '/to/302/back' }));
    }
    expect(seen).toContain('u:p');
    const { data } = await ours.request(give('user:password'));
    expect(data.headers.authorization).toBe(`Basic ${Buffer.from('user:password').toString('base64')}`);
  });

  it.each(['next', '../v2/new', '?page=2', '/abs', ''])(
    'a relative address, with a Host header: %s',
    async (location) => {
      const api = await httpServer((request, response) => {
        if (request.url === '/api/v1/old') response.writeHead(302, { location }).end();
        else response.end(JSON.stringify({ url: request.url, host: request.headers.host }));
      });
      const url = `${api.url}/api/v1/old`;
      await same(() => ({ url, headers: { Host: `localhost:${api.port}` } }));
      await same(() => ({ url, headers: { Host: 'localhost' } }));
      await api.close();
    },
  );

  it('credentials stay with the virtual host that a Host header names', async () => {
    const headers = { ...SECRETS, Host: 'tenant.invalid' };
    await same(() => ({ url: '/to/302/full', headers, sensitiveHeaders: ['x-secret'] }) as AxiosRequestConfig);
    const { data } = await ours.request({ url: '/to/302/full', headers });
    expect(Object.keys(data.headers)).not.toEqual(expect.arrayContaining(['authorization']));
    expect(data.headers).not.toHaveProperty('cookie');
  });

  it('the URL that answered', async () => {
    for (const path of [oracle, ours]) {
      const { request } = await path.request({ url: '/to/302/echo' });
      expect(request.res.responseUrl).toBe(`${server.url}/echo?x=1`);
    }
  });

  it('a large body of a redirect is not read', async () => {
    const wordy = await httpServer((request, response) => {
      if (request.url === '/end') return void response.end('"end"');
      response.writeHead(302, { location: '/end' });
      response.end(Buffer.alloc(2_000_000));
    });
    expect((await ours.request({ url: wordy.url })).data).toBe('end');
    await wordy.close();
  });

  it('the time-out bounds all hops', async () => {
    const slow = await httpServer((_, response) => {
      setTimeout(() => response.writeHead(302, { location: '/' }).end(), 30);
    });
    await expect(ours.request({ url: slow.url, timeout: 200 })).rejects.toMatchObject({ code: 'ECONNABORTED' });
    await slow.close();
  });
});
