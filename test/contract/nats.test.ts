import { withServer } from '../servers/for-tests.js';
import { describeConfigContract, describeDiscoveryContract, describeRegistryContract } from './contract-harness.js';
import { createNatsHarness, natsTiming } from './nats-harness.js';

for (const variant of ['current', '2.9'] as const) {
  withServer('nats', { variant }, (server) => {
    const name = `nats ${variant}`;
    describeRegistryContract(name, () => createNatsHarness(server), natsTiming);
    describeDiscoveryContract(name, () => createNatsHarness(server), natsTiming);
    describeConfigContract(name, () => createNatsHarness(server), natsTiming);
  });
}

// Connections of the other NATS library.
withServer('nats', { variant: 'current' }, (server) => {
  const name = 'nats over @nats-io/transport-node';
  const library = { library: '@nats-io/transport-node' } as const;
  describeRegistryContract(name, () => createNatsHarness(server, library), natsTiming);
  describeDiscoveryContract(name, () => createNatsHarness(server, library), natsTiming);
  describeConfigContract(name, () => createNatsHarness(server, library), natsTiming);
});

// Without JetStream: instances are micro services, found in rounds.
for (const variant of ['current', '2.9'] as const) {
  withServer('nats', { variant }, (server) => {
    const services = { presence: { mode: 'services' } } as const;
    describeRegistryContract(`nats services ${variant}`, () => createNatsHarness(server, services), natsTiming);
    describeDiscoveryContract(`nats services ${variant}`, () => createNatsHarness(server, services), natsTiming);
  });
}
