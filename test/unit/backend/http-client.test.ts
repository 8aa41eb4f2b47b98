import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { connect, createServer as createTcpServer, type AddressInfo, type Server as TcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { urlToHttpOptions } from 'node:url';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { freePortWith } from '../../servers/free-port.js';
import { HttpClient, systemClock, type HttpClientOptions, type HttpRequest } from '../../../lib/backend/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { makeCertificates } from '../../servers/certificates.js';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

function open(options: Partial<HttpClientOptions> = {}): HttpClient {
  const client = new HttpClient({ clock: systemClock, client: 'the test client', maxBytes: 1000, ...options });
  closing.push(() => client.close());
  return client;
}

async function listen(server: Server | TcpServer, scheme = 'http'): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.close();
    if ('closeAllConnections' in server) server.closeAllConnections();
  });
  return `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const serve = (handler: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> =>
  listen(createServer(handler));
const get = (url: string, more: Partial<HttpRequest> = {}): HttpRequest => ({
  method: 'GET',
  target: urlToHttpOptions(new URL(url)),
  headers: {},
  what: 'the question',
  ...more,
});

/** A server that answers the first request of a connection, and resets the connection with the second. */
async function resetting(): Promise<{ url: string; readonly requests: number }> {
  let requests = 0;
  const server = createTcpServer((socket) => {
    let answered = false;
    socket.on('error', () => {});
    socket.on('data', () => {
      requests += 1;
      if (answered) socket.resetAndDestroy();
      else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
      answered = true;
    });
  });
  const url = await listen(server);
  return {
    url,
    get requests() {
      return requests;
    },
  };
}

describe('HttpClient', () => {
  it('sends method, path, headers and body as they are, and gives status, headers and body', async () => {
    const url = await serve((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        const { method, url: path, headers } = request;
        response.writeHead(418, { 'x-a': 'b' });
        response.end(JSON.stringify([method, path, headers['x-own'], headers['content-length'], body]));
      });
    });
    const sent = { method: 'DELETE', headers: { 'x-own': 'yes' }, body: 'dätä' };
    const answer = await open().send(get(`${url}/a?b=%20c`, sent));
    expect(answer).toMatchObject({ status: 418, headers: { 'x-a': 'b' } });
    expect(JSON.parse(answer.body.toString())).toEqual(['DELETE', '/a?b=%20c', 'yes', '6', 'dätä']);
  });

  it('follows no redirect', async () => {
    const url = await serve((_, response) => response.writeHead(302, { location: '/elsewhere' }).end());
    expect(await open().send(get(url))).toMatchObject({ status: 302, headers: { location: '/elsewhere' } });
  });

  it.each([
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ])('unpacks %s', async (encoding, pack) => {
    const url = await serve((_, response) => {
      response.writeHead(200, { 'content-encoding': encoding }).end(pack('größe'));
    });
    expect((await open().send(get(url))).body.toString()).toBe('größe');
  });

  it('bounds an answer after unpacking, by the request or by the client', async () => {
    const url = await serve((request, response) => {
      if (request.url === '/packed') {
        response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(' '.repeat(100_000)));
      } else response.end(' '.repeat(1000));
    });
    const client = open();
    expect((await client.send(get(url))).body).toHaveLength(1000);
    const tooLong = { code: 'BACKEND_UNAVAILABLE', message: 'the question: the answer is longer than 1000 bytes' };
    await expect(client.send(get(`${url}/packed`))).rejects.toMatchObject(tooLong);
    await expect(client.send(get(url, { maxBytes: 999 }))).rejects.toMatchObject({
      message: 'the question: the answer is longer than 999 bytes',
    });
    expect((await client.send(get(`${url}/packed`, { maxBytes: 100_000 }))).body).toHaveLength(100_000);
  });

  it('tells an answer that was cut off, or that cannot be unpacked', async () => {
    const url = await serve((request, response) => {
      if (request.url === '/broken') return void response.writeHead(200, { 'content-encoding': 'gzip' }).end('no gzip');
      const packed = request.url === '/packed' ? { 'content-encoding': 'gzip' } : {};
      response.writeHead(200, { 'content-length': '100', ...packed });
      response.write(gzipSync('x').subarray(0, 12), () => response.destroy());
    });
    for (const [path, problem] of [
      ['', 'was cut off'],
      ['/packed', 'was cut off'],
      ['/broken', "can't be read"],
    ]) {
      await expect(open().send(get(`${url}${path}`))).rejects.toMatchObject({
        code: 'BACKEND_UNAVAILABLE',
        message: expect.stringContaining(`the question: the answer ${problem}`),
      });
    }
  });

  it('leaves what a connection failed with as it is, and what is no HTTP', async () => {
    const garbage = await listen(createTcpServer((socket) => socket.end('SSH-2.0-OpenSSH\r\n')));
    await expect(open().send(get(garbage))).rejects.toMatchObject({ code: /^HPE_/ });
    const gone = `http://127.0.0.1:${await freePortWith([])}`;
    await expect(open().send(get(gone))).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('tells what Node refuses to send as an option that is wrong', async () => {
    const client = open();
    const target = { host: '127.0.0.1', port: 1 };
    for (const more of [{ target: { ...target, path: '/two words' } }, { target, headers: { a: 'b\nc' } }]) {
      await expect(client.send({ ...get('http://x'), ...more })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    }
    expect(client.inFlight).toBe(0);
  });

  describe('limits in time', () => {
    it('the whole: also a request that waits for a connection', async () => {
      const clock = new ManualClock();
      let asked = 0;
      const url = await serve(() => (asked += 1));
      const client = open({ clock, connections: { maxSockets: 1 } });
      const both = [1, 2].map(() => client.send(get(url, { timeoutMs: 50 })).catch((error: unknown) => error));
      await expect.poll(() => asked).toBe(1);
      expect(client.inFlight).toBe(2);
      await clock.advance(50);
      const message = 'the question took longer than 50 ms';
      for (const error of await Promise.all(both)) expect(error).toMatchObject({ code: 'TIMEOUT', message });
      expect(client.inFlight).toBe(0);
    });

    it('of those that wait at the server: from their connection on', async () => {
      const clock = new ManualClock();
      const waiting: ServerResponse[] = [];
      const url = await serve((_, response) => waiting.push(response));
      const client = open({ clock, waits: true, connections: { maxSockets: 1 } });
      const [first, second] = [1, 2].map(() =>
        client.send(get(url, { timeoutMs: 50 })).catch((error: unknown) => error),
      );
      await expect.poll(() => waiting.length).toBe(1);
      await clock.advance(49);
      waiting[0]?.end('now');
      expect(await first).toMatchObject({ status: 200 });
      await expect.poll(() => waiting.length).toBe(2);
      await clock.advance(49);
      expect(client.inFlight).toBe(1);
      await clock.advance(1);
      expect(await second).toMatchObject({ code: 'TIMEOUT' });
    });

    it('silence, and a connection that is not made', async () => {
      const url = await serve((_, response) => void response.writeHead(200).write('{'));
      const silent = open({ silenceMs: 20 }).send(get(url));
      await expect(silent).rejects.toMatchObject({ code: 'TIMEOUT', message: 'the question was silent for 20 ms' });
      // A server that takes connections and never says hello.
      const mute = await listen(createTcpServer(), 'https');
      const client = open({ connectTimeoutMs: 20 });
      await expect(client.send(get(mute))).rejects.toMatchObject({
        code: 'TIMEOUT',
        message: 'the question could not be connected to within 20 ms',
      });
    });
  });

  it('ends with its signal, before, while it waits and while it reads; and leaves nothing open', async () => {
    let connections = 0;
    const url = await serve((request, response) => {
      connections += 1;
      request.socket.once('close', () => (connections -= 1));
      if (request.url === '/half') response.write('half');
    });
    const client = open();
    const aborted = { code: 'ABORTED', message: 'the question was aborted' };
    await expect(client.send(get(url, { signal: AbortSignal.abort() }))).rejects.toMatchObject(aborted);
    for (const path of ['/', '/half']) {
      const abort = new AbortController();
      const asking = client.send(get(`${url}${path}`, { signal: abort.signal, timeoutMs: 5000 }));
      await expect.poll(() => connections).toBe(1);
      abort.abort();
      await expect(asking).rejects.toMatchObject(aborted);
      expect(client.inFlight).toBe(0);
      await expect.poll(() => connections).toBe(0);
    }
  });

  it('close ends what is under way and what waits for a connection; afterwards nothing is sent', async () => {
    let asked = 0;
    const url = await serve(() => (asked += 1));
    const client = open({ connections: { maxSockets: 1 } });
    const both = [1, 2].map(() => client.send(get(url)).catch((error: unknown) => error));
    await expect.poll(() => asked).toBe(1);
    await client.close();
    await client.close();
    const closed = { code: 'BACKEND_CLOSED', message: 'the test client was closed' };
    for (const error of await Promise.all(both)) expect(error).toMatchObject(closed);
    await expect(client.send(get(url))).rejects.toMatchObject(closed);
    expect(asked).toBe(1);
  });

  describe('a kept connection that the server closed at that moment', () => {
    it('the request is sent again, over a new one', async () => {
      const server = await resetting();
      const client = open();
      for (const method of ['GET', 'POST']) {
        expect((await client.send(get(server.url, { method }))).body.toString()).toBe('ok');
      }
      expect(server.requests).toBe(3);
    });

    it.each<[string, Partial<HttpRequest>, Partial<HttpClientOptions>]>([
      ['it may not be repeated', { repeatable: false }, {}],
      ['it waits at the server', {}, { waits: true }],
    ])('it fails when %s', async (_, more, options) => {
      const server = await resetting();
      const client = open(options);
      await client.send(get(server.url));
      await expect(client.send(get(server.url, more))).rejects.toMatchObject({ code: 'ECONNRESET' });
      expect(server.requests).toBe(2);
    });
  });

  it('speaks through a unix socket, and over a connection of its own', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'nsd-http-'));
    closing.push(() => rm(folder, { recursive: true }));
    const handler = (request: IncomingMessage, response: ServerResponse): void =>
      void response.end(request.headers.host);
    const socketPath = join(folder, 'http.sock');
    const unix = createServer(handler);
    await new Promise<void>((resolve) => unix.listen(socketPath, resolve));
    closing.push(
      () => unix.close(),
      () => unix.closeAllConnections(),
    );
    const client = open();
    expect(
      (await client.send({ ...get('http://x'), target: { socketPath, host: 'localhost', path: '/' } })).status,
    ).toBe(200);
    const { port } = new URL(await serve(handler));
    const own = await client.send(
      get('http://another.test:81/', { connect: () => Promise.resolve(connect(Number(port), '127.0.0.1')) }),
    );
    expect(own.body.toString()).toBe('another.test:81');
  });

  it('TLS: own authority and certificate; files that come later; what is no certificate', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'nsd-http-tls-'));
    closing.push(() => rm(folder, { recursive: true }));
    const { ca, cert, key, caFile } = await makeCertificates(folder);
    const url = await listen(
      createSecureServer({ cert, key, ca, requestCert: true, rejectUnauthorized: false }, (request, response) =>
        response.end(String((request.socket as { authorized?: boolean }).authorized)),
      ),
      'https',
    );
    const body = async (client: HttpClient): Promise<string> => (await client.send(get(url))).body.toString();
    await expect(body(open())).rejects.toMatchObject({ code: expect.stringMatching(/CERT|VERIFY/) });
    expect(await body(open({ tls: { caFile } }))).toBe('false');
    expect(await body(open({ tls: { ca, cert, key } }))).toBe('true');
    expect(await body(open({ tls: { rejectUnauthorized: false } }))).toBe('false');
    await expect(body(open({ tls: { ca, servername: 'another.test' } }))).rejects.toMatchObject({
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
    const late = join(folder, 'late.pem');
    const client = open({ tls: { caFile: late } });
    await expect(body(client)).rejects.toMatchObject({ code: 'INVALID_OPTION', field: 'tls.caFile' });
    const { copyFile } = await import('node:fs/promises');
    await copyFile(caFile, late);
    expect(await body(client)).toBe('false');
    const nonsense = open({ tls: { cert, key: 'the-secret' } });
    await expect(body(nonsense)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.not.stringContaining('the-secret'),
    });
  });
});
