import { InMemoryRegistry } from '../../lib/testing/index.js';
import {
  describeConfigContract,
  describeDiscoveryContract,
  describeRegistryContract,
  type ContractHarness,
  type ContractTiming,
} from './contract-harness.js';

const timing: ContractTiming = { patienceMs: 3000, quietMs: 60 };

function createHarness(): Promise<ContractHarness> {
  const registry = new InMemoryRegistry();
  const harness: ContractHarness = {
    definition: (options = {}) => registry.backend({ heartbeatMs: 20, ...options }),
    outage: () => Promise.resolve(registry.fail()),
    recover: () => Promise.resolve(registry.recover()),
    forget: (service, instanceId) => {
      registry.forget(service, instanceId);
      return Promise.resolve();
    },
    holdRenewal: async () => {
      const before = registry.stats.heartbeats;
      registry.pause();
      while (registry.stats.heartbeats === before) await new Promise((resolve) => setTimeout(resolve, 5));
      return () => Promise.resolve(registry.resume());
    },
    pause: () => {
      registry.pause();
      return Promise.resolve(() => Promise.resolve(registry.resume()));
    },
    openHandles: () => registry.stats.openWatches + registry.stats.openConfigWatches,
    config: {
      documentId: (base) => base,
      applicationDocumentId: (application, profile) =>
        `${application ?? 'application'}${profile === undefined ? '' : `-${profile}`}`,
      prefix: (base) => base,
    },
    close: () => Promise.resolve(),
  };
  return Promise.resolve(harness);
}

describeRegistryContract('in-memory', createHarness, timing);
describeDiscoveryContract('in-memory', createHarness, timing);
describeConfigContract('in-memory', createHarness, timing);
