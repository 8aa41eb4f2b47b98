import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { FolderEvents, type PullSource } from '../../backend/index.js';
import { fromFileName } from '../../model/index.js';
import type { RecordFolder } from './local.records.js';

/** How often the processes behind the records are looked at, in milliseconds. */
const LIVENESS_MS = 250;

/** After a failure everything is read again at least this often, in milliseconds. */
const RETRY_MS = 500;

/** A reading that takes longer has failed, in milliseconds: a network file system may hang. */
const TIMEOUT_MS = 10_000;

/** Where the names of the services are read. */
export interface NamesFolder {
  /** The folder that holds one folder for each service. */
  readonly registry: string;
  readonly pollMs: number;
  /** The records of one service. */
  recordsOf(service: string): RecordFolder;
  /** Services that are there whatever the folder holds. */
  readonly given: readonly string[];
}

/**
 * The services that have a living instance: an event names the folder that changed, and only that one is read again.
 */
export class ServiceNames {
  /** Kept from one reading to the next, by the name of the service. */
  private folders = new Map<string, RecordFolder>();

  constructor(private readonly options: NamesFolder) {}

  /** Reads what changed: everything, or the folders of these names. @throws the file system's error */
  async read(changed: ReadonlySet<string> | 'all'): Promise<readonly string[]> {
    if (changed === 'all') await this.readFolders();
    const stale = changed === 'all' ? this.folders.keys() : changed;
    for (const name of stale) await this.folders.get(name)?.read('all');
    const services = [...this.folders].filter(([, records]) => records.live().length > 0).map(([name]) => name);
    return [...new Set([...services, ...this.options.given])].sort();
  }

  /** Names of the services that have a folder, with the folder's own. */
  get known(): readonly string[] {
    return [...this.folders.keys()];
  }

  private async readFolders(): Promise<void> {
    const entries = await readdir(this.options.registry, { withFileTypes: true });
    const names = entries
      .filter((entry) => entry.isDirectory())
      .map((entry) => fromFileName(entry.name))
      .filter((name) => name !== undefined);
    this.folders = new Map(names.map((name) => [name, this.folders.get(name) ?? this.options.recordsOf(name)]));
  }
}

/** The names, watched. @param folderOf the folder of one service's records */
export function namesSource(
  options: NamesFolder,
  folderOf: (service: string) => string,
): PullSource<readonly string[]> {
  const { registry, pollMs } = options;
  const names = new ServiceNames(options);
  const retryMs = Math.min(RETRY_MS, pollMs);
  const listening = new Map<string, FolderEvents>();
  let root: FolderEvents | undefined;
  let again = (_name?: string): void => {};

  /** Before reading: what changes from here on is an event, or was read. */
  const listen = async (): Promise<void> => {
    await root?.arm();
    const entries = await readdir(registry).catch((): string[] => []);
    const present = new Set(entries.map(fromFileName).filter((name) => name !== undefined));
    for (const [name, events] of listening) {
      if (present.has(name)) continue;
      events.close();
      listening.delete(name);
    }
    for (const name of present) {
      let events = listening.get(name);
      if (events === undefined) {
        events = new FolderEvents(folderOf(name), () => again(name));
        listening.set(name, events);
      }
      await events.arm();
    }
  };

  return {
    what: `the services in ${join(registry)}`,
    everyMs: pollMs,
    tickMs: () => (names.known.length > 0 ? Math.min(LIVENESS_MS, pollMs) : pollMs),
    gatherMs: 10,
    timeoutMs: TIMEOUT_MS,
    retry: { initialMs: retryMs, maxMs: retryMs },
    follow: (events) => {
      again = events.again;
      root = new FolderEvents(registry, () => again());
      return () => {
        root?.close();
        for (const one of listening.values()) one.close();
        listening.clear();
      };
    },
    read: async ({ changed }) => {
      if (changed === 'all') await listen();
      return names.read(changed);
    },
  };
}
