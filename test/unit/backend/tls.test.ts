import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkOptions, readTls, tlsCheck, type TlsOptions } from '../../../lib/backend/index.js';
import { makeCertificates } from '../../servers/certificates.js';
import type { TlsFiles } from '../../servers/types.js';

const problem = (tls: unknown): unknown => {
  try {
    checkOptions('it()', { tls }, { tls: tlsCheck() });
    return undefined;
  } catch (error) {
    return error;
  }
};

describe('the check of TlsOptions', () => {
  it.each<TlsOptions>([
    {},
    { ca: 'PEM' },
    { ca: Buffer.from('PEM') },
    { ca: ['PEM', new Uint8Array(3)] },
    { cert: 'PEM', keyFile: 'key.pem', passphrase: 'x' },
    { caFile: 'ca.pem', certFile: 'cert.pem', keyFile: 'key.pem', servername: 'a', rejectUnauthorized: false },
  ])('takes %j', (tls) => expect(problem(tls)).toBeUndefined());

  it.each<[unknown, string]>([
    ['text', 'tls'],
    [{ ca: 5 }, 'tls.ca'],
    [{ ca: ['PEM', 5] }, 'tls.ca[1]'],
    [{ ca: '' }, 'tls.ca'],
    [{ ca: 'PEM', caFile: 'ca.pem' }, 'tls.caFile'],
    [{ cert: 'PEM', certFile: 'x', key: 'PEM' }, 'tls.certFile'],
    [{ cert: 'PEM' }, 'tls.key'],
    [{ certFile: 'cert.pem' }, 'tls.key'],
    [{ key: 'PEM' }, 'tls.cert'],
    [{ rejectUnauthorized: 'no' }, 'tls.rejectUnauthorized'],
    [{ cacert: 'PEM' }, 'tls.cacert'],
  ])('refuses %j', (tls, field) => {
    expect(problem(tls)).toMatchObject({ code: 'INVALID_OPTION', field });
    expect(String(problem(tls))).not.toContain('PEM,');
  });

  it('takes the fields that a product has besides', () => {
    const check = tlsCheck({ first: () => {} });
    expect(() => checkOptions('it()', { tls: { first: true } }, { tls: check })).not.toThrow();
  });
});

describe('readTls', () => {
  let folder = '';
  let files: TlsFiles;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nsd-tls-'));
    files = await makeCertificates(folder);
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('gives texts, bytes and files alike; what is left out is no field', async () => {
    const { ca, cert, key, caFile, certFile, keyFile } = files;
    const asText = (pem: readonly (string | Buffer)[] | undefined): string | undefined => pem?.map(String).join();
    for (const tls of [
      { ca, cert, key },
      { ca: Buffer.from(ca), cert: [cert], key: [Buffer.from(key)] },
      { caFile, certFile, keyFile },
    ]) {
      const material = await readTls(tls, 'it');
      expect(Object.keys(material)).toEqual(['ca', 'cert', 'key']);
      expect([asText(material.ca), asText(material.cert), asText(material.key)]).toEqual([ca, cert, key]);
    }
    expect(await readTls({ servername: 'a', rejectUnauthorized: false }, 'it')).toEqual({
      servername: 'a',
      rejectUnauthorized: false,
    });
  });

  it('names the file that cannot be read', async () => {
    const caFile = join(folder, 'none.pem');
    await expect(readTls({ caFile }, 'it')).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      field: 'tls.caFile',
      message: `it: tls.caFile ${caFile} can't be read: ENOENT`,
    });
  });

  it('refuses what is no certificate, or no pair, and shows none of it', async () => {
    const secret = join(folder, 'secret.pem');
    await writeFile(secret, 'the-secret');
    const { cert } = files;
    for (const tls of [
      { ca: 'the-secret', cert, keyFile: secret },
      { cert, key: 'the-secret' },
      { cert, keyFile: secret },
    ]) {
      const error: unknown = await readTls(tls, 'it').catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'INVALID_OPTION', field: 'tls' });
      expect(String(error)).not.toContain('the-secret');
    }
  });
});
