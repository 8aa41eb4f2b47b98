import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { NodeHttpClient, type NodeHttpClientOptions } from '../../../lib/backends/eureka/client/http-client.js';
import { makeCertificates } from '../../servers/certificates.js';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

function client(options: Partial<NodeHttpClientOptions> = {}): NodeHttpClient {
  const made = new NodeHttpClient({
    tls: {},
    connectTimeoutMs: 1000,
    idleTimeoutMs: 1000,
    maxResponseBytes: 1024 * 1024,
    maxRedirects: 5,
    ...options,
  });
  closing.push(() => void made.close());
  return made;
}

async function listen(server: Server | ReturnType<typeof createTcpServer>, scheme = 'http'): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.close();
    if ('closeAllConnections' in server) server.closeAllConnections();
  });
  return `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const serve = (handler: Handler): Promise<string> => listen(createServer(handler));
const get = (url: string, headers: Record<string, string> = {}) => ({ url, method: 'GET', headers });

describe('the HTTP client', () => {
  it('gives status, text and a response as of fetch; unpacks gzip; keeps connections', async () => {
    const sockets = new Set<unknown>();
    const url = await serve((request, response) => {
      sockets.add(request.socket);
      const zipped = request.headers['accept-encoding']?.includes('gzip') === true;
      response.writeHead(200, {
        'content-type': 'application/json',
        ...(zipped ? { 'content-encoding': 'gzip' } : {}),
      });
      response.end(zipped ? gzipSync('{"größe":1}') : '{}');
    });
    const http = client();
    const answer = await http.request(get(url));
    expect(answer).toMatchObject({ status: 200, bodyText: '{"größe":1}' });
    const raw = answer.rawResponse as Response;
    expect(raw.headers.get('content-type')).toBe('application/json');
    expect(await raw.json()).toEqual({ größe: 1 });
    await http.request(get(url));
    expect(sockets.size).toBe(1);
  });

  it('sends method, headers and body', async () => {
    let seen = '';
    const url = await serve((request, response) => {
      request.on('data', (chunk: Buffer) => (seen += chunk.toString()));
      request.on('end', () => response.writeHead(204, { 'x-method': request.method }).end());
    });
    const answer = await client().request({ url, method: 'PUT', headers: { 'x-a': 'b' } }, 'dätä');
    expect(answer.status).toBe(204);
    expect((answer.rawResponse as Response).headers.get('x-method')).toBe('PUT');
    expect(seen).toBe('dätä');
  });

  it.each([
    ['as it is', false],
    ['compressed to almost nothing', true],
  ])('cuts an answer of 300 MB off at its limit, %s', async (_, zipped) => {
    const megabyte = Buffer.alloc(1024 * 1024, 32);
    const bomb = gzipSync(Buffer.alloc(300 * 1024 * 1024));
    let sent = 0;
    const url = await serve((__, response) => {
      if (zipped) return void response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb);
      response.writeHead(200);
      const push = (): void => {
        while (sent < 300 && !response.destroyed) {
          sent += 1;
          if (!response.write(megabyte)) return void response.once('drain', push);
        }
        response.end();
      };
      push();
    });
    global.gc?.();
    const before = process.memoryUsage().rss;
    const refused = client({ maxResponseBytes: 4 * 1024 * 1024 }).request(get(url));
    await expect(refused).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: expect.stringContaining('longer than 4194304 bytes'),
    });
    expect(sent).toBeLessThan(300);
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024);
  });

  it('ends a redirect loop, follows a redirect, and tells another host no credentials', async () => {
    let authorization: string | undefined = 'none yet';
    const other = await serve((request, response) => {
      authorization = request.headers.authorization;
      response.end('arrived');
    });
    const url = await serve((request, response) => {
      const to = request.url === '/loop' ? '/loop' : request.url === '/here' ? '/there' : `${other}/`;
      if (request.url === '/there') response.end('there');
      else response.writeHead(302, { location: to }).end();
    });
    const loop = client().request(get(`${url}/loop`));
    await expect(loop).rejects.toMatchObject({ message: expect.stringContaining('more than 5 times') });
    expect((await client().request(get(`${url}/here`, { authorization: 'Basic x' }))).bodyText).toBe('there');
    expect((await client().request(get(`${url}/away`, { authorization: 'Basic x' }))).bodyText).toBe('arrived');
    expect(authorization).toBeUndefined();
    expect((await client({ maxRedirects: 0 }).request(get(`${url}/away`))).status).toBe(302);
    // A write is not repeated elsewhere unless the redirect promises that it stays a write.
    expect((await client().request({ url: `${url}/here`, method: 'POST', headers: {} }, 'x')).status).toBe(302);
  });

  it.each([
    ['says nothing', () => {}],
    ['stops in the middle', (response: ServerResponse) => void response.writeHead(200).write('{"appl')],
  ])('gives a server up that %s', async (_, act) => {
    const url = await serve((__, response) => act(response));
    const silent = client({ idleTimeoutMs: 100 }).request(get(url));
    await expect(silent).rejects.toMatchObject({ code: 'TIMEOUT' });
  });

  it('gives a server up that ends in the middle, or speaks no HTTP', async () => {
    const cut = await serve((_, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{"appl', () => response.destroy());
    });
    await expect(client().request(get(cut))).rejects.toThrow();
    const garbage = await listen(createTcpServer((socket) => socket.end('SSH-2.0-OpenSSH\r\n')));
    await expect(client().request(get(garbage))).rejects.toThrow();
    const broken = await serve((_, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end('this is no gzip'),
    );
    await expect(client().request(get(broken))).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
  });

  it('ends with its time limit and with its signal', async () => {
    let open = 0;
    const url = await serve((request) => {
      open += 1;
      request.socket.once('close', () => (open -= 1));
    });
    await expect(client().request(get(url), undefined, 50)).rejects.toMatchObject({ code: 'TIMEOUT' });
    const abort = new AbortController();
    const aborted = expect(client().request(get(url), undefined, 5000, abort.signal)).rejects.toThrow();
    abort.abort();
    await aborted;
    await expect.poll(() => open).toBe(0);
  });

  it('tries once more when a kept connection was closed by the server meanwhile', async () => {
    let requests = 0;
    const url = await listen(
      createTcpServer((socket) => {
        socket.on('error', () => {});
        socket.on('data', () => {
          requests += 1;
          // Answers the first request of a connection and drops the connection with the second.
          if (socket.bytesWritten > 0) socket.resetAndDestroy();
          else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
        });
      }),
    );
    const http = client();
    expect((await http.request(get(url))).bodyText).toBe('ok');
    expect((await http.request(get(url))).bodyText).toBe('ok');
    expect(requests).toBe(3);
  });

  it('trusts the authority that it is given, and shows its own certificate', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'nsd-eureka-tls-'));
    try {
      const { ca, cert, key } = await makeCertificates(folder);
      const secured = createSecureServer(
        { cert, key, ca, requestCert: true, rejectUnauthorized: false },
        (request, response) => {
          const { authorized } = request.socket as { authorized?: boolean };
          response.end(String(authorized));
        },
      );
      const url = await listen(secured, 'https');
      await expect(client().request(get(url))).rejects.toMatchObject({ code: expect.stringMatching(/CERT|VERIFY/) });
      expect((await client({ tls: { ca } }).request(get(url))).bodyText).toBe('false');
      expect((await client({ tls: { ca, cert, key } }).request(get(url))).bodyText).toBe('true');
      // A self-signed certificate is trusted by naming itself.
      expect((await client({ tls: { rejectUnauthorized: false } }).request(get(url))).bodyText).toBe('false');
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
