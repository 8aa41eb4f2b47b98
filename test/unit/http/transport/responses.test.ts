import type { RequestListener } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import zlib from 'node:zlib';
import { AxiosError, type AxiosRequestConfig } from 'axios';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PooledTransport } from '../../../../lib/http/transport/index.js';
import { httpServer, openPath, outcome, rawServer, readAll, until, type Path, type TestServer } from './support.js';

const JSON_TEXT = JSON.stringify({ a: [1, 'ü'], text: 'x'.repeat(2000) });
const { createZstdDecompress: hasZstd, zstdCompressSync } = zlib as unknown as {
  createZstdDecompress?: unknown;
  zstdCompressSync?: (data: string) => Buffer;
};

const answers: Record<string, RequestListener> = {
  json: (_, r) => r.setHeader('content-type', 'application/json').end(JSON_TEXT),
  text: (_, r) => r.end('hello'),
  empty: (_, r) => r.end(),
  number: (_, r) => r.end(' 42 '),
  null: (_, r) => r.end('null'),
  quoted: (_, r) => r.end('"a"'),
  brokenJson: (_, r) => r.end('{"a":'),
  html: (_, r) => r.end('<p>'),
  bom: (_, r) => r.end('\ufeff{"a":1}'),
  latin1: (_, r) => r.end(Buffer.from('ü', 'latin1')),
  binary: (_, r) => r.end(Buffer.from([0, 255, 254, 128])),
  chunked: (_, r) => {
    r.write('{"a":');
    setTimeout(() => r.end('"ü"}'), 10);
  },
  gzip: (_, r) => r.setHeader('content-encoding', 'gzip').end(zlib.gzipSync(JSON_TEXT)),
  xgzip: (_, r) => r.setHeader('content-encoding', 'X-GZIP').end(zlib.gzipSync(JSON_TEXT)),
  deflate: (_, r) => r.setHeader('content-encoding', 'deflate').end(zlib.deflateSync(JSON_TEXT)),
  rawDeflate: (_, r) => r.setHeader('content-encoding', 'deflate').end(zlib.deflateRawSync(JSON_TEXT)),
  br: (_, r) => r.setHeader('content-encoding', 'br').end(zlib.brotliCompressSync(JSON_TEXT)),
  identity: (_, r) => r.setHeader('content-encoding', 'identity').end('plain'),
  unknownCoding: (_, r) => r.setHeader('content-encoding', 'made-up').end('plain'),
  emptyGzip: (_, r) => r.setHeader('content-encoding', 'gzip').end(),
  cutGzip: (_, r) => r.setHeader('content-encoding', 'gzip').end(zlib.gzipSync(JSON_TEXT).subarray(0, 40)),
  brokenGzip: (_, r) => r.setHeader('content-encoding', 'gzip').end('this is not gzip'),
  noContent: (_, r) => r.writeHead(204, { 'content-encoding': 'gzip' }).end(),
  notModified: (_, r) => r.writeHead(304, { etag: '"1"' }).end(),
  created: (_, r) => r.writeHead(201, 'Made It').end('{}'),
  badRequest: (_, r) => r.writeHead(400).end('{"reason":"no"}'),
  serverError: (_, r) => r.writeHead(503, { 'retry-after': '1' }).end('not json'),
  redirectStatus: (_, r) => r.writeHead(300).end('choose'),
  cookies: (_, r) =>
    r
      .writeHead(
        200,
        [
          ['Set-Cookie', 'a=1'],
          ['Set-Cookie', 'b=2'],
          ['X-Two', 'a'],
          ['X-Two', 'b'],
          ['ETag', '1'],
          ['ETag', '2'],
        ].flat(),
      )
      .end(),
  oneCookie: (_, r) => r.setHeader('set-cookie', 'a=1').end(),
  oddNames: (_, r) =>
    r.writeHead(200, ['__proto__', 'x', 'constructor', 'y', 'get', 'z', 'set', '1', 'set', '2'] as never).end(),
  latin1Header: (_, r) => r.writeHead(200, { 'x-name': Buffer.from('ü', 'latin1').toString('latin1') }).end(),
  earlyHints: (_, r) => {
    r.writeEarlyHints({ link: '</a.css>; rel=preload' });
    r.writeProcessing();
    r.setHeader('x-final', '1').end('"done"');
  },
  big: (_, r) => r.end(Buffer.alloc(3_000_000, 'a')),
  trailers: (request, r) => {
    if (request.method === 'HEAD') return void r.end();
    r.writeHead(200, { trailer: 'x-end', 'transfer-encoding': 'chunked' }).write('"a"');
    r.addTrailers({ 'x-end': '1' });
    r.end();
  },
};

const half = zlib.gzipSync(JSON_TEXT).subarray(0, 40);

/** What a server says that isn't Node's, and how it goes on. */
const raw: Record<string, (socket: Socket) => void> = {
  noReason: (s) => s.end('HTTP/1.1 200\r\ncontent-length: 2\r\n\r\n{}'),
  untilClose: (s) => s.end('HTTP/1.1 200 OK\r\n\r\n{"a":1}'),
  http10: (s) => s.end('HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n[]'),
  trailingBlanks: (s) => s.end('HTTP/1.1 200 OK\r\nX-A:  b  \r\ncontent-length: 0\r\n\r\n'),
  pieces: (s) => {
    const parts = ['HT', 'TP/1.1 200 O', 'K\r\nConte', 'nt-Length: 4\r', '\n\r\n"', 'a', 'b"'];
    const next = (): void => {
      const part = parts.shift();
      if (part === undefined) return;
      s.write(part);
      setTimeout(next, 3);
    };
    next();
  },
  hints: (s) => s.write('HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}'),
  garbage: (s) => s.end('I am no web server\r\n\r\n'),
  badStatus: (s) => s.end('HTTP/1.1 abc OK\r\n\r\n'),
  badHeader: (s) => s.end('HTTP/1.1 200 OK\r\nbad header\r\n\r\n'),
  badLength: (s) => s.end('HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n'),
  twoLengths: (s) => s.end('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'),
  hugeHeader: (s) => s.end(`HTTP/1.1 200 OK\r\nX-A: ${'a'.repeat(40_000)}\r\n\r\n`),
  closes: (s) => s.end(),
  resets: (s) => s.resetAndDestroy(),
  cutHead: (s) => s.end('HTTP/1.1 200 OK\r\nContent-Le'),
  cutBody: (s) => s.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'),
  cutChunks: (s) => s.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'),
  cutEncodedBody: (s) => {
    s.write('HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 100\r\n\r\n');
    s.end(half);
  },
  cutEncodedChunks: (s) => {
    s.write(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n28\r\n`);
    s.end(Buffer.concat([half, Buffer.from('\r\n')]));
  },
  resetEncodedBody: (s) => {
    s.write('HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 100\r\n\r\n');
    s.write(half);
    setTimeout(() => s.resetAndDestroy(), 20);
  },
  resetBody: (s) => {
    s.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
    setTimeout(() => s.resetAndDestroy(), 20);
  },
};

const configs: readonly (readonly [string, AxiosRequestConfig])[] = [
  ['', {}],
  ['json', { responseType: 'json' }],
  ['json, not silent', { responseType: 'json', transitional: { silentJSONParsing: false } }],
  ['text', { responseType: 'text' }],
  ['arraybuffer', { responseType: 'arraybuffer' }],
  ['blob', { responseType: 'blob' }],
  ['stream', { responseType: 'stream' }],
  ['HEAD', { method: 'head' }],
  ['POST', { method: 'post', data: { a: 1 } }],
  ['not decompressed', { decompress: false, responseType: 'arraybuffer' }],
  ['latin1', { responseEncoding: 'latin1' }],
  ['any status', { validateStatus: null }],
  ['every status refused', { validateStatus: () => false }],
  ['a limit', { maxContentLength: 2100 }],
  ['a small limit', { maxContentLength: 10 }],
  ['a small limit, streamed', { maxContentLength: 1, responseType: 'stream' }],
  ['no redirects', { maxRedirects: 0 }],
  ['a reviver', { parseReviver: (_key: string, value: unknown) => (value === 'ü' ? 'revived' : value) } as never],
  ['JSON not forced', { transitional: { forcedJSONParsing: false } }],
];

describe.each(['adapter', 'direct'] as const)('an answer comes by %s as by axios', (name) => {
  let server: TestServer;
  let rawOne: TestServer;

  beforeAll(async () => {
    server = await httpServer((request, response) => answers[request.url?.slice(1) ?? '']?.(request, response));
    rawOne = await rawServer((socket, head) => raw[/^\w+ \/(\w+)/.exec(head)?.[1] ?? '']?.(socket));
  });
  afterAll(() => Promise.all([server.close(), rawOne.close()]));

  /** Options that are objects stand in the instance's defaults: merged ones take the pipeline. */
  async function both(config: AxiosRequestConfig): Promise<[theirs: unknown, own: unknown]> {
    const { transitional, ...rest } = config;
    const defaults = { timeout: 1500, ...(transitional && { transitional }) };
    const [oracle, ours] = [openPath('axios', defaults), openPath(name, defaults)];
    try {
      return [await outcome(settled(oracle, rest)), await outcome(settled(ours, rest))];
    } finally {
      await Promise.all([oracle.close(), ours.close()]);
    }
  }

  describe.each(Object.keys(answers))('%s', (path) => {
    it.each(configs)('%s', async (_, config) => {
      const [theirs, own] = await both({ ...config, url: `${server.url}/${path}` });
      expect(own).toEqual(theirs);
    });
  });

  describe.each(Object.keys(raw))('from a server of its own kind: %s', (path) => {
    it.each([
      ['GET', {}],
      ['POST', { method: 'post', data: 'a' }],
      ['a stream', { responseType: 'stream' as const }],
    ])('%s', async (_, config) => {
      const [theirs, own] = await both({ ...config, url: `${rawOne.url}/${path}` });
      expect(own).toEqual(theirs);
    });
  });

  it.runIf(hasZstd !== undefined)('zstd, where Node has it', async () => {
    const ours = openPath(name, { transitional: { advertiseZstdAcceptEncoding: true } });
    let accepted: string | undefined;
    const zstd = await httpServer((request, response) => {
      accepted = String(request.headers['accept-encoding']);
      response.setHeader('content-encoding', 'zstd').end(zstdCompressSync?.(JSON_TEXT));
    });
    expect((await ours.request({ url: zstd.url })).data).toEqual(JSON.parse(JSON_TEXT));
    expect(accepted).toContain('zstd');
    await Promise.all([ours.close(), zstd.close()]);
  });

  it('a stream flows only as fast as it is read', async () => {
    let sent = 0;
    const slow = await httpServer((_, response) => {
      const source = new Readable({
        read() {
          sent += 65_536;
          this.push(sent > 20_000_000 ? null : Buffer.alloc(65_536));
        },
      });
      source.pipe(response);
    });
    const ours = openPath(name);
    const { data } = await ours.request({ url: slow.url, responseType: 'stream' });
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(sent).toBeLessThan(15_000_000);
    expect((await buffer(data)).length).toBeGreaterThan(19_000_000);
    await Promise.all([ours.close(), slow.close()]);
  });

  it('a stream over its limit fails for listeners that come when the call has answered', async () => {
    const ours = openPath(name);
    for (const path of ['big', 'gzip', 'json']) {
      const config = { url: `${server.url}/${path}`, responseType: 'stream' as const, maxContentLength: 100 };
      const { data } = await ours.request(config);
      await new Promise((resolve) => setImmediate(resolve));
      const [error] = await new Promise<unknown[]>((resolve) => {
        data.on('error', (thrown: unknown) => resolve([thrown]));
        data.on('end', () => resolve(['ended']));
        data.resume();
      });
      expect(error).toMatchObject({ code: 'ERR_BAD_RESPONSE', message: 'maxContentLength size of 100 exceeded' });
    }
    await ours.close();
  });

  it('a limited stream that nobody reads gives its socket back', async () => {
    const ours = openPath(name);
    const config = { url: `${server.url}/big`, responseType: 'stream' as const, maxContentLength: 5_000_000 };
    const { data } = await ours.request(config);
    data.destroy();
    await until(() => (ours.transport as PooledTransport).stats.inFlight === 0, 'the end of the call');
    await ours.close();
  });

  it('download progress ends with all bytes', async () => {
    for (const responseType of ['arraybuffer', 'stream'] as const) {
      const ours = openPath(name);
      const loaded: number[] = [];
      const response = await ours.request({
        url: `${server.url}/big`,
        responseType,
        onDownloadProgress: (event) => {
          expect(event).toMatchObject({ download: true });
          loaded.push(event.loaded);
        },
      });
      if (responseType === 'stream') await text(response.data);
      await new Promise((resolve) => setImmediate(resolve));
      expect(loaded.at(-1)).toBe(3_000_000);
      expect(loaded).toEqual(loaded.toSorted((a, b) => a - b));
      await ours.close();
    }
  });

  it('a stream that breaks off says so', async () => {
    const ours = openPath(name);
    const { data } = await ours.request({ url: `${rawOne.url}/resetBody`, responseType: 'stream' });
    const error: unknown = await text(data).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'ECONNRESET' });
    // And nobody who doesn't listen is brought down by it.
    const other = await ours.request({ url: `${rawOne.url}/resetBody`, responseType: 'stream' });
    other.data.resume();
    await until(() => other.data.closed, 'the end of the stream');
    await ours.close();
  });

  it.each(['closes', 'cutHead', 'cutBody', 'cutEncodedBody', 'cutEncodedChunks'])(
    'the words of a connection that broke: %s',
    async (path) => {
      const [theirs, own] = await Promise.all(
        (['axios', name] as const).map(async (one) => {
          const opened = openPath(one);
          const error = await opened.request({ url: `${rawOne.url}/${path}` }).catch((thrown: unknown) => thrown);
          await opened.close();
          return { code: (error as AxiosError).code, message: (error as AxiosError).message };
        }),
      );
      expect(own).toEqual(theirs);
    },
  );

  it('an answer that broke off has its head and its cause', async () => {
    const ours = openPath(name);
    const error = await ours.request({ url: `${rawOne.url}/cutBody` }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(AxiosError);
    expect(error).toMatchObject({
      code: 'ERR_BAD_RESPONSE',
      response: { status: 200 },
      cause: { code: 'UND_ERR_SOCKET' },
    });
    await ours.close();
  });

  it('a validateStatus that throws rejects, where axios would hang', async () => {
    const ours = openPath(name);
    const validateStatus = (): never => {
      throw new RangeError('odd');
    };
    await expect(ours.request({ url: `${server.url}/json`, validateStatus })).rejects.toThrow(RangeError);
    await ours.close();
  });

  it('`100 Continue` when it was asked for', async () => {
    const seen: string[] = [];
    const patient = await httpServer(
      (request, response) => {
        void text(request).then((data) => response.end(JSON.stringify(data)));
      },
      (one) => {
        one.on('checkContinue', (request, response) => {
          seen.push('asked');
          response.writeContinue();
          one.emit('request', request, response);
        });
      },
    );
    const ours = openPath(name);
    const config = { method: 'post', url: patient.url, data: 'body', headers: { Expect: '100-continue' } };
    expect((await ours.request(config)).data).toBe('body');
    expect(seen).toEqual(['asked']);
    await Promise.all([ours.close(), patient.close()]);
  });

  it('`100 Continue` that nobody asked for is a failure, for undici knows no such thing', async () => {
    const pushy = await rawServer((socket) =>
      socket.write('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}'),
    );
    const ours = openPath(name);
    await expect(ours.request({ url: pushy.url })).rejects.toMatchObject({ code: 'ECONNRESET' });
    await Promise.all([ours.close(), pushy.close()]);
  });
});

/** Streams fail while they are read: then the failure is the outcome. */
async function settled(path: Path, config: AxiosRequestConfig): ReturnType<Path['request']> {
  const response = await path.request(config);
  if (!(response.data instanceof Readable)) return response;
  response.data = await readAll(response.data);
  return response;
}
