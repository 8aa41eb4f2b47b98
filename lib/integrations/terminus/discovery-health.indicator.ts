import { checkOptions, integerBetween } from '../../backend/machinery/index.js';
import { isNobodyToCall, type DiscoveryClient } from '../../discovery/index.js';
import { messageOf, type DiscoveryError } from '../../model/index.js';
import type { AppRegistration, DiscoveryTelemetry } from '../../nest/index.js';
import type { RegistrationTelemetry, TelemetrySnapshot } from '../../observability/index.js';

/**
 * A result as Terminus takes it, whatever its version. With Terminus 12 the status may also be `degraded`, which this type
 * can't say, since Terminus 11's has no such word.
 */
export type DiscoveryHealthResult<Key extends string = string> = Record<
  Key,
  { readonly status: 'up' | 'down'; readonly [data: string]: unknown }
>;

/** Options of {@link DiscoveryHealthIndicator.requires}. */
export interface RequirementOptions {
  /** Instances that there must be to call. @default 1 */
  readonly atLeast?: number;
}

/** Makes results, as Terminus's `HealthIndicatorService` does; `degraded` came with version 12. */
export type ResultsFor = (key: string) => {
  up(data: Data): object;
  down(data: Data): object;
  degraded?(data: Data): object;
};

type Data = Readonly<Record<string, unknown>>;

const REQUIREMENT = { atLeast: integerBetween(1, 1_000_000) };

/**
 * Health checks for Terminus, of what the app has of discovery. What goes on working on the last known data is `degraded`:
 * answered with 200 by Terminus 12, and `up` with the same data on 11, which has no such word. So an outage of a registry
 * takes nobody out. All of it is for readiness: whether an app has to be restarted never depends on a registry.
 *
 * Nothing but {@link requires} opens a watch, and none asks a registry.
 *
 * @publicApi
 */
export class DiscoveryHealthIndicator {
  /** @internal Made by the module. */
  constructor(
    private readonly resultsFor: ResultsFor,
    private readonly app: AppRegistration,
    private readonly telemetry: DiscoveryTelemetry,
    private readonly discovery: DiscoveryClient,
  ) {}

  /**
   * Whether others can find this app. Down while it starts, while it is paused, and from the first step of a shutdown on
   * (`enableGracefulShutdown`); degraded while a registry that had it doesn't confirm it any more. Up for an app that
   * registers nothing.
   *
   * @param key what the result is called. @default 'registration'
   */
  registration<const Key extends string = 'registration'>(key?: Key): DiscoveryHealthResult<Key> {
    const name = key ?? 'registration';
    if (this.app.shutdown.started) return this.down(name, { state: 'stopping' });
    const { lease } = this.app;
    if (lease === undefined) {
      return this.app.registers ? this.down(name, { state: 'starting' }) : this.up(name, { state: 'none' });
    }
    const { service, instanceId, status } = lease.registration;
    const all = this.telemetry.snapshot().registrations.filter((one) => one.instanceId === instanceId);
    const registries = Object.fromEntries(all.map((one) => [one.backend, stateOf(one)]));
    const data = { service, instanceId, registeredAs: status, registries };
    if (status === 'OUT_OF_SERVICE') return this.down(name, { state: 'paused', ...data });
    if (all.every(({ phase }) => phase === 'registered')) return this.up(name, { state: 'registered', ...data });
    // In none yet: nobody finds it, and nothing is lost when nobody calls it.
    if (all.every(({ confirmedAt }) => confirmedAt === undefined)) {
      return this.down(name, { state: 'starting', ...data });
    }
    return this.degraded(name, { state: 'not confirmed', ...data });
  }

  /**
   * Whether the backends answer. Never down: without them the app works on with what it knows.
   *
   * @param key what the result is called. @default 'backends'
   */
  backends<const Key extends string = 'backends'>(key?: Key): DiscoveryHealthResult<Key> {
    const { backends } = this.telemetry.snapshot();
    const entries = backends.map(({ name, phase, since, error }) => [
      name,
      { state: phase, since: time(since), ...because(error) },
    ]);
    // One level down: a backend may be called as one of Terminus's own fields.
    const data = { backends: Object.fromEntries(entries) as Data };
    const ready = backends.every(({ phase }) => phase === 'ready');
    return ready ? this.up(key ?? 'backends', data) : this.degraded(key ?? 'backends', data);
  }

  /**
   * Whether a service that the app needs has instances to call. Degraded while the list is that of before an outage; down
   * when there are too few, or when no registry could say yet. Opens the watch of the service, if nobody has.
   *
   * @param key what the result is called. @default the service's name
   * @throws DiscoveryError `INVALID_OPTION`, `INVALID_NAME`
   */
  requires<const Name extends string>(
    service: Name,
    options?: RequirementOptions,
  ): Promise<DiscoveryHealthResult<Name>>;
  requires<const Key extends string>(
    key: Key,
    service: string,
    options?: RequirementOptions,
  ): Promise<DiscoveryHealthResult<Key>>;
  async requires(
    key: string,
    second: string | RequirementOptions = key,
    third?: RequirementOptions,
  ): Promise<DiscoveryHealthResult> {
    const service = typeof second === 'string' ? second : key;
    const options = typeof second === 'string' ? (third ?? {}) : second;
    checkOptions('requires()', options, REQUIREMENT);
    const { atLeast = 1 } = options;
    try {
      await this.discovery.getSnapshot(service);
    } catch (error) {
      if (!isNobodyToCall(error)) throw error;
      return this.down(key, { service, state: 'unknown', atLeast, message: messageOf(error) });
    }
    const seen = this.telemetry.service(service);
    if (seen === undefined) return this.down(key, { service, state: 'unknown', atLeast });
    const { state, since, error, routable, ejected } = seen;
    const instances = routable + ejected;
    const data = { service, state, since: time(since), instances, atLeast, ...because(error) };
    if (instances < atLeast) return this.down(key, data);
    return state === 'fresh' ? this.up(key, data) : this.degraded(key, data);
  }

  /**
   * Whether the newest configuration is in force. Never down: what was refused, or can't be read, leaves the values before
   * in force.
   *
   * @param key what the result is called. @default 'configuration'
   */
  configuration<const Key extends string = 'configuration'>(key?: Key): DiscoveryHealthResult<Key> {
    const { since, problems } = this.telemetry.snapshot().configuration;
    const data = { since: time(since), ...problemsOf(problems) };
    const name = key ?? 'configuration';
    return problems.length === 0 ? this.up(name, data) : this.degraded(name, data);
  }

  private up<Key extends string>(key: string, data: Data): DiscoveryHealthResult<Key> {
    return this.resultsFor(key).up(data) as DiscoveryHealthResult<Key>;
  }

  private down<Key extends string>(key: string, data: Data): DiscoveryHealthResult<Key> {
    return this.resultsFor(key).down(data) as DiscoveryHealthResult<Key>;
  }

  private degraded<Key extends string>(key: string, data: Data): DiscoveryHealthResult<Key> {
    const results = this.resultsFor(key);
    const result = results.degraded === undefined ? results.up({ ...data, degraded: true }) : results.degraded(data);
    return result as DiscoveryHealthResult<Key>;
  }
}

function stateOf({ phase, confirmedAt, error }: RegistrationTelemetry): Data {
  return { state: phase, ...(confirmedAt === undefined ? {} : { confirmedAt: time(confirmedAt) }), ...because(error) };
}

function because(error: DiscoveryError | undefined): Data {
  return error === undefined ? {} : { message: error.message };
}

function problemsOf(problems: TelemetrySnapshot['configuration']['problems']): Data {
  if (problems.length === 0) return {};
  return { problems: problems.map(({ since, error }) => ({ since: time(since), message: error.message })) };
}

function time(since: number): string {
  return new Date(since).toISOString();
}
