import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodePayload, encodePayload } from '../../../lib/backends/nacos/client/grpc/wire.js';

const hex = (payload: Parameters<typeof encodePayload>[0]): string => encodePayload(payload).toString('hex');

describe('the gRPC envelope', () => {
  it('is written as other SDKs write it', () => {
    expect(
      hex({
        type: 'ServerCheckRequest',
        clientIp: '127.0.0.1',
        headers: {},
        body: Buffer.from('{"headers":{},"module":"internal"}'),
      }),
    ).toBe(
      '121f1a12536572766572436865636b5265717565737442093132372e302e302e311a2412227b2268656164657273223a7b7d2c226d6f64756c65223a22696e7465726e616c227d',
    );
    expect(
      hex({
        type: 'HealthCheckRequest',
        clientIp: '10.0.0.1',
        headers: { accessToken: 'T' },
        body: Buffer.from('{}'),
      }),
    ).toBe(
      '12301a124865616c7468436865636b526571756573743a100a0b616363657373546f6b656e120154420831302e302e302e311a0412027b7d',
    );
  });

  it('is read as it was written, whatever the texts', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 300 });
    fc.assert(
      fc.property(
        text,
        text,
        fc.dictionary(text, text),
        fc.uint8Array({ maxLength: 1000 }),
        (type, ip, headers, body) => {
          const read = decodePayload(encodePayload({ type, clientIp: ip, headers, body }));
          expect({ ...read, headers: Object.entries(read.headers), body: Buffer.from(read.body) }).toEqual({
            type,
            clientIp: ip,
            headers: Object.entries(headers),
            body: Buffer.from(body),
          });
        },
      ),
    );
  });

  it('skips fields that it does not know', () => {
    const known = encodePayload({ type: 'T', clientIp: '', headers: {}, body: Buffer.from('{}') });
    // Field 9 as a number, field 10 as 8 bytes, field 11 as 4 bytes, field 12 as a text.
    const unknown = Buffer.from('4896015101020304050607085d0102030462026869', 'hex');
    expect(decodePayload(Buffer.concat([unknown, known, unknown]))).toMatchObject({ type: 'T' });
  });

  it('refuses garbage with a RangeError, and nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          decodePayload(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
      { numRuns: 2000 },
    );
    expect(() => decodePayload(Buffer.from('12ff', 'hex'))).toThrow(RangeError);
    expect(() => decodePayload(Buffer.from('1205', 'hex'))).toThrow(RangeError);
    expect(() => decodePayload(Buffer.from('13', 'hex'))).toThrow(RangeError);
  });

  it('keeps a header called __proto__ a header', () => {
    const headers = Object.fromEntries([['__proto__', 'x']]);
    const read = decodePayload(encodePayload({ type: 'T', clientIp: '', headers, body: Buffer.alloc(0) }));
    expect(Object.keys(read.headers)).toEqual(['__proto__']);
    expect(Object.getPrototypeOf(read.headers)).toBeNull();
  });
});
