import {
  abandonOnAbort,
  Reporter,
  SingleFlight,
  type DiscoveryDriver,
  type DiscoveryReport,
  type Watch,
} from '../../backend/index.js';
import { assertName, DiscoveryError, keepIdentity, toDiscoveryError, type ServiceInstance } from '../../model/index.js';
import { PresenceSource } from './discovery/presence-source.js';
import { RoundsSource } from './discovery/rounds-source.js';
import type { InstanceSource } from './discovery/source.js';
import { readAll } from './jetstream/key-value-watch.js';
import { HTTP_METADATA, serviceOfKey } from './nats.codec.js';
import type { NatsShared } from './nats.shared.js';
import { isServiceName } from './service/names.js';

/** The read side: the presence bucket, watched, and the micro services, asked in rounds. */
export class NatsDiscoveryDriver implements DiscoveryDriver {
  private readonly listing = new SingleFlight<readonly string[]>();

  constructor(private readonly shared: NatsShared) {}

  async listServices(signal?: AbortSignal): Promise<readonly string[]> {
    this.shared.assertOpen();
    const { name } = this.shared.settings;
    const what = `listing the services of ${name}`;
    try {
      return await abandonOnAbort(
        this.listing.run('list', () => this.list()),
        signal,
        what,
      );
    } catch (error) {
      throw toDiscoveryError(error, 'BACKEND_UNAVAILABLE', `${what} failed`, { backend: name });
    }
  }

  watch(service: string, report: (report: DiscoveryReport) => void): Watch {
    this.shared.assertOpen();
    assertName(service, 'service');
    let disown = (): void => {};
    const watch = new InstancesWatch(this.shared, service, report, () => disown());
    disown = this.shared.adopt(() => watch.close());
    return watch;
  }

  private async list(): Promise<readonly string[]> {
    const { presence, settings, queries } = this.shared;
    const names = new Set<string>();
    const { rounds } = settings;
    const recorded = presence === undefined ? [] : await readAll(presence, '>', 'last', { headersOnly: true });
    for (const entry of recorded) {
      const service = entry.operation === 'PUT' ? serviceOfKey(entry.key) : undefined;
      if (service !== undefined) names.add(service);
    }
    if (rounds !== undefined) {
      await this.shared.session.settled();
      for await (const info of queries.infoEach({ maxWaitMs: rounds.maxWaitMs, stallMs: rounds.stallMs })) {
        if (info.metadata[HTTP_METADATA.url] !== undefined) names.add(info.name);
      }
    }
    return [...names].sort();
  }
}

/** The instances of one service, from every source, reported after each change. */
class InstancesWatch implements Watch {
  private readonly reporter: Reporter<DiscoveryReport>;
  private readonly sources: readonly InstanceSource[];
  private last: DiscoveryReport | undefined;
  private instances: readonly ServiceInstance[] = [];
  private closing: Promise<void> | undefined;
  private refreshing = 0;

  constructor(
    private readonly shared: NatsShared,
    private readonly service: string,
    report: (report: DiscoveryReport) => void,
    private readonly onClosed: () => void,
  ) {
    const { context, settings, presence, session } = shared;
    this.reporter = new Reporter(report, (error) =>
      context.report({ type: 'listener.failed', where: `the watch of ${service} on ${settings.name}`, error }),
    );
    const onChange = (): void => this.combine();
    const sources: InstanceSource[] = [];
    this.sources = sources;
    if (presence !== undefined) sources.push(new PresenceSource(shared, presence, service, onChange));
    if (settings.rounds !== undefined && isServiceName(service)) {
      sources.push(new RoundsSource(shared, settings.rounds, service, onChange));
    }
    // Without JetStream a name that no micro service can have has no instances; the connection's state still counts.
    if (sources.length === 0) sources.push(new NobodySource(session, onChange));
    this.combine();
  }

  async refresh(): Promise<void> {
    if (this.closing !== undefined) throw this.closedError();
    this.refreshing += 1;
    try {
      const results = await Promise.allSettled(this.sources.map((source) => source.refresh()));
      if (this.closing !== undefined) throw this.closedError();
      const failed = results.find((result) => result.status === 'rejected');
      if (failed !== undefined) {
        const error = toDiscoveryError(failed.reason, 'BACKEND_UNAVAILABLE', `${this.service} can't be read`);
        await this.send({ error });
        throw error;
      }
      await this.send(this.present() ?? { instances: this.instances });
    } finally {
      this.refreshing -= 1;
    }
  }

  close(): Promise<void> {
    this.closing ??= this.end();
    return this.closing;
  }

  private async end(): Promise<void> {
    this.reporter.close();
    await Promise.all(this.sources.map((source) => source.close()));
    this.shared.onHealth(this, undefined);
    this.onClosed();
  }

  /** Reports what is new. */
  private combine(): void {
    if (this.closing !== undefined) return;
    const next = this.present();
    if (next === undefined) return;
    this.shared.onHealth(this, next.error);
    // Whoever refreshes reports when all sources have answered.
    if (this.refreshing > 0) return;
    const same =
      this.last !== undefined &&
      (next.error === undefined
        ? next.instances === this.last.instances
        : next.error.message === this.last.error?.message);
    if (!same) void this.send(next);
  }

  private send(report: DiscoveryReport): Promise<void> {
    this.last = report;
    return this.reporter.send(report);
  }

  /** What all sources together say; undefined while one has not answered yet. */
  private present(): DiscoveryReport | undefined {
    const parts = this.sources.map((source) => source.current);
    const failed = parts.find((part) => part?.error !== undefined);
    if (failed?.error !== undefined) return { error: failed.error };
    if (parts.some((part) => part === undefined)) return undefined;
    const merged: ServiceInstance[] = [];
    const urls = new Set<string>();
    for (const part of parts) {
      // A record in the bucket knows more than what a micro service says of the same address.
      const news = (part?.instances ?? []).filter((one) => !urls.has(one.url));
      for (const { url } of news) urls.add(url);
      merged.push(...news);
    }
    this.instances = keepIdentity(this.instances, merged);
    return { instances: this.instances };
  }

  private closedError(): DiscoveryError {
    const { name } = this.shared.settings;
    return new DiscoveryError('BACKEND_CLOSED', `the watch of ${this.service} was closed`, {
      service: this.service,
      backend: name,
    });
  }
}

/** Nobody, for as long as there is a connection. */
class NobodySource implements InstanceSource {
  private readonly leave: () => void;

  constructor(
    private readonly session: NatsShared['session'],
    onChange: () => void,
  ) {
    this.leave = session.state.subscribe(onChange);
  }

  get current(): InstanceSource['current'] {
    const { phase, error } = this.session.state.current;
    if (phase === 'connected') return { instances: [] };
    return error === undefined ? undefined : { error };
  }

  refresh(): Promise<void> {
    return this.session.flush();
  }

  close(): Promise<void> {
    this.leave();
    return Promise.resolve();
  }
}
