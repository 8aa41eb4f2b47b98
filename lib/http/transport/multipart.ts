import { randomBytes } from 'node:crypto';

/** A form, ready to be sent as often as needed. */
export interface Multipart {
  readonly contentType: string;
  /** Bytes of the whole body. */
  readonly length: number;
  open(): AsyncIterable<Uint8Array>;
}

/**
 * Encodes a `FormData` as `multipart/form-data` (RFC 7578), files streamed from where they lie.
 * @param boundary what stands between the parts. @default a random one
 */
export function toMultipart(form: FormData, boundary = `axios-boundary-${randomBytes(16).toString('hex')}`): Multipart {
  const parts: (Buffer | Blob)[] = [];
  for (const [name, value] of form) {
    if (typeof value === 'string') {
      parts.push(head(boundary, name), Buffer.from(value.replace(/\r?\n|\r\n?/g, '\r\n')), Buffer.from('\r\n'));
    } else {
      parts.push(head(boundary, name, value), value, Buffer.from('\r\n'));
    }
  }
  parts.push(Buffer.from(`--${boundary}--\r\n`));
  let length = 0;
  for (const part of parts) length += Buffer.isBuffer(part) ? part.length : part.size;
  return { contentType: `multipart/form-data; boundary=${boundary}`, length, open: () => read(parts) };
}

async function* read(parts: readonly (Buffer | Blob)[]): AsyncIterable<Uint8Array> {
  for (const part of parts) {
    if (Buffer.isBuffer(part)) yield part;
    else yield* part.stream() as unknown as AsyncIterable<Uint8Array>;
  }
}

function head(boundary: string, name: string, file?: File): Buffer {
  const fileName = file === undefined || file.name === '' ? '' : `; filename="${escaped(file.name)}"`;
  const type =
    file === undefined ? '' : `Content-Type: ${(file.type || 'application/octet-stream').replace(/[\r\n]/g, '')}\r\n`;
  return Buffer.from(
    `--${boundary}\r\nContent-Disposition: form-data; name="${escaped(name)}"${fileName}\r\n${type}\r\n`,
  );
}

/** Names come from users: none may end its line. */
function escaped(name: string): string {
  return name.replaceAll('\r', '%0D').replaceAll('\n', '%0A').replaceAll('"', '%22');
}
