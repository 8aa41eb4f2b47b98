import { constants, createCipheriv, createPublicKey, pbkdf2Sync, publicEncrypt, randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { springCipher, type SpringCipherOptions } from '../../../../lib/config/index.js';
import { VECTORS } from './spring-vectors.js';

const { text, password, symmetric, rsa, privateKey } = VECTORS;
const about = { key: 'db.password', document: 'orders.yml' };
const decode = async (options: SpringCipherOptions, value: string) => springCipher(options).decode(value, about);

/** RSA with OAEP and AES with GCM, as Spring's `strong`. */
function encryptStrongly(plain: string, salt: string): string {
  const random = randomBytes(16);
  const key = pbkdf2Sync(random.toString('hex'), Buffer.from(salt, 'hex'), 1024, 32, 'sha1');
  const iv = randomBytes(16);
  const cipher = createCipheriv('aes-256-gcm', key, iv);
  const encrypted = [iv, cipher.update(plain), cipher.final(), cipher.getAuthTag()];
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  const secret = publicEncrypt({ key: createPublicKey(privateKey), padding, oaepHash: 'sha1' }, random);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(secret.length);
  return Buffer.concat([length, secret, ...encrypted]).toString('base64');
}

describe('springCipher()', () => {
  it('decrypts what a config server encrypted, with a password and with a keystore', async () => {
    expect(await decode({ key: password }, symmetric)).toBe(text);
    expect(await decode({ key: privateKey }, rsa)).toBe(text);
  });

  it('decrypts the strong form, with a salt of one’s own', async () => {
    const options = { key: privateKey, rsaAlgorithm: 'OAEP', rsaStrong: true, salt: '00ff' } as const;
    expect(await decode(options, encryptStrongly('x', '00ff'))).toBe('x');
    await expect(decode(options, encryptStrongly('x', '00fe'))).rejects.toThrow(/another key or salt/);
  });

  it('takes the key from a file or a variable, as it is at that moment', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'nsd-cipher-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const keyFile = join(folder, 'key');
    const decoder = springCipher({ keyFile });
    await expect(decoder.decode(symmetric, about)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      field: 'keyFile',
      message: `springCipher(): keyFile ${keyFile} can't be read: ENOENT`,
    });
    await writeFile(keyFile, `${password}\n`);
    await chmod(keyFile, 0o600);
    expect(await decoder.decode(symmetric, about)).toBe(text);
    await writeFile(keyFile, privateKey);
    expect(await decoder.decode(rsa, about)).toBe(text);
    const variable = springCipher({ keyEnv: 'NSD_TEST_KEY' });
    await expect(variable.decode(symmetric, about)).rejects.toThrow("the variable NSD_TEST_KEY isn't set");
    process.env['NSD_TEST_KEY'] = password;
    onTestFinished(() => void delete process.env['NSD_TEST_KEY']);
    expect(await variable.decode(symmetric, about)).toBe(text);
  });

  it('takes the key that a value names, and its own where the value names another', async () => {
    const keys = { billing: password };
    expect(await decode({ keys }, `{key:billing}${symmetric}`)).toBe(text);
    expect(await decode({ keys }, `{name:app}{profiles:dev}{key:billing}${symmetric}`)).toBe(text);
    expect(await decode({ keys, key: privateKey }, `{key:mytestkey}${rsa}`)).toBe(text);
    await expect(decode({ keys }, `{key:constructor}${symmetric}`)).rejects.toThrow(/keys/);
    await expect(decode({ keys }, symmetric)).rejects.toThrow(/names no key/);
  });

  it.each([
    ['another key', { key: 'other' }, symmetric],
    ['another salt', { key: password, salt: 'beef' }, symmetric],
    ['a cut value', { key: password }, symmetric.slice(0, -2)],
    ['no hexadecimal', { key: password }, `${symmetric}zz`],
    ['nothing', { key: password }, ''],
    ['nothing for RSA', { key: privateKey }, ''],
    ['a symmetric value for RSA', { key: privateKey }, symmetric],
    ['a cut value for RSA', { key: privateKey }, rsa.slice(0, 40)],
    ['another block for RSA', { key: privateKey }, `AQB${'A'.repeat(340)}B${rsa.slice(344)}`],
    ['another algorithm for RSA', { key: privateKey, rsaAlgorithm: 'OAEP' as const }, rsa],
  ])('says the same of %s, and shows nothing', async (_, options, value) => {
    const error = (await decode(options, value).catch((cause: unknown) => cause)) as Error;
    expect(error.message).toBe('it was encrypted with another key or salt, or is damaged');
    expect(error.cause).toBeUndefined();
  });

  it.each<[unknown, string]>([
    [{}, 'key is required'],
    [{ key: 'a', keyEnv: 'B' }, "keyEnv can't be given together with key"],
    [{ key: '' }, 'key must be a text'],
    [{ key: 'a', salt: 'xyz' }, 'salt must be'],
    [{ key: 'a', keys: { b: 1 } }, 'keys.b must be a text'],
    [{ passphrase: 'a' }, 'passphrase is no option'],
  ])('refuses %j', (options, problem) => {
    expect(() => springCipher(options as SpringCipherOptions)).toThrow(problem);
  });

  it('says of a private key that isn’t one, without showing it', async () => {
    const key = '-----BEGIN PRIVATE KEY-----\nS3cr3t\n-----END PRIVATE KEY-----';
    const error = (await decode({ key }, rsa).catch((cause: unknown) => cause)) as Error;
    expect(error).toMatchObject({ code: 'INVALID_OPTION', field: 'key' });
    expect(inspect(error, { depth: 9 })).not.toContain('S3cr3t');
    expect(inspect(springCipher({ key }), { depth: 9 })).not.toContain('S3cr3t');
  });
});
