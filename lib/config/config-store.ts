import {
  DiscoveryError,
  messageOf,
  toDiscoveryError,
  type ConfigDocument,
  type ConfigScope,
  type DiscoveryEvent,
} from '../model/index.js';
import {
  until,
  ValueView,
  type Clock,
  type ConfigDriver,
  type ConfigReport,
  type NamedDriver,
  type Timer,
  type Unsubscribe,
  type View,
  type Watch,
} from '../backend/index.js';
import type { ConfigSnapshots } from './config-snapshots.js';
import { parseDocument, type FlatConfig } from './formats.js';
import { PropertyTree } from './property-tree.js';

/** What a {@link ConfigStore} needs of its app. */
export interface ConfigStoreOptions {
  readonly clock: Clock;
  /** In order: the first wins over the others. */
  readonly sources: readonly NamedDriver<ConfigDriver>[];
  readonly scope: ConfigScope;
  /** Start without configuration when it can't be loaded. */
  readonly optional: boolean;
  /** How long the first load may take, in milliseconds. */
  readonly loadTimeoutMs: number;
  /** Changes that follow each other this closely are taken as one, in milliseconds. */
  readonly debounceMs: number;
  /** Last known documents on disk, for a start while a backend is down. */
  readonly snapshots?: ConfigSnapshots | undefined;
  readonly report: (event: DiscoveryEvent) => void;
}

/** Looks at a tree before it comes into force; throws to reject it. */
export type ConfigValidator = (tree: PropertyTree) => void;

interface Source {
  readonly backend: string;
  readonly watch: Watch;
  documents: readonly ConfigDocument[] | undefined;
  /** Why it can't be asked at present. */
  outage: ConfigProblem | undefined;
  /** The version of each document that is in force. */
  inForce: Parsed;
  /** Documents that don't parse: each was complained of once, and one that is good again is taken out. */
  readonly rejected: Map<string, { readonly revision: string; readonly problem: ConfigProblem }>;
}

/** Why what a backend has is not in force, or why it can't be asked. */
export interface ConfigProblem {
  /** Since when, in milliseconds since the epoch. */
  readonly since: number;
  readonly error: DiscoveryError;
}

type Parsed = ReadonlyMap<string, { readonly revision: string; readonly flat: FlatConfig }>;

/** What would come into force: the documents of each source, parsed. */
interface Candidate {
  readonly parsed: ReadonlyMap<Source, Parsed>;
  readonly errors: readonly { readonly backend: string; readonly error: DiscoveryError }[];
}

/** A flood of changes is taken in at least this often, as a multiple of the debounce. */
const MAX_DEBOUNCES = 20;

/**
 * The configuration of one app: documents of all backends → parsed → merged into one immutable tree → validated →
 * swapped in one step. What doesn't parse or validate changes nothing but an event.
 */
export class ConfigStore implements View<PropertyTree> {
  private readonly view: ValueView<PropertyTree>;
  private readonly validators = new Set<ConfigValidator>();
  private sources: readonly Source[] = [];
  private timer: Timer | undefined;
  private firstChangeAt: number | undefined;
  private rebuilding: Promise<void> = Promise.resolve();
  private loaded = false;
  private inForceSince: number;
  /** Why the newest documents together are not in force. */
  private refused: ConfigProblem | undefined;
  private closed = false;
  /** How many reports came. */
  private readonly reports = new ValueView(0);

  constructor(private readonly options: ConfigStoreOptions) {
    this.inForceSince = options.clock.now();
    this.view = new ValueView(PropertyTree.empty, (error) =>
      options.report({ type: 'listener.failed', where: 'a configuration listener', error }),
    );
  }

  get current(): PropertyTree {
    return this.view.current;
  }

  subscribe(listener: (tree: PropertyTree) => void): Unsubscribe {
    return this.view.subscribe(listener);
  }

  /** When the values came into force, in milliseconds since the epoch. */
  get since(): number {
    return this.inForceSince;
  }

  /** What keeps the newest configuration from being in force; none when it is. */
  get problems(): readonly ConfigProblem[] {
    const ofSources = this.sources.flatMap(({ outage, rejected }) => [
      ...(outage === undefined ? [] : [outage]),
      ...[...rejected.values()].map(({ problem }) => problem),
    ]);
    return this.refused === undefined ? ofSources : [...ofSources, this.refused];
  }

  /**
   * Opens the watches and waits for the first complete configuration.
   * @throws DiscoveryError `CONFIG_UNAVAILABLE` when a backend didn't answer and nothing stands in for it;
   * `CONFIG_DOCUMENT_INVALID` when a document doesn't parse
   */
  async load(): Promise<void> {
    const { sources, scope } = this.options;
    this.sources = sources.map(({ backend, driver }) => {
      const source: Source = {
        backend,
        watch: driver.watch(scope, (report) => this.receive(source, report)),
        documents: undefined,
        outage: undefined,
        inForce: new Map(),
        rejected: new Map(),
      };
      return source;
    });
    const { clock, loadTimeoutMs } = this.options;
    const answered = ({ documents, outage }: Source): boolean => documents !== undefined || outage !== undefined;
    await until(this.reports, () => this.closed || this.sources.every(answered), { clock, timeoutMs: loadTimeoutMs });
    for (const source of this.sources) if (source.documents === undefined) await this.standIn(source);
    const candidate = await this.parse();
    if (candidate.errors[0] !== undefined) throw candidate.errors[0].error;
    this.loaded = true;
    this.accept(candidate, merge(candidate));
  }

  /**
   * Has every tree looked at before it comes into force, beginning with the present one.
   * @throws whatever the validator throws at the present tree, if one was loaded
   */
  addValidator(validator: ConfigValidator): Unsubscribe {
    if (this.loaded) validator(this.current);
    this.validators.add(validator);
    return () => {
      this.validators.delete(validator);
    };
  }

  /** Asks every backend anew; resolves when its answer is in force. */
  async refresh(): Promise<void> {
    await Promise.all(this.sources.map((source) => source.watch.refresh()));
    await this.rebuildNow();
  }

  /** Ends every watch; nothing is told afterwards. */
  async close(): Promise<void> {
    this.closed = true;
    this.timer?.cancel();
    this.view.close();
    this.reports.set(this.reports.current + 1);
    await Promise.allSettled(this.sources.map((source) => source.watch.close()));
    await this.rebuilding;
    await this.options.snapshots?.close();
  }

  private receive(source: Source, report: ConfigReport): void {
    if (this.closed) return;
    if (report.documents === undefined) {
      source.outage = { since: source.outage?.since ?? this.options.clock.now(), error: report.error };
      if (this.loaded) this.options.report({ type: 'config.rejected', backend: source.backend, error: report.error });
    } else {
      source.documents = report.documents;
      source.outage = undefined;
      if (this.loaded) this.scheduleRebuild();
    }
    this.reports.set(this.reports.current + 1);
  }

  /** What serves when a backend didn't answer at start: its last known documents, or nothing if that is allowed. */
  private async standIn(source: Source): Promise<void> {
    const { clock, loadTimeoutMs, optional, snapshots, report } = this.options;
    const reason = source.outage?.error.message ?? `no answer within ${loadTimeoutMs} ms`;
    const error = new DiscoveryError(
      'CONFIG_UNAVAILABLE',
      `the configuration of ${source.backend} could not be loaded: ${reason}`,
      {
        backend: source.backend,
        ...(source.outage === undefined ? {} : { cause: source.outage.error }),
      },
    );
    const saved = await snapshots?.read(source.backend);
    if (saved === undefined && !optional) throw error;
    report({ type: 'config.rejected', backend: source.backend, error });
    // A report that came meanwhile is newer.
    if (source.documents !== undefined) return;
    source.documents = saved ?? [];
    source.outage ??= { since: clock.now(), error };
  }

  private scheduleRebuild(): void {
    const { clock, debounceMs } = this.options;
    const now = clock.now();
    this.firstChangeAt ??= now;
    const latest = this.firstChangeAt + debounceMs * MAX_DEBOUNCES;
    this.timer?.cancel();
    this.timer = clock.setTimer(() => void this.rebuildNow(), Math.max(0, Math.min(debounceMs, latest - now)));
  }

  private rebuildNow(): Promise<void> {
    this.timer?.cancel();
    this.timer = undefined;
    this.firstChangeAt = undefined;
    this.rebuilding = this.rebuilding.then(() => this.rebuild());
    return this.rebuilding;
  }

  private async rebuild(): Promise<void> {
    if (this.closed || !this.loaded) return;
    const candidate = await this.parse();
    if (this.closed) return;
    for (const error of candidate.errors) this.options.report({ type: 'config.rejected', ...error });
    const tree = merge(candidate);
    const keys = tree.differences(this.current);
    if (keys.length === 0) {
      this.refused = undefined;
      return;
    }
    try {
      for (const validate of this.validators) validate(tree);
    } catch (error) {
      const rejected = toDiscoveryError(error, 'CONFIG_VALUE_INVALID', messageOf(error));
      this.refused = { since: this.refused?.since ?? this.options.clock.now(), error: rejected };
      this.options.report({ type: 'config.rejected', error: rejected });
      return;
    }
    const changed = [...candidate.parsed].filter(([source, parsed]) => !isSame(source.inForce, parsed));
    this.accept(candidate, tree);
    this.options.report({ type: 'config.changed', keys, backends: changed.map(([{ backend }]) => backend) });
  }

  private accept(candidate: Candidate, tree: PropertyTree): void {
    for (const [source, parsed] of candidate.parsed) source.inForce = parsed;
    this.refused = undefined;
    this.inForceSince = this.options.clock.now();
    this.view.set(tree);
    this.saveSnapshots();
  }

  /** Parses what is new; a document that doesn't parse keeps the version that is in force. */
  private async parse(): Promise<Candidate> {
    const errors: Candidate['errors'][number][] = [];
    const parsed = new Map<Source, Parsed>();
    for (const source of this.sources) {
      const documents = new Map<string, { revision: string; flat: FlatConfig }>();
      const present = new Set(source.documents?.map(({ id }) => id));
      for (const id of source.rejected.keys()) if (!present.has(id)) source.rejected.delete(id);
      for (const document of source.documents ?? []) {
        const { id, revision } = document;
        const inForce = source.inForce.get(id);
        try {
          documents.set(
            id,
            inForce?.revision === revision ? inForce : { revision, flat: await parseDocument(document) },
          );
          source.rejected.delete(id);
        } catch (thrown) {
          const before = source.rejected.get(id);
          if (before?.revision !== revision) {
            const error = toDiscoveryError(thrown, 'CONFIG_DOCUMENT_INVALID', id, { backend: source.backend });
            errors.push({ backend: source.backend, error });
            const since = before?.problem.since ?? this.options.clock.now();
            source.rejected.set(id, { revision, problem: { since, error } });
          }
          if (inForce !== undefined) documents.set(id, inForce);
        }
      }
      parsed.set(source, documents);
    }
    return { parsed, errors };
  }

  private saveSnapshots(): void {
    const { snapshots } = this.options;
    if (snapshots === undefined) return;
    for (const { backend, documents } of this.sources) {
      if (documents !== undefined) snapshots.save(backend, documents);
    }
  }
}

/** The first source wins over the others, and within a source the last document. */
function merge(candidate: Candidate): PropertyTree {
  const layers = [...candidate.parsed.values()].toReversed();
  return PropertyTree.merge(layers.flatMap((parsed) => [...parsed.values()].map((entry) => entry.flat)));
}

/** Whether two states of a source's documents are the same. */
function isSame(before: Parsed, after: Parsed): boolean {
  return before.size === after.size && [...after].every(([id, { revision }]) => before.get(id)?.revision === revision);
}
