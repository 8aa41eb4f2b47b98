import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { urlToHttpOptions } from 'node:url';
import type { ConnectionOptions } from 'node:tls';
import type { HopListener, RawExchange, WireRequest } from '../../http/index.js';
import type { HeaderList } from './header-list.js';

/** What of a listener is told here. */
type Listener = Pick<HopListener, 'onData' | 'onEnd' | 'onFailure' | 'onInformation'> & {
  onHead(hop: undefined, status: number, headers: readonly Buffer[], statusText: string): boolean;
};

/** One try of a request that ends with trailers, which undici can't send: over a connection of its own, by Node's client. */
export class TrailedExchange implements RawExchange {
  wasSent = false;
  private readonly outgoing: ClientRequest;
  private answer: IncomingMessage | undefined;
  private isOver = false;

  /**
   * @param origin `http://10.0.0.5:8080`
   * @param trailers asked for when the body has ended
   */
  constructor(
    origin: string,
    request: WireRequest,
    trailers: () => HeaderList,
    tls: ConnectionOptions | undefined,
    private readonly listener: Listener,
  ) {
    const url = new URL(origin);
    const isEncrypted = url.protocol === 'https:';
    this.outgoing = (isEncrypted ? httpsRequest : httpRequest)({
      ...(isEncrypted ? tls : {}),
      ...urlToHttpOptions(url),
      method: request.method,
      path: request.path,
      headers: [...request.headers, 'Transfer-Encoding', 'chunked', 'Connection', 'close'] as unknown as Record<
        string,
        string
      >,
      agent: false,
    });
    this.outgoing.once('socket', (socket) =>
      socket.once(isEncrypted ? 'secureConnect' : 'connect', () => (this.wasSent = true)),
    );
    this.outgoing.on('error', (error) => this.fail(error));
    this.outgoing.on('information', ({ statusCode, rawHeaders }) => {
      if (!this.isOver) listener.onInformation?.(statusCode, bytesOf(rawHeaders), '');
    });
    this.outgoing.once('response', (answer) => this.begin(answer));
    this.send(request.body, trailers).catch((error: unknown) => this.fail(error));
  }

  resume(): void {
    this.answer?.resume();
  }

  cancel(): void {
    this.isOver = true;
    this.outgoing.destroy();
  }

  private async send(body: WireRequest['body'], trailers: () => HeaderList): Promise<void> {
    const { outgoing } = this;
    async function* pieces(): AsyncGenerator<Uint8Array, void> {
      if (body !== null && !Buffer.isBuffer(body)) yield* body;
      const list = trailers();
      const pairs: [string, string][] = [];
      for (let i = 0; i + 1 < list.length; i += 2) pairs.push([list[i] ?? '', list[i + 1] ?? '']);
      outgoing.addTrailers(pairs);
    }
    await pipeline(Readable.from(pieces(), { objectMode: false }), outgoing);
  }

  private begin(answer: IncomingMessage): void {
    const { listener } = this;
    if (this.isOver) return;
    this.answer = answer;
    answer.on('error', (error) => this.fail(error));
    answer.on('data', (chunk: Buffer) => {
      if (!this.isOver && !listener.onData(chunk)) answer.pause();
    });
    answer.once('end', () => {
      if (this.isOver) return;
      this.isOver = true;
      listener.onEnd(bytesOf(answer.rawTrailers));
      // Of a request that was answered before its end nobody wants the rest.
      this.outgoing.destroy();
    });
    const { statusCode = 502, statusMessage = '', rawHeaders } = answer;
    if (!listener.onHead(undefined, statusCode, bytesOf(rawHeaders), statusMessage)) answer.pause();
  }

  private fail(error: unknown): void {
    if (this.isOver) return;
    this.isOver = true;
    this.outgoing.destroy();
    this.listener.onFailure(error instanceof Error ? error : new Error(String(error)));
  }
}

function bytesOf(texts: readonly string[] | Readonly<Record<string, unknown>>): readonly Buffer[] {
  return Array.isArray(texts) ? texts.map((text: string) => Buffer.from(text, 'latin1')) : [];
}
