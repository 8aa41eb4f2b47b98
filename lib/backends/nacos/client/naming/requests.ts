import { DiscoveryError } from '../../../../model/index.js';
import type { Environment } from '../environment.js';
import { flagAt, numberAt, textsAt, type Json } from '../json.js';
import { instanceJson, parseServiceInfo, type NacosInstance, type NacosServiceInfo } from './model.js';
import type { NacosClientSettings } from '../options.js';
import type { PublicationStep } from './publications.js';
import type { RpcClient } from '../grpc/rpc-client.js';

/** The naming messages, one function each. */
export class NamingRequests {
  constructor(
    private readonly rpc: RpcClient,
    private readonly env: Environment,
    private readonly settings: NacosClientSettings,
  ) {}

  /** Whether the server takes instances that outlive the connection (from 2.3 on). */
  get takesPersistent(): boolean {
    return flagAt(this.rpc.abilities, 'supportPersistentInstanceByGrpc') === true;
  }

  /** A service with its instances; an unknown one has none. */
  async query(service: string, group: string, signal?: AbortSignal): Promise<NacosServiceInfo> {
    const { body } = await this.rpc.request(
      'ServiceQueryRequest',
      { ...this.named(service, group), cluster: '', healthyOnly: false, udpPort: 0 },
      { ...this.about(service, group), signal },
    );
    return this.read(body, service, group);
  }

  /** Has the server push the service from now on; gives it as it is. */
  async subscribe(service: string, group: string): Promise<NacosServiceInfo> {
    return this.read(await this.sendSubscribe(service, group, true), service, group);
  }

  async unsubscribe(service: string, group: string): Promise<void> {
    await this.sendSubscribe(service, group, false);
  }

  /** Names of the services of a group, one page. */
  async list(
    groupName: string,
    pageNo: number,
    pageSize: number,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly count: number; readonly services: readonly string[] }> {
    const { body } = await this.rpc.request(
      'ServiceListRequest',
      { ...this.named('', groupName), pageNo, pageSize, selector: '' },
      { resource: { kind: 'naming' }, signal },
    );
    return { count: numberAt(body, 'count') ?? 0, services: textsAt(body, 'serviceNames') };
  }

  /** Changes what this connection publishes of a service. */
  async publish(service: string, group: string, step: PublicationStep): Promise<void> {
    const named = this.named(service, group);
    const about = this.about(service, group);
    if (step.kind === 'batch') {
      const instances = step.instances.map((instance) => instanceJson(instance));
      await this.rpc.request('BatchInstanceRequest', { ...named, type: 'batchRegisterInstance', instances }, about);
      return;
    }
    const type = step.kind === 'register' ? 'registerInstance' : 'deregisterInstance';
    await this.rpc.request('InstanceRequest', { ...named, type, instance: instanceJson(step.instance) }, about);
  }

  async changePersistent(
    operation: 'register' | 'deregister',
    service: string,
    group: string,
    instance: NacosInstance,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    await this.rpc.request(
      'PersistentInstanceRequest',
      {
        ...this.named(service, group),
        type: operation === 'register' ? 'registerInstance' : 'deregisterInstance',
        instance: instanceJson(instance),
      },
      { ...this.about(service, group), signal },
    );
  }

  /** A service that the server pushed or answered with; what is no instance is skipped. */
  parse(value: unknown): NacosServiceInfo | undefined {
    return parseServiceInfo(value, (record, error) =>
      this.env.report({ type: 'record.skipped', backend: this.env.backend, record, error }),
    );
  }

  private read(body: Json, service: string, group: string): NacosServiceInfo {
    const info = this.parse(body['serviceInfo']);
    // No list is not an empty list: an answer that was cut short must not empty anything.
    if (info === undefined) {
      throw new DiscoveryError('BACKEND_UNAVAILABLE', `${this.env.backend} answered without a list of ${service}`);
    }
    return Object.freeze({ ...info, name: service, groupName: group });
  }

  private async sendSubscribe(service: string, group: string, subscribe: boolean): Promise<Json> {
    const { body } = await this.rpc.request(
      'SubscribeServiceRequest',
      { ...this.named(service, group), subscribe, clusters: '' },
      { ...this.about(service, group), headers: { app: this.settings.appName } },
    );
    return body;
  }

  private named(serviceName: string, groupName: string): Json {
    return { headers: {}, module: 'naming', namespace: this.settings.namespaces.naming, serviceName, groupName };
  }

  private about(serviceName: string, groupName: string) {
    return { resource: { kind: 'naming' as const, serviceName, groupName } };
  }
}
