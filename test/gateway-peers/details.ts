import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { ask, exchange, type Answer } from '../nest/gateway/ask.js';
import { ENDLESS, PACKED, type DetailsUpstream, type SeenRequest } from './upstream.js';

/** A gateway that passes `/stock/**` on to a service without the prefix, and that service. */
export interface DetailsTarget {
  /** Of the gateway, on 127.0.0.1. */
  readonly port: number;
  readonly upstream: DetailsUpstream;
}

/** One thing that a gateway should be right about. */
export interface Detail {
  readonly name: string;
  /** Asks the gateway for it; rejects when it didn't even answer. */
  request(target: DetailsTarget): Promise<unknown>;
  /** @throws AssertionError when it isn't right about it */
  assert(observed: unknown, target: DetailsTarget): void;
}

function detail<T>(
  name: string,
  request: (target: DetailsTarget) => Promise<T>,
  check: (observed: T, target: DetailsTarget) => void,
): Detail {
  return { name, request, assert: (observed, target) => check(observed as T, target) };
}

/** What a gateway should be right about, in the order of the page's list. The last one ends the service. */
export const DETAILS: readonly Detail[] = [
  detail(
    'method, path, query and their encoding',
    async ({ port, upstream }) => {
      await ask(port, '/stock/a%20b/c%C3%A9?x=%2F&y=+&y=2', { method: 'PATCH', body: 'payload' });
      return upstream.seen.at(-1);
    },
    (seen) => {
      assert.equal(seen?.method, 'PATCH');
      assert.equal(seen.url, '/a%20b/c%C3%A9?x=%2F&y=+&y=2');
      assert.equal(seen.body, 'payload');
    },
  ),
  detail(
    'methods that few know: PROPFIND',
    ({ port }) => ask(port, '/stock/dav', { method: 'PROPFIND' }),
    (answer) => assert.equal((answer.json() as { method?: string }).method, 'PROPFIND'),
  ),
  detail(
    'OPTIONS is answered by the service',
    ({ port }) => ask(port, '/stock/options', { method: 'OPTIONS' }),
    (answer) => assert.equal((answer.json() as { method?: string }).method, 'OPTIONS'),
  ),
  detail(
    'bodies of GET and DELETE',
    async ({ port, upstream }) => {
      for (const method of ['GET', 'DELETE']) {
        await ask(port, '/stock/bodies', { method, body: 'why', headers: { 'content-length': '3' } });
      }
      return upstream.seen.slice(-2).map(({ body }) => body);
    },
    (bodies) => assert.deepEqual(bodies, ['why', 'why']),
  ),
  detail(
    'several headers of one name, letters as they were sent',
    async ({ port, upstream }) => {
      await ask(port, '/stock/names', { headers: { 'X-Own': 'a', 'x-list': ['1', '2'] } });
      return upstream.last('/names');
    },
    (seen) => {
      assert.ok(seen !== undefined);
      assert.ok(seen.rawHeaders.includes('X-Own'), 'X-Own came in other letters');
      assert.deepEqual(valuesOf(seen, 'x-list'), ['1', '2']);
    },
  ),
  detail(
    'bytes of a header that are not ASCII',
    async ({ port, upstream }) => {
      await ask(port, '/stock/bytes', { headers: { 'x-name': 'Zo\u00eb' } });
      return upstream.last('/bytes')?.headers['x-name'];
    },
    (value) => assert.equal(value, 'Zo\u00eb'),
  ),
  detail(
    'headers of one connection are left out of requests',
    async ({ port, upstream }) => {
      await ask(port, '/stock/hop-by-hop', {
        headers: {
          connection: 'keep-alive, X-Hop',
          'x-hop': '1',
          'keep-alive': 'timeout=1',
          'proxy-authorization': 'Basic c2VjcmV0',
          'x-kept': '1',
        },
      });
      return upstream.last('/hop-by-hop')?.headers ?? {};
    },
    (headers) => {
      assert.equal(headers['x-kept'], '1');
      for (const name of ['x-hop', 'proxy-authorization', 'keep-alive']) assert.equal(headers[name], undefined, name);
    },
  ),
  detail(
    'headers of one connection are left out of answers',
    ({ port }) => ask(port, '/stock/hops'),
    ({ headers }) => {
      assert.equal(headers['x-kept'], '1');
      for (const name of ['x-hop', 'proxy-authenticate']) assert.equal(headers[name], undefined, name);
      assert.notEqual(headers['keep-alive'], 'timeout=77');
    },
  ),
  detail(
    'TE: trailers is told on, other codings are not',
    async ({ port, upstream }) => {
      await ask(port, '/stock/te', { headers: { connection: 'TE', te: 'trailers, deflate' } });
      return upstream.last('/te')?.headers.te;
    },
    (te) => assert.equal(te, 'trailers'),
  ),
  detail(
    'X-Forwarded-For, -Host and -Proto are written',
    async ({ port, upstream }) => {
      await ask(port, '/stock/forwarded', { headers: { host: 'shop.example:8443' } });
      return upstream.last('/forwarded')?.headers ?? {};
    },
    (headers) => {
      assert.match(String(headers['x-forwarded-for']), /127\.0\.0\.1/);
      assert.match(String(headers['x-forwarded-host']), /^shop\.example/);
      assert.equal(headers['x-forwarded-proto'], 'http');
    },
  ),
  detail(
    'Forwarded (RFC 7239) is written',
    async ({ port, upstream }) => {
      await ask(port, '/stock/rfc7239', { headers: { host: 'shop.example' } });
      return String(upstream.last('/rfc7239')?.headers.forwarded);
    },
    (forwarded) => {
      assert.match(forwarded, /for="?127\.0\.0\.1/);
      assert.match(forwarded, /host="?shop\.example/);
    },
  ),
  detail(
    'X-Forwarded-Prefix says what was taken off',
    async ({ port, upstream }) => {
      await ask(port, '/stock/prefixed');
      return upstream.last('/prefixed')?.headers['x-forwarded-prefix'];
    },
    (prefix) => assert.equal(prefix, '/stock'),
  ),
  detail(
    "a stranger's X-Forwarded-For and Forwarded are not believed",
    async ({ port, upstream }) => {
      const headers = { 'x-forwarded-for': '6.6.6.6', 'x-real-ip': '6.6.6.6', forwarded: 'for=6.6.6.6' };
      await ask(port, '/stock/claims', { headers });
      return upstream.last('/claims')?.rawHeaders ?? [];
    },
    (headers) => {
      assert.ok(!headers.some((text) => text.includes('6.6.6.6')), 'the claim came through');
    },
  ),
  detail(
    "Host is the service's own",
    async ({ port, upstream }) => {
      await ask(port, '/stock/host', { headers: { host: 'shop.example' } });
      return upstream.last('/host')?.headers.host;
    },
    (host, { upstream }) => assert.match(String(host), new RegExp(`:${upstream.port}$`)),
  ),
  detail(
    'Expect: 100-continue is answered, and the body arrives',
    async ({ port, upstream }) => {
      const socket = open(port);
      let text = '';
      socket.on('data', (piece: Buffer) => (text += piece.toString('latin1')));
      socket.write(
        'POST /stock/expected HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5\r\nconnection: close\r\n\r\n',
      );
      await when(() => text.includes('100 Continue'));
      socket.write('hello');
      await when(() => upstream.last('/expected')?.state === 'complete');
      socket.destroy();
      return upstream.last('/expected')?.body;
    },
    (body) => assert.equal(body, 'hello'),
  ),
  detail(
    'HEAD keeps the length of what it is about',
    ({ port }) => ask(port, '/stock/head', { method: 'HEAD' }),
    ({ headers }) => assert.equal(headers['content-length'], '1234'),
  ),
  detail('204', ({ port }) => ask(port, '/stock/empty'), tagged(204)),
  detail('304', ({ port }) => ask(port, '/stock/unchanged'), tagged(304)),
  detail(
    'ranges',
    ({ port }) => ask(port, '/stock/part', { headers: { range: 'bytes=2-4' } }),
    (answer) => {
      assert.equal(answer.status, 206);
      assert.equal(answer.headers['content-range'], 'bytes 2-4/10');
      assert.equal(answer.text(), 'cde');
    },
  ),
  detail(
    'redirects are not followed',
    ({ port }) => ask(port, '/stock/moved'),
    ({ status, headers }) => {
      assert.equal(status, 302);
      assert.match(String(headers.location), /\/elsewhere$/);
    },
  ),
  detail(
    'several cookies',
    ({ port }) => ask(port, '/stock/cookies'),
    ({ headers }) => assert.deepEqual(headers['set-cookie'], ['a=1; Path=/', 'b=2; HttpOnly']),
  ),
  detail(
    'gzip is left alone',
    ({ port }) => ask(port, '/stock/packed', { headers: { 'accept-encoding': 'gzip' } }),
    ({ headers, body }) => {
      assert.equal(headers['content-encoding'], 'gzip');
      assert.ok(body.equals(PACKED), 'the bytes are others');
    },
  ),
  detail(
    'trailers of answers',
    ({ port }) => ask(port, '/stock/trailers', { headers: { te: 'trailers' } }),
    ({ trailers }) => assert.deepEqual({ ...trailers }, { 'x-sum': '99' }),
  ),
  detail(
    'trailers of requests',
    async ({ port, upstream }) => {
      const outgoing = begin(port, '/stock/trailed', 'POST', { trailer: 'X-Sum', 'transfer-encoding': 'chunked' });
      outgoing.write('abc');
      outgoing.addTrailers({ 'X-Sum': '99' });
      outgoing.end();
      await answerTo(outgoing);
      return upstream.last('/trailed');
    },
    (seen) => {
      assert.equal(seen?.body, 'abc');
      assert.deepEqual({ ...seen?.trailers }, { 'x-sum': '99' });
    },
  ),
  detail(
    'early hints (103)',
    ({ port }) => exchange(open(port), 'GET /stock/hints HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'),
    (text) => assert.match(text, /^HTTP\/1\.1 103 [^]*link: <\/style\.css>[^]*HTTP\/1\.1 200 /i),
  ),
  detail(
    'status, headers and body of failures as they are',
    async ({ port }) => [await ask(port, '/stock/failed'), await ask(port, '/stock/refused')] as const,
    ([failed, refused]) => {
      assert.deepEqual([failed.status, failed.headers['x-why'], failed.text()], [500, 'mine', 'it failed']);
      assert.deepEqual([refused.status, refused.headers['retry-after'], refused.text()], [503, '7', 'later']);
    },
  ),
  detail(
    'an upload is passed on as it comes',
    async ({ port, upstream }) => {
      const outgoing = begin(port, '/stock/upload', 'POST', { 'transfer-encoding': 'chunked' });
      outgoing.write('begun');
      await when(() => (upstream.last('/upload')?.bytes ?? 0) === 5);
      outgoing.end('-done');
      await answerTo(outgoing);
      return upstream.last('/upload')?.body;
    },
    (body) => assert.equal(body, 'begun-done'),
  ),
  detail(
    'a slow reader holds the service back',
    async ({ port, upstream }) => {
      const outgoing = begin(port, '/stock/endless', 'GET');
      outgoing.end();
      const response = await answerTo(outgoing);
      response.pause();
      let last = -1;
      await when(() => {
        const written = upstream.last('/endless')?.written ?? 0;
        const stands = written === last && written > 0;
        last = written;
        return stands;
      }, 200);
      response.destroy();
      return last;
    },
    (written) => assert.ok(written < ENDLESS / 2, `the service could send ${written} bytes`),
  ),
  detail(
    'a stream whose first event is long in coming: the head at once',
    async ({ port, upstream }) => {
      const outgoing = begin(port, '/stock/silent', 'GET');
      outgoing.end();
      const response = await answerTo(outgoing);
      upstream.last('/silent')?.response?.write('data: 1\n\n');
      const [first] = (await once(response, 'data')) as [Buffer];
      response.destroy();
      return first.toString();
    },
    (first) => assert.equal(first, 'data: 1\n\n'),
  ),
  detail(
    'whoever goes away ends the request at the service',
    async ({ port, upstream }) => {
      const outgoing = begin(port, '/stock/waits', 'GET');
      outgoing.end();
      await when(() => upstream.last('/waits') !== undefined);
      outgoing.destroy();
      await when(() => upstream.last('/waits')?.isGone === true);
    },
    () => {},
  ),
  detail(
    'an upload that breaks off breaks off at the service',
    async ({ port, upstream }) => {
      const outgoing = begin(port, '/stock/half', 'POST', { 'content-length': '1000' });
      outgoing.write('half');
      await when(() => (upstream.last('/half')?.bytes ?? 0) > 0);
      outgoing.destroy();
      await when(() => upstream.last('/half')?.state === 'broken');
    },
    () => {},
  ),
  detail(
    'an answer that breaks off is not ended well: with a length, and chunked',
    async ({ port }) => {
      const whole = (path: string): Promise<boolean> => ask(port, path).then(Boolean, () => false);
      return [await whole('/stock/broken'), await whole('/stock/torn')];
    },
    (ended) => assert.deepEqual(ended, [false, false]),
  ),
  detail(
    'WebSockets go both ways',
    async ({ port }) => {
      const socket = open(port);
      let sent = false;
      return exchange(socket, handshake('/stock/chat'), (text) => {
        if (!sent && text.includes('\r\n\r\n')) {
          sent = true;
          socket.write(MASKED_HELLO);
        }
        return text.endsWith('hello');
      });
    },
    (text) => assert.match(text, /^HTTP\/1\.1 101 [^]*hello$/),
  ),
  detail(
    'a refused upgrade comes as it is',
    ({ port }) => exchange(open(port), handshake('/stock/no'), (text) => text.endsWith('nope')),
    (text) => assert.match(text, /^HTTP\/1\.1 401 [^]*x-why: no[^]*nope$/i),
  ),
  detail(
    'an end of one side of a WebSocket is told to the other',
    async ({ port, upstream }) => {
      const socket = open(port);
      socket.write(handshake('/stock/chat'));
      const count = upstream.sockets.length;
      await when(() => upstream.sockets.length > count);
      socket.destroy();
      await when(() => upstream.sockets[count]?.destroyed === true);
    },
    () => {},
  ),
  detail(
    'no way of writing a path leads out of the prefix',
    async ({ port, upstream }) => {
      const before = upstream.seen.length;
      for (const path of [
        '/stock/../secret',
        '/stock/%2e%2e/secret',
        '/stock/..%2fsecret',
        '/stock/..;/secret',
        '/stock/a/../../secret',
        '/stock/..\\secret',
      ]) {
        await exchange(open(port), `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
      }
      return upstream.seen.slice(before).map(({ url }) => url);
    },
    (seen) => assert.deepEqual(seen, []),
  ),
  detail(
    'two lengths, or a length and chunks, are refused',
    async ({ port, upstream }) => {
      const before = upstream.seen.length;
      const heads = ['content-length: 4\r\ncontent-length: 5', 'content-length: 4\r\ntransfer-encoding: chunked'];
      const answers: string[] = [];
      for (const head of heads) {
        answers.push(
          await exchange(
            open(port),
            `POST /stock/smuggled HTTP/1.1\r\nhost: x\r\n${head}\r\n\r\n0\r\n\r\nGET /stock/second HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`,
            (text) => text.includes('\r\n\r\n'),
          ),
        );
      }
      return { answers, seen: upstream.seen.slice(before).map(({ url }) => url) };
    },
    ({ answers, seen }) => {
      for (const answer of answers) assert.match(answer, /^HTTP\/1\.1 400 /);
      assert.deepEqual(seen, []);
    },
  ),
  detail(
    'more request headers than a server should take: 431 or 400',
    ({ port }) =>
      exchange(open(port), `GET /stock/many HTTP/1.1\r\nhost: x\r\nx: ${'x'.repeat(256 * 1024)}\r\n\r\n`, (text) =>
        text.includes('\r\n\r\n'),
      ),
    (text) => assert.match(text, /^HTTP\/1\.1 4(31|00|13) /),
  ),
  detail(
    'more answer headers than one should take: a 502, and nothing hangs',
    ({ port }) => ask(port, '/stock/headers'),
    ({ status }) => assert.equal(status, 502),
  ),
  detail(
    'what is no HTTP from the service: a 502',
    ({ port }) => ask(port, '/stock/garbage'),
    ({ status }) => assert.equal(status, 502),
  ),
  detail(
    'a service that is down: 502 or 503 as problem+json, without its address',
    async ({ port, upstream }) => {
      const own = upstream.port;
      await upstream.close();
      return { answer: await ask(port, '/stock/down'), own };
    },
    ({ answer, own }) => {
      assert.ok(answer.status === 502 || answer.status === 503, `answered ${answer.status}`);
      assert.match(String(answer.headers['content-type']), /^application\/problem\+json/);
      assert.ok(!answer.text().includes(String(own)), 'the address is told');
    },
  ),
];

/** A text frame as a browser sends it, under a mask of zeros, which a proxy that reads frames must take off. */
const MASKED_HELLO = Buffer.from([0x81, 0x85, 0, 0, 0, 0, ...Buffer.from('hello')]);

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

function handshake(path: string): string {
  return (
    `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n` +
    `sec-websocket-key: ${KEY}\r\n\r\n`
  );
}

function tagged(status: number): (answer: Answer) => void {
  return (answer) => assert.deepEqual([answer.status, answer.headers.etag], [status, '"x"']);
}

function valuesOf({ rawHeaders }: SeenRequest, name: string): readonly string[] {
  return rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name);
}

function open(port: number): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  return socket;
}

function begin(
  port: number,
  path: string,
  method: string,
  headers: Readonly<Record<string, string>> = {},
): ClientRequest {
  const outgoing = httpRequest({ host: '127.0.0.1', port, path, method, headers, agent: false });
  outgoing.on('error', () => {});
  return outgoing;
}

async function answerTo(outgoing: ClientRequest): Promise<IncomingMessage> {
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  response.on('error', () => {});
  if (outgoing.method !== 'GET') response.resume();
  return response;
}

/** Resolves when it is so. Whoever asks for a detail has a limit of its own. */
async function when(isSo: () => boolean, everyMs = 5): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, everyMs));
}
