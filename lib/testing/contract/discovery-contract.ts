import type { DiscoveryReport, Lease, ServicesReport } from '../../backend/index.js';
import {
  freshName,
  leakedResources,
  portsOf,
  registrationOf,
  settledResources,
  type ContractHarness,
  type ContractTiming,
  type RegistryClient,
} from './contract.js';
import { describeSuite, type ContractRunner } from './runner.js';

/**
 * What every discovery driver must do, whatever its product. Instances come from the same backend's registry driver.
 *
 * @param createHarness called once, before the first test
 */
export function describeDiscoveryContract(
  runner: ContractRunner,
  name: string,
  createHarness: () => Promise<ContractHarness>,
  timing: ContractTiming = {},
): void {
  const { expect } = runner;
  describeSuite(runner, `discovery contract: ${name}`, createHarness, timing, (contract, test) => {
    /** A service with one registered instance. */
    const registerOne = async (client: RegistryClient, service = freshName('contract')): Promise<Lease> => {
      const lease = client.registry.register(registrationOf({ service }));
      await lease.registered;
      return lease;
    };

    test('a service that never was: an empty list, which is an answer', async () => {
      const client = await contract.openRegistry();
      const recording = contract.watch(client, freshName('nobody'));
      await contract.until(() => recording.reports.length > 0, 'something is reported');
      expect(recording.reports).toEqual([{ instances: [] }]);
    });

    test('a service watched during an outage: an error, which is no empty list; then the list', async () => {
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      const { service } = (await registerOne(writer)).registration;
      await contract.outage();
      const recording = contract.watch(reader, service);
      await contract.until(() => recording.reports.length > 0, 'something is reported');
      expect(recording.reports.every((report) => report.instances === undefined)).toBe(true);
      expect(recording.reports[0]?.error?.code).toBe('BACKEND_UNAVAILABLE');
      await contract.recover();
      await contract.untilInstances(recording, (list) => list.length === 1, 'the list follows');
    });

    test('the first report is the complete list', async () => {
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      const service = freshName('contract');
      await Promise.all([1, 2, 3, 4, 5].map(() => registerOne(writer, service)));
      const probe = contract.watch(reader, service);
      await contract.untilInstances(probe, (list) => list.length === 5, 'the registry has all');
      const recording = contract.watch(reader, service);
      await contract.until(() => recording.reports.length > 0, 'something is reported');
      expect(recording.reports[0]?.instances).toHaveLength(5);
    });

    test('an addition, a change and a removal are reported, in order', async () => {
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      const service = freshName('contract');
      const recording = contract.watch(reader, service);
      await contract.untilInstances(recording, (list) => list.length === 0, 'it begins empty');
      const first = await registerOne(writer, service);
      await contract.untilInstances(recording, (list) => list.length === 1, 'the first is there');
      const second = await registerOne(writer, service);
      await contract.untilInstances(recording, (list) => list.length === 2, 'the second is there');
      if (writer.registry.capabilities.metadata !== 'unsupported') {
        await first.update({ metadata: { color: 'green' } });
        await contract.untilInstances(
          recording,
          (list) => list.some((one) => one.metadata['color'] === 'green'),
          'the change is there',
        );
      }
      await first.revoke();
      const left = await contract.untilInstances(recording, (list) => list.length === 1, 'the first is gone');
      expect(portsOf(left)).toEqual([second.registration.port]);
      await second.revoke();
      await contract.untilInstances(recording, (list) => list.length === 0, 'both are gone');
      const lengths = recording.reports.map((report) => report.instances?.length);
      // Equal neighbours (the change, a confirmation) count once.
      expect(lengths.filter((length, index) => length !== lengths[index - 1])).toEqual([0, 1, 2, 1, 0]);
    });

    test('instances that did not change stay the same objects', async () => {
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      const service = freshName('contract');
      const first = await registerOne(writer, service);
      const recording = contract.watch(reader, service);
      const [before] = await contract.untilInstances(recording, (list) => list.length === 1, 'the first is there');
      await registerOne(writer, service);
      const both = await contract.untilInstances(recording, (list) => list.length === 2, 'the second is there');
      expect(both.find((one) => one.port === first.registration.port)).toBe(before);
    });

    test('several watchers of one service each hear everything, and one that leaves takes nobody along', async () => {
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      const service = freshName('contract');
      const recordings = [1, 2, 3].map(() => contract.watch(reader, service));
      const first = await registerOne(writer, service);
      for (const recording of recordings) {
        await contract.untilInstances(recording, (list) => list.length === 1, 'every watcher sees it');
      }
      await recordings[0]?.watch.close();
      await first.revoke();
      for (const recording of recordings.slice(1)) {
        await contract.untilInstances(recording, (list) => list.length === 0, 'the others see it go');
      }
      expect(recordings[0]?.reports.at(-1)?.instances).toHaveLength(1);
    });

    test('a throwing listener hurts nobody, not even itself', async () => {
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      const service = freshName('contract');
      const heard: DiscoveryReport[] = [];
      reader.discovery.watch(service, (report) => {
        heard.push(report);
        throw new Error('from a listener');
      });
      const recording = contract.watch(reader, service);
      await contract.until(() => heard.length > 0, 'the first report came');
      await registerOne(writer, service);
      await contract.untilInstances(recording, (list) => list.length === 1, 'the other watcher hears on');
      await contract.until(() => heard.at(-1)?.instances?.length === 1, 'the throwing one hears on');
      expect(reader.events).toContainEqual(expect.objectContaining({ type: 'listener.failed' }));
    });

    test('never reports synchronously: not when it begins, not on a refresh', async () => {
      const client = await contract.openRegistry();
      const { service } = (await registerOne(client)).registration;
      let inside = true;
      let early = false;
      const reports: DiscoveryReport[] = [];
      const watch = client.discovery.watch(service, (report) => {
        early ||= inside;
        reports.push(report);
      });
      inside = false;
      await contract.until(() => reports.length > 0, 'it reports');
      inside = true;
      const refreshed = watch.refresh();
      inside = false;
      await refreshed;
      expect(early).toBe(false);
    });

    test('refresh resolves after its report', async () => {
      const client = await contract.openRegistry();
      const { service } = (await registerOne(client)).registration;
      const recording = contract.watch(client, service);
      await contract.untilInstances(recording, (list) => list.length === 1, 'it is there');
      for (let round = 0; round < 3; round += 1) {
        const before = recording.reports.length;
        await recording.watch.refresh();
        expect(recording.reports.length).toBeGreaterThan(before);
        expect(recording.reports.at(-1)?.instances).toHaveLength(1);
      }
      const together = [recording.watch.refresh(), recording.watch.refresh(), recording.watch.refresh()];
      await Promise.all(together);
    });

    test('refresh right after the watch began is its first report, or follows it', async () => {
      const client = await contract.openRegistry();
      const { service } = (await registerOne(client)).registration;
      const recording = contract.watch(client, service);
      await recording.watch.refresh();
      expect(recording.reports[0]?.instances).toBeDefined();
    });

    test('refresh during an outage rejects, and the error was reported', async () => {
      const client = await contract.openRegistry();
      const { service } = (await registerOne(client)).registration;
      const recording = contract.watch(client, service);
      await contract.untilInstances(recording, (list) => list.length === 1, 'it is there');
      await contract.outage();
      await expect(recording.watch.refresh()).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
      expect(recording.reports.at(-1)?.error?.code).toBe('BACKEND_UNAVAILABLE');
    });

    test('an outage is an error and never an empty list; afterwards the list comes again, though unchanged', async () => {
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      const { service } = (await registerOne(writer)).registration;
      const recording = contract.watch(reader, service);
      await contract.untilInstances(recording, (list) => list.length === 1, 'it is there');
      const before = recording.reports.length;
      await contract.outage();
      await contract.until(() => recording.reports.at(-1)?.error !== undefined, 'the outage is reported');
      await contract.until(() => reader.backend.state.current.phase === 'degraded', 'the backend says degraded');
      expect(reader.backend.state.current.error?.message).toBeTruthy();
      await contract.stays(() => recording.reports.at(-1)?.error !== undefined, 'no list during the outage');
      expect(recording.reports.slice(before).every((report) => report.instances === undefined)).toBe(true);
      await contract.recover();
      await contract.untilInstances(recording, (list) => list.length === 1, 'the list comes again');
      await contract.until(() => reader.backend.state.current.phase === 'ready', 'the backend says ready');
      // A registry that lost the record meanwhile may say so, but not before it was asked.
      const after = recording.reports.findIndex((report, index) => index >= before && report.instances !== undefined);
      expect(recording.reports[after]?.instances).toHaveLength(1);
    });

    test('changes are reported again after an outage', async () => {
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      const first = await registerOne(writer);
      const { service } = first.registration;
      const recording = contract.watch(reader, service);
      await contract.untilInstances(recording, (list) => list.length === 1, 'it is there');
      await contract.outage();
      await contract.until(() => recording.reports.at(-1)?.error !== undefined, 'the outage is reported');
      await contract.recover();
      await contract.untilInstances(recording, (list) => list.length === 1, 'the list comes again');
      await registerOne(writer, service);
      await contract.untilInstances(recording, (list) => list.length === 2, 'a new instance is seen');
      await first.revoke();
      await contract.untilInstances(recording, (list) => list.length === 1, 'a removal is seen');
    });

    test('lists the services that there are', async ({ skip }) => {
      skip(contract.harness.lists === false, 'the product has no list of services');
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      const [one, other] = [freshName('Listed-one'), freshName('listed-other')];
      await Promise.all([registerOne(writer, one), registerOne(writer, other)]);
      const missing = freshName('listed-never');
      await contract.until(async () => {
        // Spelling of letters is the product's affair.
        const names = (await reader.discovery.listServices()).map((service) => service.toLowerCase());
        return names.includes(one.toLowerCase()) && names.includes(other);
      }, 'both are listed');
      expect(await reader.discovery.listServices()).not.toContain(missing);
    });

    test('watches the services that there are: new ones, those that go, an outage and its end', async ({ skip }) => {
      skip(contract.harness.lists === false, 'the product has no list of services');
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      const [one, other] = [freshName('listed-one'), freshName('listed-other')];
      const first = await registerOne(writer, one);
      const reports: ServicesReport[] = [];
      const watch = reader.discovery.watchServices?.((report) => void reports.push(report));
      expect(watch).toBeDefined();
      // Spelling of letters is the product's affair.
      const newest = (): readonly string[] | undefined =>
        reports.at(-1)?.services?.map((service) => service.toLowerCase());
      const names = (...wanted: readonly boolean[]) =>
        [one, other].every((name, at) => newest()?.includes(name) === wanted[at]);
      expect(reports).toEqual([]);
      await contract.until(() => names(true, false), 'the first is named');
      await registerOne(writer, other);
      await contract.until(() => names(true, true), 'a new one is named');
      await first.revoke();
      const stays = contract.harness.namesEmptyServices === true;
      await contract.until(() => names(stays, true), 'one that is gone is named no more', contract.expiryMs);
      await contract.outage();
      await contract.until(() => reports.at(-1)?.error?.code === 'BACKEND_UNAVAILABLE', 'the outage is told');
      await contract.recover();
      await contract.until(() => names(stays, true), 'the list is told again');
      const lists = reports.flatMap(({ services }) => (services === undefined ? [] : [services]));
      for (const list of lists) expect(list).toEqual([...new Set(list)].sort());
      await watch?.close();
      const count = reports.length;
      const late = freshName('listed-late');
      const others: ServicesReport[] = [];
      reader.discovery.watchServices?.((report) => void others.push(report));
      await registerOne(writer, late);
      await contract.until(
        () => others.at(-1)?.services?.some((name) => name.toLowerCase() === late) === true,
        'there was something to tell',
      );
      expect(reports.length).toBe(count);
    });

    test('a watch of the services during an outage: an error, then the list', async ({ skip }) => {
      skip(contract.harness.lists === false, 'the product has no list of services');
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      const { service } = (await registerOne(writer, freshName('listed'))).registration;
      await contract.outage();
      const reports: ServicesReport[] = [];
      reader.discovery.watchServices?.((report) => void reports.push(report));
      await contract.until(() => reports.length > 0, 'something is told');
      expect(reports[0]?.error?.code).toBe('BACKEND_UNAVAILABLE');
      await contract.recover();
      await contract.until(
        () => reports.at(-1)?.services?.some((name) => name.toLowerCase() === service.toLowerCase()) === true,
        'the list follows',
      );
      await reader.backend.close();
      expect(() => reader.discovery.watchServices?.(() => {})).toThrow(
        expect.objectContaining({ code: 'BACKEND_CLOSED' }),
      );
    });

    test('listing during an outage is an error', async () => {
      const client = await contract.openRegistry();
      await contract.outage();
      const code = contract.harness.lists === false ? 'UNSUPPORTED' : 'BACKEND_UNAVAILABLE';
      await expect(client.discovery.listServices()).rejects.toMatchObject({ code });
    });

    test('refuses to watch a name that is a path', async () => {
      const client = await contract.openRegistry();
      for (const name of ['../evil', 'a/../../evil', '..', '', '__proto__']) {
        expect(() => client.discovery.watch(name, () => {})).toThrow(expect.objectContaining({ code: 'INVALID_NAME' }));
      }
    });

    test('no report after close has resolved', async () => {
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      const service = freshName('contract');
      const recording = contract.watch(reader, service);
      const other = contract.watch(reader, service);
      await contract.until(() => recording.reports.length > 0, 'it reports');
      const registration = registerOne(writer, service);
      await recording.watch.close();
      const before = recording.reports.length;
      await registration;
      await contract.untilInstances(other, (list) => list.length === 1, 'there was something to report');
      await contract.stays(() => recording.reports.length === before, 'nothing is reported after close');
      await recording.watch.close();
      await expect(recording.watch.refresh()).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
    });

    test('closed before its first report, and closed by its own listener: no further report', async () => {
      const client = await contract.openRegistry();
      const { service } = (await registerOne(client)).registration;
      const early = contract.watch(client, service);
      await early.watch.close();
      const late: DiscoveryReport[] = [];
      const watch = client.discovery.watch(service, (report) => {
        late.push(report);
        void watch.close();
      });
      await contract.until(() => late.length > 0, 'it reports');
      await registerOne(client, service);
      const control = contract.watch(client, service);
      await contract.untilInstances(control, (list) => list.length === 2, 'there was something to report');
      await contract.stays(() => late.length === 1 && early.reports.length === 0, 'nothing more is reported');
    });

    test('unsubscribing releases every handle', async () => {
      const client = await contract.openRegistry();
      const { service } = (await registerOne(client)).registration;
      const warm = contract.watch(client, service);
      await contract.until(() => warm.reports.length > 0, 'it reports');
      await warm.watch.close();
      const before = await settledResources();
      const handles = contract.harness.openHandles?.();
      const recordings = Array.from({ length: 20 }, (_, index) =>
        contract.watch(client, index % 2 === 0 ? service : freshName('nobody')),
      );
      await contract.until(() => recordings.every((one) => one.reports.length > 0), 'all report');
      await Promise.all(recordings.map((one) => one.watch.close()));
      await contract.until(() => leakedResources(before).length === 0, 'no handle is left');
      expect(contract.harness.openHandles?.()).toBe(handles);
    });

    test('closing the backend ends its watches and releases every handle', async () => {
      const writer = await contract.openRegistry();
      const { service } = (await registerOne(writer)).registration;
      const before = await settledResources();
      const handles = contract.harness.openHandles?.();
      const reader = await contract.openRegistry();
      const recordings = [service, freshName('nobody'), service].map((one) => contract.watch(reader, one));
      await contract.until(() => recordings.every((one) => one.reports.length > 0), 'all report');
      await reader.backend.close();
      const counts = recordings.map((one) => one.reports.length);
      await contract.until(() => leakedResources(before).length === 0, 'no handle is left');
      expect(contract.harness.openHandles?.()).toBe(handles);
      await registerOne(writer, service);
      await contract.stays(
        () => recordings.every((one, index) => one.reports.length === counts[index]),
        'nothing is reported any more',
      );
      expect(() => reader.discovery.watch(service, () => {})).toThrow(
        expect.objectContaining({ code: 'BACKEND_CLOSED' }),
      );
      await expect(reader.discovery.listServices()).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
    });

    test('closing during an outage does not hang', async () => {
      const client = await contract.openRegistry();
      const recording = contract.watch(client, freshName('contract'));
      const lease = client.registry.register(registrationOf());
      await lease.registered;
      await contract.until(() => recording.reports.length > 0, 'it reports');
      await contract.outage();
      await contract.until(() => recording.reports.at(-1)?.error !== undefined, 'the outage is reported');
      await client.backend.close();
      expect(client.backend.state.current.phase).toBe('closed');
    });
  });
}
