import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  silentLogger,
  systemClock,
  type Backend,
  type BackendContext,
  type BackendDefinition,
  type ConfigDriver,
  type ConfigReport,
  type DiscoveryDriver,
  type DiscoveryReport,
  type RegistryDriver,
  type Watch,
} from '../../backend/index.js';
import {
  createRegistration,
  type ConfigScope,
  type DiscoveryEvent,
  type Registration,
  type RegistrationInput,
  type ServiceInstance,
} from '../../model/index.js';

/** One server (or what stands for it), as a contract suite uses it. */
export interface ContractHarness {
  /** A new client definition against the same server, data and namespace. */
  definition(options?: { readonly name?: string }): BackendDefinition;
  /** Makes the server unreachable for every client, however that is done; resolves when it is. */
  outage(): Promise<void>;
  /** Makes it reachable again, with the data that it had. */
  recover(): Promise<void>;
  /** Makes the registry lose one record, behind the client's back. Absent when the product can't. */
  forget?(service: string, instanceId: string): Promise<void>;
  /**
   * From now on renewals hang at the server. Resolves when one of `instanceId` is in flight, with a function that lets
   * them go on. Absent when the harness can't; the suite's randomised test remains.
   */
  holdRenewal?(service: string, instanceId: string): Promise<() => Promise<void>>;
  /**
   * From now on requests get no answer, without failing. Resolves with a function that lets them go on, preferably not
   * in their order. Absent when the harness can't.
   */
  pause?(): Promise<() => Promise<void>>;
  /** Handles that the clients hold open at the server or in the driver, whatever counts for the product. */
  openHandles?(): number;
  /** Discovery only: false when the product can't say which services there are. @default true */
  readonly lists?: boolean;
  /** Discovery only: true when the product still names a service for a while after its last instance. @default false */
  readonly namesEmptyServices?: boolean;
  /** Configuration only: how the product names and holds documents. @default names as they are */
  readonly config?: ConfigHarness;
  close(): Promise<void>;
}

/** How a product names documents. */
export interface ConfigHarness {
  /** A valid document id made from a fresh base name. */
  documentId(base: string): string;
  /** The id of a document in the layers of an application, of one profile of it, or of all applications. */
  applicationDocumentId?(application: string | undefined, profile?: string): string;
  /** A prefix scope that holds `documentId(base + anything)` and nothing else. */
  prefix?(base: string): string;
  /** A text in the documents' format that says `marker` under the key `marker`. @default YAML */
  text?(marker: string): string;
}

/** How long things take at this product. */
export interface ContractTiming {
  /**
   * What must happen has happened within this time, in milliseconds. Shorter than the lease of a record: a revocation
   * that does nothing must not pass because the record expires. @default 5000
   */
  readonly patienceMs?: number;
  /** How long "nothing happens" is watched, in milliseconds. @default 300 */
  readonly quietMs?: number;
  /** What is left to expire is gone within this time, in milliseconds. @default patienceMs */
  readonly expiryMs?: number;
}

/** One app's backend in a test, with all that it reported. */
export interface Client {
  readonly backend: Backend;
  readonly events: DiscoveryEvent[];
}

/** A client that has the driver under test. */
export interface RegistryClient extends Client {
  readonly registry: RegistryDriver;
  readonly discovery: DiscoveryDriver;
}

/** A watch and everything that it reported. */
export interface Recording<R> {
  readonly watch: Watch;
  readonly reports: R[];
}

/** The tools of a suite: clients that are closed after each test, and waiting with this product's patience. */
export class Contract {
  readonly patienceMs: number;
  readonly quietMs: number;
  readonly expiryMs: number;
  private current: ContractHarness | undefined;
  private clients: Client[] = [];
  private broken = false;

  constructor(
    private readonly createHarness: () => Promise<ContractHarness>,
    timing: ContractTiming,
  ) {
    this.patienceMs = timing.patienceMs ?? 5000;
    this.quietMs = timing.quietMs ?? 300;
    this.expiryMs = timing.expiryMs ?? this.patienceMs;
  }

  get harness(): ContractHarness {
    if (this.current === undefined) throw new Error('the harness exists within the tests only');
    return this.current;
  }

  /** Registers what every suite needs before and after. */
  async setUp(): Promise<void> {
    this.current = await this.createHarness();
  }

  async tearDown(): Promise<void> {
    const { current } = this;
    this.current = undefined;
    await current?.close();
  }

  /** Closes what the test opened, and ends an outage that a failed test left. */
  async cleanUp(): Promise<void> {
    await Promise.all(this.clients.splice(0).map((client) => client.backend.close()));
    if (this.broken) await this.recover();
  }

  async outage(): Promise<void> {
    this.broken = true;
    await this.harness.outage();
  }

  async recover(): Promise<void> {
    await this.harness.recover();
    this.broken = false;
  }

  /** A backend that isn't open yet. */
  create(options: { readonly name?: string } = {}): Client {
    const events: DiscoveryEvent[] = [];
    const backend = this.harness.definition(options).create(createContext(events));
    const client = { backend, events };
    this.clients.push(client);
    return client;
  }

  async open(options: { readonly name?: string } = {}): Promise<Client> {
    const client = this.create(options);
    await client.backend.open();
    return client;
  }

  /** An open client with registry and discovery. */
  async openRegistry(): Promise<RegistryClient> {
    const client = await this.open();
    const { registry, discovery } = client.backend;
    if (registry === undefined || discovery === undefined) {
      throw new Error(`${client.backend.name} has no registry and discovery to test`);
    }
    return { ...client, registry, discovery };
  }

  async openConfig(): Promise<Client & { readonly config: ConfigDriver }> {
    const client = await this.open();
    const { config } = client.backend;
    if (config === undefined) throw new Error(`${client.backend.name} has no configuration to test`);
    return { ...client, config };
  }

  watch(client: { readonly discovery: DiscoveryDriver }, service: string): Recording<DiscoveryReport> {
    const reports: DiscoveryReport[] = [];
    const watch = client.discovery.watch(service, (report) => reports.push(report));
    return { watch, reports };
  }

  watchConfig(client: { readonly config: ConfigDriver }, scope: ConfigScope): Recording<ConfigReport> {
    const reports: ConfigReport[] = [];
    const watch = client.config.watch(scope, (report) => reports.push(report));
    return { watch, reports };
  }

  /** Waits until `condition` holds; what it throws counts as "not yet". */
  async until(condition: () => boolean | Promise<boolean>, what: string, withinMs = this.patienceMs): Promise<void> {
    const end = Date.now() + withinMs;
    let problem: unknown;
    for (;;) {
      try {
        if (await condition()) return;
        problem = undefined;
      } catch (error) {
        problem = error;
      }
      if (Date.now() > end) throw new Error(`waited ${withinMs} ms in vain: ${what}`, { cause: problem });
      await delay(10);
    }
  }

  /** Waits until the newest report is a list that passes. */
  async untilInstances(
    recording: Recording<DiscoveryReport>,
    passes: (instances: readonly ServiceInstance[]) => boolean,
    what: string,
    withinMs = this.patienceMs,
  ): Promise<readonly ServiceInstance[]> {
    const newest = (): readonly ServiceInstance[] | undefined => recording.reports.at(-1)?.instances;
    try {
      await this.until(() => passes(newest() ?? throwNoList()), what, withinMs);
    } catch (error) {
      throw new Error(`${what}; reported: ${JSON.stringify(recording.reports.map(summary))}`, { cause: error });
    }
    return newest() ?? [];
  }

  /** Watches for a while that `condition` holds all the time. */
  async stays(condition: () => boolean, what: string, forMs = this.quietMs): Promise<void> {
    const end = Date.now() + forMs;
    while (Date.now() < end) {
      if (!condition()) throw new Error(`did not last: ${what}`);
      await delay(10);
    }
  }
}

/** A name that no other test has used. */
export function freshName(prefix: string): string {
  return `${prefix}-${randomUUID().slice(0, 8)}`;
}

/** A registration of a fresh service, unless the fields say otherwise. */
export function registrationOf(fields: Partial<RegistrationInput> = {}): Registration {
  return createRegistration({ service: freshName('contract'), host: '127.0.0.1', port: freshPort(), ...fields });
}

let lastPort = 20_000;

/** A port that no other registration of this process has; nobody listens there. */
export function freshPort(): number {
  lastPort = lastPort >= 60_000 ? 20_001 : lastPort + 1;
  return lastPort;
}

/** What an app would give its backend. */
export function createContext(events: DiscoveryEvent[], fields: Partial<BackendContext> = {}): BackendContext {
  return {
    appId: randomUUID(),
    application: { name: 'contract', profiles: [] },
    logger: silentLogger,
    clock: systemClock,
    random: Math.random,
    report: (event) => void events.push(event),
    ...fields,
  };
}

/** How many of each kind of handle keep this process alive. */
export function activeResources(): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}

/** As {@link activeResources}, when what has just ended or begun is over with. */
export async function settledResources(): Promise<ReadonlyMap<string, number>> {
  await new Promise((resolve) => setImmediate(resolve));
  return activeResources();
}

/** The kinds of handles of which there are more than before. */
export function leakedResources(before: ReadonlyMap<string, number>): readonly string[] {
  return [...activeResources()].filter(([kind, count]) => count > (before.get(kind) ?? 0)).map(([kind]) => kind);
}

/** Ports, which tell the instances of a test apart whatever a product does to ids. */
export function portsOf(instances: readonly ServiceInstance[] | undefined): readonly number[] {
  return (instances ?? []).map((instance) => instance.port).sort((a, b) => a - b);
}

function throwNoList(): never {
  throw new Error('the newest report is no list');
}

function summary(report: DiscoveryReport): unknown {
  return (
    report.error?.message ?? report.instances?.map((instance) => `${instance.port} ${instance.status} ${instance.id}`)
  );
}
