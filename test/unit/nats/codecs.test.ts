import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assertDocumentId } from '../../../lib/backend/index.js';
import {
  encodeHeaderBlock,
  headerText,
  parseHeaderBlock,
  toHeaders,
} from '../../../lib/backends/nats/connection/headers.js';
import {
  assertKey,
  escapeToken,
  operationOf,
  readDelivery,
  readEntry,
  unescapeToken,
} from '../../../lib/backends/nats/jetstream/key-value.codec.js';
import { readAnswer } from '../../../lib/backends/nats/jetstream/api.js';
import {
  configKey,
  decodePresence,
  encodePresence,
  formatOfEntry,
  idOfConfigKey,
  presenceKey,
  sequenceOf,
  serviceOfKey,
  toHttpInstance,
  toHttpMetadata,
  toRevision,
} from '../../../lib/backends/nats/nats.codec.js';
import { decodeAnswer, encodeAnswer } from '../../../lib/backends/nats/service/protocol.js';
import {
  createRegistration,
  DiscoveryError,
  INSTANCE_STATUSES,
  isPrototypeKey,
  nameProblem,
  toInstance,
} from '../../../lib/model/index.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const names = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
  .filter((name) => nameProblem(name) === undefined);
/** Whatever it throws is ours. */
const ours = (run: () => unknown): void => {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(DiscoveryError);
  }
};

describe('headers', () => {
  const header = fc.tuple(
    fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,20}$/),
    fc.array(
      fc.string({ unit: 'grapheme' }).map((text) => text.replace(/[\r\n]/g, '').trim()),
      { minLength: 1, maxLength: 3 },
    ),
  );

  it('come back as they were', () => {
    fc.assert(
      fc.property(fc.array(header, { maxLength: 5 }), (list) => {
        const headers = new Map(list);
        // JavaScript's trim takes more blanks than the wire has.
        fc.pre([...headers.values()].flat().every((value) => value === value.trim() && !/\p{Surrogate}/u.test(value)));
        expect(parseHeaderBlock(encodeHeaderBlock(headers))).toEqual(headers);
      }),
    );
  });

  it('of any bytes are read without harm', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (block) => void parseHeaderBlock(block)));
    expect(parseHeaderBlock(bytes('NATS/1.0 100 Idle\r\nA: 1\r\nno colon\r\n: x\r\nA:2\r\n\r\n'))).toEqual(
      new Map([['A', ['1', '2']]]),
    );
    expect(parseHeaderBlock(bytes('HTTP/1.1 200\r\nA: 1\r\n\r\n'))).toEqual(new Map());
  });

  it('can not smuggle lines in', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (name, value) => {
        ours(() => {
          const block = new TextDecoder().decode(encodeHeaderBlock(toHeaders({ [name]: value })));
          expect(block.split('\r\n')).toHaveLength(4);
        });
        expect(headerText(value)).not.toMatch(/[\r\n]/);
      }),
    );
  });

  it('are an error that names them when they can not be sent', () => {
    for (const headers of [{ 'a b': 'x' }, { a: 'x\ny' }, { a: 5 }, { a: ['x', null] }]) {
      expect(() => toHeaders(headers as never)).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION', field: 'headers' }),
      );
    }
  });
});

describe('keys', () => {
  it('escape any text into one token, and back', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', minLength: 1 }).filter((text) => !/\p{Surrogate}/u.test(text)),
        (text) => {
          const token = escapeToken(text);
          expect(token).toMatch(/^[-A-Za-z0-9_=]+$/);
          expect(unescapeToken(token)).toBe(text);
        },
      ),
    );
    for (const token of ['=', '=4', '=zz', '=41', '=e4', '=FF', 'a.b', 'ä'])
      expect(unescapeToken(token), token).toBeUndefined();
  });

  it('of instances are valid and tell the service', () => {
    fc.assert(
      fc.property(names, names, (service, id) => {
        const key = presenceKey(service, id);
        assertKey(key);
        expect(key.split('.')).toHaveLength(2);
        expect(serviceOfKey(key)).toBe(service);
      }),
    );
    for (const key of ['a', 'a.b.c', '=2E=2E.b', '__proto__.b', '.b']) expect(serviceOfKey(key), key).toBeUndefined();
  });

  it('of documents are valid, readable and unique', () => {
    const ids = fc.array(names, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
    fc.assert(
      fc.property(ids, (id) => {
        assertDocumentId(id);
        const key = configKey(id);
        assertKey(key);
        expect(idOfConfigKey(key)).toBe(id);
      }),
    );
    expect(configKey('orders/application-prod.yaml')).toBe('orders/application-prod.yaml');
    expect(configKey('.hidden..x.')).toBe('=2Ehidden=2E.x=2E');
    for (const key of ['a=b', 'a=2F', '/a', 'a//b', '=2E=2E/a', 'a=41'])
      expect(idOfConfigKey(key), key).toBeUndefined();
  });

  it('are refused when they are none', () => {
    for (const key of ['', '.', 'a.', '.a', 'a..b', 'a b', 'a>', 'x'.repeat(2001), 5, null]) {
      expect(() => assertKey(key)).toThrow(expect.objectContaining({ code: 'INVALID_NAME' }));
    }
    assertKey('a.*.>', true);
  });
});

describe('instances', () => {
  const registration = fc
    .record({
      service: names,
      instanceId: names,
      port: fc.integer({ min: 1, max: 65535 }),
      host: fc.constantFrom('10.0.0.5', 'app.example.com', '::1', 'fe80::1'),
      scheme: fc.constantFrom('http', 'https', 'grpc'),
      status: fc.constantFrom(...INSTANCE_STATUSES),
      weight: fc.float({ min: 0, max: 1000, noNaN: true }),
      zone: fc.option(fc.string({ minLength: 1 }), { nil: undefined }),
      metadata: fc.dictionary(
        fc.stringMatching(/^[a-z.]{1,10}$/).filter((key) => !key.startsWith('http.') && !isPrototypeKey(key)),
        fc.string(),
      ),
      tags: fc.array(fc.string({ minLength: 1 }), { maxLength: 3 }),
    })
    .map(({ zone, ...fields }) => createRegistration({ ...fields, ...(zone === undefined ? {} : { zone }) }));

  it('come back from their records as they were', () => {
    fc.assert(
      fc.property(registration, fc.integer({ min: 1, max: 86_400_000 }), (one, leaseMs) => {
        const record = decodePresence(encodePresence({ registration: one, leaseMs, owner: 'me' }));
        expect(record).toEqual({ registration: one, leaseMs, owner: 'me' });
      }),
    );
  });

  it('come back from the metadata of a micro service', () => {
    fc.assert(
      fc.property(registration, (one) => {
        fc.pre(one.scheme !== 'grpc' || !one.host.includes(':'));
        const info = {
          name: one.service,
          id: 'x',
          version: '1.0.0',
          description: '',
          endpoints: [],
          metadata: toHttpMetadata(one),
        };
        expect(toHttpInstance(info, one.service, 'nats')).toEqual(toInstance(one, 'nats'));
      }),
    );
  });

  it('that a stranger wrote are an error of ours, whatever they are', () => {
    fc.assert(fc.property(fc.uint8Array(), (value) => ours(() => decodePresence(value))));
    fc.assert(fc.property(fc.json(), (json) => ours(() => decodePresence(bytes(json)))));
    const good = JSON.parse(
      new TextDecoder().decode(
        encodePresence({
          registration: createRegistration({ service: 's', host: 'h', port: 1 }),
          leaseMs: 1,
          owner: 'o',
        }),
      ),
    ) as Record<string, unknown>;
    fc.assert(
      fc.property(
        fc.constantFrom(
          'service',
          'instanceId',
          'host',
          'ip',
          'port',
          'scheme',
          'status',
          'metadata',
          'tags',
          'weight',
          'zone',
        ),
        fc.anything(),
        (field, value) =>
          ours(() =>
            decodePresence(
              bytes(JSON.stringify({ ...good, registration: { ...(good['registration'] as object), [field]: value } })),
            ),
          ),
      ),
    );
    const info = { name: 's', id: 'x', version: '1.0.0', description: '', endpoints: [] };
    fc.assert(
      fc.property(fc.string(), fc.string(), (url, weight) =>
        ours(() => toHttpInstance({ ...info, metadata: { 'http.url': url, 'http.weight': weight } }, 's', 'nats')),
      ),
    );
    for (const url of ['http://u:p@h:1', 'http://h:1/path', 'grpc://h', 'x']) {
      expect(() => toHttpInstance({ ...info, metadata: { 'http.url': url } }, 's', 'nats')).toThrow(
        expect.objectContaining({ code: 'INVALID_INSTANCE' }),
      );
    }
  });
});

describe('answers of services', () => {
  const text = fc.string({ minLength: 1, maxLength: 10 });
  const metadata = fc.dictionary(
    text.filter((key) => key !== '__proto__'),
    fc.string(),
  );
  const identity = fc.record({ name: text, id: text, version: text, metadata });

  it('come back as they were', () => {
    const endpoint = fc.record({ name: text, subject: text, queue_group: fc.string(), metadata });
    const counters = fc.record({
      name: text,
      subject: text,
      queue_group: fc.string(),
      num_requests: fc.nat(),
      num_errors: fc.nat(),
      last_error: fc.string(),
      processing_time: fc.nat(),
      average_processing_time: fc.nat(),
    });
    fc.assert(
      fc.property(identity, (one) => {
        expect(decodeAnswer('PING', encodeAnswer('PING', one))).toEqual(one);
      }),
    );
    fc.assert(
      fc.property(identity, fc.string(), fc.array(endpoint), (one, description, endpoints) => {
        const info = { ...one, description, endpoints };
        expect(decodeAnswer('INFO', encodeAnswer('INFO', info))).toEqual(info);
      }),
    );
    fc.assert(
      fc.property(identity, fc.array(counters), (one, endpoints) => {
        const stats = { ...one, started: '2026-11-21T09:47:53.494Z', endpoints };
        expect(decodeAnswer('STATS', encodeAnswer('STATS', stats))).toEqual(stats);
      }),
    );
  });

  it('of older and other implementations are read', () => {
    const old = {
      type: 'io.nats.micro.v1.stats_response',
      name: 'a',
      id: 'b',
      version: '1.0.0',
      metadata: null,
      endpoints: [{ name: 'e' }],
    };
    expect(decodeAnswer('STATS', bytes(JSON.stringify(old)))).toMatchObject({
      metadata: {},
      started: '',
      endpoints: [{ name: 'e', queue_group: '', num_requests: 0, last_error: '' }],
    });
  });

  it('that are none are an error of ours', () => {
    fc.assert(
      fc.property(fc.constantFrom('PING', 'INFO', 'STATS'), fc.oneof(fc.json(), fc.string()), (verb, answer) =>
        ours(() => decodeAnswer(verb, bytes(answer))),
      ),
    );
    const info = { type: 'io.nats.micro.v1.info_response', name: 'a', id: 'b', version: '1' };
    fc.assert(
      fc.property(fc.anything(), fc.anything(), (endpoints, more) =>
        ours(() => decodeAnswer('INFO', bytes(JSON.stringify({ ...info, endpoints, metadata: more })))),
      ),
    );
    expect(() => decodeAnswer('PING', bytes(JSON.stringify(info)))).toThrow(expect.objectContaining({ field: 'type' }));
  });
});

describe('JetStream', () => {
  it('deliveries are read in the old form and the new ones', () => {
    const expected = { streamSequence: 7, consumerSequence: 2, at: 1_700_000_000_123, pending: 5 };
    expect(readDelivery('$JS.ACK.KV_b.c.1.7.2.1700000000123456789.5')).toEqual(expected);
    expect(readDelivery('$JS.ACK._.hash.KV_b.c.1.7.2.1700000000123456789.5')).toEqual(expected);
    expect(readDelivery('$JS.ACK._.hash.KV_b.c.1.7.2.1700000000123456789.5.token')).toEqual(expected);
    for (const reply of [undefined, '', 'x', '$JS.ACK.a', '$JS.ACK.KV_b.c.1.x.2.17.5', '$JS.ACK.a.b.c.d.e.f.g.h']) {
      expect(readDelivery(reply)).toBeUndefined();
    }
    fc.assert(fc.property(fc.string(), (reply) => void readDelivery(`$JS.ACK.${reply}`)));
  });

  it('markers are told apart', () => {
    const of = (name: string, value: string) => operationOf(new Map([[name, [value]]]));
    expect(operationOf(new Map())).toBe('PUT');
    expect([of('KV-Operation', 'DEL'), of('KV-Operation', 'PURGE'), of('KV-Operation', 'odd')]).toEqual([
      'DEL',
      'PURGE',
      'PUT',
    ]);
    const marker = (reason: string) => of('Nats-Marker-Reason', reason);
    expect([marker('MaxAge'), marker('Purge'), marker('Remove')]).toEqual(['PURGE', 'PURGE', 'DEL']);
  });

  it('messages of other subjects are no entries', () => {
    const reply = '$JS.ACK.KV_b.c.1.7.2.1700000000123456789.5';
    expect(readEntry('b', { subject: '$KV.other.k', reply, data: bytes('') })).toBeUndefined();
    expect(readEntry('b', { subject: '$KV.b.k', data: bytes('') })).toBeUndefined();
    expect(readEntry('b', { subject: '$KV.b.k.l', reply, data: bytes('x') })?.entry).toMatchObject({
      key: 'k.l',
      revision: 7,
    });
  });

  it('answers that are none are an error of ours', () => {
    fc.assert(fc.property(fc.oneof(fc.json(), fc.string()), (answer) => ours(() => readAnswer(bytes(answer), 's'))));
    expect(() => readAnswer(bytes('{"error":{"code":503,"err_code":10008,"description":"no leader"}}'), 's')).toThrow(
      expect.objectContaining({ code: 'BACKEND_UNAVAILABLE', errorCode: 10_008 }),
    );
  });
});

describe('revisions', () => {
  it('carry the number, and differ with the content', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e15 }), fc.uint8Array(), (sequence, content) => {
        expect(sequenceOf(toRevision(sequence, content))).toBe(sequence);
      }),
    );
    expect(toRevision(1, bytes('a'))).not.toBe(toRevision(1, bytes('b')));
    for (const revision of ['', '1', '0-000000000000', '1-x', '-1-000000000000']) {
      expect(() => sequenceOf(revision)).toThrow(expect.objectContaining({ code: 'CONFIG_CONFLICT' }));
    }
  });

  it('of documents whose format was said, or shows in the name', () => {
    const entry = (header?: string) => ({
      bucket: 'b',
      key: 'k',
      value: bytes(''),
      revision: 1,
      at: 0,
      operation: 'PUT' as const,
      headers: new Map(header === undefined ? [] : [['Nsd-Config-Format', [header]]]),
    });
    expect(formatOfEntry('a.json', entry())).toBe('json');
    expect(formatOfEntry('a.json', entry('text'))).toBe('text');
    expect(formatOfEntry('a', entry())).toBe('yaml');
    expect(formatOfEntry('a.properties', entry('odd'))).toBe('properties');
  });
});
