import { expect, it } from 'vitest';
import { NacosClient } from '../../../lib/backends/nacos/index.js';
import { NatsClient } from '../../../lib/backends/nats/index.js';
import { ZooKeeperClient } from '../../../lib/backends/zookeeper/index.js';

it.each([
  [
    'NatsClient',
    () => {
      const client = new NatsClient({ servers: 'nats://127.0.0.1:1' });
      return [client, () => client.keyValue('b').put('k', new Uint8Array([1]))] as const;
    },
  ],
  [
    'NacosClient',
    () => {
      const client = new NacosClient({ serverAddresses: '127.0.0.1:1', noSnapshot: true, requestTimeoutMs: 100 });
      return [client, () => client.config.publishConfig({ dataId: 'a', content: 'x' })] as const;
    },
  ],
  [
    'ZooKeeperClient',
    () => {
      const client = new ZooKeeperClient({ servers: '127.0.0.1:1' });
      return [client, () => client.getData('/x')] as const;
    },
  ],
])('%s that was not started says so instead of waiting for ever', async (_, make) => {
  const [client, ask] = make();
  await expect(ask()).rejects.toMatchObject({ name: 'DiscoveryError', code: 'BACKEND_UNAVAILABLE' });
  await client.close();
});
