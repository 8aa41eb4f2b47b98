import { isIP } from 'node:net';
import { isLoopback } from '../backend/index.js';
import { chooseAddress } from '../registration/index.js';
import { DiscoveryError, defined, type InstanceStatus } from '../model/index.js';
import type { RegistrationDraft } from './lifecycle-hooks.interface.js';
import type { MessageEndpoint } from './message-servers.js';
import type { ServiceOptions } from './discovery-options.interface.js';

/** What an app listens on. */
export interface Listening {
  readonly http: { readonly address: string; readonly port: number; readonly tls: boolean } | undefined;
  readonly messages: readonly MessageEndpoint[];
  /** The metadata that says below which path the app serves HTTP. */
  readonly basePath: Readonly<Record<string, string>>;
}

/** What the app would register as it is now, before its hooks have changed it. */
export interface DraftedRegistration {
  readonly draft: RegistrationDraft;
  /** True when nobody but this machine can call the address, and it wasn't given. */
  readonly isLoopback: boolean;
}

/**
 * The registration of an app: what its options say, and what it listens on. Beside an HTTP server, those of other protocols
 * are told in the metadata, where Spring's users look for them (`gRPC_port`); without one, the first is the address.
 *
 * @throws DiscoveryError `INVALID_OPTION` when there is no service or no port to register
 */
export function draftRegistration(
  service: ServiceOptions | undefined,
  zone: string | undefined,
  listening: Listening,
  status: InstanceStatus,
): DraftedRegistration {
  if (service === undefined) {
    throw new DiscoveryError(
      'INVALID_OPTION',
      'this app has no `service` in its options, so there is nothing to register',
      { field: 'service' },
    );
  }
  const bound = listening.http ?? listening.messages[0];
  const port = service.port ?? bound?.port;
  if (port === undefined) {
    throw new DiscoveryError(
      'INVALID_OPTION',
      `service.port is missing: ${service.name} doesn't listen on a TCP port`,
      {
        field: 'service.port',
      },
    );
  }
  const { host, ip, loopback } = chooseAddress(service, bound?.address);
  // A server on a pipe has none.
  const boundTo = bound?.address !== undefined && isIP(bound.address) !== 0 ? bound.address : undefined;
  const metadata = { ...listening.basePath, ...portsOf(listening.messages), ...service.metadata };
  const draft: RegistrationDraft = {
    service: service.name,
    host,
    ip,
    port,
    scheme: service.scheme ?? schemeOf(listening),
    status,
    ...(Object.keys(metadata).length === 0 ? {} : { metadata }),
    ...defined({
      instanceId: service.instanceId,
      tags: service.tags,
      weight: service.weight,
      healthPath: service.healthPath,
      boundTo: boundTo === undefined ? undefined : [boundTo],
      zone,
    }),
  };
  return { draft, isLoopback: loopback || (service.host === undefined && service.ip === undefined && isLoopback(ip)) };
}

/** The metadata that says what callers put before their paths: the app's global prefix, unless it has parameters. */
export function basePathOf(metadataName: string, globalPrefix: string): Readonly<Record<string, string>> {
  const path = globalPrefix.replace(/^\/+|\/+$/g, '');
  return path === '' || /[:*{]/.test(path) ? {} : { [metadataName]: `/${path}` };
}

/** The metadata that tells of servers of other protocols. */
export function portsOf(messages: readonly MessageEndpoint[]): Readonly<Record<string, number>> {
  const ports: Record<string, number> = {};
  for (const { scheme, port } of messages) ports[scheme === 'grpc' ? 'gRPC_port' : 'tcp_port'] ??= port;
  return ports;
}

function schemeOf({ http, messages }: Listening): string {
  if (http === undefined) return messages[0]?.scheme ?? 'http';
  return http.tls ? 'https' : 'http';
}
