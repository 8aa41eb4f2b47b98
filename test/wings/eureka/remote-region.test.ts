import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { EurekaSession } from '../../../lib/backends/eureka/client/session.js';
import { resolveEurekaOptions } from '../../../lib/backends/eureka/eureka.options.js';
import { eureka, EurekaClient, type EurekaClientOptions } from '../../../lib/backends/eureka/index.js';
import { Host, silentLogger, systemClock, type DiscoveryReport } from '../../../lib/backend/index.js';
import { createContext, freshName, freshPort } from '../../contract/contract-harness.js';
import { acquireServer, withServer } from '../../servers/for-tests.js';
import type { RunningServer } from '../../servers/types.js';
import { until } from './support.js';

const REGION = 'far-west-1';

// The remote region's server is the shared one: what counts is that another one reads it.
withServer('eureka', {}, (remote) => {
  describe('a server with a remote region', () => {
    let own: RunningServer;
    const ending: (() => Promise<unknown>)[] = [];

    beforeAll(async () => {
      const acquired = await acquireServer('eureka', {
        settings: {
          [`eureka.server.remote-region-urls-with-name.${REGION}`]: `${remote.url}/`,
          'eureka.server.remote-region-registry-fetch-interval': 1,
          // Else the server gives the region's instances also to who doesn't ask for them.
          'eureka.server.disable-transparent-fallback-to-other-region': true,
          // A change in the region doesn't empty the server's cache, which keeps answers for three minutes.
          'eureka.server.response-cache-auto-expiration-in-seconds': 1,
        },
      });
      if (!acquired.available) throw new Error(acquired.reason);
      own = acquired.server;
    }, 120_000);
    afterAll(() => own.dispose(), 60_000);
    afterEach(async () => {
      for (const end of ending.splice(0).reverse()) await end();
    });

    async function started(serviceUrls: string, options: Partial<EurekaClientOptions>): Promise<EurekaClient> {
      const client = new EurekaClient({
        serviceUrls,
        shouldRegister: false,
        shouldDiscover: false,
        heartbeatMs: 1000,
        leaseMs: 10_000,
        fetchIntervalMs: 100,
        logLevel: 'silent',
        ...options,
      });
      ending.push(() => client.stop());
      await client.start();
      return client;
    }

    function registered(server: RunningServer, appName: string, zone: string): Promise<EurekaClient> {
      return started(server.url, {
        appName,
        zone,
        shouldRegister: true,
        instanceHost: '127.0.0.1',
        instancePort: freshPort(),
      });
    }

    const zonesOf = (client: EurekaClient, app: string): readonly string[] =>
      client.applications
        .getApplication(app)
        .upInstances.map(({ zone }) => zone)
        .toSorted();

    /** One instance here, one in the other region. */
    async function pair(): Promise<{ app: string; far: EurekaClient }> {
      const app = freshName('Region');
      await registered(own, app, 'near-1a');
      const far = await registered(remote, app, 'far-west-1a');
      return { app, far };
    }

    it('its instances are found by who asks for the region, and by nobody else', async () => {
      const { app, far } = await pair();
      const asking = await started(own.url, { shouldDiscover: true, remoteRegions: [REGION] });
      const other = await started(own.url, { shouldDiscover: true, remoteRegions: ['nowhere'] });
      const plain = await started(own.url, { shouldDiscover: true });
      await until(() => zonesOf(asking, app).length === 2, 'the remote instance is found', 20_000);
      expect(zonesOf(asking, app)).toEqual(['far-west-1a', 'near-1a']);
      for (const client of [other, plain]) {
        await client.refresh();
        expect(zonesOf(client, app)).toEqual(['near-1a']);
      }
      await far.stop();
      await until(() => zonesOf(asking, app).length === 1, 'its end is seen', 20_000);
    });

    it('they are told apart by their zone, and come after the own one’s', async () => {
      const { app } = await pair();
      const asking = await started(own.url, { shouldDiscover: true, remoteRegions: [REGION], zone: 'near-1a' });
      await until(() => zonesOf(asking, app).length === 2, 'the remote instance is found', 20_000);
      const found = asking.applications.getApplication(app);
      expect(found.upInstancesInZone(asking.zone).map(({ zone }) => zone)).toEqual(['near-1a']);
      expect(found.upInstancesNotInZone(asking.zone).map(({ zone }) => zone)).toEqual(['far-west-1a']);
      for (let round = 0; round < 5; round += 1) {
        const tried: string[] = [];
        const answered = await asking.walkNodes(app, '/', (_, { zone }) => {
          tried.push(zone);
          if (zone === 'near-1a') throw Object.assign(new Error('down'), { code: 'ECONNREFUSED' });
          return zone;
        });
        expect(answered).toBe('far-west-1a');
        expect(tried).toEqual(['near-1a', 'far-west-1a']);
      }
    });

    it('they count in the checksum of the changes', async () => {
      const { app } = await pair();
      const settings = resolveEurekaOptions({
        serviceUrls: own.url,
        fetchIntervalMs: 3_600_000,
        remoteRegions: [REGION],
      });
      const context = { clock: systemClock, logger: silentLogger, random: Math.random, report: () => {} };
      const session = new EurekaSession(new Host('eureka', context), settings);
      const poller = session.createPoller();
      ending.push(async () => {
        await poller.stop();
        await session.close();
      });
      const size = (): number => poller.applications.getApplication(app).size;
      // The server's two answers, all and the changes, are cached apart, and may be of different moments.
      await until(
        async () => {
          const { full } = poller.stats;
          await poller.refresh();
          return full > 0 && poller.stats.full === full && size() === 2;
        },
        'changes suffice, with the remote instance',
        20_000,
      );
    });

    it('for the backend they are instances with their zone', async () => {
      const { app } = await pair();
      const definition = eureka({ serviceUrls: own.url, fetchIntervalMs: 100, remoteRegions: [REGION] });
      const backend = definition.create(createContext([]));
      ending.push(() => backend.close());
      await backend.open();
      const reports: DiscoveryReport[] = [];
      backend.discovery?.watch(app, (report) => reports.push(report));
      await until(() => reports.at(-1)?.instances?.length === 2, 'both are reported', 20_000);
      const zones = reports.at(-1)?.instances?.map(({ zone }) => zone);
      expect(zones?.toSorted()).toEqual(['far-west-1a', 'near-1a']);
    });
  });
});
