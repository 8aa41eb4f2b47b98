import { afterEach, describe, expect, it } from 'vitest';
import { RegistryPoller } from '../../../lib/backends/eureka/client/registry-poller.js';
import { EurekaSession } from '../../../lib/backends/eureka/client/session.js';
import { resolveEurekaOptions } from '../../../lib/backends/eureka/eureka.options.js';
import { eureka, EurekaClient, type EurekaOptions } from '../../../lib/backends/eureka/index.js';
import { Host, silentLogger, systemClock, type DiscoveryReport } from '../../../lib/backend/index.js';
import { createRegistration, type DiscoveryEvent } from '../../../lib/model/index.js';
import { createContext, freshName, freshPort } from '../../contract/contract-harness.js';
import { withServer } from '../../servers/for-tests.js';
import { startMeddlingProxy, until, type MeddlingProxy } from './support.js';

// Its own: what others register meanwhile would be read, and counted, too.
withServer('eureka', { private: true }, (server) => {
  const ending: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const end of ending.splice(0).reverse()) await end();
  });

  async function meddler(): Promise<MeddlingProxy> {
    const proxy = await startMeddlingProxy(server.url);
    ending.push(() => proxy.close());
    return proxy;
  }

  async function registered(app = freshName('Read')): Promise<EurekaClient> {
    const client = new EurekaClient({
      serviceUrls: server.url,
      appName: app,
      instancePort: freshPort(),
      shouldDiscover: false,
      heartbeatMs: 1000,
      leaseMs: 10_000,
      changeIntervalMs: 50,
      logLevel: 'silent',
    });
    ending.push(() => client.stop());
    await client.start();
    return client;
  }

  /** A poller that reads only when told to. */
  function reader(url: string, options: EurekaOptions = {}): RegistryPoller {
    const settings = resolveEurekaOptions({ serviceUrls: url, fetchIntervalMs: 3_600_000, ...options });
    const context = { clock: systemClock, logger: silentLogger, random: Math.random, report: () => {} };
    const session = new EurekaSession(new Host('eureka', context), settings);
    const poller = session.createPoller();
    ending.push(async () => {
      await poller.stop();
      await session.close();
    });
    return poller;
  }

  it('logLevel debug tells what goes over the wire, and no password', async () => {
    const lines: string[] = [];
    const write = (line: string): void => void lines.push(line);
    const client = new EurekaClient({
      serviceUrls: server.url.replace('://', '://user:the-password@'),
      appName: freshName('Debug'),
      instancePort: freshPort(),
      heartbeatMs: 1000,
      logger: { error: write, warn: write, log: write, debug: write },
      logLevel: 'debug',
    });
    ending.push(() => client.stop());
    await client.start();
    const saw = (what: RegExp) => until(() => lines.some((line) => what.test(line)), String(what));
    for (const what of [/POST .*: 204/, /GET .*apps.*: 200/, /PUT .*: 200/]) await saw(what);
    await client.stop();
    await saw(/DELETE .*: 200/);
    expect(lines.join('\n')).not.toContain('the-password');
  });

  it('finds by a virtual name what no application is called, in several applications', async () => {
    const vip = freshName('Vip');
    const names = [freshName('One'), freshName('Two')];
    for (const service of names) {
      const vipAddress = `${service}, ${vip.toLowerCase()}`;
      const backend = eureka({ serviceUrls: server.url, instance: { vipAddress } }).create(createContext([]));
      ending.push(() => backend.close());
      await backend.open();
      const registration = createRegistration({ service, host: '127.0.0.1', port: freshPort() });
      await backend.registry?.register(registration).registered;
    }
    const backend = eureka({ serviceUrls: server.url, fetchIntervalMs: 200 }).create(createContext([]));
    ending.push(() => backend.close());
    await backend.open();
    const seen = new Map<string, DiscoveryReport>();
    for (const name of [vip, ...names]) backend.discovery?.watch(name, (report) => seen.set(name, report));
    await until(() => seen.get(vip)?.instances?.length === 2, 'both are found by the virtual name');
    expect(seen.get(vip)?.instances?.every(({ service }) => service === vip)).toBe(true);
    for (const name of names) expect(seen.get(name)?.instances).toHaveLength(1);
  });

  it('reads everything once and then changes, which suffice', async () => {
    const proxy = await meddler();
    const first = await registered();
    const poller = reader(proxy.url);
    await poller.refresh();
    const app = first.registration?.service ?? '';
    expect(poller.applications.getApplication(app).upInstances).toHaveLength(1);
    await first.setMetadata({ a: '1' });
    await poller.refresh();
    expect(poller.applications.getApplication(app).instances[0]?.metadata['a']).toBe('1');
    await first.setStatus('DOWN');
    await poller.refresh();
    expect(poller.applications.getApplication(app).upInstances).toHaveLength(0);
    await first.stop();
    await poller.refresh();
    expect(poller.applications.getApplication(app).instances).toHaveLength(0);
    expect(poller.stats).toEqual({ full: 1, deltas: 3, mismatches: 0 });
    expect(proxy.requests.filter((one) => one === 'GET /apps/')).toHaveLength(1);
  });

  it('reads everything exactly once more when its count differs from the server’s', async () => {
    const proxy = await meddler();
    const [kept, lost] = [await registered(), await registered()];
    const poller = reader(proxy.url);
    await poller.refresh();
    await lost.stop();
    // The server's answer without what changed, as after an outage longer than its memory.
    proxy.meddle = ({ path }) =>
      path !== '/apps/delta'
        ? 'forward'
        : (body) => {
            const answer = JSON.parse(body) as { applications: { application: unknown[] } };
            answer.applications.application = [];
            return JSON.stringify(answer);
          };
    const before = proxy.requests.length;
    await poller.refresh();
    expect(proxy.requests.slice(before)).toEqual(['GET /apps/delta', 'GET /apps/']);
    expect(poller.stats).toEqual({ full: 2, deltas: 1, mismatches: 1 });
    expect(poller.applications.getApplication(lost.registration?.service ?? '').instances).toHaveLength(0);
    expect(poller.applications.getApplication(kept.registration?.service ?? '').instances).toHaveLength(1);
    await poller.refresh();
    expect(poller.stats.mismatches).toBe(1);
  });

  it.each([403, 404])(
    'reads everything when the server has no deltas (%i), or is told not to ask for them',
    async (status) => {
      const proxy = await meddler();
      await registered();
      proxy.meddle = ({ path }, response) => {
        if (path !== '/apps/delta') return 'forward';
        response.writeHead(status).end();
        return 'done';
      };
      const poller = reader(proxy.url);
      await poller.refresh();
      await poller.refresh();
      expect(poller.stats).toEqual({ full: 2, deltas: 0, mismatches: 0 });
      const without = reader(proxy.url, { deltas: false });
      await without.refresh();
      await without.refresh();
      expect(without.stats.full).toBe(2);
    },
  );

  it('asks for remote regions', async () => {
    const proxy = await meddler();
    await registered();
    const urls: string[] = [];
    proxy.meddle = ({ url }) => {
      urls.push(url);
      return 'forward';
    };
    const poller = reader(proxy.url, { remoteRegions: ['eu-west-1', 'us-west-2'] });
    await poller.refresh();
    await poller.refresh();
    expect(urls[0]).toMatch(/\/apps\/\?regions=eu-west-1%2Cus-west-2$/);
    expect(urls[1]).toMatch(/\/apps\/delta\?regions=eu-west-1%2Cus-west-2$/);
  });

  it('drops an answer that comes after its time', async () => {
    const proxy = await meddler();
    const app = await registered();
    const name = app.registration?.service ?? '';
    const poller = reader(proxy.url, { requestTimeoutMs: 200, fetchIntervalMs: 500, deltas: false });
    await poller.refresh();
    const held: (() => void)[] = [];
    proxy.meddle = ({ path }, response) => {
      if (path !== '/apps/') return 'forward';
      held.push(() => response.end('{"applications":{"apps__hashcode":"","application":[]}}'));
      return 'done';
    };
    await expect(poller.refresh()).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    proxy.meddle = () => 'forward';
    await poller.refresh();
    for (const answer of held) answer();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(poller.applications.getApplication(name).upInstances).toHaveLength(1);
  });

  describe('a server that answers nonsense', () => {
    const answers: readonly (readonly [string, (response: import('node:http').ServerResponse) => unknown])[] = [
      [
        'XML',
        (response) =>
          response.end('<?xml version="1.0"?><applications><versions__delta>1</versions__delta></applications>'),
      ],
      ['HTML', (response) => response.end('<!doctype html><title>Login</title>')],
      ['truncated JSON', (response) => response.end('{"applications":{"application":[{"name":"A","instan')],
      ['JSON that is no registry', (response) => response.end('[]')],
      ['an error', (response) => response.writeHead(500).end('oops')],
      ['a redirect loop', (response) => response.writeHead(302, { location: '/eureka/apps/' }).end()],
      ['nothing at all', () => {}],
      ['a closed connection', (response) => response.destroy()],
      [
        '300 MB',
        (response) => {
          const chunk = Buffer.alloc(1024 * 1024, 32);
          let left = 300;
          const push = (): void => {
            while (left > 0 && !response.destroyed) {
              left -= 1;
              if (!response.write(chunk)) return void response.once('drain', push);
            }
            response.end();
          };
          push();
        },
      ],
    ];

    it.each(answers)('%s: what was known stays, one event says so, memory is bounded', async (_, answer) => {
      const proxy = await meddler();
      const app = await registered();
      const name = app.registration?.service ?? '';
      const events: DiscoveryEvent[] = [];
      const backend = eureka({
        serviceUrls: proxy.url,
        fetchIntervalMs: 50,
        requestTimeoutMs: 300,
        maxResponseBytes: 8 * 1024 * 1024,
      }).create(createContext(events));
      ending.push(() => backend.close());
      await backend.open();
      const reports: DiscoveryReport[] = [];
      backend.discovery?.watch(name, (report) => void reports.push(report));
      await until(() => reports.at(-1)?.instances?.length === 1, 'the instance is seen');
      const before = process.memoryUsage().rss;
      let bad = 0;
      proxy.meddle = ({ path }, response) => {
        if (!path.startsWith('/apps/')) return 'forward';
        bad += 1;
        answer(response);
        return 'done';
      };
      await until(() => reports.at(-1)?.error !== undefined, 'the failure is told');
      await until(() => bad >= 2 && backend.state.current.phase === 'degraded', 'it tries on');
      expect(reports.some((report) => report.instances?.length === 0)).toBe(false);
      expect(reports.filter((report) => report.error !== undefined)).toHaveLength(1);
      expect(reports.at(-1)?.error?.message).toBeTruthy();
      expect(process.memoryUsage().rss - before).toBeLessThan(150 * 1024 * 1024);
      proxy.meddle = () => 'forward';
      await until(() => reports.at(-1)?.instances?.length === 1, 'the list comes again');
    });

    it('one bad record is skipped and told of once; the others stay', async () => {
      const proxy = await meddler();
      const app = await registered();
      const name = app.registration?.service ?? '';
      proxy.meddle = ({ path }) =>
        path !== '/apps/'
          ? 'forward'
          : (body) => {
              const answer = JSON.parse(body) as {
                applications: { application: { name: string; instance: unknown }[]; apps__hashcode: string };
              };
              const mine = answer.applications.application.find((one) => one.name === name.toUpperCase());
              if (mine === undefined) return body;
              const good = (mine.instance as Record<string, unknown>[])[0];
              mine.instance = [
                { ...good, instanceId: 'bad-port', port: { $: 'eighty', '@enabled': 'true' } },
                { ...good, instanceId: 'bad-host', hostName: 'a/b', ipAddr: 'c d' },
                { ...good, instanceId: 'text-port', port: { $: '8099', '@enabled': true } },
                { status: 'UP' },
                'nonsense',
                good,
              ];
              return JSON.stringify(answer);
            };
      const events: DiscoveryEvent[] = [];
      const backend = eureka({ serviceUrls: proxy.url, fetchIntervalMs: 50, deltas: false }).create(
        createContext(events),
      );
      ending.push(() => backend.close());
      await backend.open();
      const reports: DiscoveryReport[] = [];
      backend.discovery?.watch(name, (report) => void reports.push(report));
      await until(() => reports.at(-1)?.instances?.length === 2, 'the good ones are seen');
      const reads = proxy.requests.length;
      await until(() => proxy.requests.length > reads + 3, 'it reads on');
      const skipped = events.filter((event) => event.type === 'record.skipped').map((event) => event.record);
      expect(skipped).toHaveLength(new Set(skipped).size);
      expect(skipped).toHaveLength(4);
    });
  });
});
