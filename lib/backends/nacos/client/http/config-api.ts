import { sleep } from '../../../../backend/index.js';
import { defined, DiscoveryError } from '../../../../model/index.js';
import {
  ownTenant,
  publishExtras,
  toConfigItem,
  type ConfigAddress,
  type NacosConfigItem,
  type NacosPublishParam,
} from '../config/model.js';
import type { ListenedItem } from '../config/items.js';
import type { NacosReadOptions } from '../config/reading.js';
import { NacosError } from '../errors.js';
import type { HttpAnswer } from './transport.js';
import { ApiGenerations, callApi, type HttpApi } from './api.js';
import { isObject, numberAt, parseObject } from '../json.js';

const WORD = '\u0002';
const LINE = '\u0001';

/** The text that asks for changes: `dataId ^2 group ^2 md5 [^2 tenant] ^1` for each item. */
export function encodeListening(items: readonly ListenedItem[]): string {
  return items
    .map(({ dataId, group, tenant, md5: known }) =>
      [dataId, group, known, ...(isPublic(tenant) ? [] : [tenant])].join(WORD).concat(LINE),
    )
    .join('');
}

/**
 * The items that have changed: `dataId ^2 group [^2 tenant] ^1` for each, percent-encoded as a whole. What is malformed is
 * left out.
 *
 * @param own the namespace of the client that asked
 */
export function decodeChanged(text: string, own: string): readonly ConfigAddress[] {
  let decoded: string;
  try {
    decoded = decodeURIComponent(text.trim().replaceAll('+', '%20'));
  } catch {
    return [];
  }
  return decoded.split(LINE).flatMap((line) => {
    const [dataId, group, tenant = ''] = line.split(WORD);
    if (dataId === undefined || dataId === '' || group === undefined || group === '') return [];
    return [{ dataId, group, tenant: ownTenant(tenant.trim(), own) }];
  });
}

/** Configuration over the HTTP API, its first generation or, where that was dropped, its newest. */
export class HttpConfigApi {
  private readonly generations = new ApiGenerations();

  constructor(private readonly api: HttpApi) {}

  /** An item as the servers have it; undefined when there is none. */
  query(address: ConfigAddress, options: NacosReadOptions = {}): Promise<NacosConfigItem | undefined> {
    return this.generations.either(
      'query',
      () => this.queryOlder(address, options),
      () => this.queryNewer(address, options),
    );
  }

  /**
   * @throws DiscoveryError `CONFIG_CONFLICT` when `casMd5` isn't the present content's
   */
  async publish(param: NacosPublishParam, address: ConfigAddress, options: NacosReadOptions = {}): Promise<void> {
    const { betaIps, ...extras } = publishExtras(param);
    const { dataId, content, casMd5 } = param;
    const { src_user: srcUser, config_tags: configTags, ...others } = extras;
    const common = {
      method: 'POST',
      headers: defined({ betaIps, casMd5 }),
      ...(casMd5 === undefined ? {} : { expected: [500, 409] }),
      ...about(address, options),
    } as const;
    const answer = await this.generations.either(
      'publish',
      () =>
        callApi(this.api, { ...common, path: '/v1/cs/configs', params: { ...olderKey(address), content, ...extras } }),
      () =>
        callApi(this.api, {
          ...common,
          path: '/v3/admin/cs/config',
          params: { ...newerKey(address), content, srcUser, configTags, ...others },
        }),
    );
    if (answer.status === 200 && isTrue(answer)) return;
    const said = JSON.stringify(answer.text.slice(0, 200));
    if (casMd5 === undefined) throw new NacosError(500, `publishing ${dataId}: the server answered ${said}`);
    const present = /cas|md5/i.test(answer.text) ? undefined : await this.query(address, options);
    if (present !== undefined && present.md5 === casMd5) {
      throw new NacosError(answer.status, `publishing ${dataId}: ${said}`);
    }
    throw new DiscoveryError('CONFIG_CONFLICT', `${dataId} has changed meanwhile; read it again`, {
      backend: this.api.env.backend,
      field: 'casMd5',
    });
  }

  async remove(address: ConfigAddress, options: NacosReadOptions & { readonly tag?: string } = {}): Promise<void> {
    const { tag } = options;
    const common = { method: 'DELETE', ...about(address, options) } as const;
    await this.generations.either(
      'remove',
      () => callApi(this.api, { ...common, path: '/v1/cs/configs', params: { ...olderKey(address), tag } }),
      () => callApi(this.api, { ...common, path: '/v3/admin/cs/config', params: { ...newerKey(address), tag } }),
    );
  }

  /**
   * The items whose MD5 at the server is another.
   *
   * @param holdMs how long the server may wait for a change before it answers; 0 for an answer at once
   */
  async changed(
    items: readonly ListenedItem[],
    holdMs: number,
    signal: AbortSignal,
  ): Promise<readonly ConfigAddress[]> {
    if (items.length === 0) return [];
    return this.generations.either(
      'listen',
      () => this.changedOlder(items, holdMs, signal),
      () => this.changedNewer(items, holdMs, signal),
    );
  }

  private async changedOlder(
    items: readonly ListenedItem[],
    holdMs: number,
    signal: AbortSignal,
  ): Promise<readonly ConfigAddress[]> {
    const answer = await callApi(this.api, {
      method: 'POST',
      path: '/v1/cs/configs/listener',
      params: { 'Listening-Configs': encodeListening(items) },
      headers: {
        'Long-Pulling-Timeout': String(holdMs === 0 ? 10_000 : holdMs),
        ...(holdMs === 0 ? { 'Long-Pulling-Timeout-No-Hangup': 'true' } : {}),
      },
      resource: { kind: 'config' },
      // The server holds at least ten seconds, whatever is asked for.
      timeoutMs: holdMs === 0 ? this.api.settings.requestTimeoutMs : Math.max(holdMs, 10_000) + 10_000,
      signal,
    });
    return decodeChanged(answer.text, this.api.settings.namespaces.config);
  }

  /** Servers without the old API can't be waited on over HTTP: the items are read and compared. */
  private async changedNewer(
    items: readonly ListenedItem[],
    holdMs: number,
    signal: AbortSignal,
  ): Promise<readonly ConfigAddress[]> {
    if (holdMs > 0) await sleep(this.api.env.clock, Math.min(holdMs, 5000), signal);
    const changed: ConfigAddress[] = [];
    for (const item of items) {
      const present = await this.queryNewer(item, { signal });
      if ((present?.md5 ?? '') !== item.md5) changed.push(item);
    }
    return changed;
  }

  private async queryOlder(address: ConfigAddress, options: NacosReadOptions): Promise<NacosConfigItem | undefined> {
    const { dataId } = address;
    for (let attempt = 1; ; attempt += 1) {
      const answer = await callApi(this.api, {
        method: 'GET',
        path: '/v1/cs/configs',
        params: olderKey(address),
        expected: [404, 409],
        ...about(address, options),
      });
      if (answer.status === 200) return readAnswer(answer, dataId);
      if (answer.status === 404) {
        if (/config data not exist/i.test(answer.text)) return undefined;
        // Something in between: that there is no such item only Nacos itself can say.
        throw new DiscoveryError(
          'BACKEND_UNAVAILABLE',
          `asked for ${dataId} the server answered 404, not as Nacos does`,
        );
      }
      if (attempt >= 10 || !(await sleep(this.api.env.clock, 50, options.signal))) {
        throw new DiscoveryError('BACKEND_UNAVAILABLE', `${dataId} is being modified`);
      }
    }
  }

  private async queryNewer(address: ConfigAddress, options: NacosReadOptions): Promise<NacosConfigItem | undefined> {
    const { dataId } = address;
    const answer = await callApi(this.api, {
      method: 'GET',
      path: '/v3/client/cs/config',
      params: newerKey(address),
      expected: [404],
      ...about(address, options),
    });
    const outer = parseObject(answer.text);
    if (numberAt(outer, 'code') === NOT_FOUND) return undefined;
    const data = outer['data'];
    if (!isObject(data) || typeof data['content'] !== 'string') {
      throw new DiscoveryError('BACKEND_UNAVAILABLE', `the answer of the server held no content of ${dataId}`);
    }
    return toConfigItem(data, dataId);
  }
}

/** Number of what isn't there, in answers of the newest API. */
const NOT_FOUND = 20_004;

/** Over HTTP both names are one namespace, but for servers of 2.x that write to the one and read from the other. */
function isPublic(tenant: string): boolean {
  return tenant === '' || tenant === 'public';
}

/** A key's parameters for the first generation of the API. */
export function olderKey({ dataId, group, tenant }: ConfigAddress) {
  return { dataId, group, ...(isPublic(tenant) ? {} : { tenant }) };
}

/** A key's parameters for the newest one. */
export function newerKey({ dataId, group, tenant }: ConfigAddress) {
  return { dataId, groupName: group, namespaceId: isPublic(tenant) ? 'public' : tenant };
}

/** What a request about a key needs besides. */
export function about({ tenant, group }: ConfigAddress, { timeoutMs, signal }: NacosReadOptions) {
  return {
    resource: { kind: 'config' as const, tenant, group },
    ...defined({ timeoutMs, signal }),
  };
}

/** The older API says so in plain text, the newest in an envelope. */
function isTrue({ text }: HttpAnswer): boolean {
  return text.trim() === 'true' || parseObject(text)['data'] === true;
}

function readAnswer({ text, headers }: HttpAnswer, dataId: string): NacosConfigItem {
  const header = (name: string): string | undefined => {
    const value = headers[name];
    return typeof value === 'string' ? value : value?.[0];
  };
  const modified = Date.parse(header('last-modified') ?? '');
  return toConfigItem(
    {
      content: text,
      md5: header('content-md5'),
      contentType: header('config-type'),
      encryptedDataKey: header('encrypted-data-key'),
      ...(Number.isNaN(modified) ? {} : { lastModified: modified }),
    },
    dataId,
  );
}
