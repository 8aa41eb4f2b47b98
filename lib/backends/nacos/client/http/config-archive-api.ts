import { inParallel } from '../../../../backend/index.js';
import { DiscoveryError } from '../../../../model/index.js';
import { ownTenant, type ConfigAddress } from '../config/model.js';
import { isObject, numberAt, objectsAt, parseObject, textAt, type Json } from '../json.js';
import { ApiGenerations, callApi, type HttpApi } from './api.js';
import { about, newerKey, olderKey } from './config-api.js';
import type { HttpAnswer } from './transport.js';

/** The largest page that servers give. */
const PAGE = 500;

/** How many changes of an item are looked at, and how many of them are read at the same time. */
const MAX_CHANGES = 100;
const READS_AT_ONCE = 8;

/** A change of an item, as the servers remember it. */
export interface NacosConfigChange {
  /** In milliseconds since the epoch, when the server says. */
  readonly at?: number;
  readonly operation: 'insert' | 'update' | 'delete';
  /** What was inserted; of an update or a deletion what was there before. As it is stored, which may be encrypted. */
  readonly content: string;
  readonly encryptedDataKey?: string;
}

const OPERATIONS: Readonly<Record<string, NacosConfigChange['operation']>> = { I: 'insert', U: 'update', D: 'delete' };

/** What the servers keep of configuration beside its present: the names of all items, and what was changed. HTTP only. */
export class ConfigArchiveApi {
  private readonly generations = new ApiGenerations();

  constructor(private readonly api: HttpApi) {}

  /**
   * All items of a namespace.
   * @throws DiscoveryError `BACKEND_UNAVAILABLE`, `BACKEND_REFUSED`
   */
  async list(tenant: string, signal?: AbortSignal): Promise<readonly ConfigAddress[]> {
    const any = { dataId: '', group: '', tenant };
    const addresses: ConfigAddress[] = [];
    for (let pageNo = 1; ; pageNo += 1) {
      const paging = { search: 'blur', pageNo: String(pageNo), pageSize: String(PAGE) };
      const { items, total } = await this.page('/v1/cs/configs', '/v3/admin/cs/config/list', any, paging, signal);
      for (const item of items) {
        const [dataId, group] = [textAt(item, 'dataId'), textAt(item, 'group') ?? textAt(item, 'groupName')];
        if (dataId === undefined || group === undefined) continue;
        const told = textAt(item, 'tenant') ?? textAt(item, 'namespaceId') ?? '';
        addresses.push({ dataId, group, tenant: ownTenant(told, tenant) });
      }
      if (items.length === 0 || pageNo * PAGE >= total) return addresses;
    }
  }

  /**
   * The last changes of an item, the newest first. Servers forget them after thirty days, unless told otherwise.
   * @throws DiscoveryError `BACKEND_UNAVAILABLE`, `BACKEND_REFUSED`
   */
  async changes(address: ConfigAddress, signal?: AbortSignal): Promise<readonly NacosConfigChange[]> {
    const paging = { search: 'accurate', pageNo: '1', pageSize: String(MAX_CHANGES) };
    const { items } = await this.page('/v1/cs/history', '/v3/admin/cs/history/list', address, paging, signal);
    const changes = new Map<Json, NacosConfigChange>();
    await inParallel(items, READS_AT_ONCE, async (item) => {
      const operation = OPERATIONS[textAt(item, 'opType')?.trim() ?? ''];
      const nid = textAt(item, 'id') ?? numberAt(item, 'id')?.toString();
      if (operation === undefined || nid === undefined) return;
      const record = await this.read('/v1/cs/history', '/v3/admin/cs/history', address, { nid }, signal);
      const encryptedDataKey = textAt(record, 'encryptedDataKey');
      const at = numberAt(item, 'modifyTime') ?? Date.parse(textAt(item, 'lastModifiedTime') ?? '');
      changes.set(item, {
        operation,
        content: textAt(record, 'content') ?? '',
        ...(Number.isNaN(at) ? {} : { at }),
        ...(encryptedDataKey === undefined || encryptedDataKey === '' ? {} : { encryptedDataKey }),
      });
    });
    return items.flatMap((item) => changes.get(item) ?? []);
  }

  private async page(
    older: string,
    newer: string,
    address: ConfigAddress,
    paging: Readonly<Record<string, string>>,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly items: readonly Json[]; readonly total: number }> {
    const page = await this.read(older, newer, address, paging, signal);
    return { items: objectsAt(page, 'pageItems'), total: numberAt(page, 'totalCount') ?? 0 };
  }

  private async read(
    older: string,
    newer: string,
    address: ConfigAddress,
    params: Readonly<Record<string, string>>,
    signal: AbortSignal | undefined,
  ): Promise<Json> {
    const common = { method: 'GET', ...about(address, { ...(signal === undefined ? {} : { signal }) }) } as const;
    const answer = await this.generations.either(
      newer,
      () => callApi(this.api, { ...common, path: older, params: { ...olderKey(address), ...params } }),
      () => callApi(this.api, { ...common, path: newer, params: { ...newerKey(address), ...params } }),
    );
    return this.objectIn(answer, newer);
  }

  /** The newest API wraps its answers. */
  private objectIn({ text }: HttpAnswer, path: string): Json {
    const outer = parseObject(text);
    const { data } = outer;
    if (isObject(data)) return data;
    if (Object.keys(outer).length > 0) return outer;
    throw new DiscoveryError('BACKEND_UNAVAILABLE', `${path}: the server answered something else than JSON`, {
      backend: this.api.env.backend,
    });
  }
}
