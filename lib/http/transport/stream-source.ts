import { PassThrough, Readable } from 'node:stream';

/** How much of a stream's beginning is kept, in bytes, in case that the request doesn't come to be sent. */
const KEPT = 1024 * 1024;

/** A stream that can be piped, old-style ones included. */
export interface Pipeable {
  pipe(destination: PassThrough): unknown;
  unpipe?(destination: PassThrough): unknown;
  on?(event: string, listener: (error: Error) => void): unknown;
}

export function isStream(data: unknown): data is Pipeable {
  return typeof data === 'object' && data !== null && 'pipe' in data && typeof data.pipe === 'function';
}

const sources = new WeakMap<object, StreamSource>();

/**
 * A caller's stream, read as it is asked for. It stays the caller's: it is never destroyed, and given back as it is when the
 * call is over, so that whoever it comes from (the request that a gateway passes on) can still be answered.
 */
export class StreamSource {
  /** What was taken so far, as long as that is little. */
  private beginning: Buffer[] | undefined = [];
  private kept = 0;
  private reader: Readable | undefined;
  private wake: (() => void) | undefined;
  private error: Error | undefined;
  /** How often it was let go: a read that began before has nothing to do here any more. */
  private releases = 0;

  /** The one source of a stream. */
  static of(stream: Pipeable): StreamSource {
    let source = sources.get(stream);
    if (source === undefined) sources.set(stream, (source = new StreamSource(stream)));
    return source;
  }

  private constructor(private readonly stream: Pipeable) {
    // From now on and for good, as axios does: it may fail before it is read, and after, and nobody else may listen.
    stream.on?.('error', this.fail);
  }

  /** Whether nothing was taken of it. */
  get isUntouched(): boolean {
    return this.beginning?.length === 0;
  }

  /** Whether it can still be read from its beginning. */
  get isWhole(): boolean {
    return this.beginning !== undefined;
  }

  /** Why it can't be read on: the caller's trouble, not that of whom it is sent to. */
  get failure(): Error | undefined {
    return this.error;
  }

  /** Somebody else reads it. */
  giveAway(): void {
    this.beginning = undefined;
  }

  /**
   * Its pieces, from the beginning if that is still there; not by two at a time.
   * @throws what the stream fails with; an error with the code `ERR_STREAM_PREMATURE_CLOSE` when it is closed before its end
   */
  async *read(): AsyncGenerator<Buffer, void> {
    yield* [...(this.beginning ?? [])];
    for (;;) {
      const chunk = await this.take();
      if (chunk === undefined) return;
      if (chunk.length > 0) yield chunk;
    }
  }

  /** Lets go of it: what wasn't taken is still there. */
  release(): void {
    const { reader } = this;
    if (reader === undefined) return;
    this.reader = undefined;
    this.releases += 1;
    reader.off('readable', this.onNews).off('end', this.onNews).off('close', this.onNews);
    if (reader !== (this.stream as unknown)) {
      this.stream.unpipe?.(reader as PassThrough);
      reader.destroy();
    }
    this.onNews();
  }

  private async take(): Promise<Buffer | undefined> {
    const reader = this.open();
    const { releases } = this;
    while (this.releases === releases) {
      if (this.error !== undefined) throw this.error;
      const value: unknown = reader.read();
      if (value !== null) {
        const chunk = Buffer.isBuffer(value) ? value : Buffer.from(value as string);
        this.keep(chunk);
        return chunk;
      }
      if (reader.readableEnded) return undefined;
      if (reader.errored) throw reader.errored;
      if (reader.destroyed) break;
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
    throw Object.assign(new Error('Premature close'), { code: 'ERR_STREAM_PREMATURE_CLOSE' });
  }

  private open(): Readable {
    if (this.reader !== undefined) return this.reader;
    const { stream } = this;
    let reader: Readable;
    if (isModern(stream)) {
      reader = stream;
    } else {
      const through = new PassThrough();
      stream.pipe(through);
      reader = through;
    }
    this.reader = reader;
    return reader.on('readable', this.onNews).on('end', this.onNews).on('close', this.onNews);
  }

  private keep(chunk: Buffer): void {
    if (this.beginning === undefined) return;
    this.kept += chunk.length;
    if (this.kept > KEPT) this.beginning = undefined;
    else this.beginning.push(chunk);
  }

  private readonly onNews = (): void => {
    const { wake } = this;
    this.wake = undefined;
    wake?.();
  };

  private readonly fail = (error: Error): void => {
    this.error = error;
    this.onNews();
  };
}

function isModern(stream: Pipeable): stream is Pipeable & Readable {
  return 'read' in stream && typeof stream.read === 'function' && 'off' in stream;
}

/** A stream of our own that gives what a caller's gives, for those who destroy what they are given. */
export function borrowed(stream: Pipeable): Readable {
  const source = StreamSource.of(stream);
  const chunks = source.read();
  const lent = new Readable({
    read() {
      chunks.next().then(
        ({ value }) => lent.push(value ?? null),
        (error: Error & { readonly code?: string }) =>
          lent.destroy(error.code === 'ERR_STREAM_PREMATURE_CLOSE' ? undefined : error),
      );
    },
    destroy(error, done) {
      source.release();
      done(error);
    },
  });
  // Whoever reads it hears of it too.
  return lent.on('error', () => {});
}
