import { DiscoveryError, messageOf, toDiscoveryError, type ConfigScope, type DiscoveryEvent } from '../model/index.js';
import {
  until,
  ValueView,
  type Clock,
  type ConfigDriver,
  type ConfigReport,
  type NamedDriver,
  type Timer,
  turn,
  type Unsubscribe,
  type View,
} from '../backend/index.js';
import type { ConfigLayer } from './config-layer.js';
import type { ConfigSnapshots } from './config-snapshots.js';
import {
  ConfigSource,
  type ConfigProblem,
  type DeclaredDocument,
  type DocumentConditions,
  type SourceCandidate,
} from './config-source.js';
import { decodeValues, type ConfigDecoder } from './decoders.js';
import { resolvePlaceholders, type PlaceholderFallback } from './placeholders.js';
import { PropertyTree, type KeyFallback } from './property-tree.js';
import { inTurns } from './turns.js';

/** What a {@link ConfigStore} needs of its app. */
export interface ConfigStoreOptions {
  readonly clock: Clock;
  /** In order: the first wins over the others. */
  readonly sources: readonly NamedDriver<ConfigDriver>[];
  /** The app's layers; undefined when only declared documents are wanted. */
  readonly scope: ConfigScope | undefined;
  /** Documents that are named; they win over the layers, and the later over the earlier. */
  readonly documents?: readonly DeclaredDocument[];
  readonly conditions?: DocumentConditions;
  /** Layers above all documents, those that win last: the environment, the command line. */
  readonly above?: readonly ConfigLayer[];
  /** The variable of the environment that stands for a key. */
  readonly variables?: KeyFallback;
  readonly placeholders?: PlaceholderFallback;
  readonly decoders?: readonly ConfigDecoder[];
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

/** What would come into force: the documents of each source, read. */
type Candidate = ReadonlyMap<ConfigSource, SourceCandidate>;

/** A flood of changes is taken in at least this often, as a multiple of the debounce. */
const MAX_DEBOUNCES = 20;

const NO_CONDITIONS: DocumentConditions = { profiles: [], platform: undefined };

/**
 * The configuration of one app: documents of all backends → read → merged with the layers above them into one immutable tree →
 * decoded, placeholders resolved → validated → swapped in one step. What can't be read or doesn't fit changes nothing but an
 * event.
 */
export class ConfigStore implements View<PropertyTree> {
  private readonly view: ValueView<PropertyTree>;
  private readonly validators = new Set<ConfigValidator>();
  private readonly follows: (() => unknown)[] = [];
  private sources: readonly ConfigSource[] = [];
  /** Backends that could not be asked. */
  private readonly failing = new Map<string, ConfigProblem>();
  /** The newest configuration as a whole. */
  private refused: ConfigProblem | undefined;
  private inForceSince = 0;
  private timer: Timer | undefined;
  private firstChangeAt: number | undefined;
  private rebuilding: Promise<void> = Promise.resolve();
  private loaded = false;
  private closed = false;
  /** How many reports came. */
  private readonly reports = new ValueView(0);

  constructor(private readonly options: ConfigStoreOptions) {
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
    const ofSources = this.sources.flatMap(({ problems }) => problems);
    return [...this.failing.values(), ...ofSources, ...(this.refused === undefined ? [] : [this.refused])];
  }

  /**
   * Opens the watches and waits for the first complete configuration.
   * @throws DiscoveryError `CONFIG_UNAVAILABLE` when a backend didn't answer and nothing stands in for it, or a declared
   * document isn't there; `CONFIG_DOCUMENT_INVALID` when a document doesn't parse; `CONFIG_VALUE_INVALID` when a value can't be
   * decoded, or its placeholders lead in a circle
   */
  async load(): Promise<void> {
    const { sources, scope, documents = [], conditions = NO_CONDITIONS, clock, loadTimeoutMs } = this.options;
    this.sources = sources.map(
      (source) =>
        new ConfigSource(source, scope, documents, conditions, clock, (from, report) => this.receive(from, report)),
    );
    const answered = (): boolean => this.closed || this.sources.every((source) => source.answered);
    await until(this.reports, answered, { clock, timeoutMs: loadTimeoutMs });
    for (const source of this.sources) if (!source.complete) await this.standIn(source);
    this.assertDeclared(documents);
    const candidate = await this.read();
    for (const { rejected } of candidate.values()) {
      for (const event of rejected) if (event.type === 'config.rejected') throw event.error;
    }
    const tree = await this.build(candidate);
    this.loaded = true;
    this.accept(candidate, tree);
    for (const { follow } of this.options.decoders ?? []) {
      if (follow !== undefined) this.follows.push(follow(() => this.scheduleRebuild()));
    }
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
    await Promise.all(this.sources.map((source) => source.refresh()));
    await this.rebuildNow();
  }

  /** Ends every watch; nothing is told afterwards. */
  async close(): Promise<void> {
    this.closed = true;
    this.timer?.cancel();
    const followed = this.follows.splice(0).map((end) => end());
    this.view.close();
    this.reports.set(this.reports.current + 1);
    await Promise.allSettled([...followed, ...this.sources.map((source) => source.close())]);
    await this.rebuilding;
    await this.options.snapshots?.close();
  }

  private receive(source: ConfigSource, report: ConfigReport): void {
    if (this.closed) return;
    const { backend } = source;
    if (report.documents === undefined) {
      if (this.loaded) this.failed(backend, report.error);
    } else {
      if (this.failing.has(backend) && source.error === undefined) {
        this.failing.delete(backend);
        this.options.report({ type: 'config.recovered', backend });
      }
      if (this.loaded) this.scheduleRebuild();
    }
    this.reports.set(this.reports.current + 1);
  }

  private failed(backend: string, error: DiscoveryError): void {
    // It was asked, and has something that can't be used: what can't be decrypted, what is no text.
    if (error.code === 'CONFIG_DOCUMENT_INVALID') {
      this.options.report({ type: 'config.rejected', backend, error });
      return;
    }
    this.failing.set(backend, { since: this.failing.get(backend)?.since ?? this.options.clock.now(), error });
    this.options.report({ type: 'config.failed', backend, error });
  }

  /** What serves when a backend didn't answer at start: its last known documents, or nothing if that is allowed. */
  private async standIn(source: ConfigSource): Promise<void> {
    const { loadTimeoutMs, optional, snapshots, report } = this.options;
    const { backend } = source;
    const cause = source.error;
    const error = unavailable(backend, cause?.message ?? `no answer within ${loadTimeoutMs} ms`, cause);
    const saved = await snapshots?.read(backend);
    if (saved === undefined && !optional) throw error;
    this.failed(backend, error);
    if (saved !== undefined) report({ type: 'config.restored', backend, savedAt: saved.savedAt });
    source.standIn(saved?.documents ?? []);
  }

  private assertDeclared(documents: readonly DeclaredDocument[]): void {
    if (this.options.optional) return;
    for (const { id, optional = false, backend } of documents) {
      if (optional || this.sources.some((source) => source.has(id))) continue;
      const where = backend ?? this.sources.map((source) => source.backend).join(', ');
      throw new DiscoveryError('CONFIG_UNAVAILABLE', `the configuration document '${id}' isn't there (${where})`, {
        field: 'configOptions.documents',
        ...(backend === undefined ? {} : { backend }),
      });
    }
  }

  private scheduleRebuild(): void {
    if (this.closed) return;
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
    const { report } = this.options;
    const candidate = await this.read();
    if (this.closed) return;
    for (const { rejected } of candidate.values()) for (const event of rejected) report(event);
    try {
      const tree = await this.build(candidate);
      if (this.closed) return;
      const keys = tree.differences(this.current);
      if (keys.length === 0) {
        this.refused = undefined;
        for (const [source, read] of candidate) source.accept(read);
        return;
      }
      for (const validate of this.validators) validate(tree);
      const backends = [...candidate].flatMap(([source, read]) => (source.isChangedBy(read) ? source.backend : []));
      this.accept(candidate, tree);
      report({ type: 'config.changed', keys, backends });
    } catch (error) {
      const rejected = toDiscoveryError(error, 'CONFIG_VALUE_INVALID', messageOf(error));
      this.refused = { since: this.refused?.since ?? this.options.clock.now(), error: rejected };
      report({ type: 'config.rejected', error: rejected });
    }
  }

  private accept(candidate: Candidate, tree: PropertyTree): void {
    for (const [source, read] of candidate) source.accept(read);
    this.refused = undefined;
    this.inForceSince = this.options.clock.now();
    this.view.set(tree);
    const { snapshots } = this.options;
    if (snapshots === undefined) return;
    for (const { backend, documents, complete } of this.sources) if (complete) snapshots.save(backend, documents);
  }

  private async read(): Promise<Candidate> {
    const candidate = new Map<ConfigSource, SourceCandidate>();
    for (const source of this.sources) candidate.set(source, await source.read());
    return candidate;
  }

  /** The first source wins over the others, within a source the last document, and what lies above wins over all. */
  private async build(candidate: Candidate): Promise<PropertyTree> {
    const { above = [], variables, decoders = [], placeholders = () => undefined } = this.options;
    const layers = [...candidate].toReversed().flatMap(([source, read]) => source.layersOf(read));
    const merged = await inTurns(PropertyTree.merging([...layers, ...above], variables));
    const decoded = await decodeValues(merged, decoders);
    await turn();
    const resolved = resolvePlaceholders(decoded, placeholders);
    await turn();
    return resolved;
  }
}

function unavailable(backend: string, reason: string, cause: DiscoveryError | undefined): DiscoveryError {
  const message = `the configuration of ${backend} could not be loaded: ${reason}`;
  return new DiscoveryError('CONFIG_UNAVAILABLE', message, { backend, ...(cause === undefined ? {} : { cause }) });
}
