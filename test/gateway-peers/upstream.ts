import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { switching } from '../servers/switching.js';

/** What the service saw of one request. */
export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly rawHeaders: readonly string[];
  /** Grows as it comes. */
  bytes: number;
  body: string;
  trailers: IncomingMessage['trailers'];
  /** How the request ended, as far as it has. */
  state: 'coming' | 'complete' | 'broken';
  /** Bytes of the answer that the sockets have taken. */
  written: number;
  /** Whether its connection or its answer was given up by the other side. */
  isGone: boolean;
  response: ServerResponse | undefined;
}

/** A body that is the same packed on each run. */
export const PACKED = gzipSync('hello '.repeat(1000));

/** Bytes that the service would like to send for `/endless`: more than any buffers between hold. */
export const ENDLESS = 256 * 1024 * 1024;

/** The answers of the service, by the first segment of their path; all others tell what was asked. */
const ANSWERS: Readonly<
  Record<string, (request: IncomingMessage, response: ServerResponse, seen: SeenRequest) => void>
> = {
  cookies: (_request, response) => {
    response.setHeader('set-cookie', ['a=1; Path=/', 'b=2; HttpOnly']);
    response.end('ok');
  },
  empty: (_request, response) => void response.writeHead(204, { etag: '"x"' }).end(),
  unchanged: (_request, response) => void response.writeHead(304, { etag: '"x"' }).end(),
  moved: (_request, response) => void response.writeHead(302, 'Over There', { location: '/elsewhere' }).end(),
  head: (_request, response) => void response.writeHead(200, { 'content-length': '1234' }).end(),
  part: (_request, response) =>
    void response.writeHead(206, { 'content-range': 'bytes 2-4/10', 'content-length': '3' }).end('cde'),
  packed: (_request, response) =>
    void response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': String(PACKED.length) }).end(PACKED),
  trailers: (_request, response) => {
    response.writeHead(200, { trailer: 'X-Sum' });
    response.write('abc');
    response.addTrailers({ 'X-Sum': '99' });
    response.end();
  },
  hints: (_request, response) => {
    response.writeEarlyHints({ link: '</style.css>; rel=preload' });
    response.end('ok');
  },
  hops: (_request, response) => {
    response.setHeader('connection', 'x-hop');
    response.setHeader('x-hop', '1');
    response.setHeader('keep-alive', 'timeout=77');
    response.setHeader('proxy-authenticate', 'Basic');
    response.setHeader('x-kept', '1');
    response.end('ok');
  },
  failed: (_request, response) => void response.writeHead(500, { 'x-why': 'mine' }).end('it failed'),
  refused: (_request, response) => void response.writeHead(503, { 'retry-after': '7' }).end('later'),
  silent: (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.flushHeaders();
  },
  waits: () => {},
  broken: (_request, response) => {
    response.writeHead(200, { 'content-length': '1000' });
    response.write('begun', () => response.destroy());
  },
  torn: (_request, response) => {
    response.writeHead(200);
    response.write('begun', () => response.destroy());
  },
  headers: (_request, response) => void response.writeHead(200, { 'x-large': 'x'.repeat(256 * 1024) }).end('ok'),
  garbage: (_request, response) => void response.socket?.end('this is no answer\r\n\r\n'),
  cors: (_request, response) => {
    response.setHeader('vary', 'Accept');
    response.end('ok');
  },
  endless: (_request, response, seen) => {
    const piece = Buffer.alloc(64 * 1024);
    const write = (): void => {
      while (seen.written < ENDLESS && !response.destroyed) {
        seen.written += piece.length;
        if (!response.write(piece)) return void response.once('drain', write);
      }
      response.end();
    };
    write();
  },
};

/** The service behind the gateways that are compared: what it does stands in the path, what it saw in {@link seen}. */
export class DetailsUpstream {
  readonly seen: SeenRequest[] = [];
  /** Sockets of upgrades that it agreed to. */
  readonly sockets: Duplex[] = [];
  private readonly server: Server;
  private readonly connections = new Set<Socket>();

  private constructor() {
    this.server = createServer((request, response) => this.answer(request, response));
    this.server.on('upgrade', (request: IncomingMessage, socket: Duplex) => this.upgrade(request, socket));
    this.server.on('connection', (socket: Socket) => {
      this.connections.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => this.connections.delete(socket));
    });
  }

  static async start(): Promise<DetailsUpstream> {
    const upstream = new DetailsUpstream();
    await new Promise<void>((resolve) => upstream.server.listen(0, '127.0.0.1', resolve));
    return upstream;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** What it saw last of this path, without the query. */
  last(path: string): SeenRequest | undefined {
    return this.seen.findLast(({ url }) => url.replace(/\?.*$/, '') === path);
  }

  async close(): Promise<void> {
    for (const socket of this.connections) socket.destroy();
    if (this.server.listening) await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const { method = '', url = '', headers, rawHeaders } = request;
    const seen: SeenRequest = {
      method,
      url,
      headers,
      rawHeaders,
      bytes: 0,
      body: '',
      trailers: {},
      state: 'coming',
      written: 0,
      isGone: false,
      response,
    };
    this.seen.push(seen);
    response.on('error', () => {});
    response.once('close', () => (seen.isGone = !response.writableFinished));
    request.on('error', () => (seen.state = 'broken'));
    request.on('data', (piece: Buffer) => {
      seen.bytes += piece.length;
      if (seen.body.length < 1000) seen.body += piece.toString('latin1');
    });
    request.once('close', () => {
      if (!request.complete) seen.state = 'broken';
    });
    const own = ANSWERS[/^\/([^/?]*)/.exec(url)?.[1] ?? ''];
    if (own !== undefined) own(request, response, seen);
    request.on('end', () => {
      seen.state = 'complete';
      seen.trailers = request.trailers;
      if (own !== undefined) return;
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ method, url, body: seen.body }));
    });
  }

  private upgrade(request: IncomingMessage, socket: Duplex): void {
    socket.on('error', () => {});
    if (request.url?.startsWith('/no') === true) {
      socket.end('HTTP/1.1 401 Unauthorized\r\nx-why: no\r\ncontent-length: 4\r\n\r\nnope');
      return;
    }
    this.sockets.push(socket);
    socket.write(switching(request));
    socket.on('end', () => socket.end());
    // A frame of up to 125 bytes under a mask is given back without it, as a server must.
    socket.on('data', (frame: Buffer) => {
      if (frame[0] !== 0x81) return;
      const mask = frame.subarray(2, 6);
      const text = frame.subarray(6).map((byte, at) => byte ^ (mask[at % 4] ?? 0));
      socket.write(Buffer.concat([Buffer.from([0x81, text.length]), text]));
    });
  }
}
