import { DiscoveryError, diffInstances, type ServiceInstance } from '../../model/index.js';
import type { Command } from './command.js';
import { table, UsageError } from './command-io.js';

/** `ls [SERVICE]` */
export const list: Command = async ([service], { json }, { discovery }, io) => {
  if (service !== undefined) {
    const snapshot = await discovery.getSnapshot(service);
    if (snapshot.state === 'unknown') throw snapshot.error ?? new DiscoveryError('NO_SNAPSHOT', 'no registry answered');
    io.out(json ? `${JSON.stringify(snapshot.instances)}\n` : instanceTable(snapshot.instances));
    return snapshot.instances.length > 0 ? 0 : 1;
  }
  const services = [...(await discovery.getServices())].sort();
  const rows = await Promise.all(
    services.map(async (name) => {
      const { instances, state } = await discovery.getSnapshot(name);
      return {
        service: name,
        instances: instances.length,
        up: instances.filter(({ status }) => status === 'UP').length,
        state,
      };
    }),
  );
  if (json) io.out(`${JSON.stringify(rows)}\n`);
  else {
    const shown = rows.map((row) => [row.service, String(row.instances), String(row.up), row.state]);
    io.out(table(['SERVICE', 'INSTANCES', 'UP', 'STATE'], shown));
  }
  return 0;
};

/** `watch SERVICE`, until it is interrupted */
export const watch: Command = async ([service], { json }, { discovery }, io) => {
  if (service === undefined) throw new UsageError('watch which service?');
  let before: readonly ServiceInstance[] | undefined;
  const subscription = discovery.watchInstances(service).subscribe(({ instances, state, error }) => {
    if (state === 'unknown' || instances === before) return;
    if (json) io.out(`${JSON.stringify(instances)}\n`);
    else if (before === undefined) io.out(instanceTable(instances));
    else io.out(changeTable(before, instances));
    if (state === 'stale' && error !== undefined) io.err(`${error.message}\n`);
    before = instances;
  });
  await interrupted();
  subscription.unsubscribe();
  return 0;
};

/** Resolves when the process is asked to end. */
export function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    // A listener of a signal alone doesn't keep the process; a port that may be written to does, for as long as it is open.
    const { port1: alive } = new MessageChannel();
    alive.ref();
    const end = (): void => {
      alive.close();
      for (const signal of SIGNALS) process.removeListener(signal, end);
      resolve();
    };
    for (const signal of SIGNALS) process.on(signal, end);
  });
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

function instanceTable(instances: readonly ServiceInstance[]): string {
  return table(['STATUS', 'URL', 'ID', 'METADATA'], instances.map(rowOf));
}

function changeTable(before: readonly ServiceInstance[], after: readonly ServiceInstance[]): string {
  const { added, removed, changed } = diffInstances(before, after);
  const rows = [
    ...added.map((instance) => ['+', ...rowOf(instance)]),
    ...removed.map((instance) => ['-', ...rowOf(instance)]),
    ...changed.map((change) => ['~', ...rowOf(change.after)]),
  ];
  return table(['', 'STATUS', 'URL', 'ID', 'METADATA'], rows);
}

function rowOf({ status, url, id, metadata }: ServiceInstance): readonly string[] {
  const shown = Object.entries(metadata).map(([name, value]) => `${name}=${value}`);
  return [status, url, id, shown.join(' ')];
}
