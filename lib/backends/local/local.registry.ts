import { randomUUID } from 'node:crypto';
import { readFile, stat, unlink, utimes } from 'node:fs/promises';
import {
  writeFileAtomically,
  type DriverHost,
  type Lease,
  type LeaseOperations,
  type RegistryDriver,
  type Removal,
} from '../../backend/index.js';
import { codeOf, type Registration } from '../../model/index.js';
import { decodeRecord, encodeRecord, type LocalRecord } from './local.codec.js';
import type { LocalDirectory } from './local.directory.js';
import type { LocalSettings } from './local.options.js';
import { isGone } from './local.process.js';

/** The write side: one file an instance. */
export class LocalRegistryDriver implements RegistryDriver {
  readonly capabilities = { status: 'native', metadata: 'native' } as const;

  constructor(
    private readonly host: DriverHost,
    private readonly settings: LocalSettings,
    private readonly directory: LocalDirectory,
  ) {}

  register(registration: Registration): Lease {
    const { leaseMs } = this.settings;
    return this.host.lease(registration, new RecordFile(this.host, this.directory, leaseMs), {
      capabilities: this.capabilities,
      renewEveryMs: () => leaseMs / 3,
      // A folder that was in the way is gone as soon as somebody removes it: no server to be spared.
      backoff: { initialMs: 100, maxMs: 1000 },
      check: ({ service, instanceId }) => void this.directory.recordPath(service, instanceId),
    });
  }
}

/** The file of one lease. */
class RecordFile implements LeaseOperations {
  private readonly owner = randomUUID();
  /** The file as we left it; another inode or size is another's. */
  private written: { readonly ino: number; readonly size: number } | undefined;
  private warned = false;
  /**
   * An operation that was given up as too slow still goes on in the file system; the next one waits for it, so that a
   * late write can't undo a removal.
   */
  private previous: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly host: DriverHost,
    private readonly directory: LocalDirectory,
    private readonly leaseMs: number,
  ) {}

  register(registration: Registration, signal: AbortSignal): Promise<void> {
    return this.inOrder(signal, async () => {
      const { directory, leaseMs } = this;
      const path = directory.recordPath(registration.service, registration.instanceId);
      await directory.secure();
      await directory.createFolderOf(registration.service);
      await writeFileAtomically(
        path,
        encodeRecord({ registration, leaseMs, owner: this.owner, process: directory.own }),
      );
      await this.touch(path);
      const { ino, size } = await stat(path);
      this.written = { ino, size };
    });
  }

  renew(registration: Registration, signal: AbortSignal): Promise<'renewed' | 'forgotten'> {
    return this.inOrder(signal, async () => {
      const path = this.directory.recordPath(registration.service, registration.instanceId);
      try {
        const found = await stat(path);
        const untouched = found.ino === this.written?.ino && found.size === this.written.size;
        if (!untouched) {
          const record = await readRecord(path);
          if (record?.owner !== this.owner) return this.yieldsTo(record, found.mtimeMs, path) ? 'renewed' : 'forgotten';
        }
        // Fails when the file is gone: a renewal never makes one.
        await this.touch(path);
        return 'renewed';
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return 'forgotten';
        throw error;
      }
    });
  }

  deregister(registration: Registration, signal: AbortSignal): Promise<Removal> {
    return this.inOrder(signal, async () => {
      const path = this.directory.recordPath(registration.service, registration.instanceId);
      try {
        const record = await readRecord(path);
        // Under our name and unreadable: nobody else would remove it.
        if (record !== undefined && record.owner !== this.owner) return 'absent';
        await unlink(path);
        return 'removed';
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return 'absent';
        throw error;
      }
    });
  }

  /**
   * Two living processes with the same instance id: the one that came later has the file, as in a restart that overlaps.
   * To take it back would make both take it from each other for ever.
   */
  private yieldsTo(record: LocalRecord | undefined, renewedAt: number, path: string): boolean {
    if (record === undefined) return false;
    const { context, name } = this.host;
    const expired = context.clock.now() - renewedAt > record.leaseMs;
    if (expired || isGone(record.process, this.directory.own, true)) return false;
    if (!this.warned) {
      this.warned = true;
      context.logger.warn(
        `${name}: the process ${record.process.pid} registered ${record.registration.instanceId} too and now has ` +
          `${path}; give each instance its own id`,
      );
    }
    return true;
  }

  private async touch(path: string): Promise<void> {
    const seconds = this.host.context.clock.now() / 1000;
    await utimes(path, seconds, seconds);
  }

  private inOrder<T>(signal: AbortSignal, operation: () => Promise<T>): Promise<T> {
    const result = this.previous.then(() => {
      signal.throwIfAborted();
      return operation();
    });
    this.previous = result.catch(() => {});
    return result;
  }
}

/** The record in a file; undefined when the file holds none. @throws the file system's error */
async function readRecord(path: string): Promise<LocalRecord | undefined> {
  const text = await readFile(path, 'utf8');
  try {
    return decodeRecord(text);
  } catch {
    return undefined;
  }
}
