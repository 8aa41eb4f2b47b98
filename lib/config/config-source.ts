import {
  DiscoveryError,
  toDiscoveryError,
  type ConfigDocument,
  type ConfigFormat,
  type ConfigScope,
  type DiscoveryEvent,
} from '../model/index.js';
import type { Clock, ConfigDriver, ConfigReport, NamedDriver, Watch } from '../backend/index.js';
import type { ConfigLayer } from './config-layer.js';
import { applies } from './profile-condition.js';
import { readDocument, type ConfigEntries } from './reading/index.js';

/** A document that is named instead of found by convention. */
export interface DeclaredDocument {
  /** Its name at the backend: a file, a key, a data id. */
  readonly id: string;
  /** How its text is read. @default what its name or the backend says */
  readonly format?: ConfigFormat;
  /** The app may start without it. @default false */
  readonly optional?: boolean;
  /** The backend that has it. @default every backend of configuration is asked */
  readonly backend?: string;
}

/** What decides which documents of a text apply. */
export interface DocumentConditions {
  readonly profiles: readonly string[];
  /** The platform that the app runs on, `kubernetes`, where it is known. */
  readonly platform: string | undefined;
}

/** Why what a backend has is not in force, or why it can't be asked. */
export interface ConfigProblem {
  /** Since when, in milliseconds since the epoch. */
  readonly since: number;
  readonly error: DiscoveryError;
}

/** What is watched: the layers of the app, or one document. */
interface Part {
  readonly declared: DeclaredDocument | undefined;
  readonly watch: Watch;
  documents: readonly ConfigDocument[] | undefined;
  error: DiscoveryError | undefined;
}

/** A document as it was read. */
export interface ReadDocument {
  readonly revision: string;
  readonly parts: readonly ConfigEntries[];
}

/** What would come into force of one backend. */
export interface SourceCandidate {
  readonly documents: ReadonlyMap<string, ReadDocument>;
  readonly rejected: readonly DiscoveryEvent[];
}

/** The documents of one backend: what is known of them, and what was read of them. */
export class ConfigSource {
  readonly backend: string;
  private readonly parts: readonly Part[];
  /** The version of each document that is in force. */
  private inForce: ReadonlyMap<string, ReadDocument> = new Map();
  /** Documents that can't be read: each is complained of once, and one that is good again is taken out. */
  private readonly complained = new Map<string, { readonly revision: string; readonly problem: ConfigProblem }>();

  /**
   * @param scope the app's layers; undefined when only declared documents are wanted
   * @param changed told of each report
   */
  constructor(
    source: NamedDriver<ConfigDriver>,
    scope: ConfigScope | undefined,
    declared: readonly DeclaredDocument[],
    private readonly conditions: DocumentConditions,
    private readonly clock: Clock,
    changed: (source: ConfigSource, report: ConfigReport) => void,
  ) {
    this.backend = source.backend;
    const wanted: readonly (readonly [ConfigScope, DeclaredDocument | undefined])[] = [
      ...(scope === undefined ? [] : [[scope, undefined] as const]),
      ...declared
        .filter(({ backend }) => backend === undefined || backend === source.backend)
        .map((document) => [{ kind: 'document', id: document.id }, document] as const),
    ];
    this.parts = wanted.map(([what, document]) => {
      const part: Part = {
        declared: document,
        watch: source.driver.watch(what, (report) => {
          if (report.documents === undefined) part.error = report.error;
          else [part.documents, part.error] = [report.documents, undefined];
          changed(this, report);
        }),
        documents: undefined,
        error: undefined,
      };
      return part;
    });
  }

  /** Whether every watch has said something. */
  get answered(): boolean {
    return this.parts.every(({ documents, error }) => documents !== undefined || error !== undefined);
  }

  /** Whether every watch has told its documents. */
  get complete(): boolean {
    return this.parts.every(({ documents }) => documents !== undefined);
  }

  /** Why documents could not be asked for. */
  get error(): DiscoveryError | undefined {
    return this.parts.find(({ error }) => error !== undefined)?.error;
  }

  /** What keeps its newest documents from being in force. */
  get problems(): readonly ConfigProblem[] {
    return [...this.complained.values()].map(({ problem }) => problem);
  }

  /** Everything that is known, those that win last. */
  get documents(): readonly ConfigDocument[] {
    return this.parts.flatMap(({ documents }) => documents ?? []);
  }

  /** Whether a declared document is there. */
  has(id: string): boolean {
    return this.parts.some(({ declared, documents }) => declared?.id === id && (documents ?? []).length > 0);
  }

  /** Takes what stands in for watches that have told nothing; one that has is newer. */
  standIn(documents: readonly ConfigDocument[]): void {
    const declared = new Set(this.parts.flatMap((part) => part.declared?.id ?? []));
    for (const part of this.parts) {
      const { declared: own } = part;
      part.documents ??= documents.filter(({ id }) => (own === undefined ? !declared.has(id) : own.id === id));
    }
  }

  /** Reads what is new; a document that can't be read keeps the version that is in force. */
  async read(): Promise<SourceCandidate> {
    const rejected: DiscoveryEvent[] = [];
    const documents = new Map<string, ReadDocument>();
    const present = new Set(this.documents.map(({ id }) => id));
    for (const { documents: known = [], declared } of this.parts) {
      for (const document of known) {
        const { id } = document;
        // One that is declared as another format is another document, whatever the layers make of it.
        const revision = `${document.revision}${declared?.format === undefined ? '' : `:${declared.format}`}`;
        const before = this.inForce.get(id);
        // A document that comes again wins where it comes last.
        documents.delete(id);
        if (before?.revision === revision) documents.set(id, before);
        else {
          try {
            documents.set(id, { revision, parts: await this.readParts(document, declared?.format) });
            this.complained.delete(id);
          } catch (error) {
            if (before !== undefined) documents.set(id, before);
            if (this.complained.get(id)?.revision !== revision)
              rejected.push(this.rejection(document, revision, before, error));
          }
        }
      }
    }
    for (const id of this.complained.keys()) if (!present.has(id)) this.complained.delete(id);
    return { documents, rejected };
  }

  /** Whether a candidate differs from what is in force. */
  isChangedBy({ documents }: SourceCandidate): boolean {
    if (documents.size !== this.inForce.size) return true;
    return [...documents].some(([id, { revision }]) => this.inForce.get(id)?.revision !== revision);
  }

  /** From now on this is what documents that can't be read keep. */
  accept({ documents }: SourceCandidate): void {
    this.inForce = documents;
  }

  /** The layers of what was read, those that win last. */
  layersOf({ documents }: SourceCandidate): readonly ConfigLayer[] {
    const { backend } = this;
    return [...documents].flatMap(([document, { parts }]) =>
      parts.map((entries): ConfigLayer => ({ kind: 'document', backend, document, entries })),
    );
  }

  async refresh(): Promise<void> {
    await Promise.all(this.parts.map(({ watch }) => watch.refresh()));
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.parts.map(({ watch }) => watch.close()));
  }

  private async readParts(
    document: ConfigDocument,
    format: ConfigFormat | undefined,
  ): Promise<readonly ConfigEntries[]> {
    const { profiles, platform } = this.conditions;
    const parts = await readDocument(document, format);
    return parts.filter((entries) => applies(entries, profiles, platform));
  }

  private rejection(
    document: ConfigDocument,
    revision: string,
    before: ReadDocument | undefined,
    cause: unknown,
  ): DiscoveryEvent {
    const { backend } = this;
    const error = toDiscoveryError(cause, 'CONFIG_DOCUMENT_INVALID', document.id, { backend });
    const since = this.complained.get(document.id)?.problem.since ?? this.clock.now();
    this.complained.set(document.id, { revision, problem: { since, error } });
    return {
      type: 'config.rejected',
      backend,
      error,
      document: document.id,
      ...(before === undefined ? {} : { kept: before.revision }),
    };
  }
}
