import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesDocument, textOf } from '../../../lib/backend/index.js';
import type { KVEntry } from '../../../lib/backends/consul/client/kv-entry.js';
import {
  documentPart,
  encodeText,
  formatOf,
  inMergeOrder,
  indexOfRevision,
  partsOf,
  revisionOf,
  type ConfigLayout,
} from '../../../lib/backends/consul/consul.config-layout.js';
import { resolveConsulOptions } from '../../../lib/backends/consul/consul.options.js';
import { readDocument } from '../../../lib/config/index.js';

const layout = (config = {}): ConfigLayout => resolveConsulOptions({ config }).config;
const entry = (Key: string, value: string | Uint8Array, ModifyIndex = 1): KVEntry => ({
  Key,
  Value: Buffer.from(value as string),
  Flags: 0,
  CreateIndex: 1,
  ModifyIndex,
  LockIndex: 0,
});

describe('layers', () => {
  const keysOf = (config: object, profiles: readonly string[] = ['dev', 'eu']) =>
    partsOf({ kind: 'application', application: 'orders', profiles }, layout(config)).map(({ read }) => read.key);

  it('as Spring has them', () => {
    expect(keysOf({})).toEqual([
      'config/application/',
      'config/application,dev/',
      'config/application,eu/',
      'config/orders/',
      'config/orders,dev/',
      'config/orders,eu/',
    ]);
    expect(keysOf({ format: 'YAML' }, [])).toEqual(['config/application/data', 'config/orders/data']);
    expect(keysOf({ format: 'FILES' }, ['dev'])).toEqual([
      'config/application.',
      'config/application-dev.',
      'config/orders.',
      'config/orders-dev.',
    ]);
    expect(keysOf({ prefixes: ['a', 'b/c'] }, [])).toEqual([
      'a/application/',
      'a/orders/',
      'b/c/application/',
      'b/c/orders/',
    ]);
  });

  it('files of several profiles by their extension, as Spring has them', () => {
    const parts = partsOf(
      { kind: 'application', application: 'orders', profiles: ['dev', 'eu'] },
      layout({ format: 'FILES' }),
    );
    const names = ['yml', 'properties'];
    const documents = parts.map(({ read }) =>
      names.map((extension) => ({
        id: `${read.key}${extension}`,
        revision: '',
        content: { format: 'text', text: '' },
      })),
    ) as unknown as Parameters<typeof inMergeOrder>[1];
    const ids = inMergeOrder(parts, documents).map(({ id }) => id.replace('config/', ''));
    expect(ids).toEqual(
      ['application', 'orders'].flatMap((name) => [
        `${name}.yml`,
        `${name}.properties`,
        `${name}-dev.yml`,
        `${name}-eu.yml`,
        `${name}-dev.properties`,
        `${name}-eu.properties`,
      ]),
    );
  });

  it('an application that is called as the shared layer has it once', () => {
    const parts = partsOf({ kind: 'application', application: 'application', profiles: ['x', 'x'] }, layout());
    expect(parts).toHaveLength(2);
  });

  it('names that are paths are refused', () => {
    for (const [application, profile] of [
      ['../x', 'dev'],
      ['x', '../dev'],
      ['a/b', 'dev'],
    ] as const) {
      const scope = { kind: 'application' as const, application, profiles: [profile] };
      expect(() => partsOf(scope, layout())).toThrow(expect.objectContaining({ code: 'INVALID_NAME' }));
    }
  });
});

describe('documents', () => {
  it('formats by name', () => {
    expect(formatOf('a/x.yml', layout())).toBe('yaml');
    expect(formatOf('a/x.yaml', layout())).toBe('yaml');
    expect(formatOf('a/x.json', layout())).toBe('json');
    expect(formatOf('a/x.properties', layout())).toBe('properties');
    expect(formatOf('a/.yml', layout())).toBe('text');
    expect(formatOf('a/data', layout({ format: 'YAML' }))).toBe('yaml');
    expect(formatOf('a/data', layout({ format: 'PROPERTIES' }))).toBe('properties');
    expect(formatOf('a/data', layout())).toBe('text');
    expect(formatOf('a/x', layout({ format: 'YAML' }))).toBe('text');
  });

  it('text comes back as it went, properties by what they say', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'grapheme' }), async (text) => {
        const sent = text.replaceAll(/\p{Cs}/gu, '');
        expect(textOf(encodeText(sent, 'yaml'))).toBe(sent);
        const value = sent.replaceAll(/[\p{Cc}\\\s]/gu, 'x');
        const bytes = encodeText(`key=x${value}`, 'properties');
        expect(bytes.every((byte) => byte < 128)).toBe(true);
        expect((await readDocument(bytesDocument('x', '1', 'properties', bytes)))[0]?.get('key')?.value).toBe(
          `x${value}`,
        );
      }),
    );
    const latin1 = bytesDocument('x', '1', 'properties', Uint8Array.from([0x5a, 0xfc]));
    expect(latin1.content).toEqual({ format: 'properties', text: 'Zü' });
  });

  it('equal revisions mean equal content, also when a store counts anew', () => {
    expect(revisionOf(5, Buffer.from('a'))).not.toBe(revisionOf(5, Buffer.from('b')));
    expect(indexOfRevision(revisionOf(5, Buffer.from('a')))).toBe('5');
    for (const foreign of ['', '5', '5-x', 'x-0123456789abcdef', '-1-0123456789abcdef']) {
      expect(indexOfRevision(foreign)).toBeUndefined();
    }
    const [folder] = partsOf({ kind: 'prefix', prefix: 'a/' }, layout());
    const revision = (entries: KVEntry[]) => folder?.documents(entries, () => {})[0]?.revision;
    expect(revision([entry('a/x', '1')])).toBe(revision([entry('a/x', '1', 9)]));
    expect(revision([entry('a/x', '1')])).not.toBe(revision([entry('a/x', '2')]));
    expect(revision([entry('a/x', '1'), entry('a/y', '')])).not.toBe(revision([entry('a/x', '1')]));
  });

  it('a prefix that ends within a name keeps the name', () => {
    const [part] = partsOf({ kind: 'prefix', prefix: 'a/b-' }, layout());
    const [document] = part?.documents([entry('a/b-x', '1'), entry('a/b-y/z', '2')], () => {}) ?? [];
    expect(document?.content).toEqual({ format: 'entries', entries: { 'b-x': '1', 'b-y.z': '2' } });
  });

  it('whatever the keys, no entry reaches a prototype, and each that is left out is told', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string(), fc.constantFrom('__proto__', 'a/__proto__/b', 'constructor', ''))),
        (keys) => {
          const told: string[] = [];
          const part = documentPart('p/', layout());
          const documents = part.documents(
            keys.map((key) => entry(`p/${key}`, 'x')),
            (key) => told.push(key),
          );
          for (const { content } of documents) {
            if (content.format !== 'entries') throw new Error('entries');
            expect(Object.getPrototypeOf(content.entries)).toBeNull();
            for (const key of Object.keys(content.entries)) expect(key.split('.')).not.toContain('__proto__');
          }
          for (const key of told) expect(keys.map((one) => `p/${one}`)).toContain(key);
        },
      ),
    );
  });
});
