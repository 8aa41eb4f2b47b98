import { withServer } from '../servers/for-tests.js';
import { describeConfigContract } from './config-contract.js';
import { describeDiscoveryContract } from './discovery-contract.js';
import { createHarness, timing } from './nacos-harness.js';
import { describeRegistryContract } from './registry-contract.js';

for (const variant of ['auth', 'open', '3'] as const) {
  withServer('nacos', { variant }, (server) => {
    const name = `nacos over gRPC, ${variant}`;
    describeRegistryContract(name, () => createHarness(server), timing);
    describeDiscoveryContract(name, () => createHarness(server), timing);
    describeConfigContract(name, () => createHarness(server), timing);
  });
}
