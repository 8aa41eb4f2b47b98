import { AxiosError, CanceledError, type InternalAxiosRequestConfig } from 'axios';
import { codeOf } from '../../model/index.js';
import { isForm, setFormHeaders } from './form-data.js';
import { toMultipart } from './multipart.js';
import { Progress } from './progress.js';
import { isStream, StreamSource } from './stream-source.js';
import type { WireRequest } from './undici-port.js';

/** What is sent, once or, when redirected, again. */
export interface RequestBody {
  /** Bytes; undefined when only the stream's end will tell. */
  readonly length: number | undefined;
  /** The body for the next hop. */
  open(): WireRequest['body'];
  /** No hop will be sent any more. */
  dispose(): void;
}

/** How much of a buffer is told to be sent at a time, when somebody listens. */
const STEP = 64 * 1024;

/**
 * Makes the body of what axios's transforms left in `config.data`, and sets the headers that belong to it.
 *
 * @param isRepeated whether it may have to be sent again, to follow a redirect
 * @throws AxiosError `ERR_BAD_REQUEST` when the data is nothing that can be sent, or too long
 */
export function toRequestBody(config: InternalAxiosRequestConfig, isRepeated = true): RequestBody | undefined {
  const data: unknown = config.data;
  if (data === undefined || data === null || data === '' || data === false || data === 0) return undefined;
  if (typeof data === 'string') return fixed(Buffer.from(data, 'utf8'), config);
  if (Buffer.isBuffer(data)) return fixed(data, config);
  if (data instanceof ArrayBuffer || Object.prototype.toString.call(data) === '[object ArrayBuffer]') {
    return fixed(Buffer.from(data as ArrayBuffer), config);
  }
  if (data instanceof FormData) return multipart(data, config);
  if (data instanceof Blob) return blob(data, config);
  if (isStream(data)) {
    if (isForm(data)) setFormHeaders(data, config);
    return new StreamBody(StreamSource.of(data), config, isRepeated);
  }
  throw new AxiosError(
    'Data after transformation must be a string, an ArrayBuffer, a Buffer, or a Stream',
    AxiosError.ERR_BAD_REQUEST,
    config,
  );
}

function tooLong(config: InternalAxiosRequestConfig): AxiosError {
  return new AxiosError('Request body larger than maxBodyLength limit', AxiosError.ERR_BAD_REQUEST, config);
}

function isOver(length: number, config: InternalAxiosRequestConfig): boolean {
  const { maxBodyLength } = config;
  return maxBodyLength !== undefined && maxBodyLength > -1 && length > maxBodyLength;
}

function uploadProgress(config: InternalAxiosRequestConfig, total: number | undefined): Progress | undefined {
  const { onUploadProgress } = config;
  return typeof onUploadProgress === 'function' ? new Progress(onUploadProgress, 'upload', total) : undefined;
}

function fixed(bytes: Buffer, config: InternalAxiosRequestConfig): RequestBody {
  if (isOver(bytes.length, config)) throw tooLong(config);
  if (typeof config.onUploadProgress !== 'function') return new BufferBody(bytes);
  return new RepeatableBody(bytes.length, () => steps(bytes), config);
}

function* steps(bytes: Buffer): Iterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += STEP) yield bytes.subarray(at, at + STEP);
}

function multipart(form: FormData, config: InternalAxiosRequestConfig): RequestBody {
  const { headers } = config;
  const given = /boundary=([-\w]{10,70})/i.exec(String(headers.getContentType() ?? ''));
  const encoded = toMultipart(form, given?.[1]);
  if (isOver(encoded.length, config)) throw tooLong(config);
  headers.set('Content-Type', encoded.contentType);
  headers.set('Content-Length', String(encoded.length));
  return new RepeatableBody(encoded.length, () => encoded.open(), config);
}

function blob(data: Blob, config: InternalAxiosRequestConfig): RequestBody {
  if (isOver(data.size, config)) throw tooLong(config);
  if (data.size > 0) config.headers.setContentType(data.type === '' ? 'application/octet-stream' : data.type);
  config.headers.setContentLength(String(data.size));
  return new RepeatableBody(data.size, () => data.stream(), config);
}

/** A buffer: the common case. */
class BufferBody implements RequestBody {
  readonly length: number;

  constructor(private readonly bytes: Buffer) {
    this.length = bytes.length;
  }

  open(): Buffer {
    return this.bytes;
  }

  dispose(): void {}
}

/** What can be read from the start as often as needed. */
class RepeatableBody implements RequestBody {
  constructor(
    readonly length: number,
    private readonly read: () => Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    private readonly config: InternalAxiosRequestConfig,
  ) {}

  async *open(): AsyncIterable<Uint8Array> {
    const progress = uploadProgress(this.config, this.length);
    try {
      for await (const chunk of this.read()) {
        yield chunk;
        progress?.add(chunk.byteLength);
      }
    } finally {
      progress?.end();
    }
  }

  dispose(): void {}
}

/**
 * A stream. Unless redirects are off it is kept as it is sent, as axios does, for a redirect that repeats the request.
 */
class StreamBody implements RequestBody {
  readonly length: number | undefined;
  private readonly chunks: (Buffer | undefined)[] = [];
  private readonly pieces: AsyncGenerator<Buffer, void>;
  private readonly progress: Progress | undefined;
  private bytes = 0;
  private ended = false;
  private pulling: Promise<void> | undefined;

  constructor(
    private readonly source: StreamSource,
    private readonly config: InternalAxiosRequestConfig,
    private readonly keeps: boolean,
  ) {
    const { headers } = config;
    const length = Number(headers.getContentLength() ?? NaN);
    this.length = Number.isFinite(length) ? length : undefined;
    this.progress = uploadProgress(config, this.length);
    this.pieces = source.read();
  }

  async *open(): AsyncIterable<Uint8Array> {
    for (let next = 0; ; next += 1) {
      while (next >= this.chunks.length && !this.ended) await this.pull();
      const chunk = this.chunks[next];
      if (chunk === undefined) return;
      if (!this.keeps) this.chunks[next] = undefined;
      yield chunk;
    }
  }

  dispose(): void {
    this.progress?.end();
    this.source.release();
  }

  /** Reads one chunk, however many hops ask for it. */
  private pull(): Promise<void> {
    this.pulling ??= this.read().finally(() => (this.pulling = undefined));
    return this.pulling;
  }

  private async read(): Promise<void> {
    try {
      const { done, value } = await this.pieces.next();
      if (done === true) {
        this.ended = true;
        this.progress?.end();
        return;
      }
      this.bytes += value.length;
      if (isOver(this.bytes, this.config)) throw tooLong(this.config);
      this.chunks.push(value);
      this.progress?.add(value.length);
    } catch (error) {
      if (codeOf(error) !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
      throw new CanceledError('Request stream has been aborted', this.config);
    }
  }
}
