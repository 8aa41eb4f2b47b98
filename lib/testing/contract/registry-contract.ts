import { createRegistration, type InstanceStatus } from '../../model/index.js';
import type { Lease } from '../../backend/index.js';
import {
  freshPort,
  leakedResources,
  portsOf,
  registrationOf,
  settledResources,
  type ContractHarness,
  type ContractTiming,
} from './contract.js';
import { describeSuite, type ContractRunner } from './runner.js';

/**
 * What every registry driver must do, whatever its product. Run it against the real server.
 *
 * @param createHarness called once, before the first test
 */
export function describeRegistryContract(
  runner: ContractRunner,
  name: string,
  createHarness: () => Promise<ContractHarness>,
  timing: ContractTiming = {},
): void {
  const { expect } = runner;
  describeSuite(runner, `registry contract: ${name}`, createHarness, timing, (contract, test) => {
    const registered = (lease: Lease): Promise<void> =>
      contract.until(() => lease.state.current.phase === 'registered', 'the lease is registered');

    test('registers, and says so', async () => {
      const client = await contract.openRegistry();
      const registration = registrationOf();
      const lease = client.registry.register(registration);
      expect(lease.registration).toEqual(registration);
      await lease.registered;
      await registered(lease);
      expect(client.events).toContainEqual(
        expect.objectContaining({
          type: 'registration.registered',
          backend: client.backend.name,
          service: registration.service,
          instanceId: registration.instanceId,
        }),
      );
    });

    test('what is registered is visible to a second client, with its fields', async () => {
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      const registration = registrationOf({ metadata: { version: '1.4.0', région: 'Zürich' }, scheme: 'https' });
      const recording = contract.watch(reader, registration.service);
      await writer.registry.register(registration).registered;
      const [instance] = await contract.untilInstances(recording, (list) => list.length === 1, 'the instance is seen');
      expect(instance).toMatchObject({
        service: registration.service,
        host: '127.0.0.1',
        port: registration.port,
        scheme: 'https',
        status: 'UP',
        backend: reader.backend.name,
        url: `https://127.0.0.1:${registration.port}`,
      });
      expect(instance?.metadata).toMatchObject({ version: '1.4.0', région: 'Zürich' });
    });

    test('two instances of one service stand side by side', async () => {
      const client = await contract.openRegistry();
      const first = registrationOf();
      const second = registrationOf({ service: first.service });
      await Promise.all([client.registry.register(first).registered, client.registry.register(second).registered]);
      const recording = contract.watch(client, first.service);
      await contract.untilInstances(recording, (list) => list.length === 2, 'both are seen');
      expect(portsOf(recording.reports.at(-1)?.instances)).toEqual([first.port, second.port].sort((a, b) => a - b));
    });

    test('a change of status reaches others, as the driver declares', async () => {
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      const registration = registrationOf();
      const lease = writer.registry.register(registration);
      await lease.registered;
      if (writer.registry.capabilities.status === 'unsupported') {
        await expect(lease.setStatus('OUT_OF_SERVICE')).rejects.toMatchObject({ code: 'UNSUPPORTED' });
        return;
      }
      const recording = contract.watch(reader, registration.service);
      const sees = (status: InstanceStatus): Promise<unknown> =>
        contract.untilInstances(recording, (list) => list[0]?.status === status, `the status ${status} is seen`);
      await sees('UP');
      await lease.setStatus('OUT_OF_SERVICE');
      expect(lease.registration.status).toBe('OUT_OF_SERVICE');
      await sees('OUT_OF_SERVICE');
      await lease.setStatus('UP');
      await sees('UP');
    });

    test('a change of metadata reaches others, as the driver declares', async () => {
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      const registration = registrationOf({ metadata: { color: 'blue', old: 'yes' } });
      const lease = writer.registry.register(registration);
      await lease.registered;
      if (writer.registry.capabilities.metadata === 'unsupported') {
        await expect(lease.update({ metadata: { color: 'green' } })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
        return;
      }
      const recording = contract.watch(reader, registration.service);
      await contract.untilInstances(recording, (list) => list[0]?.metadata['color'] === 'blue', 'blue is seen');
      await lease.update({ metadata: { color: 'green' } });
      await contract.untilInstances(
        recording,
        (list) => list[0]?.metadata['color'] === 'green' && list[0].metadata['old'] === undefined,
        'green is seen, and what was left out is gone',
      );
    });

    test('of many changes in a row the last one stands', async ({ skip }) => {
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      skip(writer.registry.capabilities.metadata === 'unsupported', 'the product has no change of metadata');
      const lease = writer.registry.register(registrationOf());
      const changes = Array.from({ length: 10 }, (_, index) => lease.update({ metadata: { step: String(index) } }));
      await Promise.all(changes);
      const recording = contract.watch(reader, lease.registration.service);
      await contract.untilInstances(recording, (list) => list[0]?.metadata['step'] === '9', 'the last change is seen');
    });

    test('an invalid change is refused and changes nothing', async () => {
      const client = await contract.openRegistry();
      const lease = client.registry.register(registrationOf());
      await lease.registered;
      await expect(lease.update({ weight: -1 })).rejects.toMatchObject({ code: 'INVALID_INSTANCE', field: 'weight' });
      await expect(lease.update({ metadata: JSON.parse('{"__proto__":"x"}') })).rejects.toMatchObject({
        code: 'INVALID_INSTANCE',
      });
      expect(lease.registration.weight).toBe(1);
    });

    test('names that are paths and impossible ports never reach the registry', () => {
      const base = { service: 'S', host: '127.0.0.1', port: 1 };
      expect(() => createRegistration({ ...base, service: '../evil' })).toThrow(
        expect.objectContaining({ code: 'INVALID_NAME', field: 'service' }),
      );
      expect(() => createRegistration({ ...base, instanceId: '../evil' })).toThrow(
        expect.objectContaining({ code: 'INVALID_NAME', field: 'instanceId' }),
      );
      expect(() => createRegistration({ ...base, port: 70_000 })).toThrow(
        expect.objectContaining({ code: 'INVALID_INSTANCE', field: 'port' }),
      );
      return Promise.resolve();
    });

    test('revoked: gone for a second client, and the registry confirmed it', async () => {
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      const registration = registrationOf();
      const lease = writer.registry.register(registration);
      const recording = contract.watch(reader, registration.service);
      await contract.untilInstances(recording, (list) => list.length === 1, 'the instance is seen');
      expect(await lease.revoke()).toBe('removed');
      expect(lease.state.current.phase).toBe('revoked');
      await contract.untilInstances(recording, (list) => list.length === 0, 'the instance is gone');
      expect(writer.events).toContainEqual(expect.objectContaining({ type: 'registration.removed' }));
    });

    test('revoking again is the same revocation, and a revoked lease takes no change', async () => {
      const client = await contract.openRegistry();
      const lease = client.registry.register(registrationOf());
      await lease.registered;
      const revocation = lease.revoke();
      expect(lease.revoke()).toBe(revocation);
      await expect(lease.setStatus('UP')).rejects.toMatchObject({ code: 'LEASE_REVOKED' });
      await revocation;
      await expect(lease.update({ weight: 2 })).rejects.toMatchObject({ code: 'LEASE_REVOKED' });
    });

    test('revoked while it is being registered, over and over: nothing remains', async () => {
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      const registration = registrationOf();
      for (let round = 0; round < 10; round += 1) {
        const lease = writer.registry.register(registration);
        if (round % 3 > 0) await new Promise((resolve) => setTimeout(resolve, round));
        expect(await lease.revoke()).toBe('removed');
      }
      const recording = contract.watch(reader, registration.service);
      await contract.untilInstances(recording, (list) => list.length === 0, 'nothing is there');
      await contract.stays(() => recording.reports.at(-1)?.instances?.length === 0, 'nothing comes back');
    });

    test('a renewal in flight cannot undo a revocation', async () => {
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      const registration = registrationOf();
      const lease = writer.registry.register(registration);
      await lease.registered;
      const recording = contract.watch(reader, registration.service);
      await contract.untilInstances(recording, (list) => list.length === 1, 'the instance is seen');
      const release = await contract.harness.holdRenewal?.(registration.service, registration.instanceId);
      const revocation = lease.revoke();
      await release?.();
      expect(await revocation).toBe('removed');
      await contract.untilInstances(recording, (list) => list.length === 0, 'the instance is gone');
      await contract.stays(() => recording.reports.at(-1)?.instances?.length === 0, 'it does not come back');
    });

    test('a change in flight cannot undo a revocation', async ({ skip }) => {
      const { pause } = contract.harness;
      if (pause === undefined) return skip('nothing can hold the requests of this product');
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      if (writer.registry.capabilities.metadata === 'unsupported') return skip('the product has no change of metadata');
      const lease = writer.registry.register(registrationOf());
      await lease.registered;
      const recording = contract.watch(reader, lease.registration.service);
      await contract.untilInstances(recording, (list) => list.length === 1, 'the instance is seen');
      const resume = await pause.call(contract.harness);
      const update = expect(lease.update({ metadata: { late: 'yes' } })).rejects.toMatchObject({
        code: 'LEASE_REVOKED',
      });
      await contract.stays(() => lease.state.current.phase !== 'revoked', 'the change is under way');
      const revocation = lease.revoke();
      await update;
      await contract.stays(() => lease.state.current.phase !== 'revoked', 'the revocation waits for it');
      await resume();
      expect(await revocation).toBe('removed');
      await contract.untilInstances(recording, (list) => list.length === 0, 'the instance is gone');
      await contract.stays(() => recording.reports.at(-1)?.instances?.length === 0, 'it does not come back');
    });

    test('registered again after the registry forgot', async ({ skip }) => {
      const { forget } = contract.harness;
      if (forget === undefined) return skip('nothing can make this registry forget');
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      const registration = registrationOf();
      const lease = writer.registry.register(registration);
      await lease.registered;
      const recording = contract.watch(reader, registration.service);
      await contract.untilInstances(recording, (list) => list.length === 1, 'the instance is seen');
      await forget.call(contract.harness, registration.service, registration.instanceId);
      const registrations = (): number =>
        writer.events.filter((event) => event.type === 'registration.registered').length;
      await contract.until(() => registrations() > 1, 'the writer registers again');
      await recording.watch.refresh();
      await contract.untilInstances(recording, (list) => list.length === 1, 'the instance is back');
      expect(await lease.revoke()).toBe('removed');
      await contract.untilInstances(recording, (list) => list.length === 0, 'and can still be revoked');
    });

    test('`registered` rejects when the lease is revoked before the registry had it', async () => {
      const [client, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      await contract.outage();
      const lease = client.registry.register(registrationOf());
      const rejection = expect(lease.registered).rejects.toMatchObject({ code: 'LEASE_REVOKED' });
      await contract.until(() => lease.state.current.phase === 'retrying', 'the lease retries');
      // Removed: the driver is sure that nothing has arrived.
      const result = await lease.revoke(AbortSignal.timeout(contract.quietMs));
      await rejection;
      await contract.recover();
      if (result === 'left-to-expire') return;
      const recording = contract.watch(reader, lease.registration.service);
      await contract.until(() => recording.reports.at(-1)?.instances !== undefined, 'the service is read');
      await contract.stays(() => (recording.reports.at(-1)?.instances ?? []).length === 0, 'it never comes');
    });

    test('registering during an outage succeeds after the recovery', async () => {
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      await contract.outage();
      const lease = writer.registry.register(registrationOf());
      await contract.until(() => lease.state.current.phase === 'retrying', 'the lease retries');
      expect(lease.state.current.error?.message).toBeTruthy();
      expect(writer.events).toContainEqual(expect.objectContaining({ type: 'registration.failed' }));
      await contract.recover();
      await lease.registered;
      const recording = contract.watch(reader, lease.registration.service);
      await contract.untilInstances(recording, (list) => list.length === 1, 'the instance is seen');
    });

    test('revoked during an outage: never back after the recovery, beyond its own expiry', async () => {
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      const registration = registrationOf();
      const lease = writer.registry.register(registration);
      await lease.registered;
      const recording = contract.watch(reader, registration.service);
      await contract.untilInstances(recording, (list) => list.length === 1, 'the instance is seen');
      await contract.outage();
      expect(await lease.revoke(AbortSignal.timeout(contract.quietMs))).toBe('left-to-expire');
      expect(lease.state.current.phase).toBe('revoked');
      await contract.recover();
      // A registry that has just come back may know nothing for a moment, and then the record until it expires: what counts is
      // that the list becomes empty for good.
      const isGone = (): boolean => recording.reports.at(-1)?.instances?.length === 0;
      const goesForGood = async (): Promise<boolean> => {
        await contract.stays(isGone, 'it does not come back');
        return true;
      };
      await contract.until(goesForGood, 'it expires, and does not come back', contract.expiryMs);
    });

    test('a revocation that waits out a short outage removes the record', async () => {
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      const registration = registrationOf();
      const lease = writer.registry.register(registration);
      await lease.registered;
      await contract.outage();
      const revocation = lease.revoke(AbortSignal.timeout(contract.patienceMs));
      await contract.stays(() => lease.state.current.phase !== 'revoked', 'it is not confirmed during the outage');
      await contract.recover();
      expect(await revocation).toBe('removed');
      const recording = contract.watch(reader, registration.service);
      await contract.untilInstances(recording, (list) => list.length === 0, 'the instance is gone');
    });

    test('still registered after an outage that nobody revoked in', async () => {
      const [writer, reader] = [await contract.openRegistry(), await contract.openRegistry()];
      const lease = writer.registry.register(registrationOf());
      await lease.registered;
      await contract.outage();
      await contract.stays(() => lease.state.current.phase !== 'revoked', 'the lease is kept');
      await contract.recover();
      await registered(lease);
      const recording = contract.watch(reader, lease.registration.service);
      await contract.untilInstances(recording, (list) => list.length === 1, 'the instance is seen');
      await contract.stays(
        () => recording.reports.at(-1)?.instances?.length === 1,
        'it stays longer than its lease',
        contract.quietMs * 2,
      );
    });

    test('opening and closing twice is once; closing before opening is allowed; afterwards it is closed', async () => {
      const opened = contract.create().backend;
      await Promise.all([opened.open(), opened.open()]);
      await Promise.all([opened.close(), opened.close()]);
      expect(opened.state.current.phase).toBe('closed');
      expect(() => opened.registry?.register(registrationOf())).toThrow(
        expect.objectContaining({ code: 'BACKEND_CLOSED' }),
      );
      await expect(opened.open()).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
      const neverOpened = contract.create().backend;
      await neverOpened.close();
      expect(neverOpened.state.current.phase).toBe('closed');
      await expect(neverOpened.open()).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
    });

    test('making a definition and a backend starts nothing', async () => {
      const before = await settledResources();
      const client = contract.create();
      expect(leakedResources(before)).toEqual([]);
      expect(client.backend.state.current.phase).toBe('connecting');
      await client.backend.close();
    });

    test('closing ends the leases and releases every handle', async () => {
      const before = await settledResources();
      const handles = contract.harness.openHandles?.();
      const client = await contract.openRegistry();
      const leases = [1, 2, 3].map(() => client.registry.register(registrationOf({ port: freshPort() })));
      await Promise.all(leases.map((lease) => lease.registered));
      await client.backend.close();
      for (const lease of leases) expect(lease.state.current.phase).toBe('revoked');
      const events = client.events.length;
      await contract.until(() => leakedResources(before).length === 0, 'no handle is left');
      expect(contract.harness.openHandles?.()).toBe(handles);
      await contract.stays(() => client.events.length === events, 'nothing is reported any more');
    });
  });
}
