import { createCipheriv, createDecipheriv } from 'node:crypto';
import { defined, DiscoveryError, messageOf } from '../../../../model/index.js';

/** Content on its way, and the key it is encrypted with (itself encrypted), if there is one. */
export interface NacosConfigContent {
  readonly dataId: string;
  readonly group: string;
  readonly content: string;
  readonly encryptedDataKey?: string;
  /** What the publisher asked for. */
  readonly kmsKeyId?: string;
}

/**
 * Transforms content before it is published and after it was read. What the server, the snapshots and the failover files
 * hold is the encrypted form.
 */
export interface NacosConfigFilter {
  /** For error messages. */
  readonly name?: string;
  /** Gives back what it isn't concerned with as it is. */
  encrypt(content: NacosConfigContent): Promise<Pick<NacosConfigContent, 'content' | 'encryptedDataKey'>>;
  /** Gives the readable content. */
  decrypt(content: NacosConfigContent): Promise<string>;
}

/** A data key: for use, and as it may be stored. */
export interface NacosDataKey {
  /** The key itself, base64. */
  readonly plaintext: string;
  /** The key encrypted by the key service. */
  readonly ciphertext: string;
}

/** A key management service, as envelope encryption needs it. */
export interface NacosKeyProvider {
  /** Makes a data key. */
  generateDataKey(spec: 'AES_128' | 'AES_256', keyId: string): Promise<NacosDataKey>;
  /** Encrypts a short text with a key of the service. */
  encrypt(plaintext: string, keyId: string): Promise<string>;
  /** Decrypts what `encrypt` or `generateDataKey` gave as ciphertext. */
  decrypt(ciphertext: string): Promise<string>;
}

/** Options of {@link kmsCipher}. */
export interface NacosKmsCipherOptions {
  readonly provider: NacosKeyProvider;
  /** Used unless the publication names another. @default 'alias/acs/mse' */
  readonly keyId?: string;
}

/** Data ids that begin with this are encrypted; the rest says how. */
export const CIPHER_PREFIX = 'cipher-';
const AES_128 = 'cipher-kms-aes-128-';
const AES_256 = 'cipher-kms-aes-256-';

/**
 * The encryption that Alibaba's SDKs use for data ids that begin with `cipher-`: with `cipher-kms-aes-128-` and
 * `cipher-kms-aes-256-` a data key of the service encrypts the content (AES, ECB, as the others do it) and is stored
 * encrypted beside it; with any other `cipher-` the service encrypts the content itself.
 */
export function kmsCipher(options: NacosKmsCipherOptions): NacosConfigFilter {
  const { provider } = options;
  return {
    name: 'KMS',
    async encrypt({ dataId, content, encryptedDataKey, kmsKeyId }) {
      const unchanged = defined({ content, encryptedDataKey });
      // A key that came along means that the caller has encrypted it.
      if (!dataId.startsWith(CIPHER_PREFIX) || content === '' || encryptedDataKey !== undefined) return unchanged;
      const keyId = kmsKeyId ?? options.keyId ?? 'alias/acs/mse';
      return guarded('encrypt', dataId, async () => {
        const spec = specOf(dataId);
        if (spec === undefined) return { content: await provider.encrypt(content, keyId) };
        const key = await provider.generateDataKey(spec, keyId);
        return { content: aesEncrypt(content, key.plaintext), encryptedDataKey: key.ciphertext };
      });
    },
    async decrypt({ dataId, content, encryptedDataKey }) {
      if (!dataId.startsWith(CIPHER_PREFIX) || content === '') return content;
      return guarded('decrypt', dataId, async () => {
        if (specOf(dataId) === undefined) return provider.decrypt(content);
        if (encryptedDataKey === undefined || encryptedDataKey === '') {
          throw new Error('it is stored without its encrypted data key');
        }
        return aesDecrypt(content, await provider.decrypt(encryptedDataKey));
      });
    },
  };
}

/** A publication as it is to be stored: with its content encrypted, when the filter says so. */
export async function encrypted<P extends Pick<NacosConfigContent, 'content' | 'encryptedDataKey' | 'kmsKeyId'>>(
  filter: NacosConfigFilter | undefined,
  { dataId, group }: Pick<NacosConfigContent, 'dataId' | 'group'>,
  param: P,
): Promise<P> {
  if (filter === undefined) return param;
  const { content, encryptedDataKey, kmsKeyId } = param;
  const result = await filter.encrypt({
    dataId,
    group,
    content,
    ...defined({ encryptedDataKey, kmsKeyId }),
  });
  return { ...param, ...result };
}

/** The readable content of a stored one. */
export async function decrypted(
  filter: NacosConfigFilter | undefined,
  { dataId, group }: Pick<NacosConfigContent, 'dataId' | 'group'>,
  { content, encryptedDataKey }: Pick<NacosConfigContent, 'content' | 'encryptedDataKey'>,
): Promise<string> {
  if (filter === undefined) return content;
  return filter.decrypt(defined({ dataId, group, content, encryptedDataKey }));
}

/** AES in ECB mode with PKCS#5 padding, base64: what Nacos's SDKs agree on. The key is base64. */
export function aesEncrypt(text: string, key: string): string {
  const bytes = Buffer.from(key, 'base64');
  const cipher = createCipheriv(`aes-${bytes.length * 8}-ecb`, bytes, null);
  return Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]).toString('base64');
}

/** The text that {@link aesEncrypt} was given. */
export function aesDecrypt(text: string, key: string): string {
  const bytes = Buffer.from(key, 'base64');
  const decipher = createDecipheriv(`aes-${bytes.length * 8}-ecb`, bytes, null);
  return Buffer.concat([decipher.update(text, 'base64'), decipher.final()]).toString('utf8');
}

function specOf(dataId: string): 'AES_128' | 'AES_256' | undefined {
  return dataId.startsWith(AES_128) ? 'AES_128' : dataId.startsWith(AES_256) ? 'AES_256' : undefined;
}

async function guarded<T>(what: 'encrypt' | 'decrypt', dataId: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    if (cause instanceof DiscoveryError) throw cause;
    throw new DiscoveryError('CONFIG_DOCUMENT_INVALID', `${dataId} could not be ${what}ed: ${messageOf(cause)}`, {
      cause,
    });
  }
}
