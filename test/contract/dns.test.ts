import { consul } from '../../lib/backends/consul/index.js';
import { dns } from '../../lib/backends/dns/index.js';
import type { Backend, BackendContext, RegistryDriver } from '../../lib/backend/index.js';
import { withServer } from '../servers/for-tests.js';
import type { RunningServer } from '../servers/types.js';
import { describeDiscoveryContract, type ContractHarness } from './contract-harness.js';

/** DNS only reads: the agent whose records they are is written to through its own backend. */
function readAndWritten(reader: Backend, writer: Backend): Backend {
  const { state, discovery } = reader;
  if (writer.registry === undefined || discovery === undefined) throw new Error('one writes, the other reads');
  const capabilities = { ...writer.registry.capabilities, metadata: 'unsupported' };
  const registry = Object.create(writer.registry, { capabilities: { value: capabilities } }) as RegistryDriver;
  const both = [reader, writer];
  return {
    name: reader.name,
    state,
    discovery,
    registry,
    open: async () => void (await Promise.all(both.map((backend) => backend.open()))),
    close: async () => void (await Promise.all(both.map((backend) => backend.close()))),
  };
}

function createHarness(server: RunningServer): ContractHarness {
  const reader = (name = 'dns') =>
    dns({
      name,
      servers: [`127.0.0.1:${server.ports['dns']}`],
      pattern: '{service}.service.consul',
      refreshMs: 100,
      timeoutMs: 500,
    });
  const writer = consul({ address: server.url, check: { type: 'ttl', ttlMs: 30_000 }, requestTimeoutMs: 2000 });
  return {
    definition: ({ name } = {}) => ({
      kind: 'dns',
      name: name ?? 'dns',
      create: (context: BackendContext) => readAndWritten(reader(name).create(context), writer.create(context)),
    }),
    lists: false,
    outage: async () => server.pause(),
    recover: async () => server.resume(),
    close: async () => server.resume(),
  };
}

withServer('consul', { variant: 'dev', private: true }, (server) => {
  describeDiscoveryContract('dns (of Consul)', async () => createHarness(server), { patienceMs: 8500 });
});
