import { setTimeout as delay } from 'node:timers/promises';
import { NacosHttpClient, type NacosOptions } from '../../lib/backends/nacos/index.js';
import { withServer } from '../servers/for-tests.js';
import type { RunningServer } from '../servers/types.js';
import { accessTokenOf, optionsFor } from '../wings/nacos/support.js';
import {
  describeConfigContract,
  describeDiscoveryContract,
  describeRegistryContract,
  type ContractHarness,
} from './contract-harness.js';
import { createHarness, timing } from './nacos-harness.js';

/** Over HTTP an instance expires by itself: here after six seconds instead of thirty. */
const http: Partial<NacosOptions> = {
  protocol: 'http',
  pollMs: 300,
  beatMs: 700,
  healthCheckMs: 500,
  metadata: {
    'preserved.heart.beat.interval': '1000',
    'preserved.heart.beat.timeout': '3000',
    'preserved.ip.delete.timeout': '6000',
  },
};

/**
 * Deregisters it behind the client's back, twice: a full beat brings it back without a word, and the first beat after a
 * registration is one; those that follow only ask. What is published is looked at itself: lists lag half a second behind.
 */
async function forgetOverHttp(server: RunningServer, serviceName: string, instanceId: string): Promise<void> {
  const client = new NacosHttpClient(optionsFor(server));
  const token = await accessTokenOf(server);
  const port = Number(instanceId.split(':').at(-1));
  const isPublished = async (): Promise<boolean> => {
    const params = new URLSearchParams({ clientId: `127.0.0.1:${port}#true`, accessToken: token });
    const answer = await fetch(`${server.url}/v2/ns/client/publish/list?${params.toString()}`);
    return answer.status === 200 && ((await answer.json()) as { data: unknown[] }).data.length > 0;
  };
  try {
    for (let round = 0; round < 2; round += 1) {
      await client.removeNamingInstance({ serviceName, ip: '127.0.0.1', port });
      while (!(await isPublished())) await delay(20);
    }
  } finally {
    await client.close();
  }
}

for (const variant of ['auth', 'open'] as const) {
  withServer('nacos', { variant }, (server) => {
    const name = `nacos over HTTP, ${variant}`;
    const harness = async (): Promise<ContractHarness> => ({
      ...(await createHarness(server, http)),
      forget: (service, instanceId) => forgetOverHttp(server, service, instanceId),
    });
    const patient = { ...timing, expiryMs: 20_000 };
    describeRegistryContract(name, harness, patient);
    describeDiscoveryContract(name, harness, patient);
    describeConfigContract(name, harness, patient);
  });
}
