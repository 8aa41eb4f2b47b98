import { createPrivateKey, type KeyObject } from 'node:crypto';
import { checked, conceal, flag, oneOf, recordOf, satisfying, text, type Check } from '../../backend/index.js';
import { codeOf, DiscoveryError } from '../../model/index.js';
import type { ConfigDecoder } from '../decoders.js';
import { decryptAes, deriveKey } from './aes.js';
import { openRsa } from './rsa.js';
import { readSecretText } from './secret-text.js';

/** Options of {@link springCipher}. Exactly one of `key`, `keyFile` and `keyEnv` is given, unless `keys` has all that is used. */
export interface SpringCipherOptions {
  /** A password, as `encrypt.key` of Spring; or a private key for RSA as a PEM text, as in the server's keystore. */
  readonly key?: string;
  /** A file that holds it; read whenever something is decrypted. */
  readonly keyFile?: string;
  /** The variable of the environment that holds it; read whenever something is decrypted. */
  readonly keyEnv?: string;
  /** Keys for values that name theirs, `{cipher}{key:billing}…`, by that name. @default {} */
  readonly keys?: Readonly<Record<string, string>>;
  /** In hexadecimal, as `encrypt.salt` and `encrypt.rsa.salt` of Spring. @default 'deadbeef' */
  readonly salt?: string;
  /** For RSA, `encrypt.rsa.algorithm` of Spring. @default 'DEFAULT' */
  readonly rsaAlgorithm?: 'DEFAULT' | 'OAEP';
  /** For RSA, `encrypt.rsa.strong` of Spring: AES with GCM. @default false */
  readonly rsaStrong?: boolean;
}

const WHAT = 'springCipher()';

const CHECKS: Readonly<Record<keyof SpringCipherOptions, Check>> = {
  key: text,
  keyFile: text,
  keyEnv: text,
  keys: recordOf(text),
  salt: satisfying('a text of hexadecimal digits', (value) => /^(?:[0-9a-f]{2})+$/i.test(String(value))),
  rsaAlgorithm: oneOf('DEFAULT', 'OAEP'),
  rsaStrong: flag,
};

const DEFAULTS = {
  keys: {},
  salt: 'deadbeef',
  rsaAlgorithm: 'DEFAULT',
  rsaStrong: false,
} satisfies SpringCipherOptions;

/** A key in a file is no longer than this, in bytes. */
const MAX_KEY_BYTES = 65_536;
/** What is encrypted is no longer than this, in characters. */
const MAX_LENGTH = 2 ** 22;

/** What may stand in front of what is encrypted: `{key:billing}`, and Spring's `{name:…}`, `{profiles:…}`, `{secret:…}`. */
const HINT = /^\{([a-z]+):([^{}]*)\}/i;

/** A key that is ready to be used. */
type Ready = { readonly rsa: KeyObject } | { readonly aes: Buffer };

/**
 * Values as a Spring Cloud Config server encrypts them, `{cipher}…`: symmetric (`encrypt.key`) and RSA
 * (`encrypt.key-store`). For every backend; a config server decrypts them by itself, unless
 * `spring.cloud.config.server.encrypt.enabled` is false.
 *
 * @throws DiscoveryError `INVALID_OPTION`, naming the field
 */
export function springCipher(options: SpringCipherOptions): ConfigDecoder {
  const settings = checked(WHAT, options, CHECKS, DEFAULTS);
  const { keys, rsaAlgorithm, rsaStrong } = settings;
  const sources = (['key', 'keyFile', 'keyEnv'] as const).filter((field) => settings[field] !== undefined);
  if (sources.length > 1) throw invalid(sources[1] ?? '', `can't be given together with ${sources[0]}`);
  if (sources.length === 0 && Object.keys(keys).length === 0)
    throw invalid('key', 'is required, or keyFile, keyEnv or keys');
  const salt = Buffer.from(settings.salt, 'hex');
  // What was derived of the texts of keys: the same for every value.
  const ready = new Map<string, Promise<Ready>>();
  const readyFor = (key: string): Promise<Ready> => {
    let found = ready.get(key);
    if (found === undefined) {
      found = prepare(key, salt);
      ready.set(key, found);
    }
    return found;
  };

  return conceal({
    prefix: '{cipher}',
    async decode(given: string) {
      if (given.length > MAX_LENGTH) throw new Error(`is longer than ${MAX_LENGTH} characters`);
      let [encrypted, name] = [given, undefined as string | undefined];
      for (let hint = HINT.exec(encrypted); hint !== null; hint = HINT.exec(encrypted)) {
        if (hint[1]?.toLowerCase() === 'key') name = hint[2];
        encrypted = encrypted.slice(hint[0].length);
      }
      const named = name !== undefined && Object.hasOwn(keys, name) ? keys[name] : undefined;
      const key = await readyFor(named ?? (await ownKey(settings, name)));
      try {
        if ('aes' in key) return decryptAes(key.aes, bytesOf(encrypted, 'hex'), false);
        const parts = openRsa(key.rsa, bytesOf(encrypted, 'base64'), rsaAlgorithm);
        return decryptAes(await deriveKey(parts.password, salt), parts.encrypted, rsaStrong);
      } catch {
        // Whatever the reason is: more would tell somebody who tries about the key.
        throw new Error('it was encrypted with another key or salt, or is damaged');
      }
    },
  });
}

/** The key that isn't one of `keys`. */
async function ownKey(
  { key, keyFile, keyEnv }: Readonly<Record<'key' | 'keyFile' | 'keyEnv', string | undefined>>,
  name: string | undefined,
): Promise<string> {
  if (key !== undefined) return key;
  if (keyFile !== undefined) {
    try {
      return await readSecretText(keyFile, MAX_KEY_BYTES);
    } catch (cause) {
      throw invalid('keyFile', `${keyFile} can't be read: ${codeOf(cause) ?? 'it is no text'}`, cause);
    }
  }
  if (keyEnv !== undefined) {
    const found = process.env[keyEnv] ?? '';
    if (found !== '') return found;
    throw invalid('keyEnv', `the variable ${keyEnv} isn't set`);
  }
  throw invalid('keys', name === undefined ? 'the value names no key' : 'there is no key of the name that it names');
}

async function prepare(key: string, salt: Buffer): Promise<Ready> {
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(key)) return { aes: await deriveKey(key, salt) };
  let rsa: KeyObject;
  try {
    rsa = createPrivateKey(key);
  } catch (cause) {
    throw invalid('key', `is no private key that can be read (${codeOf(cause) ?? 'no PEM'})`, cause);
  }
  if (rsa.asymmetricKeyType !== 'rsa') throw invalid('key', 'is a private key, but none for RSA');
  return { rsa };
}

/** @throws Error unless it is written so from the first to the last character, which Node doesn't look at */
function bytesOf(text: string, encoding: 'hex' | 'base64'): Buffer {
  const bytes = Buffer.from(text, encoding);
  const again = bytes.toString(encoding);
  if (text === '' || (encoding === 'hex' ? again !== text.toLowerCase() : again !== text)) throw new Error(encoding);
  return bytes;
}

function invalid(field: string, problem: string, cause?: unknown): DiscoveryError {
  return new DiscoveryError('INVALID_OPTION', `${WHAT}: ${field} ${problem}`, {
    field,
    ...(cause === undefined ? {} : { cause }),
  });
}
