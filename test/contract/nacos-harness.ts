import { nacos, type NacosOptions } from '../../lib/backends/nacos/index.js';
import type { RunningServer } from '../servers/types.js';
import { optionsFor } from '../wings/nacos/support.js';
import type { ContractHarness, ContractTiming } from './contract-harness.js';

/** A connection that ended takes its instances along; a list that became shorter with a reconnection is doubted for 5 s. */
export const timing: ContractTiming = { patienceMs: 20_000, quietMs: 400, expiryMs: 15_000 };

/** Everything goes through a proxy; an outage is a server that isn't there. */
export async function createHarness(server: RunningServer, more: Partial<NacosOptions> = {}): Promise<ContractHarness> {
  const proxy = await server.proxy();
  return {
    definition: (options = {}) =>
      nacos({ ...optionsFor(server, proxy.ports['http'] ?? proxy.port), ...more, ...options }),
    outage: () => proxy.drop(),
    recover: () => proxy.heal(),
    // A server knows gRPC instances by their connection: to make it forget one the connection has to break.
    forget: () => Promise.resolve(proxy.reset()),
    pause: () => {
      proxy.blackhole();
      return Promise.resolve(() => proxy.heal());
    },
    // The server forgets a service a minute after its last instance.
    namesEmptyServices: true,
    config: {
      documentId: (base) => `${base}.yaml`,
      applicationDocumentId: (application, profile) =>
        `${application ?? 'application'}${profile === undefined ? '' : `-${profile}`}.yaml`,
    },
    close: () => proxy.close(),
  };
}
