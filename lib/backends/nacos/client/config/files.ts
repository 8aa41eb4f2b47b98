import { mkdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { writeFileAtomically } from '../../../../backend/index.js';
import { isMissingFile } from '../errors.js';
import type { ConfigAddress } from './model.js';

/** A content kept on disk, as the server stores it. */
export interface KeptContent {
  readonly content: string;
  readonly encryptedDataKey?: string;
}

/** Where configuration is kept on disk. */
export interface ConfigFiles {
  /** What an operator put there to be used instead of the server; an empty file counts. */
  failover(address: ConfigAddress): Promise<KeptContent | undefined>;
  snapshot(address: ConfigAddress): Promise<KeptContent | undefined>;
  save(address: ConfigAddress, kept: KeptContent): Promise<void>;
  forget(address: ConfigAddress): Promise<void>;
}

/** Where the files of an item lie: the content, and the encrypted data key beside it. */
interface Place {
  readonly content: string;
  readonly key: string;
}

/**
 * The layout of Nacos's newer SDKs: `<cache>/config/<dataId>@@<group>@@<namespace>`, the same with `_failover`, and
 * `<cache>/config/encrypted-data-key/…` beside them.
 */
export function cacheFolderFiles(cacheDirectory: string): ConfigFiles {
  const folder = join(cacheDirectory, 'config');
  const nameOf = ({ dataId, group, tenant }: ConfigAddress): string => `${dataId}@@${group}@@${tenant}`;
  return filesAt(
    (address) => placeIn(folder, `${nameOf(address)}_failover`),
    (address) => placeIn(folder, nameOf(address)),
  );
}

/**
 * The layout of the first Python SDK: one folder for failover files, one for snapshots, names joined with `+`. It knew no
 * encryption; keys lie in a folder `encrypted-data-key` in either.
 */
export function classicFiles(failoverBase: string, snapshotBase: string): ConfigFiles {
  const nameOf = ({ dataId, group, tenant }: ConfigAddress): string => `${dataId}+${group}+${tenant}`;
  return filesAt(
    (address) => placeIn(failoverBase, nameOf(address)),
    (address) => placeIn(snapshotBase, nameOf(address)),
  );
}

function placeIn(folder: string, name: string): Place {
  return { content: join(folder, name), key: join(folder, 'encrypted-data-key', name) };
}

function filesAt(
  failover: (address: ConfigAddress) => Place,
  snapshot: (address: ConfigAddress) => Place,
): ConfigFiles {
  return {
    failover: (address) => read(failover(address)),
    snapshot: (address) => read(snapshot(address)),
    async save(address, { content, encryptedDataKey }) {
      const place = snapshot(address);
      // The key first: content that can't be decrypted is worse than a key without its content.
      if (encryptedDataKey === undefined || encryptedDataKey === '') await rm(place.key, { force: true });
      else await write(place.key, encryptedDataKey);
      await write(place.content, content);
    },
    async forget(address) {
      const place = snapshot(address);
      await rm(place.content, { force: true });
      await rm(place.key, { force: true });
    },
  };
}

async function read({ content: path, key }: Place): Promise<KeptContent | undefined> {
  const content = await readIfThere(path);
  if (content === undefined) return undefined;
  const encryptedDataKey = await readIfThere(key);
  return { content, ...(encryptedDataKey === undefined || encryptedDataKey === '' ? {} : { encryptedDataKey }) };
}

async function write(path: string, content: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFileAtomically(path, content);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isMissingFile(error)) return undefined;
    throw error;
  }
}
