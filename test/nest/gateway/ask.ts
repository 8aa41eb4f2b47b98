import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import type { Socket } from 'node:net';

/** An answer as it came. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly rawHeaders: readonly string[];
  readonly trailers: IncomingMessage['trailers'];
  readonly body: Buffer;
  text(): string;
  json(): unknown;
}

/** Asks a port, with exactly these headers and bytes. */
export function ask(
  port: number,
  path: string,
  options: RequestOptions & { readonly body?: string | Buffer } = {},
): Promise<Answer> {
  const { body, ...rest } = options;
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest({ host: '127.0.0.1', port, path, agent: false, ...rest }, (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('error', reject);
      response.on('end', () => {
        const bytes = Buffer.concat(pieces);
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          rawHeaders: response.rawHeaders,
          trailers: response.trailers,
          body: bytes,
          text: () => bytes.toString(),
          json: () => JSON.parse(bytes.toString()) as unknown,
        });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** Writes `bytes`, and resolves with everything that comes back until the other side closes or it is enough. */
export function exchange(
  socket: Socket,
  bytes: string | Buffer,
  isEnough: (text: string) => boolean = () => false,
): Promise<string> {
  let text = '';
  const done = new Promise<string>((resolve) => {
    socket.on('data', (piece: Buffer) => {
      text += piece.toString('latin1');
      if (isEnough(text)) {
        socket.destroy();
        resolve(text);
      }
    });
    socket.on('close', () => resolve(text));
    socket.on('error', () => resolve(text));
  });
  socket.write(bytes);
  return done;
}
