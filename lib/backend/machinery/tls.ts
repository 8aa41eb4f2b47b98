import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { codeOf, defined, DiscoveryError, messageOf } from '../../model/index.js';
import { either, flag, listOf, object, OptionProblem, renamed, text, type Check } from './check-options.js';

/** One or several certificates or keys in PEM: texts, or the bytes of them. */
export type Pem = string | Uint8Array | readonly (string | Uint8Array)[];

/** How to speak TLS. A `…File` is the name of a PEM file, read with the first connection; not together with its text. */
export interface TlsOptions {
  /** Certificates to trust instead of the system's; a self-signed one is trusted by naming itself. */
  readonly ca?: Pem;
  /** Name of a PEM file with what `ca` would have. */
  readonly caFile?: string;
  /** The client's own certificate, for servers that ask for one; only together with its key. */
  readonly cert?: Pem;
  /** Name of a PEM file with what `cert` would have. */
  readonly certFile?: string;
  /** The key of the client's certificate. */
  readonly key?: Pem;
  /** Name of a PEM file with what `key` would have. */
  readonly keyFile?: string;
  /** Of the key, when it is encrypted. */
  readonly passphrase?: string;
  /** The name that the server's certificate must bear. @default the host that is connected to */
  readonly servername?: string;
  /** False accepts any certificate: for tests only. @default true */
  readonly rejectUnauthorized?: boolean;
}

/** {@link TlsOptions} as Node takes them: files are read. */
export interface TlsMaterial extends Pick<TlsOptions, 'passphrase' | 'servername' | 'rejectUnauthorized'> {
  readonly ca?: (string | Buffer)[];
  readonly cert?: (string | Buffer)[];
  readonly key?: (string | Buffer)[];
}

const bytes: Check = (value, path) => {
  if (!(value instanceof Uint8Array)) text(value, path);
};
const pem: Check = either('a PEM text, a Buffer or a list of them', bytes, listOf(bytes));

const FIELDS: Readonly<Record<keyof TlsOptions, Check>> = {
  ca: pem,
  caFile: text,
  cert: pem,
  certFile: text,
  key: pem,
  keyFile: text,
  passphrase: text,
  servername: text,
  rejectUnauthorized: flag,
};

/** The check of {@link TlsOptions}, and of `more` fields. */
export function tlsCheck(more: Readonly<Record<string, Check>> = {}): Check {
  const fields = object({ ...FIELDS, serverName: renamed('servername'), ...more });
  return (value, path) => {
    fields(value, path);
    const tls = value as TlsOptions;
    for (const name of ['ca', 'cert', 'key'] as const) {
      if (tls[name] === undefined || tls[`${name}File`] === undefined) continue;
      throw new OptionProblem(`${path}.${name}File`, `can't be given together with ${path}.${name}`);
    }
    const hasCert = (tls.cert ?? tls.certFile) !== undefined;
    if (hasCert === ((tls.key ?? tls.keyFile) !== undefined)) return;
    throw new OptionProblem(`${path}.${hasCert ? 'key' : 'cert'}`, 'is required with the other half of the pair');
  };
}

/**
 * Reads the files and looks whether the certificates are ones.
 *
 * @param what begins messages
 * @throws DiscoveryError `INVALID_OPTION`, naming the field; never with what stands in it
 */
export async function readTls(tls: TlsOptions, what: string): Promise<TlsMaterial> {
  const read = async (name: 'ca' | 'cert' | 'key'): Promise<TlsMaterial['ca']> => {
    const file = tls[`${name}File`];
    if (file === undefined) return toBuffers(tls[name]);
    try {
      return [await readFile(file)];
    } catch (cause) {
      const field = `tls.${name}File`;
      const problem = `${field} ${file} can't be read: ${codeOf(cause) ?? 'failed'}`;
      throw new DiscoveryError('INVALID_OPTION', `${what}: ${problem}`, { field, cause });
    }
  };
  const [ca, cert, key] = await Promise.all([read('ca'), read('cert'), read('key')]);
  const { passphrase, servername, rejectUnauthorized } = tls;
  const material = defined({ ca, cert, key, passphrase, servername, rejectUnauthorized });
  try {
    createSecureContext(material);
  } catch (cause) {
    const message = `${what}: tls can't be used: ${messageOf(cause)}`;
    throw new DiscoveryError('INVALID_OPTION', message, { field: 'tls', cause });
  }
  return material;
}

function toBuffers(pem: Pem | undefined): (string | Buffer)[] | undefined {
  if (pem === undefined) return undefined;
  const list = typeof pem === 'string' || pem instanceof Uint8Array ? [pem] : pem;
  return list.map((one) => (typeof one === 'string' ? one : Buffer.from(one)));
}
