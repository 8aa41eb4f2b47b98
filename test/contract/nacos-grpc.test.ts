import { withServer } from '../servers/for-tests.js';
import { describeConfigContract, describeDiscoveryContract, describeRegistryContract } from './contract-harness.js';
import { createHarness, timing } from './nacos-harness.js';

for (const variant of ['auth', 'open', '3'] as const) {
  withServer('nacos', { variant }, (server) => {
    const name = `nacos over gRPC, ${variant}`;
    describeRegistryContract(name, () => createHarness(server), timing);
    describeDiscoveryContract(name, () => createHarness(server), timing);
    describeConfigContract(name, () => createHarness(server), timing);
  });
}
