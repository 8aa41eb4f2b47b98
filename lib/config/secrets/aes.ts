import { createDecipheriv, pbkdf2 } from 'node:crypto';
import { promisify } from 'node:util';

const derive = promisify(pbkdf2);

/** Spring Security's `AesBytesEncryptor`: what stands in front of what is encrypted. */
const IV_BYTES = 16;
const TAG_BYTES = 16;

/** The key that Spring's `Encryptors` make of a password and a salt. */
export function deriveKey(password: string, salt: Buffer): Promise<Buffer> {
  return derive(password, salt, 1024, 32, 'sha1');
}

/**
 * Decrypts what Spring's `Encryptors.standard` (CBC) or `stronger` (GCM) encrypted.
 * @throws Error when the key is another, or it was changed
 */
export function decryptAes(key: Buffer, encrypted: Buffer, strong: boolean): string {
  const iv = encrypted.subarray(0, IV_BYTES);
  if (!strong) {
    const cipher = createDecipheriv('aes-256-cbc', key, iv);
    return toText(Buffer.concat([cipher.update(encrypted.subarray(IV_BYTES)), cipher.final()]));
  }
  const cipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES });
  cipher.setAuthTag(encrypted.subarray(encrypted.length - TAG_BYTES));
  return toText(Buffer.concat([cipher.update(encrypted.subarray(IV_BYTES, -TAG_BYTES)), cipher.final()]));
}

function toText(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
}
