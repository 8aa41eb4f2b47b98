import { request } from 'node:http';
import { connect, type Socket } from 'node:net';

/** What a load came to. */
export interface LoadResult {
  readonly requests: number;
  readonly failed: number;
  readonly seconds: number;
}

const EMPTY = Buffer.alloc(0);
const HEAD_END = Buffer.from('\r\n\r\n');

/**
 * Asks one path again and again over some keep-alive connections, with as little work as can be, until `isOver`: the next
 * request on a connection follows the whole answer of the one before.
 */
export async function load(
  port: number,
  path: string,
  connections: number,
  isOver: (requests: number) => boolean,
): Promise<LoadResult> {
  const ask = Buffer.from(
    `GET ${path} HTTP/1.1\r\nhost: shop.example\r\nuser-agent: bench\r\naccept: application/json\r\ncookie: session=abc\r\n\r\n`,
  );
  let requests = 0;
  let failed = 0;
  const started = performance.now();
  const one = (): Promise<void> =>
    new Promise((resolve) => {
      let socket: Socket;
      let asked = false;
      const send = (): void => {
        if (isOver(requests)) {
          asked = false;
          socket.destroy();
          return resolve();
        }
        requests += 1;
        asked = true;
        socket.write(ask);
      };
      const open = (): void => {
        let got: Buffer = EMPTY;
        let closes = false;
        socket = connect(port, '127.0.0.1', send);
        socket.setNoDelay(true);
        socket.on('error', () => {});
        socket.on('data', (chunk: Buffer) => {
          got = got.length === 0 ? chunk : Buffer.concat([got, chunk]);
          const end = got.indexOf(HEAD_END);
          if (end === -1) return;
          const head = got.toString('latin1', 0, end);
          const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
          if (got.length < end + 4 + length) return;
          if (!head.startsWith('HTTP/1.1 200')) failed += 1;
          asked = false;
          got = EMPTY;
          closes = /\r\nconnection: close/i.test(head);
          if (!closes) send();
        });
        socket.on('close', () => {
          if (asked) failed += 1;
          if (isOver(requests)) return resolve();
          open();
        });
      };
      open();
    });
  await Promise.all(Array.from({ length: connections }, one));
  return { requests, failed, seconds: (performance.now() - started) / 1000 };
}

/** Reads an answer of any size; resolves with its bytes. */
export function download(port: number, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    request({ port, host: '127.0.0.1', path, agent: false }, (response) => {
      let bytes = 0;
      response.on('data', (chunk: Buffer) => (bytes += chunk.length));
      response.on('end', () => resolve(bytes));
      response.on('error', reject);
    })
      .on('error', reject)
      .end();
  });
}

/** Sends a body of so many bytes, in pieces; resolves with how many the other side says it got. */
export function upload(port: number, path: string, bytes: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ port, host: '127.0.0.1', path, method: 'PUT', agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve(Number(text)));
    });
    outgoing.on('error', reject);
    const piece = Buffer.alloc(256 * 1024, 'x');
    let left = bytes;
    const write = (): void => {
      while (left > 0) {
        const next = left < piece.length ? piece.subarray(0, left) : piece;
        left -= next.length;
        if (!outgoing.write(next)) return void outgoing.once('drain', write);
      }
      outgoing.end();
    };
    write();
  });
}
