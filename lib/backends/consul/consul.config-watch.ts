import { Reporter, type ConfigReport, type Watch } from '../../backend/index.js';
import { DiscoveryError, toDiscoveryError, type ConfigDocument } from '../../model/index.js';
import type { BlockingQuery, WatchReport } from './client/blocking-query.js';
import type { KVEntry } from './client/kv-entry.js';
import type { Answer, ConsulMeta } from './client/meta.js';
import type { ReadOptions } from './client/requests.js';
import { mayHideAll } from './consul.acl-doubt.js';
import { inMergeOrder, type ConfigPart } from './consul.config-layout.js';
import type { ConsulParts } from './consul.shared.js';

type Documents = readonly ConfigDocument[];

/** What one part said last. */
interface PartAnswer {
  documents?: Documents;
  error?: DiscoveryError;
}

/** The documents of a scope: each of its parts is watched by itself, side by side, and told together. */
export class ConfigWatch implements Watch {
  private readonly queries: readonly BlockingQuery<readonly KVEntry[], Documents>[];
  private readonly answers: readonly PartAnswer[];
  private readonly reporter: Reporter<ConfigReport>;
  /** What was last told: revisions, or an error. */
  private told: string | undefined;
  /** Refreshes under way: what comes meanwhile is told once, at their end. */
  private refreshing = 0;
  private readonly complained = new Set<string>();
  private closing: Promise<void> | undefined;

  constructor(
    private readonly parts: ConsulParts,
    private readonly layout: readonly ConfigPart[],
    private readonly assertCertain: (key: string, meta: ConsulMeta) => Promise<void>,
    report: (report: ConfigReport) => void,
    private readonly onClosed: () => void,
  ) {
    const { context, settings } = parts;
    this.reporter = new Reporter(report, (error) =>
      context.report({ type: 'listener.failed', where: `configuration watch on ${settings.name}`, error }),
    );
    this.answers = layout.map(() => ({}));
    this.queries = layout.map((part, at) => this.open(part, at));
  }

  async refresh(): Promise<void> {
    if (this.closing !== undefined) {
      throw new DiscoveryError('BACKEND_CLOSED', 'the configuration watch was closed', {
        backend: this.parts.settings.name,
      });
    }
    this.refreshing += 1;
    const results = await Promise.allSettled(this.queries.map((query) => query.refresh()));
    this.refreshing -= 1;
    await this.tell(true);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  private async shutDown(): Promise<void> {
    this.reporter.close();
    await Promise.all(this.queries.map((query) => query.close()));
    this.onClosed();
  }

  private open(part: ConfigPart, at: number): BlockingQuery<readonly KVEntry[], Documents> {
    const { client, context, settings, health } = this.parts;
    const { kind, key } = part.read;
    const health_ = {};
    const ask = async (options: ReadOptions): Promise<Answer<readonly KVEntry[]>> => {
      if (kind === 'tree') return client.kv.getTree(key, options);
      const [entry, meta] = await client.kv.get(key, options);
      return [entry === undefined ? [] : [entry], meta];
    };
    return client.openQuery<readonly KVEntry[], Documents>({
      what: `the configuration at ${key}`,
      settings: settings.watch,
      random: () => context.random(),
      ask,
      suspect: (entries, meta) => mayHideAll(entries, meta, client.hasToken),
      decode: async (entries, meta, previous) => {
        if (entries.length === 0) await this.assertCertain(key, meta);
        const documents = part.documents(entries, (record, problem) => this.skip(record, problem));
        return previous !== undefined && fingerprint(previous) === fingerprint(documents) ? previous : documents;
      },
      report: (answer) => this.receive(at, answer),
      onRound: (error) => (error === undefined ? health.succeeded(health_) : health.failed(health_, error)),
      onListenerError: () => {},
      onClosed: () => health.forget(health_),
    });
  }

  private receive(at: number, answer: WatchReport<Documents>): void {
    const part = this.answers[at];
    if (part === undefined) return;
    if (answer.error !== undefined) part.error = answer.error;
    else {
      part.documents = answer.value;
      delete part.error;
    }
    if (this.refreshing === 0) void this.tell(false);
  }

  private tell(asked: boolean): Promise<void> {
    const error = this.answers.find((part) => part.error !== undefined)?.error;
    if (error !== undefined) return this.send({ error }, `error ${error.message}`, asked);
    const documents = inMergeOrder(
      this.layout,
      this.answers.map((part) => part.documents ?? []),
    );
    if (this.answers.some((part) => part.documents === undefined)) return Promise.resolve();
    return this.send({ documents: Object.freeze(documents) }, fingerprint(documents), asked);
  }

  private send(report: ConfigReport, mark: string, asked: boolean): Promise<void> {
    if (!asked && mark === this.told) return Promise.resolve();
    this.told = mark;
    return this.reporter.send(report);
  }

  private skip(key: string, problem: string): void {
    const complaint = `${key} ${problem}`;
    if (this.complained.has(complaint)) return;
    if (this.complained.size >= 1000) this.complained.clear();
    this.complained.add(complaint);
    const { context, settings } = this.parts;
    const error = toDiscoveryError(new Error(problem), 'CONFIG_DOCUMENT_INVALID', `the key ${key} was left out`, {
      backend: settings.name,
      field: key,
    });
    context.report({ type: 'record.skipped', backend: settings.name, record: key, error });
  }
}

function fingerprint(documents: Documents): string {
  return JSON.stringify(documents.map((document) => [document.id, document.revision]));
}
