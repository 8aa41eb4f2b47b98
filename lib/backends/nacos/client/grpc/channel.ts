import { createPrivateKey } from 'node:crypto';
import { firstNonLoopbackIp, type TlsMaterial } from '../../../../backend/index.js';
import { defined, type DiscoveryError } from '../../../../model/index.js';
import type { Environment } from '../environment.js';
import { NacosError } from '../errors.js';
import type { Json } from '../json.js';
import type { NacosClientSettings } from '../options.js';
import { RpcConnection, type GrpcModule, type RpcConnectionOptions } from './connection.js';

/** Credentials of a channel. */
export type ChannelCredentials = import('@grpc/grpc-js').ChannelCredentials;

/** What one attempt to connect needs besides the settings. */
export interface OpenChannel {
  readonly grpc: GrpcModule;
  readonly credentials: ChannelCredentials;
  readonly env: Environment;
  readonly settings: NacosClientSettings;
  /** `host:port` */
  readonly target: string;
  readonly onPush: RpcConnectionOptions['onPush'];
  readonly onLost: (error: DiscoveryError) => void;
}

/** Plain text, or TLS with the given certificates. */
export function credentialsOf(grpc: GrpcModule, tls: TlsMaterial | undefined): ChannelCredentials {
  if (tls === undefined) return grpc.credentials.createInsecure();
  const { ca, cert, key, passphrase, rejectUnauthorized } = tls;
  // gRPC takes one text of each, and no key that is encrypted.
  const one = (pem: TlsMaterial['ca']): Buffer | null =>
    pem === undefined ? null : Buffer.from(pem.map(String).join('\n'));
  const open = (pem: Buffer | null): Buffer | null =>
    pem === null || passphrase === undefined
      ? pem
      : Buffer.from(createPrivateKey({ key: pem, passphrase }).export({ type: 'pkcs8', format: 'pem' }));
  return grpc.credentials.createSsl(one(ca), open(one(key)), one(cert), defined({ rejectUnauthorized }));
}

/**
 * Connects to one server and introduces the client.
 *
 * @throws DiscoveryError `BACKEND_UNAVAILABLE`, `ABORTED`
 */
export function openChannel(open: OpenChannel, signal: AbortSignal): Promise<RpcConnection> {
  const { settings, ...rest } = open;
  return RpcConnection.open(
    {
      ...rest,
      channelOptions: channelOptions(settings),
      clientIp: firstNonLoopbackIp() ?? '127.0.0.1',
      setup: introduction(settings),
      timeoutMs: Math.min(settings.requestTimeoutMs, 3000),
      negotiationTimeoutMs: 5000,
    },
    signal,
  );
}

function channelOptions({ grpc, tls }: NacosClientSettings): Record<string, string | number> {
  return {
    // Channels to one server must not share a connection: the server knows a client by its connection.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.service_config_disable_resolution': 1,
    'grpc.enable_retries': 0,
    'grpc.max_receive_message_length': grpc.maxReceiveMessageLength,
    'grpc.max_send_message_length': -1,
    'grpc.keepalive_time_ms': grpc.keepAliveMs,
    'grpc.keepalive_timeout_ms': grpc.keepAliveTimeoutMs,
    'grpc-node.flow_control_window': grpc.initialWindowSize,
    ...(tls?.servername === undefined ? {} : { 'grpc.ssl_target_name_override': tls.servername }),
  };
}

/** The first message on the stream. */
function introduction({ namespaces, appName, labels }: NacosClientSettings): Json {
  const own = Object.entries(labels).map(([key, value]) => [key.startsWith('app_') ? key : `app_${key}`, value]);
  return {
    headers: {},
    clientVersion: 'Nacos-Nodejs-Client:v3.0.0',
    tenant: namespaces.config,
    labels: {
      source: 'sdk',
      // With the other module, `config`, a server takes no registrations; this one serves both.
      module: 'naming',
      AppName: appName,
      taskId: '0',
      ...Object.fromEntries(own),
    },
    abilityTable: {},
  };
}

/**
 * Asks the server whether it still knows the connection; one that doesn't answer twice, or says no, has failed.
 *
 * @throws DiscoveryError what it failed with
 */
export async function probe(connection: RpcConnection, requestTimeoutMs: number, signal: AbortSignal): Promise<void> {
  const timeoutMs = Math.min(requestTimeoutMs, 3000);
  for (let attempt = 1; ; attempt += 1) {
    try {
      await connection.request('HealthCheckRequest', { headers: {}, module: 'internal' }, {}, timeoutMs, signal);
      return;
    } catch (error) {
      if (signal.aborted) return;
      const status = error instanceof NacosError ? error.status : undefined;
      // A server that is only starting up has still answered.
      if (status === 300) return;
      if (status !== 301 && attempt < 2) continue;
      connection.fail(error);
      throw error;
    }
  }
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
