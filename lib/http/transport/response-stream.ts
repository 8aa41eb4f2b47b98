import { pipeline, Readable } from 'node:stream';
import { decompressors, type Coding } from './decompression.js';
import type { Hop } from './hop.js';

/** The body of an answer as it comes; destroying it gives the request up. */
export class ResponseStream extends Readable {
  private complete = false;

  constructor(
    private readonly hop: Hop,
    private readonly onEnd: () => void,
  ) {
    super({ highWaterMark: 64 * 1024 });
  }

  /** All of it has come. */
  end(): void {
    this.complete = true;
    this.push(null);
  }

  override _read(): void {
    this.hop.resume();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (!this.complete) this.hop.cancel();
    this.onEnd();
    // As with Node's own answers: an error that nobody listens for must not end the process.
    callback(this.listenerCount('error') === 0 ? null : error);
  }
}

/** Decodes and limits a streamed body. @param onTooLarge makes the error when more than `limit` bytes come */
export function toUserStream(
  source: ResponseStream,
  coding: Coding | undefined,
  limit: number,
  onTooLarge: () => Error,
): Readable {
  const through = coding === undefined ? [] : decompressors(coding);
  const last = through.at(-1);
  // Errors reach the last stream, which is the user's.
  if (last !== undefined) pipeline([source, ...through], () => {});
  const decoded = last ?? source;
  return limit < Infinity ? new LimitedStream(decoded, limit, onTooLarge) : decoded;
}

/**
 * A stream that fails when more bytes come than it may have. Counts what is read, when it is read: a failure before the
 * caller has the stream in his hands would be one that none of his listeners hears.
 */
class LimitedStream extends Readable {
  private bytes = 0;
  private readonly chunks: AsyncIterator<Buffer>;

  constructor(
    private readonly source: Readable,
    private readonly limit: number,
    private readonly onTooLarge: () => Error,
  ) {
    super({ highWaterMark: source.readableHighWaterMark });
    // Also before anything was read: a time-out, an abort.
    source.on('error', (error) => this.destroy(error));
    this.chunks = source[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  override _read(): void {
    this.chunks.next().then(
      ({ done, value }) => this.count(done === true ? null : value),
      (error: Error) => this.destroy(error),
    );
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.source.destroy();
    callback(this.listenerCount('error') === 0 ? null : error);
  }

  private count(chunk: Buffer | null): void {
    this.bytes += chunk?.length ?? 0;
    if (this.bytes > this.limit) this.destroy(this.onTooLarge());
    else this.push(chunk);
  }
}
