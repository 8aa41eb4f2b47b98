import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import axios, { AxiosError, type AxiosRequestConfig, type CreateAxiosDefaults } from 'axios';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { freePortWith } from '../../../servers/free-port.js';
import { CallSignal, PooledTransport } from '../../../../lib/http/transport/index.js';
import { httpServer, openPath, outcome, rawServer, until, type Path, type TestServer } from './support.js';

/** Takes connections and says nothing. */
let silent: TestServer;
/** Says the head and the first bytes, then nothing. */
let stalled: TestServer;
let refusing: string;
const paths: Path[] = [];

beforeAll(async () => {
  silent = await rawServer(() => {});
  stalled = await rawServer((socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc'));
  refusing = `http://127.0.0.1:${await freePortWith([])}`;
});
afterAll(() => Promise.all([silent.close(), stalled.close()]));
afterEach(() => Promise.all(paths.splice(0).map((path) => path.close())));

function open(name: Path['name'], defaults: CreateAxiosDefaults = {}): Path {
  const path = openPath(name, defaults);
  paths.push(path);
  return path;
}

async function failure(call: Promise<unknown>): Promise<AxiosError> {
  const error: unknown = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof AxiosError)) throw new Error(`no AxiosError: ${String(error)}`);
  return error;
}

describe.each(['adapter', 'direct'] as const)('by %s as by axios', (name) => {
  const same = async (config: () => AxiosRequestConfig, defaults: CreateAxiosDefaults = {}): Promise<unknown> => {
    const theirs = await outcome(open('axios', defaults).request(config()));
    expect(await outcome(open(name, defaults).request(config()))).toEqual(theirs);
    return theirs;
  };

  it('a refused connection', async () => {
    expect(await same(() => ({ url: refusing }))).toMatchObject({ error: { code: 'ECONNREFUSED' } });
    const error = await failure(open(name).request({ url: refusing }));
    expect(error.cause).toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect' });
    expect(error.message).toContain('ECONNREFUSED');
  });

  it('TLS to a server that speaks none', async () => {
    const plain = await httpServer((_, response) => response.end());
    const url = plain.url.replace('http:', 'https:');
    expect(await same(() => ({ url }))).toMatchObject({ error: { code: 'EPROTO' } });
    expect((await failure(open(name).request({ url }))).message).toMatch(/^write EPROTO /);
    await plain.close();
  });

  it('a host that nobody knows', async () => {
    const error = await failure(open(name).request({ url: 'http://nobody.invalid/' }));
    expect(['ENOTFOUND', 'EAI_AGAIN']).toContain(error.code);
    expect(error.cause).toMatchObject({ syscall: 'getaddrinfo' });
  });

  it('a time-out while nothing comes', async () => {
    expect(await same(() => ({ url: silent.url, timeout: 40 }))).toMatchObject({ error: { code: 'ECONNABORTED' } });
  });

  it('the messages of time-outs', async () => {
    for (const config of [{}, { timeoutErrorMessage: 'too slow' }]) {
      const [theirs, own] = await Promise.all(
        (['axios', name] as const).map((one) =>
          failure(open(one).request({ ...config, url: silent.url, timeout: 30 })),
        ),
      );
      expect(own?.message).toBe(theirs?.message);
    }
  });

  it('clarifyTimeoutError', async () => {
    const defaults = { transitional: { clarifyTimeoutError: true } };
    expect(await same(() => ({ url: silent.url, timeout: 30 }), defaults)).toMatchObject({
      error: { code: 'ETIMEDOUT' },
    });
  });

  it('an abort before, while waiting and after', async () => {
    const before = (): AxiosRequestConfig => ({ url: silent.url, signal: AbortSignal.abort() });
    expect(await same(before)).toMatchObject({ error: { code: 'ERR_CANCELED', isCancel: true } });
    const during = (): AxiosRequestConfig => {
      const controller = new AbortController();
      setTimeout(() => controller.abort(), 30);
      return { url: silent.url, signal: controller.signal };
    };
    expect(await same(during)).toMatchObject({ error: { code: 'ERR_CANCELED', hasRequest: true } });
  });

  it('a cancel token', async () => {
    const config = (): AxiosRequestConfig => {
      const source = axios.CancelToken.source();
      setTimeout(() => source.cancel('no more'), 30);
      return { url: silent.url, cancelToken: source.token };
    };
    expect(await same(config)).toMatchObject({ error: { code: 'ERR_CANCELED' } });
    expect((await failure(open(name).request(config()))).message).toBe('no more');
    const used = axios.CancelToken.source();
    used.cancel();
    expect(await same(() => ({ url: silent.url, cancelToken: used.token }))).toMatchObject({
      error: { isCancel: true },
    });
  });

  it('the cheap signal', async () => {
    const config = (): AxiosRequestConfig => {
      const signal = new CallSignal();
      setTimeout(() => signal.abort(), 30);
      return { url: silent.url, signal };
    };
    expect(await same(config)).toMatchObject({ error: { code: 'ERR_CANCELED' } });
  });

  it('an abort in the middle of a body', async () => {
    const config = (): AxiosRequestConfig => {
      const controller = new AbortController();
      setTimeout(() => controller.abort(), 60);
      return { url: stalled.url, signal: controller.signal };
    };
    expect(await same(config)).toMatchObject({ error: { code: 'ERR_CANCELED' } });
  });

  it('an early answer to a body that is still being sent', async () => {
    const strict = await httpServer((_, response) => response.writeHead(413, { connection: 'close' }).end('too much'));
    const body = new PassThrough();
    body.write('a');
    const response = open(name).request({ method: 'post', url: strict.url, data: body, validateStatus: null });
    expect(await response).toMatchObject({ status: 413, data: 'too much' });
    expect(body.destroyed).toBe(false);
    // Nobody listens any more: its owner may do with it what he likes.
    await until(() => body.listenerCount('readable') === 0, 'the body to be let go');
    body.end('bc');
    expect(await text(body)).toBe('bc');
    await strict.close();
  });
});

describe.each(['adapter', 'direct'] as const)('by %s', (name) => {
  it('the time-out bounds the whole answer, as axios documents', async () => {
    const error = await failure(open(name).request({ url: stalled.url, timeout: 60 }));
    expect(error).toMatchObject({ code: 'ECONNABORTED', message: 'timeout of 60ms exceeded' });
    let trickle: NodeJS.Timeout | undefined;
    const slow = await rawServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n');
      trickle = setInterval(() => socket.write('a'), 10);
      socket.on('close', () => clearInterval(trickle));
    });
    expect((await failure(open(name).request({ url: slow.url, timeout: 100 }))).code).toBe('ECONNABORTED');
    await until(() => slow.open === 0, 'the end of the socket');
    await slow.close();
  });

  it('of a stream the time-out bounds each pause', async () => {
    let sent = 0;
    const slow = await httpServer((_, response) => {
      const timer = setInterval(() => {
        sent += 1;
        response.write('a');
        if (sent % 12 === 0) {
          clearInterval(timer);
          response.end();
        }
      }, 200);
    });
    // Longer in all than the time-out, each pause a fraction of it.
    const { data } = await open(name).request({ url: slow.url, timeout: 2000, responseType: 'stream' });
    expect(await text(data)).toBe('a'.repeat(12));
    const other = await open(name).request({ url: stalled.url, timeout: 1000, responseType: 'stream' });
    await expect(text(other.data)).rejects.toMatchObject({ code: 'ECONNABORTED' });
    await slow.close();
  });

  it('an abort ends a stream that was handed out', async () => {
    const controller = new AbortController();
    const config = { url: stalled.url, signal: controller.signal, responseType: 'stream' as const };
    const { data } = await open(name).request(config);
    const end = text(data);
    controller.abort();
    await expect(end).rejects.toMatchObject({ code: 'ERR_CANCELED' });
  });

  it('an error has its request, its config and what failed below', async () => {
    const error = await failure(open(name).request({ url: `${refusing}/a?b=c`, method: 'post', data: { a: 1 } }));
    expect(error.config).toMatchObject({ method: 'post', data: '{"a":1}' });
    expect(error.request).toMatchObject({ method: 'POST', path: '/a?b=c', host: '127.0.0.1', protocol: 'http:' });
    expect(JSON.parse(JSON.stringify(error))).toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('a connection that is not made in time was surely not sent', async () => {
    // Reserved for documentation: no route, or nobody who answers.
    const transport = new PooledTransport({ connectTimeoutMs: 60 });
    const error = await failure(transport.send({ url: 'http://192.0.2.1:81/', headers: new axios.AxiosHeaders() }));
    // undici's timers are coarse, and some networks refuse at once.
    expect(['ETIMEDOUT', 'ENETUNREACH', 'EHOSTUNREACH', 'ECONNREFUSED']).toContain(error.code);
    expect(error.cause).toMatchObject({ syscall: 'connect' });
    await transport.close();
  });

  it('what the caller gives up is given up on the wire: while connecting, waiting and streaming', async () => {
    const path = open(name);
    const transport = path.transport as PooledTransport;
    const connecting = path.request({ url: 'http://192.0.2.1:81/', timeout: 40 });
    await expect(connecting).rejects.toThrow();
    await until(() => transport.stats.inFlight === 0, 'no call under way');
    const openBefore = silent.open;
    await expect(path.request({ url: silent.url, timeout: 40 })).rejects.toMatchObject({ code: 'ECONNABORTED' });
    await until(() => silent.open <= openBefore, 'the end of the socket');
    const { data } = await path.request({ url: stalled.url, responseType: 'stream' });
    data.destroy();
    await until(() => stalled.open === 0, 'the end of the streamed socket');
    expect(transport.stats).toEqual({ origins: 0, sockets: 0, inFlight: 0 });
  });

  it.each(['post', 'patch', 'get', 'put', 'delete', 'head', 'options'])(
    'a %s on a socket that the server just closed fails with ECONNRESET and is sent once',
    async (method) => {
      const heads: string[] = [];
      const closing = await rawServer((socket: Socket, head) => {
        heads.push(head.slice(0, head.indexOf(' HTTP')));
        if (head.includes('/first')) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
        else socket.destroy();
      });
      const path = open(name);
      await path.request({ url: `${closing.url}/first` });
      const call = path.request({ url: `${closing.url}/second`, method, ...(method === 'post' && { data: 'a' }) });
      expect((await failure(call)).code).toBe('ECONNRESET');
      // Anything that sends it again would have done so by then.
      await path.request({ url: `${closing.url}/first` });
      expect(heads).toEqual(['GET /first', `${method.toUpperCase()} /second`, 'GET /first']);
      await closing.close();
    },
  );

  it('a request that is sent into the close of its socket is not sent again', async () => {
    let accepted = 0;
    const heads: string[] = [];
    const closing = await rawServer((socket, head) => {
      heads.push(head.slice(0, head.indexOf(' HTTP')));
      if (!head.includes('/first')) return void socket.resetAndDestroy();
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
      // Closed as soon as the answer is out.
      setImmediate(() => socket.end());
      accepted += 1;
    });
    const path = open(name);
    let broken = 0;
    for (let i = 0; i < 100; i += 1) {
      await path.request({ url: `${closing.url}/first` });
      const error = await failure(path.request({ url: `${closing.url}/post`, method: 'post', data: 'a' }));
      expect(error.code).toBe('ECONNRESET');
      broken += 1;
    }
    expect(accepted).toBe(100);
    expect(heads.filter((head) => head === 'POST /post').length).toBeLessThanOrEqual(broken);
    await closing.close();
  });
});

describe('what undici cannot do', () => {
  it.each([
    ['httpAgent', (server: TestServer) => ({ url: server.url, httpAgent: new (agentClass())() })],
    [
      'lookup',
      (server: TestServer) => ({
        url: `http://made-up.invalid:${server.port}/`,
        lookup: (_host: string, _options: object, done: (error: null, address: string, family: number) => void) =>
          done(null, '127.0.0.1', 4),
      }),
    ],
    [
      'proxy',
      (server: TestServer) => ({ url: 'http://made-up.invalid/', proxy: { host: '127.0.0.1', port: server.port } }),
    ],
    ['maxRate', (server: TestServer) => ({ url: server.url, maxRate: 100_000 })],
    ['insecureHTTPParser', (server: TestServer) => ({ url: server.url, insecureHTTPParser: true })],
    ['family', (server: TestServer) => ({ url: server.url, family: 4 })],
  ] as const)('%s is honoured', async (_, config) => {
    const server = await httpServer((__, response) => response.end('"answered"'));
    for (const name of ['adapter', 'direct'] as const) {
      const response = await open(name).request(config(server) as AxiosRequestConfig);
      expect(response.data).toBe('answered');
    }
    await server.close();
  });

  it('a request through an agent of the caller uses it', async () => {
    const { Agent } = await import('node:http');
    const agent = new Agent({ keepAlive: true });
    const server = await httpServer((_, response) => response.end('1'));
    await open('direct').request({ url: server.url, httpAgent: agent });
    await until(() => Object.keys(agent.freeSockets).length === 1, 'the socket in the agent');
    agent.destroy();
    await server.close();
  });

  it('a socket path is honoured', async () => {
    const { createServer } = await import('node:http');
    const { mkdtemp, rm } = await import('node:fs/promises');
    const { tmpdir } = await import('node:os');
    const { join } = await import('node:path');
    const folder = await mkdtemp(join(tmpdir(), 'nsd-'));
    const server = createServer((_, response) => response.end('"by path"'));
    await new Promise<void>((resolve) => server.listen(join(folder, 's'), resolve));
    for (const name of ['adapter', 'direct'] as const) {
      expect((await open(name).request({ url: '/x', socketPath: join(folder, 's') })).data).toBe('by path');
    }
    await Promise.all(paths.splice(0).map((path) => path.close()));
    await new Promise((resolve) => server.close(resolve));
    await rm(folder, { recursive: true });
  });
});

function agentClass(): typeof import('node:http').Agent {
  return process.getBuiltinModule('node:http').Agent;
}
