import { defined, DiscoveryError } from '../../../../model/index.js';
import type { HttpAnswer } from './transport.js';
import { ApiGenerations, callApi, instanceParams, type ApiRequest, type HttpApi } from './api.js';
import { flagAt, isObject, numberAt, objectsAt, parseObject, textAt, textsAt } from '../json.js';
import { parseInstance, parseServiceInfo, type NacosInstance, type NacosServiceInfo } from '../naming/model.js';

/** What the server says to a beat. */
export interface NacosBeatAnswer {
  /** How soon the next beat should come, in milliseconds. */
  readonly intervalMs: number;
  /** False when the server doesn't know the instance (any more). */
  readonly known: boolean;
  /** The next beats need not describe the instance. */
  readonly light: boolean;
}

/** Where an instance is. */
export interface InstanceTarget {
  readonly service: string;
  readonly group: string;
  readonly instance: NacosInstance;
  readonly signal?: AbortSignal;
}

const UNKNOWN_INSTANCE = 20_404;

/** Naming over the HTTP API, its first generation or, where that was dropped, its newest. */
export class HttpNamingApi {
  private readonly generations = new ApiGenerations();

  constructor(private readonly api: HttpApi) {}

  register(target: InstanceTarget): Promise<void> {
    return this.change('POST', target);
  }

  deregister(target: InstanceTarget): Promise<void> {
    return this.change('DELETE', target);
  }

  /** Writes an overlay over what is registered: it stays in force over later registrations of the same address. */
  async modify(target: InstanceTarget): Promise<void> {
    await this.eitherPath('modify', '/v1/ns/instance', '/v3/admin/ns/instance', {
      method: 'PUT',
      params: this.paramsOf(target),
      ...about(target),
    });
  }

  async beat(target: InstanceTarget, light: boolean): Promise<NacosBeatAnswer> {
    return this.generations.either(
      'beat',
      () => this.beatOlder(target, light),
      () => this.beatNewer(target),
    );
  }

  /** The service with its instances; one that never was has none. */
  async list(
    query: {
      readonly service: string;
      readonly group: string;
      readonly clusters?: readonly string[];
      readonly healthyOnly?: boolean;
      readonly namespace?: string;
      readonly signal?: AbortSignal;
    },
    skipped: (record: string, error: DiscoveryError) => void,
  ): Promise<NacosServiceInfo> {
    const { service, group, clusters, healthyOnly } = query;
    const namespace = query.namespace ?? this.api.settings.namespaces.naming;
    const ask = (path: string, nameOfClusters: string): Promise<HttpAnswer> =>
      callApi(this.api, {
        method: 'GET',
        path,
        params: {
          ...named(service, group, namespace),
          [nameOfClusters]: clusters?.join(','),
          healthyOnly: String(healthyOnly ?? false),
        },
        ...about(query),
      });
    const answer = await this.generations.either(
      'list',
      () => ask('/v1/ns/instance/list', 'clusters'),
      () => ask('/v3/client/ns/instance/list', 'clusterName'),
    );
    const json = parseObject(answer.text);
    const hosts = Array.isArray(json['data']) ? json['data'] : json['hosts'];
    const info = parseServiceInfo(
      { lastRefTime: json['lastRefTime'], name: service, groupName: group, hosts },
      skipped,
    );
    if (info !== undefined) return info;
    throw new DiscoveryError('BACKEND_UNAVAILABLE', `${this.api.env.backend} answered without a list of ${service}`);
  }

  /**
   * One instance.
   *
   * @throws DiscoveryError `BACKEND_REFUSED` when there is no such instance
   */
  async get(target: InstanceTarget): Promise<NacosInstance> {
    const { ip, port, clusterName, ephemeral } = target.instance;
    const answer = await this.eitherPath('get', '/v1/ns/instance', '/v3/admin/ns/instance', {
      method: 'GET',
      params: {
        ...named(target.service, target.group, this.api.settings.namespaces.naming),
        ip,
        port: String(port),
        // The name of servers of 1.x, and of later ones.
        cluster: clusterName,
        clusterName,
        ephemeral: String(ephemeral),
      },
      ...about(target),
    });
    const json = parseObject(answer.text);
    return parseInstance(isObject(json['data']) ? json['data'] : json);
  }

  listServices(
    group: string,
    pageNo: number,
    pageSize: number,
    signal?: AbortSignal,
  ): Promise<{ readonly count: number; readonly services: readonly string[] }> {
    return this.generations.either(
      'services',
      () => this.listServicesOlder(group, pageNo, pageSize, signal),
      async () => {
        // The newest API takes a part of a group's name: the page is cut out of all that it gives.
        const all = await this.allServicesNewer(group, signal);
        return { count: all.length, services: all.slice((pageNo - 1) * pageSize, pageNo * pageSize) };
      },
    );
  }

  private async listServicesOlder(group: string, pageNo: number, pageSize: number, signal: AbortSignal | undefined) {
    const answer = await callApi(this.api, {
      method: 'GET',
      path: '/v1/ns/service/list',
      params: {
        pageNo: String(pageNo),
        pageSize: String(pageSize),
        groupName: group,
        namespaceId: this.api.settings.namespaces.naming,
      },
      resource: { kind: 'naming' },
      ...defined({ signal }),
    });
    const json = parseObject(answer.text);
    return { count: numberAt(json, 'count') ?? 0, services: textsAt(json, 'doms') };
  }

  private async allServicesNewer(group: string, signal: AbortSignal | undefined): Promise<readonly string[]> {
    const names: string[] = [];
    for (let pageNo = 1; ; pageNo += 1) {
      const answer = await callApi(this.api, {
        method: 'GET',
        path: '/v3/admin/ns/service/list',
        params: {
          pageNo: String(pageNo),
          pageSize: String(PAGE),
          groupNameParam: group,
          namespaceId: this.api.settings.namespaces.naming,
        },
        resource: { kind: 'naming' },
        ...defined({ signal }),
      });
      const data = parseObject(answer.text)['data'];
      const items = isObject(data) ? objectsAt(data, 'pageItems') : [];
      for (const item of items) {
        const name = textAt(item, 'name');
        if (name !== undefined && textAt(item, 'groupName') === group) names.push(name);
      }
      if (items.length < PAGE) return names;
    }
  }

  private async change(method: 'POST' | 'DELETE', target: InstanceTarget): Promise<void> {
    await this.eitherPath(method, '/v1/ns/instance', '/v3/client/ns/instance', {
      method,
      params: this.paramsOf(target),
      ...about(target),
    });
  }

  private async beatOlder(target: InstanceTarget, light: boolean): Promise<NacosBeatAnswer> {
    const { service, group, instance } = target;
    const { ip, port, clusterName, weight, metadata, ephemeral } = instance;
    const serviceName = `${group}@@${service}`;
    const beat = { serviceName, ip, port, cluster: clusterName, weight, metadata, ephemeral, scheduled: true };
    const answer = await callApi(this.api, {
      method: 'PUT',
      path: '/v1/ns/instance/beat',
      params: {
        ...named(serviceName, group, this.api.settings.namespaces.naming),
        ip,
        port: String(port),
        clusterName,
        ephemeral: String(ephemeral),
        ...(light ? {} : { beat: JSON.stringify(beat) }),
      },
      ...about(target),
    });
    const json = parseObject(answer.text);
    const interval = numberAt(json, 'clientBeatInterval') ?? 5000;
    return {
      intervalMs: interval >= 100 && interval <= 3_600_000 ? interval : 5000,
      known: numberAt(json, 'code') !== UNKNOWN_INSTANCE,
      light: flagAt(json, 'lightBeatEnabled') ?? false,
    };
  }

  private async beatNewer(target: InstanceTarget): Promise<NacosBeatAnswer> {
    const answer = await callApi(this.api, {
      method: 'POST',
      path: '/v3/client/ns/instance',
      params: { ...this.paramsOf(target), heartBeat: 'true' },
      expected: [404],
      ...about(target),
    });
    const known = answer.status === 200 && numberAt(parseObject(answer.text), 'code') === 0;
    // It asks for no interval of its own.
    const asked = numberAt(target.instance.metadata, 'preserved.heart.beat.interval') ?? 5000;
    return { intervalMs: Math.max(100, asked), known, light: true };
  }

  /** The same request under the path of either generation. */
  private eitherPath(
    operation: string,
    older: string,
    newer: string,
    request: Omit<ApiRequest, 'path'>,
  ): Promise<HttpAnswer> {
    return this.generations.either(
      operation,
      () => callApi(this.api, { ...request, path: older }),
      () => callApi(this.api, { ...request, path: newer }),
    );
  }

  private paramsOf({ service, group, instance }: InstanceTarget): Record<string, string> {
    return instanceParams(service, group, this.api.settings.namespaces.naming, instance);
  }
}

const PAGE = 500;

function named(serviceName: string, groupName: string, namespaceId: string) {
  return { serviceName, groupName, namespaceId };
}

function about({ service, group, signal }: Pick<InstanceTarget, 'service' | 'group' | 'signal'>) {
  return {
    resource: { kind: 'naming' as const, serviceName: service, groupName: group },
    ...defined({ signal }),
  };
}
