import {
  asab,
  curator,
  zookeeper,
  ZooKeeperClient,
  type ZooKeeperOptions,
} from '../../lib/backends/zookeeper/index.js';
import { withServer } from '../servers/for-tests.js';
import type { RunningServer } from '../servers/types.js';
import {
  describeConfigContract,
  describeDiscoveryContract,
  describeRegistryContract,
  freshName,
  type ContractHarness,
  type ContractTiming,
} from './contract-harness.js';

const SESSION_MS = 3000;
const timing: ContractTiming = { patienceMs: 15_000, quietMs: 250, expiryMs: SESSION_MS + 4000 };

type Variant = 'asab' | 'curator' | 'asab with chroot and credentials';

/** Clients reach the server through a proxy, whose outage is theirs; the harness itself goes there directly. */
async function createHarness(server: RunningServer, variant: Variant): Promise<ContractHarness> {
  const proxy = await server.proxy();
  const base = freshName('contract');
  const secured = variant === 'asab with chroot and credentials';
  const root = secured ? `/${freshName('chroot')}/below` : '';
  const auth = secured ? [{ scheme: 'digest', credentials: 'contract:secret' }] : [];
  const direct = new ZooKeeperClient({ servers: server.url + root, auth });
  await direct.open();
  const options: ZooKeeperOptions = {
    servers: proxy.url + root,
    sessionTimeoutMs: SESSION_MS,
    connectTimeoutMs: 1000,
    layout:
      variant === 'curator'
        ? curator({ basePath: `/${base}` })
        : asab({ path: base, host: (registration) => registration.host, manifest: false }),
    config: { root: `${base}-config` },
    ...(secured ? { auth, access: 'creator' as const } : {}),
  };
  return {
    definition: (more = {}) => zookeeper({ ...options, ...more }),
    outage: () => proxy.drop(),
    recover: () => proxy.heal(),
    pause: () => {
      proxy.blackhole();
      return Promise.resolve(() => proxy.heal());
    },
    forget: async (service, instanceId) => {
      if (variant === 'curator') {
        await direct.remove(`/${base}/${service}/${instanceId}`);
        return;
      }
      const names = (await direct.getChildren(`/${base}/run`)) ?? [];
      for (const name of names) {
        const found = await direct.getData(`/${base}/run/${name}`);
        const record = JSON.parse(found?.data.toString() ?? '{}') as { service_id?: string; nestjs?: { id?: string } };
        if (record.service_id === service && record.nestjs?.id === instanceId) {
          await direct.remove(`/${base}/run/${name}`);
        }
      }
    },
    config: {
      documentId: (name) => name,
      applicationDocumentId: (application, profile) =>
        `${application ?? 'application'}${profile === undefined ? '' : `,${profile}`}/marker`,
      prefix: (name) => name,
      text: (marker) => marker,
    },
    close: async () => {
      await direct.close();
      await proxy.close();
    },
  };
}

withServer('zookeeper', {}, (server) => {
  const variants: readonly Variant[] = ['asab', 'curator', 'asab with chroot and credentials'];
  for (const variant of variants) {
    describeRegistryContract(`zookeeper (${variant})`, () => createHarness(server, variant), timing);
    describeDiscoveryContract(`zookeeper (${variant})`, () => createHarness(server, variant), timing);
    describeConfigContract(`zookeeper (${variant})`, () => createHarness(server, variant), timing);
  }
});
