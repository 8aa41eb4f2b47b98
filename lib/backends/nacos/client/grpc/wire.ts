/**
 * Nacos's gRPC envelope in protobuf's wire format: three small messages, written by hand so that no protobuf package is
 * needed. Field numbers: Payload { metadata = 2, body = 3 }, Metadata { type = 3, headers = 7, clientIp = 8 },
 * Any { type_url = 1, value = 2 }.
 */

/** What travels in either direction: a message's name, its headers, and its JSON text as bytes. */
export interface Payload {
  /** The message's simple class name, such as `ConfigQueryRequest`. */
  readonly type: string;
  readonly clientIp: string;
  readonly headers: Readonly<Record<string, string>>;
  /** UTF-8 JSON. */
  readonly body: Uint8Array;
}

const LENGTH_DELIMITED = 2;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** The bytes of a payload. */
export function encodePayload(payload: Payload): Buffer {
  const metadata = [
    bytesField(3, Buffer.from(payload.type)),
    ...Object.entries(payload.headers).map(([key, value]) =>
      bytesField(7, Buffer.concat([bytesField(1, Buffer.from(key)), bytesField(2, Buffer.from(value))])),
    ),
    bytesField(8, Buffer.from(payload.clientIp)),
  ];
  return Buffer.concat([
    bytesField(2, Buffer.concat(metadata)),
    bytesField(3, payload.body.length === 0 ? Buffer.alloc(0) : bytesField(2, payload.body)),
  ]);
}

/**
 * Reads a payload; unknown fields are skipped.
 *
 * @throws RangeError when the bytes are no payload
 */
export function decodePayload(bytes: Uint8Array): Payload {
  let type = '';
  let clientIp = '';
  let body: Uint8Array = new Uint8Array();
  // Without a prototype: a header may have any name.
  const headers = Object.create(null) as Record<string, string>;
  for (const [field, value] of fieldsOf(bytes)) {
    if (field === 2) {
      for (const [inner, content] of fieldsOf(value)) {
        if (inner === 3) type = text(content);
        else if (inner === 8) clientIp = text(content);
        else if (inner === 7) {
          let [key, header] = ['', ''];
          for (const [part, entry] of fieldsOf(content)) {
            if (part === 1) key = text(entry);
            else if (part === 2) header = text(entry);
          }
          headers[key] = header;
        }
      }
    } else if (field === 3) {
      for (const [inner, content] of fieldsOf(value)) if (inner === 2) body = content;
    }
  }
  return { type, clientIp, headers, body };
}

function bytesField(field: number, content: Uint8Array): Buffer {
  return Buffer.concat([varint((field << 3) | LENGTH_DELIMITED), varint(content.length), content]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

function text(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new RangeError('a text of the payload is no UTF-8', { cause });
  }
}

/** The length-delimited fields of a message, in order; those of other kinds are skipped. */
function* fieldsOf(bytes: Uint8Array): Generator<readonly [field: number, content: Uint8Array]> {
  const reader = new Reader(bytes);
  while (!reader.atEnd) {
    const tag = reader.varint();
    const field = Math.floor(tag / 8);
    if (field === 0) throw new RangeError('field 0 in a payload');
    switch (tag % 8) {
      case 0:
        reader.varint();
        break;
      case 1:
        reader.take(8);
        break;
      case LENGTH_DELIMITED:
        yield [field, reader.take(reader.varint())];
        break;
      case 5:
        reader.take(4);
        break;
      default:
        throw new RangeError(`wire type ${tag % 8} in a payload`);
    }
  }
}

class Reader {
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  get atEnd(): boolean {
    return this.at >= this.bytes.length;
  }

  varint(): number {
    let value = 0;
    for (let index = 0; index < 10; index += 1) {
      const byte = this.bytes[this.at];
      if (byte === undefined) throw new RangeError('the payload ends within a number');
      this.at += 1;
      value += (byte & 0x7f) * 2 ** (7 * index);
      if (byte < 0x80) return value;
    }
    throw new RangeError('a number of the payload is too long');
  }

  take(length: number): Uint8Array {
    if (!(length <= this.bytes.length - this.at)) throw new RangeError('the payload ends within a field');
    const part = this.bytes.subarray(this.at, this.at + length);
    this.at += length;
    return part;
  }
}
