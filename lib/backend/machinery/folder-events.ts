import { watch, type FSWatcher } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';

/** Starts to watch a folder; `fs.watch`, or what a test puts in its place. */
export type WatchFolder = (folder: string, listener: (name: string | null) => void) => FSWatcher;

const watchFolder: WatchFolder = (folder, listener) => watch(folder, (_kind, name) => listener(name));

/**
 * The file system's events of one folder, which may not exist yet, may vanish and may be replaced. They are a hint, never
 * the only source: some file systems give none, and a system may be out of watches. Whoever uses it reads everything
 * from time to time, and calls {@link arm} before that.
 */
export class FolderEvents {
  private watcher: FSWatcher | undefined;
  /** What is watched: path and inode. */
  private watched = '';
  private closed = false;

  /** @param onEvent told which entry changed, or undefined when anything may have */
  constructor(
    private readonly folder: string,
    private readonly onEvent: (name: string | undefined) => void,
    private readonly start: WatchFolder = watchFolder,
  ) {}

  /** True while events can be expected. */
  get active(): boolean {
    return this.watcher !== undefined;
  }

  /** Watches the folder, or its parent until it exists; anew when it isn't the same folder any more. Never rejects. */
  async arm(): Promise<void> {
    const parent = dirname(this.folder);
    const own = await identityOf(this.folder);
    const target = own === undefined ? await identityOf(parent) : own;
    if (this.closed || (target === this.watched && this.watcher !== undefined)) return;
    this.disarm();
    if (target === undefined) return;
    try {
      this.watcher =
        own === undefined
          ? this.start(parent, (name) => {
              if (name === null || name === basename(this.folder)) this.onEvent(undefined);
            })
          : // The folder's own name means that it was moved or removed.
            this.start(this.folder, (name) =>
              this.onEvent(name === null || name === basename(this.folder) ? undefined : name),
            );
      this.watched = target;
    } catch {
      // Out of watches, or not supported here: the slow reading has to do.
      return;
    }
    this.watcher.on('error', () => {
      this.disarm();
      this.onEvent(undefined);
    });
  }

  /** Ends the watching; nothing is told afterwards. */
  close(): void {
    this.closed = true;
    this.disarm();
  }

  private disarm(): void {
    this.watcher?.close();
    this.watcher = undefined;
    this.watched = '';
  }
}

async function identityOf(folder: string): Promise<string | undefined> {
  try {
    const found = await stat(folder);
    return found.isDirectory() ? `${folder}:${found.dev}:${found.ino}` : undefined;
  } catch {
    return undefined;
  }
}
