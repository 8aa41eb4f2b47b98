import { defined, describe, DiscoveryError } from '../../../../model/index.js';
import { flagAt, numberAt, textAt, type Json } from '../json.js';
import { DEFAULT_GROUP } from '../naming/model.js';
import { md5 } from '../signing.js';

/** What Nacos can be told that a content is. */
export type NacosConfigType = 'text' | 'json' | 'xml' | 'yaml' | 'html' | 'properties' | 'toml' | 'unset';

/** Names a configuration item in the client's namespace. */
export interface NacosConfigKey {
  readonly dataId: string;
  /** @default 'DEFAULT_GROUP' */
  readonly group?: string;
}

/** What {@link NacosConfigService.publishConfig} takes. */
export interface NacosPublishParam extends NacosConfigKey {
  readonly content: string;
  /** What the content is. @default 'text', by the server */
  readonly type?: NacosConfigType;
  /** Publishes a variant for clients with this tag only. */
  readonly tag?: string;
  readonly appName?: string;
  /** Publishes a variant for these client addresses only; a list, or one text with commas. */
  readonly betaIps?: string | readonly string[];
  /** Only when the present content has this MD5; otherwise `CONFIG_CONFLICT`. */
  readonly casMd5?: string;
  readonly srcUser?: string;
  /** Of content that was encrypted by the caller. */
  readonly encryptedDataKey?: string;
  /** Handed to the filter that encrypts. */
  readonly kmsKeyId?: string;
  /** Labels for the console's search. */
  readonly configTags?: string;
  readonly description?: string;
  readonly use?: string;
  readonly effect?: string;
  readonly schema?: string;
}

/** An item as the server has it; the content is as stored, which may be encrypted. */
export interface NacosConfigItem {
  readonly content: string;
  readonly md5: string;
  readonly type?: string;
  readonly encryptedDataKey?: string;
  /** Milliseconds since the epoch. */
  readonly lastModified?: number;
  /** It is the variant for certain addresses. */
  readonly beta?: boolean;
}

/** A key after checks and defaults; `tenant` is the namespace as it is written. */
export interface ConfigAddress {
  readonly dataId: string;
  readonly group: string;
  readonly tenant: string;
}

/** Called with each new content; undefined when the item was removed. */
export type NacosConfigListener = (
  tenant: string,
  dataId: string,
  group: string,
  content: string | undefined,
) => void | Promise<void>;

/** Letters and digits of any script, and what Nacos allows besides. */
const NAME = /^[\p{L}\p{Nd}_.:-]+$/u;

/**
 * The namespace that a server means by `told`: those of 3.x leave the public one out, or call it by its name, whatever it
 * was called; a client has only one of its own.
 */
export function ownTenant(told: string, own: string): string {
  return told === '' || told === 'public' ? own : told;
}

/**
 * Checks a key and fills in the default group.
 *
 * @throws DiscoveryError `INVALID_NAME`, naming the field
 */
export function checkConfigKey(key: NacosConfigKey, tenant: string): ConfigAddress {
  const group = key.group === undefined || key.group === '' ? DEFAULT_GROUP : key.group;
  checkName(key.dataId, 'dataId', 256);
  checkName(group, 'group', 128);
  return { dataId: key.dataId, group, tenant };
}

/** One text for a key, for maps. */
export function configKeyText(address: ConfigAddress): string {
  return `${address.dataId}@@${address.group}@@${address.tenant}`;
}

/**
 * The optional parameters of a publication under the names that the server knows them by; absent ones are left out.
 */
export function publishExtras(param: NacosPublishParam): Record<string, string> {
  const beta = typeof param.betaIps === 'string' ? param.betaIps : param.betaIps?.join(',');
  const all: Readonly<Record<string, string | undefined>> = {
    tag: param.tag,
    appName: param.appName,
    betaIps: beta,
    type: param.type,
    src_user: param.srcUser,
    encryptedDataKey: param.encryptedDataKey,
    config_tags: param.configTags,
    desc: param.description,
    use: param.use,
    effect: param.effect,
    schema: param.schema,
  };
  const given = Object.entries(all).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== '',
  );
  return Object.fromEntries(given);
}

/**
 * @throws DiscoveryError `INVALID_OPTION` for content that isn't there: removing is another operation
 */
export function assertContent(content: unknown, dataId: string): asserts content is string {
  if (typeof content === 'string' && content.trim() !== '') return;
  throw new DiscoveryError(
    'INVALID_OPTION',
    `${dataId} can't be published without content; to remove an item use removeConfig`,
    { field: 'content' },
  );
}

/**
 * The item in an answer.
 *
 * @throws DiscoveryError `BACKEND_UNAVAILABLE` when the content isn't what its MD5 says: something on the way broke it
 */
export function toConfigItem(json: Json, dataId: string): NacosConfigItem {
  const content = textAt(json, 'content') ?? '';
  const given = textAt(json, 'md5');
  const own = md5(content);
  // Servers up to 1.2.1 leave zeros out in front.
  if (given !== undefined && given !== '' && given.toLowerCase().padStart(32, '0') !== own) {
    throw new DiscoveryError('BACKEND_UNAVAILABLE', `the content of ${dataId} doesn't have the MD5 that came with it`);
  }
  const [type, key] = [textAt(json, 'contentType'), textAt(json, 'encryptedDataKey')];
  const lastModified = numberAt(json, 'lastModified');
  return Object.freeze({
    content,
    md5: own,
    ...(type === undefined || type === '' ? {} : { type }),
    ...(key === undefined || key === '' ? {} : { encryptedDataKey: key }),
    ...defined({ lastModified }),
    ...(flagAt(json, 'beta') === true ? { beta: true } : {}),
  });
}

function checkName(value: unknown, field: string, longest: number): asserts value is string {
  const right =
    typeof value === 'string' && value.length <= longest && NAME.test(value) && value !== '.' && value !== '..';
  if (!right) {
    throw new DiscoveryError(
      'INVALID_NAME',
      `${field} must be 1 to ${longest} letters, digits, _ . : and -, got ${describe(value)}`,
      { field },
    );
  }
}
