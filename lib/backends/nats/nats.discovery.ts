import {
  abandonOnAbort,
  allOf,
  mapped,
  SingleFlight,
  type DiscoveryDriver,
  type DiscoveryReport,
  type FeedSource,
  type Gathering,
  type Part,
  type PushSource,
  type ServicesReport,
  type Watch,
} from '../../backend/index.js';
import { toDiscoveryError, type ServiceInstance } from '../../model/index.js';
import type { NatsSession } from './connection/session.js';
import { presenceNamesSource } from './discovery/names-source.js';
import { presenceSource } from './discovery/presence-source.js';
import { roundsSource } from './discovery/rounds-source.js';
import { readAll } from './jetstream/key-value-watch.js';
import { HTTP_METADATA, serviceOfKey } from './nats.codec.js';
import type { NatsShared } from './nats.shared.js';
import { isServiceName } from './service/names.js';

type Instances = readonly ServiceInstance[];

/** The read side: the presence bucket, watched, and the micro services, asked in rounds. */
export class NatsDiscoveryDriver implements DiscoveryDriver {
  readonly emptyHoldMs: number;
  private readonly listing = new SingleFlight<readonly string[]>();

  constructor(private readonly shared: NatsShared) {
    const { presence, rounds } = shared.settings;
    // By then everybody has written its record again, or was asked twice.
    this.emptyHoldMs = Math.max(presence.leaseMs, 2 * (rounds?.intervalMs ?? 0));
  }

  async listServices(signal?: AbortSignal): Promise<readonly string[]> {
    const { host } = this.shared;
    host.assertOpen();
    const { name } = host;
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
    return this.shared.host.instances(service, () => this.sourcesOf(service), report);
  }

  watchServices(report: (report: ServicesReport) => void): Watch {
    return this.shared.host.services(() => this.sourcesOfNames(), report);
  }

  private sourcesOfNames(): Gathering<readonly string[], readonly string[]> {
    const { presence, settings } = this.shared;
    const sources: FeedSource<readonly string[]>[] = [];
    if (presence !== undefined) sources.push(presenceNamesSource(this.shared, presence));
    if (settings.rounds !== undefined) {
      const answering = roundsSource(this.shared, settings.rounds);
      sources.push(mapped(answering, (instances) => instances.map(({ service }) => service)));
    }
    return { what: 'the services', sources, combine: (parts) => allOf(parts)?.flat() };
  }

  /** The presence bucket and the rounds, as far as there are any. */
  private sourcesOf(service: string): Gathering<Instances, Instances> {
    const { presence, settings, session } = this.shared;
    const sources: FeedSource<Instances>[] = [];
    if (presence !== undefined) sources.push(presenceSource(this.shared, presence, service));
    if (settings.rounds !== undefined && isServiceName(service)) {
      sources.push(roundsSource(this.shared, settings.rounds, service));
    }
    // Without JetStream a name that no micro service can have has no instances; the connection's state still counts.
    if (sources.length === 0) sources.push(nobody(session, service));
    return { what: `the instances of ${service}`, sources, combine: merged };
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

/** Nobody, for as long as there is a connection. */
function nobody(session: NatsSession, service: string): PushSource<Instances> {
  return {
    what: `the instances of ${service}`,
    follow: ({ value, failed }) => {
      const show = (): void => {
        const { phase, error } = session.state.current;
        if (phase === 'connected') value([]);
        else if (error !== undefined) failed(error);
      };
      show();
      return session.state.subscribe(show);
    },
    refresh: (signal) => session.flush(signal),
  };
}

/** What all sources together say; undefined while one has not answered yet. @throws DiscoveryError what one can't be asked for */
function merged(parts: readonly Part<Instances>[]): Instances | undefined {
  const lists = allOf(parts);
  if (lists === undefined) return undefined;
  const instances: ServiceInstance[] = [];
  const urls = new Set<string>();
  for (const list of lists) {
    // A record in the bucket knows more than what a micro service says of the same address.
    const news = list.filter((one) => !urls.has(one.url));
    for (const { url } of news) urls.add(url);
    instances.push(...news);
  }
  return instances;
}
