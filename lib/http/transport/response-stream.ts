import { pipeline, Readable, Transform, type TransformCallback } from 'node:stream';
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
  const through: Transform[] = coding === undefined ? [] : decompressors(coding);
  if (limit > -1) through.push(new Limiter(limit, onTooLarge));
  const last = through.at(-1);
  if (last === undefined) return source;
  // Errors reach the last stream, which is the user's.
  pipeline([source, ...through], () => {});
  return last;
}

class Limiter extends Transform {
  private bytes = 0;

  constructor(
    private readonly limit: number,
    private readonly onTooLarge: () => Error,
  ) {
    super();
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    this.bytes += chunk.length;
    if (this.bytes > this.limit) callback(this.onTooLarge());
    else callback(null, chunk);
  }
}
