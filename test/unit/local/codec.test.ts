import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeRecord, encodeRecord, type LocalRecord } from '../../../lib/backends/local/local.codec.js';
import { createRegistration, DiscoveryError, INSTANCE_STATUSES, nameProblem } from '../../../lib/model/index.js';

const name = fc.string({ minLength: 1, maxLength: 40 }).filter((text) => nameProblem(text) === undefined);
const key = fc.string({ maxLength: 20 }).filter((text) => !['__proto__', 'constructor', 'prototype'].includes(text));
const record: fc.Arbitrary<LocalRecord> = fc
  .record({
    service: name,
    instanceId: name,
    host: fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6()),
    port: fc.integer({ min: 1, max: 65_535 }),
    scheme: fc.constantFrom('http', 'https', 'grpc+tls'),
    status: fc.constantFrom(...INSTANCE_STATUSES),
    metadata: fc.dictionary(key, fc.string()),
    tags: fc.array(fc.string()),
    healthPath: fc.webPath({ size: 'small' }).map((path) => `/${path}`),
    ip: fc.oneof(fc.ipV4(), fc.ipV6()),
    weight: fc.integer({ min: 0, max: 1000 }),
    zone: fc.string(),
    owner: fc.uuid(),
    pid: fc.integer({ min: 1, max: 4_194_304 }),
    leaseMs: fc.integer({ min: 1, max: 86_400_000 }),
    startedAt: fc.option(fc.nat().map(String), { nil: undefined }),
  })
  .map(({ owner, pid, leaseMs, startedAt, ...registration }) => ({
    registration: createRegistration(registration),
    owner,
    leaseMs,
    process: { pid, hostname: 'host', ...(startedAt === undefined ? {} : { startedAt }) },
  }));

/** What reading `text` comes to: a record or an error of ours, and nothing else. */
function read(text: string): LocalRecord | DiscoveryError {
  try {
    return decodeRecord(text);
  } catch (error) {
    if (error instanceof DiscoveryError) return error;
    throw error;
  }
}

describe('the file of an instance', () => {
  it('says after reading what was written', () => {
    fc.assert(
      fc.property(record, (one) => {
        expect(decodeRecord(encodeRecord(one))).toEqual(one);
      }),
    );
  });

  it('cut off anywhere is refused, never half a record', () => {
    fc.assert(
      fc.property(record, fc.double({ min: 0, max: 0.999, noNaN: true }), (one, share) => {
        const text = encodeRecord(one).trimEnd();
        expect(read(text.slice(0, Math.floor(text.length * share)))).toBeInstanceOf(DiscoveryError);
      }),
    );
  });

  it('with anything else in it is a record or a refusal, never a crash', () => {
    fc.assert(
      fc.property(
        record,
        fc.json(),
        fc.constantFrom('registration', 'process', 'leaseMs', 'owner', 'format'),
        (one, json, field) => {
          const foreign = { ...JSON.parse(encodeRecord(one)), [field]: JSON.parse(json) };
          read(JSON.stringify(foreign));
          read(json);
        },
      ),
    );
  });

  const base = JSON.parse(
    encodeRecord({
      registration: createRegistration({ service: 'S', host: 'h', port: 1 }),
      leaseMs: 1000,
      owner: 'o',
      process: { pid: 1, hostname: 'h' },
    }),
  );
  const withRegistration = (fields: string): string =>
    JSON.stringify({ ...base, registration: { ...base.registration, ...JSON.parse(fields) } });

  it.each([
    ['{"port":70000}', 'port'],
    ['{"port":"80"}', 'port'],
    ['{"host":"a b"}', 'host'],
    ['{"service":"../evil"}', 'service'],
    ['{"instanceId":"../evil"}', 'instanceId'],
    ['{"status":"DANCING"}', 'status'],
    ['{"weight":-1}', 'weight'],
    ['{"metadata":{"constructor":"x"}}', 'metadata.constructor'],
    ['{"tags":[1]}', 'tags[0]'],
  ])('refuses a registration with %s, naming the field', (fields, field) => {
    expect(read(withRegistration(fields))).toMatchObject({ field });
  });

  it.each([0, -1, 1.5, '7', null])('refuses the pid %j: kill would take it for a group', (pid) => {
    expect(read(JSON.stringify({ ...base, process: { ...base.process, pid } }))).toMatchObject({
      field: 'process.pid',
    });
  });

  it('refuses another format and an endless lease', () => {
    expect(read(JSON.stringify({ ...base, format: 2 }))).toMatchObject({ field: 'format' });
    expect(read(JSON.stringify({ ...base, leaseMs: 1e12 }))).toMatchObject({ field: 'leaseMs' });
  });
});
