import { Resolver } from 'node:dns/promises';
import type { DiscoveryDriver, DiscoveryReport, DriverHost, PullSource, Watch } from '../../backend/index.js';
import { codeOf, DiscoveryError, type ServiceInstance } from '../../model/index.js';
import { recordName, targetsOf, toInstances, type Addresses, type Target } from './dns.codec.js';
import type { DnsSettings } from './dns.options.js';

/** How many names are asked for at a time: what a name server's socket can't hold is lost. */
const PARALLEL = 64;

/** The read side: the records of a name, asked for again and again. */
export class DnsDiscoveryDriver implements DiscoveryDriver {
  constructor(
    private readonly host: DriverHost,
    private readonly settings: DnsSettings,
  ) {}

  async listServices(): Promise<readonly string[]> {
    this.host.assertOpen();
    return Promise.reject(
      new DiscoveryError('UNSUPPORTED', 'DNS has no list of services', { backend: this.host.name }),
    );
  }

  watch(service: string, report: (report: DiscoveryReport) => void): Watch {
    return this.host.instances(service, () => this.sourceOf(service), report);
  }

  /** Asks for what needn't be there: "there is none" is an answer too. */
  async probe(signal: AbortSignal): Promise<void> {
    await this.targetsAt(recordName(this.settings.pattern, 'probe'), this.resolver(signal));
  }

  private sourceOf(service: string): PullSource<readonly ServiceInstance[]> {
    const { pattern, refreshMs, timeoutMs } = this.settings;
    const name = recordName(pattern, service);
    let known = new Map<string, Addresses>();
    return {
      what: `the instances of ${service}`,
      timeoutMs,
      everyMs: refreshMs,
      read: async ({ signal }) => {
        const resolver = this.resolver(signal);
        const targets = await this.targetsAt(name, resolver);
        const names = [...new Set(targets.map((target) => target.name))];
        const found = new Map<string, Addresses>();
        const ask = async (one: string) => found.set(one, await this.addressesOf(one, resolver, known.get(one)));
        for (let at = 0; at < names.length; at += PARALLEL) await Promise.all(names.slice(at, at + PARALLEL).map(ask));
        const answers = [...found.values()];
        // One target of many may fail: it is left out, or stays where it was.
        if (answers.length > 0 && answers.every(({ error }) => error !== undefined)) throw answers[0]?.error;
        known = found;
        return this.instancesOf(service, targets, found);
      },
    };
  }

  /** A resolver that ends with the reading, and knows the system's name servers of this moment. */
  private resolver(signal: AbortSignal): Resolver {
    const { servers, timeoutMs } = this.settings;
    // Every server is asked twice, the second time for twice as long.
    const resolver = new Resolver({ timeout: Math.ceil(timeoutMs / (3 * Math.max(servers.length, 1))), tries: 2 });
    if (servers.length > 0) resolver.setServers(servers);
    signal.addEventListener('abort', () => resolver.cancel(), { once: true });
    return resolver;
  }

  private async targetsAt(name: string, resolver: Resolver): Promise<readonly Target[]> {
    const { port } = this.settings;
    return port === undefined ? targetsOf(await orNone(resolver.resolveSrv(name))) : [{ name, port, weight: 1 }];
  }

  private async addressesOf(name: string, resolver: Resolver, before?: Addresses) {
    const { record } = this.settings;
    const now = this.host.context.clock.now();
    if (before !== undefined && now < before.until) return before;
    try {
      let records = record === 'AAAA' ? [] : await orNone(resolver.resolve4(name, { ttl: true }));
      if (records.length === 0 && record !== 'A') records = await orNone(resolver.resolve6(name, { ttl: true }));
      const ttl = records.reduce((least, one) => Math.min(least, one.ttl), records[0]?.ttl ?? 0);
      return { list: records.map(({ address }) => address), until: now + ttl * 1000 };
    } catch (error) {
      return { list: before?.list ?? [], until: now, error };
    }
  }

  /** Each once, in an order that doesn't change: name servers give records in turn. */
  private instancesOf(service: string, targets: readonly Target[], known: ReadonlyMap<string, Addresses>) {
    const byUrl = new Map<string, ServiceInstance>();
    for (const target of targets) {
      try {
        const instances = toInstances(service, target, known.get(target.name), this.settings);
        for (const one of instances) byUrl.set(one.url, one);
      } catch (error) {
        this.host.skip(`${service}/${target.name}:${target.port}`, error);
      }
    }
    return Object.freeze([...byUrl.values()].sort((a, b) => (a.url < b.url ? -1 : 1)));
  }
}

/** What was answered; that there is no such name, or no such record of it, is an answer. */
function orNone<T>(question: Promise<T[]>): Promise<T[]> {
  return question.catch((error: unknown) => {
    if (['ENOTFOUND', 'ENODATA'].includes(codeOf(error) ?? '')) return [];
    throw error;
  });
}
