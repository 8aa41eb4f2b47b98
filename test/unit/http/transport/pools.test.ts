import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { AxiosHeaders, type AxiosRequestConfig, type InternalAxiosRequestConfig } from 'axios';
import { afterEach, describe, expect, it } from 'vitest';
import { freePortWith } from '../../../servers/free-port.js';
import { CallSignal, PooledTransport, type TransportOptions } from '../../../../lib/http/transport/index.js';
import { DiscoveryError } from '../../../../lib/model/index.js';
import { echo, httpServer, openPath, rawServer, until, type TestServer } from './support.js';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

function pooled(options: TransportOptions = {}): PooledTransport {
  const transport = new PooledTransport(options);
  closers.push(() => transport.close());
  return transport;
}

function keep(server: TestServer): TestServer {
  closers.push(() => server.close());
  return server;
}

const get = (url: string, more: AxiosRequestConfig = {}): InternalAxiosRequestConfig => ({
  url,
  ...more,
  headers: new AxiosHeaders(),
});

describe('connections', () => {
  it('are made on the first call and used again', async () => {
    const server = keep(await httpServer(echo));
    const transport = pooled();
    expect(transport.stats).toEqual({ origins: 0, sockets: 0, inFlight: 0 });
    for (let i = 0; i < 20; i += 1) await transport.send(get(server.url));
    expect(server.accepted).toBe(1);
    expect(transport.stats).toEqual({ origins: 1, sockets: 1, inFlight: 0 });
  });

  it('are as many as calls at a time, or as many as allowed', async () => {
    const server = keep(await httpServer((request, response) => void setTimeout(() => echo(request, response), 30)));
    const [free, limited] = [pooled(), pooled({ maxConnectionsPerOrigin: 2 })];
    await Promise.all(Array.from({ length: 8 }, () => free.send(get(server.url))));
    expect(server.accepted).toBe(8);
    const calls = Array.from({ length: 8 }, () => limited.send(get(server.url)));
    await until(() => limited.stats.inFlight === 8, 'all calls under way');
    await Promise.all(calls);
    expect(server.accepted).toBe(10);
    expect(limited.stats).toEqual({ origins: 1, sockets: 2, inFlight: 0 });
  });

  it('that are waited for obey the time-out and the abort', async () => {
    const silent = keep(await rawServer(() => {}));
    const transport = pooled({ maxConnectionsPerOrigin: 1 });
    const first = transport.send(get(silent.url, { timeout: 300 })).catch((error: unknown) => error);
    const signal = new CallSignal();
    const waiting = transport.send(get(silent.url, { signal }));
    const slow = transport.send(get(silent.url, { timeout: 40 }));
    await expect(slow).rejects.toMatchObject({ code: 'ECONNABORTED' });
    signal.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_CANCELED' });
    expect(transport.stats.inFlight).toBe(1);
    await first;
    await until(() => transport.stats.origins === 0, 'no pool left');
  });

  it('a failed one gives its place to who waits', async () => {
    const flaky = keep(
      await rawServer((socket, _, count) => {
        if (count === 1) socket.destroy();
        else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1');
      }),
    );
    const transport = pooled({ maxConnectionsPerOrigin: 1 });
    const calls = [1, 2, 3].map(() => transport.send(get(flaky.url)));
    const results = await Promise.allSettled(calls);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
  });

  it('close when unused, before a server that says when it closes, and the pool with them', async () => {
    const server = keep(await httpServer(echo, (one) => (one.keepAliveTimeout = 600_000)));
    const transport = pooled({ keepAliveMarginMs: 599_700, keepAliveMs: 600_000 });
    await transport.send(get(server.url));
    expect(transport.stats).toEqual({ origins: 1, sockets: 1, inFlight: 0 });
    // The server would wait for longer than the test may.
    await until(() => transport.stats.origins === 0, 'no pool left');
    await until(() => server.open === 0, 'no socket left');
  });

  it('close when unused for keepAliveMs, when the server says nothing', async () => {
    const server = keep(await rawServer((socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')));
    const transport = pooled({ keepAliveMs: 60 });
    await transport.send(get(server.url));
    await until(() => transport.stats.origins === 0 && server.open === 0, 'no socket left', 1000);
  });

  it('of a server that announces less than the margin are used once', async () => {
    const server = keep(await httpServer(echo, (one) => (one.keepAliveTimeout = 1000)));
    const transport = pooled();
    for (let i = 0; i < 3; i += 1) await transport.send(get(server.url));
    expect(server.accepted).toBe(3);
  });

  it('that the server closes are noticed', async () => {
    const server = keep(await httpServer((_, response) => void response.setHeader('connection', 'close').end('1')));
    const transport = pooled();
    for (let i = 0; i < 3; i += 1) await transport.send(get(server.url));
    expect(server.accepted).toBe(3);
    await until(() => transport.stats.sockets === 0, 'no socket left');
  });

  it('hundreds of POSTs around the moment when the server closes idle sockets: none fails', async () => {
    const server = keep(await httpServer(echo, (one) => (one.keepAliveTimeout = 2000)));
    const transport = pooled();
    for (const pauseMs of [990, 1005, 1995, 2005, 0]) {
      const config = (): InternalAxiosRequestConfig => get(server.url, { method: 'post', data: 'a' });
      await Promise.all(Array.from({ length: 100 }, () => transport.send(config())));
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  });

  it('release() closes what is idle and lets the rest finish', async () => {
    let finish = (): void => {};
    const server = keep(
      await httpServer((request, response) => {
        if (request.url === '/slow') finish = () => response.end('"late"');
        else response.end('1');
      }),
    );
    const transport = pooled();
    const slow = transport.send(get(`${server.url}/slow`));
    await transport.send(get(server.url));
    expect(transport.stats.sockets).toBe(2);
    transport.release(`${server.url}/`);
    await until(() => server.open === 1, 'only the busy socket');
    await transport.send(get(server.url));
    finish();
    expect((await slow).data).toBe('"late"');
    await until(() => server.open === 1 && transport.stats.sockets === 1, 'only the new socket');
    transport.release('http://nobody.invalid');
  });

  it('close() ends all, and calls after it say so', async () => {
    const silent = keep(await rawServer(() => {}));
    const transport = pooled({ maxConnectionsPerOrigin: 1 });
    const calls = [1, 2].map(() => transport.send(get(silent.url)));
    await until(() => silent.open === 1, 'one socket');
    const closed = transport.close();
    for (const result of await Promise.allSettled(calls))
      expect(result).toMatchObject({ reason: { code: 'ECONNRESET' } });
    await closed;
    expect(transport.stats).toEqual({ origins: 0, sockets: 0, inFlight: 0 });
    await until(() => silent.open === 0, 'no socket left');
    await expect(transport.send(get(silent.url))).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
    await transport.close();
  });

  it('bad options are named', () => {
    for (const field of ['connectTimeoutMs', 'keepAliveMs', 'maxConnectionsPerOrigin']) {
      expect(() => new PooledTransport({ [field]: -1 })).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION', field }),
      );
    }
    expect(() => new PooledTransport({ pipelining: 2 } as never)).toThrow(DiscoveryError);
  });

  it('an unused socket does not keep the process alive', async () => {
    const server = keep(await httpServer(echo));
    const script = fileURLToPath(new URL('exits.ts', import.meta.url));
    const child = fork(script, [server.url], { execArgv: ['--import', 'tsx'] });
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).toBe(0);
  });
});

it.each(['adapter', 'direct'] as const)(
  '10,000 mixed outcomes by %s leave nothing behind',
  async (name) => {
    const server = keep(
      await httpServer((request, response) => {
        switch (request.url) {
          case '/ok':
            response.end('{"a":1}');
            break;
          case '/error':
            response.writeHead(500).end('no');
            break;
          case '/reset':
            request.socket.destroy();
            break;
          case '/cut':
            response.writeHead(200, { 'content-length': 10 }).write('abc');
            setImmediate(() => request.socket.destroy());
            break;
          case '/moved':
            response.writeHead(302, { location: '/ok' }).end();
            break;
          default:
            // Never answered.
            break;
        }
      }),
    );
    const gone = { url: `http://127.0.0.1:${await freePortWith([])}` };
    const path = openPath(name, { baseURL: server.url });
    const transport = path.transport as PooledTransport;
    closers.push(() => path.close());
    const kinds: (() => AxiosRequestConfig)[] = [
      () => ({ url: '/ok' }),
      () => ({ url: '/ok', method: 'post', data: { a: 1 } }),
      () => ({ url: '/error' }),
      () => ({ url: '/reset' }),
      () => ({ url: '/cut' }),
      () => ({ url: '/moved' }),
      () => ({ url: '/never', timeout: 5 }),
      () => {
        const signal = new CallSignal();
        setTimeout(() => signal.abort(), 3);
        return { url: '/never', signal };
      },
      () => ({ url: '/ok', signal: AbortSignal.abort() }),
      () => ({ url: gone.url, baseURL: '' }),
      () => ({ url: '/ok', maxContentLength: 1 }),
      () => ({ url: '/ok', responseType: 'stream' }),
    ];
    let settled = 0;
    let left = 10_000;
    const worker = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        const config = kinds[left % kinds.length]?.() ?? {};
        await path.request(config).then(
          (response) => {
            // Half of the streams are read, half are thrown away.
            if (config.responseType !== 'stream') return;
            if (left % 24 < 12) response.data.resume();
            else response.data.destroy();
          },
          () => {},
        );
        settled += 1;
      }
    };
    await Promise.all(Array.from({ length: 40 }, worker));
    expect(settled).toBe(10_000);
    await until(() => transport.stats.inFlight === 0, 'no call under way');
    transport.release(server.url);
    await until(() => server.open === 0 && transport.stats.sockets === 0, 'no socket left');
    expect(transport.stats).toEqual({ origins: 0, sockets: 0, inFlight: 0 });
  },
  // As long as a busy machine needs: what is asserted is what is left, not how fast it went.
  300_000,
);
