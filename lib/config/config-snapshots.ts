import { messageOf, type ConfigDocument } from '../model/index.js';
import { digestOf, type Logger } from '../backend/index.js';
import type { DiskSnapshot } from './disk-snapshot.js';

/** How the file is written. */
const VERSION = 2;

/** Last known documents of each backend on disk, so that an app can start while its configuration backend is down. */
export class ConfigSnapshots {
  private writing: Promise<void> = Promise.resolve();

  constructor(
    private readonly disk: DiskSnapshot,
    private readonly logger: Logger,
  ) {}

  /** Keeps documents, in the background; a failure is a warning. */
  save(backend: string, documents: readonly ConfigDocument[]): void {
    const text = JSON.stringify(documents);
    const content = JSON.stringify({ version: VERSION, digest: digestOf(text), documents: text });
    this.writing = this.writing
      .then(() => this.disk.write(nameOf(backend), content))
      .catch((error: unknown) => {
        this.logger.warn(`the configuration of ${backend} could not be kept on disk: ${messageOf(error)}`);
      });
  }

  /** What was last kept, or undefined; a damaged file is a warning and counts as none. */
  async read(backend: string): Promise<readonly ConfigDocument[] | undefined> {
    try {
      const content = await this.disk.read(nameOf(backend));
      if (content === undefined) return undefined;
      const { version, digest, documents } = JSON.parse(content) as Readonly<Record<string, unknown>>;
      if (version !== VERSION || typeof documents !== 'string') throw new TypeError('it is no snapshot of ours');
      if (digest !== digestOf(documents)) throw new TypeError('it is damaged');
      const saved: unknown = JSON.parse(documents);
      if (!Array.isArray(saved) || !saved.every(isDocument)) throw new TypeError('it is no snapshot of ours');
      return saved;
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
