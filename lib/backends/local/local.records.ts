import { open, readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Changed, DriverHost } from '../../backend/index.js';
import { codeOf, DiscoveryError, toFileName, toInstance, type ServiceInstance } from '../../model/index.js';
import { decodeRecord, type LocalRecord } from './local.codec.js';
import { RECORD_EXTENSION, type LocalDirectory } from './local.directory.js';
import { isGone } from './local.process.js';

/** A longer file is nobody's record. */
const MAX_RECORD_BYTES = 256 * 1024;

/** Files read at the same time. */
const CONCURRENCY = 32;

/** Dead records are removed by whoever sees them dead for this many leases. */
const REMOVE_AFTER_LEASES = 4;

interface Entry {
  /** Tells one content of the file from another. A renewal touches the times only, a new content is a new file. */
  readonly version: string;
  /** Last sign of life according to the file. */
  readonly renewedAt: number;
  /** When this sign of life was first seen here. */
  readonly seenAt: number;
  /** Undefined for a file that is no record. */
  readonly record: LocalRecord | undefined;
  readonly instance: ServiceInstance | undefined;
}

/** The records of one service: read once for each content, and judged as often as one likes. */
export class RecordFolder {
  private readonly folder: string;
  private entries = new Map<string, Entry>();
  private sorted: readonly Entry[] | undefined;
  /** Entries whose process was found dead. */
  private readonly dead = new WeakSet<LocalRecord>();
  private last: readonly ServiceInstance[] = [];
  private judgements = 0;
  private judgedAt: number | undefined;
  /** Leases of before don't count: this process slept, and perhaps the whole machine did. */
  private awakeSince = -Infinity;

  /** @param judgedEveryMs how often {@link live} is called, at least; @default now and then */
  constructor(
    private readonly service: string,
    private readonly host: DriverHost,
    private readonly directory: LocalDirectory,
    private readonly judgedEveryMs = Infinity,
  ) {
    this.folder = directory.serviceFolder(service);
  }

  /** How many files there are, whatever they hold. */
  get size(): number {
    return this.entries.size;
  }

  /**
   * Reads what changed.
   *
   * @throws DiscoveryError `BACKEND_UNAVAILABLE`, or the file system's error; everything is then as before
   */
  async read(changed: Changed): Promise<void> {
    const names = changed === 'all' ? await this.fileNames() : [...changed].filter(isRecordFile);
    const found = new Map<string, Entry | undefined>();
    for (let start = 0; start < names.length; start += CONCURRENCY) {
      const batch = names.slice(start, start + CONCURRENCY);
      const entries = await Promise.all(batch.map((name) => this.readFile(name)));
      batch.forEach((name, index) => found.set(name, entries[index]));
    }
    const next = changed === 'all' ? new Map<string, Entry>() : new Map(this.entries);
    for (const [name, entry] of found) {
      if (entry === undefined) next.delete(name);
      else next.set(name, entry);
    }
    // Files that are gone were removed only if the folder of all records is still what it was.
    if (next.size < this.entries.size || names.length === 0) await this.directory.assertRegistry();
    this.entries = next;
    this.sorted = undefined;
    if (changed === 'all') await this.removeLongDead();
  }

  /** The instances that are alive at this moment; the same list as before when they are the same. */
  live(): readonly ServiceInstance[] {
    const now = this.host.context.clock.now();
    this.noticeSleep(now);
    // A zombie or a reused pid may be noticed a second later: that look costs more.
    const thorough = this.judgements % 4 === 0;
    this.judgements += 1;
    this.sorted ??= [...this.entries]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, entry]) => entry)
      .filter((entry) => entry.record !== undefined);
    const live: ServiceInstance[] = [];
    for (const entry of this.sorted) {
      if (entry.instance !== undefined && this.isAlive(entry, now, thorough)) live.push(entry.instance);
    }
    const same = live.length === this.last.length && live.every((instance, index) => instance === this.last[index]);
    if (!same) this.last = Object.freeze(live);
    return this.last;
  }

  private isAlive(entry: Entry, now: number, thorough: boolean): boolean {
    const { record } = entry;
    if (record === undefined || this.dead.has(record)) return false;
    // A clock that was put back must not keep a record for ever: then the time it was seen counts.
    const sign = Math.max(Math.min(entry.renewedAt, entry.seenAt), this.awakeSince);
    if (now - sign > record.leaseMs) return false;
    if (!isGone(record.process, this.directory.own, thorough)) return true;
    this.dead.add(record);
    return false;
  }

  /** A laptop that was closed: nobody could renew, and nobody is dead for that. */
  private noticeSleep(now: number): void {
    const slept = this.judgedAt !== undefined && now - this.judgedAt > this.judgedEveryMs + 5000;
    if (slept) this.awakeSince = now;
    this.judgedAt = now;
  }

  private async fileNames(): Promise<string[]> {
    try {
      return (await readdir(this.folder)).filter(isRecordFile);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
      await this.directory.assertRegistry();
      return [];
    }
  }

  /** What a file holds now; undefined when it isn't there any more. */
  private async readFile(name: string): Promise<Entry | undefined> {
    const path = join(this.folder, name);
    const known = this.entries.get(name);
    try {
      const found = await stat(path);
      if (!found.isFile()) return undefined;
      const entry = this.unchanged(known, found);
      if (entry !== undefined) return entry;
      const file = await open(path, 'r');
      try {
        // Asked again of the open file: another one may have taken its name meanwhile.
        const opened = await file.stat();
        const text = opened.size > MAX_RECORD_BYTES ? undefined : await file.readFile('utf8');
        return this.decoded(name, opened, text);
      } finally {
        await file.close();
      }
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  private unchanged(known: Entry | undefined, found: FileTimes): Entry | undefined {
    if (known === undefined || known.version !== versionOf(found)) return undefined;
    if (known.renewedAt === found.mtimeMs) return known;
    // A file that was no record may have been completed in place.
    if (known.record === undefined) return undefined;
    return { ...known, renewedAt: found.mtimeMs, seenAt: this.host.context.clock.now() };
  }

  private decoded(name: string, found: FileTimes, text: string | undefined): Entry {
    const times = {
      version: versionOf(found),
      renewedAt: found.mtimeMs,
      seenAt: this.host.context.clock.now(),
    };
    try {
      if (text === undefined) throw malformed(`the file is longer than ${MAX_RECORD_BYTES} bytes`);
      const record = decodeRecord(text);
      const { service, instanceId } = record.registration;
      if (service !== this.service) throw malformed(`it is of the service ${service}, not of ${this.service}`);
      if (`${toFileName(instanceId, 'instanceId')}${RECORD_EXTENSION}` !== name) {
        throw malformed(`it is of the instance ${instanceId}, which has another file`);
      }
      return { ...times, record, instance: toInstance(record.registration, this.host.name) };
    } catch (error) {
      // Once for each version of a file, however many watch its service.
      this.host.skip(join(this.folder, name), error, `${times.version}:${times.renewedAt}`);
      return { ...times, record: undefined, instance: undefined };
    }
  }

  private async removeLongDead(): Promise<void> {
    const now = this.host.context.clock.now();
    for (const [name, entry] of this.entries) {
      const { record } = entry;
      if (record === undefined) continue;
      const since = Math.max(Math.min(entry.renewedAt, entry.seenAt), this.awakeSince);
      if (now - since <= record.leaseMs * REMOVE_AFTER_LEASES) continue;
      const path = join(this.folder, name);
      try {
        // Its owner may have come back this very moment; should that still be missed, its next renewal heals it.
        if ((await stat(path)).mtimeMs === entry.renewedAt) await unlink(path);
      } catch {
        // Somebody else did it, or may do it.
      }
    }
  }
}

interface FileTimes {
  readonly ino: number;
  readonly size: number;
  readonly birthtimeMs: number;
  readonly mtimeMs: number;
}

/**
 * The birth time is there because inodes are used again: two changes in a row may give a file its old inode. Where the
 * file system has none, Node gives the change time: then a renewal is read as a new content, which is slower and right.
 */
function versionOf(found: FileTimes): string {
  return `${found.ino}:${found.size}:${found.birthtimeMs}`;
}

function isRecordFile(name: string): boolean {
  return name.endsWith(RECORD_EXTENSION) && !name.startsWith('.');
}

function malformed(problem: string): DiscoveryError {
  return new DiscoveryError('INVALID_INSTANCE', problem);
}
