import type { ConfigReport, WriteOptions } from '../../backend/index.js';
import type { ConfigDocument, ConfigScope } from '../../model/index.js';
import {
  freshName,
  leakedResources,
  settledResources,
  type ConfigHarness,
  type ContractHarness,
  type ContractTiming,
  type Recording,
} from './contract.js';
import { describeSuite, type ContractRunner } from './runner.js';

const AS_IT_IS: ConfigHarness = { documentId: (base) => base };

/**
 * What every configuration driver must do, whatever its product. Documents are written through a second client's driver.
 *
 * @param createHarness called once, before the first test
 */
export function describeConfigContract(
  runner: ContractRunner,
  name: string,
  createHarness: () => Promise<ContractHarness>,
  timing: ContractTiming = {},
): void {
  const { expect } = runner;
  describeSuite(runner, `config contract: ${name}`, createHarness, timing, (contract, test) => {
    const naming = (): ConfigHarness => contract.harness.config ?? AS_IT_IS;
    const text = (marker: string): string => naming().text?.(marker) ?? `marker: ${marker}\n`;
    const freshId = (): string => naming().documentId(freshName('doc'));
    const documentScope = (id: string): ConfigScope => ({ kind: 'document', id });

    /** Waits until the newest report passes. */
    const untilDocuments = async (
      recording: Recording<ConfigReport>,
      passes: (documents: readonly ConfigDocument[]) => boolean,
      what: string,
    ): Promise<readonly ConfigDocument[]> => {
      await contract.until(() => {
        const documents = recording.reports.at(-1)?.documents;
        return documents !== undefined && passes(documents);
      }, what);
      return recording.reports.at(-1)?.documents ?? [];
    };
    const holds = (documents: readonly ConfigDocument[], marker: string): boolean =>
      documents.some((document) => JSON.stringify(document.content).includes(marker));

    test('the first report is one, and complete', async () => {
      const [writer, reader] = [await contract.openConfig(), await contract.openConfig()];
      const id = freshId();
      const marker = freshName('m');
      await writer.config.publish(id, text(marker));
      const recording = contract.watchConfig(reader, documentScope(id));
      await untilDocuments(recording, (documents) => holds(documents, marker), 'the document is reported');
      expect(recording.reports).toHaveLength(1);
      expect(recording.reports[0]?.documents).toHaveLength(1);
      await contract.stays(() => recording.reports.length === 1, 'nothing further is reported without a change');
    });

    test('a scope without documents: an empty list, which is an answer', async () => {
      const client = await contract.openConfig();
      const recording = contract.watchConfig(client, documentScope(freshId()));
      await contract.until(() => recording.reports.length > 0, 'something is reported');
      expect(recording.reports).toEqual([{ documents: [] }]);
    });

    test('an addition, a change and a deletion are reported', async () => {
      const [writer, reader] = [await contract.openConfig(), await contract.openConfig()];
      const id = freshId();
      const recording = contract.watchConfig(reader, documentScope(id));
      await untilDocuments(recording, (documents) => documents.length === 0, 'it begins empty');
      const [first, second] = [freshName('m'), freshName('m')];
      await writer.config.publish(id, text(first));
      const added = await untilDocuments(recording, (documents) => holds(documents, first), 'the addition is seen');
      await writer.config.publish(id, text(second));
      const changed = await untilDocuments(recording, (documents) => holds(documents, second), 'the change is seen');
      expect(changed[0]?.revision).not.toBe(added[0]?.revision);
      expect(await writer.config.remove(id)).toBe(true);
      await untilDocuments(recording, (documents) => documents.length === 0, 'the deletion is seen');
    });

    test('a prefix holds what begins with it, and nothing else', async ({ skip }) => {
      const prefixOf = naming().prefix;
      if (prefixOf === undefined) return skip('the product has no prefixes');
      const [writer, reader] = [await contract.openConfig(), await contract.openConfig()];
      const base = freshName('pre');
      const ids = ['-a', '-b'].map((end) => naming().documentId(`${base}${end}`));
      const [one, other] = ids;
      if (one === undefined || other === undefined) throw new Error('two ids were made');
      const marks = [freshName('m'), freshName('m'), freshName('m')] as const;
      await writer.config.publish(one, text(marks[0]));
      await writer.config.publish(naming().documentId(freshName('elsewhere')), text(marks[2]));
      const recording = contract.watchConfig(reader, { kind: 'prefix', prefix: prefixOf(base) });
      await untilDocuments(recording, (documents) => holds(documents, marks[0]), 'the first is there');
      expect(holds(recording.reports[0]?.documents ?? [], marks[0])).toBe(true);
      await writer.config.publish(other, text(marks[1]));
      const both = await untilDocuments(
        recording,
        (documents) => holds(documents, marks[0]) && holds(documents, marks[1]),
        'each report is the complete set',
      );
      expect(holds(both, marks[2])).toBe(false);
      await writer.config.remove(one);
      await untilDocuments(
        recording,
        (documents) => !holds(documents, marks[0]) && holds(documents, marks[1]),
        'the removed one is gone, the other stays',
      );
    });

    test("the layers of an application: those of all first, then its own, then its profile's", async ({ skip }) => {
      const idOf = naming().applicationDocumentId;
      if (idOf === undefined) return skip('the product has no layers');
      const [writer, reader] = [await contract.openConfig(), await contract.openConfig()];
      const application = freshName('app');
      const profile = freshName('profile');
      const marks = { all: freshName('all'), allIn: freshName('allin'), own: freshName('own'), ownIn: freshName('in') };
      const ids = {
        all: idOf(undefined),
        allIn: idOf(undefined, profile),
        own: idOf(application),
        ownIn: idOf(application, profile),
      };
      await writer.config.publish(ids.ownIn, text(marks.ownIn));
      await writer.config.publish(ids.own, text(marks.own));
      await writer.config.publish(ids.allIn, text(marks.allIn));
      await writer.config.publish(ids.all, text(marks.all));
      await writer.config.publish(idOf(freshName('other')), text(freshName('foreign')));
      try {
        const recording = contract.watchConfig(reader, { kind: 'application', application, profiles: [profile] });
        const documents = await untilDocuments(recording, (list) => holds(list, marks.all), 'the layers are there');
        const order = documents.map((document) => {
          const content = JSON.stringify(document.content);
          return Object.values(marks).find((mark) => content.includes(mark));
        });
        expect(order).toEqual([marks.all, marks.allIn, marks.own, marks.ownIn]);
        const without = contract.watchConfig(reader, { kind: 'application', application, profiles: [] });
        const fewer = await untilDocuments(without, (list) => holds(list, marks.own), 'the layers are there');
        expect(holds(fewer, marks.ownIn) || holds(fewer, marks.allIn)).toBe(false);
        const changed = freshName('changed');
        await writer.config.publish(ids.own, text(changed));
        await untilDocuments(recording, (list) => holds(list, changed), 'a change of a layer is seen');
      } finally {
        await writer.config.remove(ids.all);
      }
    });

    test('reads, publishes and removes', async () => {
      const [writer, reader] = [await contract.openConfig(), await contract.openConfig()];
      const id = freshId();
      expect(await reader.config.read(id)).toBeUndefined();
      expect(await writer.config.remove(id)).toBe(false);
      const marker = freshName('Grüße-世界-');
      const revision = await writer.config.publish(id, text(marker));
      await contract.until(async () => (await reader.config.read(id)) !== undefined, 'it can be read');
      const document = await reader.config.read(id);
      expect(document).toMatchObject({ id, revision });
      expect(holds(document === undefined ? [] : [document], marker)).toBe(true);
      expect(await writer.config.remove(id)).toBe(true);
      await contract.until(async () => (await reader.config.read(id)) === undefined, 'it is gone');
    });

    test('equal revisions mean equal content', async () => {
      const client = await contract.openConfig();
      const id = freshId();
      const first = await client.config.publish(id, text('one'));
      const second = await client.config.publish(id, text('two'));
      expect(second).not.toBe(first);
      expect((await client.config.read(id))?.revision).toBe(second);
    });

    test('compare-and-set: only what was read may be replaced', async () => {
      const client = await contract.openConfig();
      const id = freshId();
      if (!client.config.capabilities.compareAndSet) {
        const write = client.config.publish(id, text('x'), { ifRevision: null });
        await expect(write).rejects.toMatchObject({ code: 'UNSUPPORTED' });
        return;
      }
      const first = await client.config.publish(id, text('one'), { ifRevision: null });
      const conflict = { code: 'CONFIG_CONFLICT' };
      await expect(client.config.publish(id, text('again'), { ifRevision: null })).rejects.toMatchObject(conflict);
      const second = await client.config.publish(id, text('two'), { ifRevision: first });
      await expect(client.config.publish(id, text('late'), { ifRevision: first })).rejects.toMatchObject(conflict);
      await expect(client.config.remove(id, { ifRevision: first })).rejects.toMatchObject(conflict);
      const document = await client.config.read(id);
      expect(document?.revision).toBe(second);
      expect(await client.config.remove(id, { ifRevision: second })).toBe(true);
      const gone = client.config.publish(id, text('three'), { ifRevision: second });
      await expect(gone).rejects.toMatchObject(conflict);
    });

    test('of many who compare and set at once exactly one wins', async ({ skip }) => {
      const clients = await Promise.all([1, 2, 3, 4].map(() => contract.openConfig()));
      const [first] = clients;
      if (first?.config.capabilities.compareAndSet !== true) return skip('the product has no compare-and-set');
      const id = freshId();
      const race = async (options: WriteOptions, round: string): Promise<string> => {
        const tries = clients.map((client, index) => client.config.publish(id, text(`${round}${index}`), options));
        const results = await Promise.allSettled(tries);
        const won = results.filter((result) => result.status === 'fulfilled');
        const lost = results.filter((result) => result.status === 'rejected').map((result) => result.reason as unknown);
        expect(won).toHaveLength(1);
        for (const reason of lost) expect(reason).toMatchObject({ code: 'CONFIG_CONFLICT' });
        return won[0]?.value ?? '';
      };
      const created = await race({ ifRevision: null }, 'created');
      const replaced = await race({ ifRevision: created }, 'replaced');
      expect((await first.config.read(id))?.revision).toBe(replaced);
    });

    test('an outage is an error and never an empty set; afterwards the documents come again', async () => {
      const [writer, reader] = [await contract.openConfig(), await contract.openConfig()];
      const id = freshId();
      const marker = freshName('m');
      await writer.config.publish(id, text(marker));
      const recording = contract.watchConfig(reader, documentScope(id));
      await untilDocuments(recording, (documents) => holds(documents, marker), 'it is there');
      const before = recording.reports.length;
      await contract.outage();
      await contract.until(() => recording.reports.at(-1)?.error !== undefined, 'the outage is reported');
      await expect(reader.config.read(id)).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
      await contract.stays(() => recording.reports.at(-1)?.error !== undefined, 'no documents during the outage');
      expect(recording.reports.slice(before).every((report) => report.documents === undefined)).toBe(true);
      await contract.recover();
      await untilDocuments(recording, (documents) => holds(documents, marker), 'the documents come again');
      const next = freshName('m');
      await writer.config.publish(id, text(next));
      await untilDocuments(recording, (documents) => holds(documents, next), 'changes are seen again');
    });

    test('refresh resolves after its report, and rejects during an outage', async () => {
      const client = await contract.openConfig();
      const id = freshId();
      await client.config.publish(id, text('x'));
      const recording = contract.watchConfig(client, documentScope(id));
      await untilDocuments(recording, (documents) => documents.length === 1, 'it is there');
      const before = recording.reports.length;
      await recording.watch.refresh();
      expect(recording.reports.length).toBeGreaterThan(before);
      await contract.outage();
      await expect(recording.watch.refresh()).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
      expect(recording.reports.at(-1)?.error).toBeDefined();
    });

    test('names that are paths are refused', async () => {
      const { config } = await contract.openConfig();
      const refused = { code: 'INVALID_NAME' };
      for (const id of ['../evil', 'a/../../evil', '..', '']) {
        await expect(config.read(id)).rejects.toMatchObject(refused);
        await expect(config.publish(id, 'x')).rejects.toMatchObject(refused);
        await expect(config.remove(id)).rejects.toMatchObject(refused);
        expect(() => config.watch(documentScope(id), () => {})).toThrow(expect.objectContaining(refused));
      }
    });

    test('a throwing listener hurts nobody, and nothing is reported synchronously', async () => {
      const [writer, reader] = [await contract.openConfig(), await contract.openConfig()];
      const id = freshId();
      let inside = true;
      let early = false;
      let heard = 0;
      reader.config.watch(documentScope(id), () => {
        early ||= inside;
        heard += 1;
        throw new Error('from a listener');
      });
      inside = false;
      const recording = contract.watchConfig(reader, documentScope(id));
      await contract.until(() => heard > 0, 'it reports');
      const marker = freshName('m');
      await writer.config.publish(id, text(marker));
      await untilDocuments(recording, (documents) => holds(documents, marker), 'the other watcher hears on');
      await contract.until(() => heard > 1, 'the throwing one hears on');
      expect(early).toBe(false);
      expect(reader.events).toContainEqual(expect.objectContaining({ type: 'listener.failed' }));
    });

    test('no report after close has resolved', async () => {
      const [writer, reader] = [await contract.openConfig(), await contract.openConfig()];
      const id = freshId();
      const recording = contract.watchConfig(reader, documentScope(id));
      const other = contract.watchConfig(reader, documentScope(id));
      await contract.until(() => recording.reports.length > 0, 'it reports');
      const marker = freshName('m');
      const written = writer.config.publish(id, text(marker));
      await recording.watch.close();
      const before = recording.reports.length;
      await written;
      await untilDocuments(other, (documents) => holds(documents, marker), 'there was something to report');
      await contract.stays(() => recording.reports.length === before, 'nothing is reported after close');
      await recording.watch.close();
    });

    test('unsubscribing and closing release every handle', async () => {
      const reader = await contract.openConfig();
      const id = freshId();
      await reader.config.publish(id, text('x'));
      const before = await settledResources();
      const handles = contract.harness.openHandles?.();
      const recordings = Array.from({ length: 10 }, () => contract.watchConfig(reader, documentScope(id)));
      await contract.until(() => recordings.every((one) => one.reports.length > 0), 'all report');
      await Promise.all(recordings.slice(5).map((one) => one.watch.close()));
      await contract.until(() => recordings.every((one) => one.reports.length > 0), 'the rest is there');
      await reader.backend.close();
      const counts = recordings.map((one) => one.reports.length);
      await contract.until(() => leakedResources(before).length === 0, 'no handle is left');
      expect(contract.harness.openHandles?.()).toBe(handles);
      const writer = await contract.openConfig();
      await writer.config.publish(id, text('y'));
      await contract.stays(
        () => recordings.every((one, index) => one.reports.length === counts[index]),
        'nothing is reported any more',
      );
      await expect(reader.config.read(id)).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
      expect(() => reader.config.watch(documentScope(id), () => {})).toThrow(
        expect.objectContaining({ code: 'BACKEND_CLOSED' }),
      );
    });
  });
}
