import { constants, privateDecrypt, randomBytes, type KeyObject } from 'node:crypto';

/** How long what RSA encrypts is: the password of the AES inside. */
const PASSWORD_BYTES = 16;

/** The two parts of what Spring's `RsaSecretEncryptor` made. */
export interface RsaParts {
  /** The password of the AES inside, in hexadecimal. */
  readonly password: string;
  readonly encrypted: Buffer;
}

/**
 * Takes apart what Spring's `RsaSecretEncryptor` made: two bytes of length, the password as RSA encrypted it, and what is
 * encrypted with that.
 * @throws Error when it is cut off, or doesn't fit the key
 */
export function openRsa(key: KeyObject, bytes: Buffer, algorithm: 'DEFAULT' | 'OAEP'): RsaParts {
  const length = bytes.length < 2 ? 0 : bytes.readUInt16BE(0);
  const secret = bytes.subarray(2, 2 + length);
  if (length === 0 || secret.length !== length) throw new Error('cut off');
  const password = algorithm === 'OAEP' ? oaep(key, secret) : pkcs1(key, secret);
  return { password: password.toString('hex'), encrypted: bytes.subarray(2 + length) };
}

function oaep(key: KeyObject, secret: Buffer): Buffer {
  return privateDecrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' }, secret);
}

/**
 * Padding that is wrong gives a password by chance instead of an error of its own, so that nobody learns of the padding. By
 * hand since Node, where its OpenSSL can't do the same, refuses such padding altogether.
 */
function pkcs1(key: KeyObject, secret: Buffer): Buffer {
  const block = privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, secret);
  const start = block.length - PASSWORD_BYTES;
  const padding = block.subarray(2, start - 1);
  const fits =
    block[0] === 0 && block[1] === 2 && block[start - 1] === 0 && padding.length >= 8 && !padding.includes(0);
  return fits ? block.subarray(start) : randomBytes(PASSWORD_BYTES);
}
