import { describe, expect, it } from 'vitest';
import {
  silentLogger,
  type Backend,
  type BackendContext,
  type ConfigReport,
  type DiscoveryReport,
} from '../../../lib/backend/index.js';
import { createRegistration, type DiscoveryEvent } from '../../../lib/model/index.js';
import { inMemory, InMemoryRegistry, ManualClock, type InMemoryDefinition } from '../../../lib/testing/index.js';

const clock = new ManualClock();

async function open(
  definition: InMemoryDefinition,
  events: DiscoveryEvent[] = [],
): Promise<Required<Pick<Backend, 'registry' | 'discovery' | 'config'>> & { backend: Backend }> {
  const context: BackendContext = {
    appId: 'app',
    application: { name: 'app', profiles: [] },
    logger: silentLogger,
    clock,
    random: () => 0,
    report: (event) => void events.push(event),
  };
  const backend = definition.create(context);
  await backend.open();
  const { registry, discovery, config } = backend;
  if (registry === undefined || discovery === undefined || config === undefined) throw new Error('a driver is absent');
  return { backend, registry, discovery, config };
}

const portsOf = (report: DiscoveryReport | undefined): readonly number[] | undefined =>
  report?.instances?.map((instance) => instance.port);

describe('the in-memory registry', () => {
  it('adds, changes, removes and replaces instances, and every watch hears of each', async () => {
    const registry = new InMemoryRegistry();
    const { backend, discovery } = await open(registry.backend());
    const reports: DiscoveryReport[] = [];
    discovery.watch('STOCK', (report) => reports.push(report));
    await clock.settle();
    const added = registry.addInstance('STOCK', { port: 8081, metadata: { version: '1' } });
    expect(added).toMatchObject({ id: '127.0.0.1:8081', url: 'http://127.0.0.1:8081', status: 'UP' });
    expect(reports, 'never synchronously').toHaveLength(1);
    registry.addInstance('STOCK', { id: 'b', host: 'b', port: 8082 });
    registry.updateInstance('STOCK', 'b', { status: 'DOWN' });
    registry.removeInstance('STOCK', 'b');
    registry.setInstances('STOCK', [{ port: 1 }, { port: 2 }]);
    registry.setInstances('STOCK', []);
    await clock.settle();
    expect(reports.map((report) => portsOf(report))).toEqual([
      [],
      [8081],
      [8081, 8082],
      [8081, 8082],
      [8081],
      [1, 2],
      [],
    ]);
    expect(reports[3]?.instances?.[1]?.status).toBe('DOWN');
    expect(reports[3]?.instances?.[0]).toBe(reports[1]?.instances?.[0]);
    expect(registry.services).toEqual([]);
    await backend.close();
  });

  it('refuses what no registry would have', () => {
    const registry = new InMemoryRegistry();
    expect(() => registry.addInstance('../x', { port: 1 })).toThrow(expect.objectContaining({ code: 'INVALID_NAME' }));
    expect(() => registry.addInstance('S', { port: 70_000 })).toThrow(
      expect.objectContaining({ code: 'INVALID_INSTANCE', field: 'port' }),
    );
    expect(() => registry.updateInstance('S', 'nobody', {})).toThrow(
      expect.objectContaining({ code: 'INVALID_INSTANCE', message: expect.stringContaining("'nobody'") }),
    );
    expect(() => registry.setDocument('../x', 'a: 1')).toThrow(expect.objectContaining({ code: 'INVALID_NAME' }));
    expect(() => Reflect.apply(inMemory, undefined, [{ heartbeat: 1 }])).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', field: 'heartbeat' }),
    );
    expect(registry.services).toEqual([]);
  });

  it('is shared by its definitions, and each inMemory() has one of its own', async () => {
    const registry = new InMemoryRegistry();
    const [one, other] = [await open(registry.backend()), await open(registry.backend({ name: 'second' }))];
    const foreign = await open(inMemory());
    await one.registry.register(createRegistration({ service: 'S', host: 'h', port: 1 })).registered;
    expect(await other.discovery.listServices()).toEqual(['S']);
    expect(await foreign.discovery.listServices()).toEqual([]);
    expect(registry.instancesOf('S')).toMatchObject([{ id: 'S:h:1', port: 1 }]);
    await Promise.all([one, other, foreign].map(({ backend }) => backend.close()));
  });

  it('counts what it is asked, and what is open', async () => {
    const definition = inMemory();
    const { registry } = definition;
    const { backend, discovery, config } = await open(definition);
    const watches = [1, 2].map(() => discovery.watch('S', () => {}));
    const configWatch = config.watch({ kind: 'prefix', prefix: '' }, () => {});
    await watches[0]?.refresh();
    expect(registry.stats).toMatchObject({ openWatches: 2, watchesOpened: 2, openConfigWatches: 1, inFlight: 0 });
    expect(registry.stats.reads).toBe(4);
    await Promise.all(watches.map((watch) => watch.close()));
    await configWatch.close();
    await configWatch.close();
    expect(registry.stats).toMatchObject({ openWatches: 0, watchesOpened: 2, openConfigWatches: 0 });
    await backend.close();
  });

  it('fails with the error that it is given, and tells how it is', async () => {
    const registry = new InMemoryRegistry();
    const { backend, discovery } = await open(registry.backend());
    const reports: DiscoveryReport[] = [];
    registry.addInstance('S', { port: 1 });
    discovery.watch('S', (report) => reports.push(report));
    await clock.settle();
    registry.fail(new Error('the cable was cut'));
    expect(registry.failing).toBe(true);
    expect(backend.state.current).toMatchObject({ phase: 'degraded', error: { message: 'the cable was cut' } });
    await expect(discovery.listServices()).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    registry.addInstance('S', { port: 2 });
    await clock.settle();
    expect(reports.slice(1).map((report) => report.error?.message)).toEqual(['the cable was cut']);
    registry.recover();
    await clock.settle();
    expect(portsOf(reports.at(-1))).toEqual([1, 2]);
    expect(backend.state.current.phase).toBe('ready');
    await backend.close();
  });

  it('holds requests and watches while it is paused', async () => {
    const registry = new InMemoryRegistry();
    const { backend, discovery } = await open(registry.backend());
    const reports: DiscoveryReport[] = [];
    discovery.watch('S', (report) => reports.push(report));
    await clock.settle();
    registry.pause();
    const listing = discovery.listServices();
    const abandoned = discovery.listServices(AbortSignal.abort());
    registry.addInstance('S', { port: 1 });
    await expect(abandoned).rejects.toMatchObject({ code: 'ABORTED' });
    await clock.settle();
    expect(reports).toHaveLength(1);
    expect(registry.stats.inFlight).toBe(1);
    registry.resume();
    expect(await listing).toEqual(['S']);
    await clock.settle();
    expect(portsOf(reports.at(-1))).toEqual([1]);
    await backend.close();
  });

  it('loses a record and gets it back with the next heartbeat', async () => {
    const registry = new InMemoryRegistry();
    const { backend, registry: driver } = await open(registry.backend({ heartbeatMs: 5000 }));
    await driver.register(createRegistration({ service: 'S', host: 'h', port: 1 })).registered;
    expect(registry.forget('S', 'S:h:1')).toBe(true);
    expect(registry.forget('S', 'S:h:1')).toBe(false);
    await clock.advance(4900);
    expect(registry.services).toEqual([]);
    await clock.advance(200);
    expect(registry.services).toEqual(['S']);
    expect(registry.stats).toMatchObject({ heartbeats: 1, registrations: 2 });
    await backend.close();
    expect(clock.pending).toBe(0);
  });

  it('lets what a closed app registered expire, at the latest when it is back', async () => {
    const registry = new InMemoryRegistry();
    const one = await open(registry.backend());
    await one.registry.register(createRegistration({ service: 'S', host: 'h', port: 1 })).registered;
    await one.backend.close();
    expect(registry.services).toEqual([]);
    const other = await open(registry.backend());
    await other.registry.register(createRegistration({ service: 'S', host: 'h', port: 2 })).registered;
    registry.fail();
    await other.backend.close();
    expect(registry.services).toEqual(['S']);
    registry.recover();
    expect(registry.services).toEqual([]);
  });

  it('keeps what apps registered when the instances of a test are replaced', async () => {
    const registry = new InMemoryRegistry();
    const { backend, registry: driver } = await open(registry.backend());
    await driver.register(createRegistration({ service: 'S', host: 'h', port: 1 })).registered;
    registry.setInstances('S', [{ port: 2 }]);
    registry.updateInstance('S', 'S:h:1', { status: 'DOWN' });
    await clock.advance(6000);
    expect(registry.instancesOf('S').map((one) => [one.port, one.status])).toEqual([
      [1, 'DOWN'],
      [2, 'UP'],
    ]);
    registry.setInstances('S', []);
    expect(registry.instancesOf('S')).toHaveLength(1);
    await backend.close();
  });

  it('has documents, whose format is that of the name, else yaml', async () => {
    const registry = new InMemoryRegistry();
    const { backend, config } = await open(registry.backend());
    const reports: ConfigReport[] = [];
    config.watch({ kind: 'application', application: 'orders', profiles: [] }, (report) => reports.push(report));
    await clock.settle();
    registry.setDocument('orders', 'limit: 1');
    registry.setDocument('application.json', '{}');
    registry.setDocument('db.url', 'x', 'text');
    registry.setDocument('stock', 'of another application');
    registry.setDocument('orders', 'limit: 1');
    expect(registry.removeDocument('application.json')).toBe(true);
    await clock.settle();
    expect(reports.map((report) => report.documents?.map((document) => document.id))).toEqual([
      [],
      ['orders'],
      ['application.json', 'orders'],
      ['application.json', 'plain files', 'orders'],
      ['plain files', 'orders'],
    ]);
    expect(reports.at(-1)?.documents?.map((document) => document.content)).toEqual([
      { format: 'entries', entries: { 'db.url': 'x' } },
      { format: 'yaml', text: 'limit: 1' },
    ]);
    expect(registry.documents.map((document) => document.id)).toEqual(['orders', 'db.url', 'stock']);
    await backend.close();
  });
});
