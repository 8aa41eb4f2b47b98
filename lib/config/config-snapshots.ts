import { messageOf, type ConfigDocument } from '../model/index.js';
import { digestOf, type Clock, type Logger } from '../backend/index.js';
import type { DiskSnapshot } from './disk-snapshot.js';

/** How the file is written. */
const VERSION = 3;

/** What was kept of a backend. */
export interface SavedConfig {
  readonly documents: readonly ConfigDocument[];
  /** When it was kept, in milliseconds since the epoch. */
  readonly savedAt: number;
}

/** Last known documents of each backend on disk, so that an app can start while its configuration backend is down. */
export class ConfigSnapshots {
  private writing: Promise<void> = Promise.resolve();

  constructor(
    private readonly disk: DiskSnapshot,
    private readonly logger: Logger,
    private readonly clock: Clock,
  ) {}

  /** Keeps documents, in the background; a failure is a warning. */
  save(backend: string, documents: readonly ConfigDocument[]): void {
    const text = JSON.stringify({ savedAt: this.clock.now(), documents });
    const content = JSON.stringify({ version: VERSION, digest: digestOf(text), saved: text });
    this.writing = this.writing
      .then(() => this.disk.write(nameOf(backend), content))
      .catch((error: unknown) => {
        this.logger.warn(`the configuration of ${backend} could not be kept on disk: ${messageOf(error)}`);
      });
  }

  /** What was last kept, or undefined; a damaged file is a warning and counts as none. */
  async read(backend: string): Promise<SavedConfig | undefined> {
    try {
      const content = await this.disk.read(nameOf(backend));
      if (content === undefined) return undefined;
      const { version, digest, saved } = JSON.parse(content) as Readonly<Record<string, unknown>>;
      if (version !== VERSION || typeof saved !== 'string') throw new TypeError('it is no snapshot of ours');
      if (digest !== digestOf(saved)) throw new TypeError('it is damaged');
      const { documents, savedAt } = JSON.parse(saved) as Partial<SavedConfig>;
      if (!Array.isArray(documents) || !documents.every(isDocument) || typeof savedAt !== 'number') {
        throw new TypeError('it is no snapshot of ours');
      }
      return { documents, savedAt };
    } catch (error) {
      this.logger.warn(`the saved configuration of ${backend} can't be used: ${messageOf(error)}`);
      return undefined;
    }
  }

  /** Resolves when what was saved is on disk. */
  close(): Promise<void> {
    return this.writing;
  }
}

function nameOf(backend: string): string {
  return `config-${backend}.json`;
}

function isDocument(value: unknown): value is ConfigDocument {
  if (typeof value !== 'object' || value === null) return false;
  const { id, revision, content } = value as Partial<ConfigDocument>;
  return typeof id === 'string' && typeof revision === 'string' && typeof content === 'object' && content !== null;
}
