import zlib from 'node:zlib';
import { Transform, type TransformCallback } from 'node:stream';

/** A content coding that this Node can decode. */
export type Coding = 'unzip' | 'deflate' | 'br' | 'zstd';

const ZLIB = { flush: zlib.constants.Z_SYNC_FLUSH, finishFlush: zlib.constants.Z_SYNC_FLUSH };
const BROTLI = {
  flush: zlib.constants.BROTLI_OPERATION_FLUSH,
  finishFlush: zlib.constants.BROTLI_OPERATION_FLUSH,
};

/** What newer Nodes have; `@types/node` of the oldest one doesn't know it. */
interface Zstd {
  createZstdDecompress?(options: object): Transform;
  zstdDecompress?(data: Buffer, options: object, callback: (error: Error | null, data: Buffer) => void): void;
  readonly constants: { readonly ZSTD_e_flush?: number };
}
const zstd = zlib as unknown as Zstd;

/** What axios says it accepts. */
export const ACCEPT_ENCODING = 'gzip, compress, deflate, br';
export const ACCEPT_ENCODING_WITH_ZSTD =
  zstd.createZstdDecompress === undefined ? ACCEPT_ENCODING : `${ACCEPT_ENCODING}, zstd`;

/** The coding that a `content-encoding` header names, when it can be decoded. */
export function codingOf(contentEncoding: string): Coding | undefined {
  switch (contentEncoding.toLowerCase()) {
    case 'gzip':
    case 'x-gzip':
    case 'compress':
    case 'x-compress':
      return 'unzip';
    case 'deflate':
      return 'deflate';
    case 'br':
      return 'br';
    case 'zstd':
      return zstd.createZstdDecompress === undefined ? undefined : 'zstd';
    default:
      return undefined;
  }
}

/** Some servers send `deflate` without its zlib header. */
function isRawDeflate(data: Buffer): boolean {
  return data.length > 0 && data[0] !== 0x78;
}

/**
 * Decodes a whole body, in Node's thread pool. What was cut off is decoded as far as it goes, as axios does.
 * @param maxLength the most bytes that may come out; the error's code is `ERR_BUFFER_TOO_LARGE`
 */
export function decompress(coding: Coding, data: Buffer, maxLength: number): Promise<Buffer> {
  if (data.length === 0) return Promise.resolve(data);
  const limit = Number.isFinite(maxLength) ? { maxOutputLength: Math.max(1, maxLength) } : {};
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, result: Buffer): void => (error === null ? resolve(result) : reject(error));
    switch (coding) {
      case 'unzip':
        zlib.unzip(data, { ...ZLIB, ...limit }, done);
        break;
      case 'deflate':
        if (isRawDeflate(data)) zlib.inflateRaw(data, { ...ZLIB, ...limit }, done);
        else zlib.unzip(data, { ...ZLIB, ...limit }, done);
        break;
      case 'br':
        zlib.brotliDecompress(data, { ...BROTLI, ...limit }, done);
        break;
      case 'zstd':
        zstd.zstdDecompress?.(data, { ...zstdOptions(), ...limit }, done);
        break;
      default:
        coding satisfies never;
    }
  });
}

/** Streams that decode a body on its way, to be piped one into the other. */
export function decompressors(coding: Coding): Transform[] {
  switch (coding) {
    case 'unzip':
      return [zlib.createUnzip(ZLIB)];
    case 'deflate':
      return [new ZlibHeader(), zlib.createUnzip(ZLIB)];
    case 'br':
      return [zlib.createBrotliDecompress(BROTLI)];
    case 'zstd': {
      const stream = zstd.createZstdDecompress?.(zstdOptions());
      return stream === undefined ? [] : [stream];
    }
    default:
      coding satisfies never;
      return [];
  }
}

function zstdOptions(): object {
  return { flush: zstd.constants.ZSTD_e_flush, finishFlush: zstd.constants.ZSTD_e_flush };
}

/** Puts a zlib header before a raw deflate stream. */
class ZlibHeader extends Transform {
  private first = true;

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    if (this.first && chunk.length > 0) {
      this.first = false;
      if (isRawDeflate(chunk)) this.push(Buffer.from([0x78, 0x9c]));
    }
    callback(null, chunk);
  }
}
