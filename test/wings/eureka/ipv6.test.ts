import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { EurekaClient, type EurekaClientOptions } from '../../../lib/backends/eureka/index.js';
import { freshName } from '../../contract/contract-harness.js';
import { withServer } from '../../servers/for-tests.js';
import { rawRecord, until } from './support.js';

withServer('eureka', {}, (server) => {
  const ending: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const end of ending.splice(0).reverse()) await end();
  });

  async function started(options: Partial<EurekaClientOptions>): Promise<EurekaClient> {
    const client = new EurekaClient({
      serviceUrls: server.url,
      fetchIntervalMs: 100,
      heartbeatMs: 1000,
      leaseMs: 10_000,
      logLevel: 'silent',
      ...options,
    });
    ending.push(() => client.stop());
    await client.start();
    return client;
  }

  it('an instance with an IPv6 address is registered, kept, found, called and taken back', async () => {
    const service = createServer((request, response) => void response.end(`six ${request.url}`));
    await new Promise<void>((resolve) => service.listen(0, '::1', resolve));
    ending.push(() => new Promise((resolve) => service.close(resolve)));
    const { port } = service.address() as AddressInfo;
    const appName = freshName('Six');
    const client = await started({ appName, instancePort: port, instanceHost: '::1' });
    const instanceId = `::1:${appName.toLowerCase()}:${port}`;
    expect(await rawRecord(server.url, appName, instanceId)).toMatchObject({
      hostName: '::1',
      ipAddr: '::1',
      homePageUrl: `http://[::1]:${port}/`,
      healthCheckUrl: `http://[::1]:${port}/health`,
    });
    const caller = await started({ shouldRegister: false });
    await until(() => caller.applications.getApplication(appName).upInstances.length === 1, 'it is found');
    for (const preferIp of [false, true]) {
      expect(await caller.doService(appName, '/x', { preferIp })).toBe('six /x');
    }
    await client.setMetadata({ changed: 'yes' });
    expect(await rawRecord(server.url, appName, instanceId)).toMatchObject({ metadata: { changed: 'yes' } });
    await client.stop();
    expect(await rawRecord(server.url, appName, instanceId)).toBeUndefined();
  });
});
