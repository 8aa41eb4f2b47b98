import type { ChannelCredentials } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { standaloneEnvironment } from '../../../lib/backends/nacos/client/environment.js';
import { resolveClientOptions, type NacosGrpcOptions } from '../../../lib/backends/nacos/client/options.js';
import { openChannel } from '../../../lib/backends/nacos/client/grpc/channel.js';
import type { GrpcModule } from '../../../lib/backends/nacos/client/grpc/connection.js';

/** The channel options that gRPC is given. */
async function given(grpc: NacosGrpcOptions): Promise<Readonly<Record<string, unknown>>> {
  let seen: Readonly<Record<string, unknown>> = {};
  class Client {
    constructor(_target: string, _credentials: unknown, options: Readonly<Record<string, unknown>>) {
      seen = options;
      throw new Error('this is all that was to be seen');
    }
  }
  const opening = openChannel(
    {
      grpc: { Client } as unknown as GrpcModule,
      credentials: {} as ChannelCredentials,
      env: standaloneEnvironment(undefined, undefined),
      settings: resolveClientOptions('test', { serverAddresses: 'a', grpc, tls: { servername: 'nacos.test' } }),
      target: 'a:9848',
      onPush: () => {},
      onLost: () => {},
    },
    new AbortController().signal,
  );
  await expect(opening).rejects.toThrow('all that was to be seen');
  return seen;
}

it('the gRPC options reach gRPC under the names that it has for them', async () => {
  const seen = await given({
    maxReceiveMessageLength: 5000,
    keepAliveMs: 7000,
    keepAliveTimeoutMs: 300,
    initialWindowSize: 70_000,
  });
  expect(seen).toMatchObject({
    'grpc.max_receive_message_length': 5000,
    'grpc.keepalive_time_ms': 7000,
    'grpc.keepalive_timeout_ms': 300,
    'grpc-node.flow_control_window': 70_000,
    'grpc.ssl_target_name_override': 'nacos.test',
    // The server knows a client by its connection: two clients of one process must not share one.
    'grpc.use_local_subchannel_pool': 1,
  });
});

it('by default they are those of the other SDKs', async () => {
  expect(await given({})).toMatchObject({
    'grpc.max_receive_message_length': 100 * 1024 * 1024,
    'grpc.keepalive_time_ms': 60_000,
    'grpc-node.flow_control_window': 10 * 1024 * 1024,
  });
});
