import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { afterEach } from 'vitest';
import { exchange } from './ask.js';

export { ask, type Answer } from './ask.js';

const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

/** Ends something after the test. */
export function afterTest(close: () => unknown): void {
  closing.push(close);
}

/** What a service saw of a request. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
}

export interface Upstream {
  readonly port: number;
  readonly seen: Seen[];
  readonly server: Server;
  close(): Promise<void>;
}

/** A real HTTP server; without an answer of its own it tells what it got. */
export async function upstream(
  answer?: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Upstream> {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    if (answer !== undefined) return answer(request, response);
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const { method = '', url = '', headers, rawHeaders } = request;
      const body = Buffer.concat(pieces);
      seen.push({ method, url, headers, rawHeaders, body });
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ method, url, headers, body: body.toString('latin1') }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  afterTest(close);
  return { port: (server.address() as AddressInfo).port, seen, server, close };
}

/** A socket to a port, that writes `bytes`, and everything that comes back until the other side closes or it is enough. */
export function raw(port: number, bytes: string | Buffer, isEnough?: (text: string) => boolean): Promise<string> {
  return exchange(open(port), bytes, isEnough);
}

/** A socket that is closed after the test. */
export function open(port: number): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  afterTest(() => socket.destroy());
  return socket;
}
