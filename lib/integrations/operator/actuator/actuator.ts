import { availableParallelism, userInfo } from 'node:os';
import type { ApplicationConfig } from '@nestjs/core';
import { withDeadline, type Logger } from '../../../backend/index.js';
import type { AppRegistration, BeforeServiceRegister, DiscoveryTelemetry } from '../../../nest/index.js';
import type { DiscoveryRuntime } from '../../../nest/discovery-runtime.js';
import type { RegistrationDraft } from '../../../nest/lifecycle-hooks.interface.js';
import { Refusal } from '../exchange.js';
import { CHANGE_MS } from '../operator-state.js';
import { environmentEntryOf, environmentOf } from './actuator-env.js';
import { ActuatorHealthReader } from './actuator-health.js';
import { ActuatorMetrics } from './actuator-metrics.js';
import type { ResolvedActuatorOptions } from './actuator.options.js';

/** The endpoints, each with whether its address has a part that is to be filled in. */
const LINKS = ['health', 'health/{*path}', 'info', 'metrics', 'metrics/{requiredMetricName}', 'env', 'env/{toMatch}'];

/** Those that are there besides. */
const WRITING = ['serviceregistry', 'refresh'];

/** Where Spring Boot Admin looks for the path of the endpoints in an instance's metadata. */
const CONTEXT_PATH = 'management.context-path';

/** What Spring Boot's endpoints answer, of this app. */
export class Actuator implements BeforeServiceRegister {
  readonly health: ActuatorHealthReader;
  readonly metrics: ActuatorMetrics;
  readonly logger: Logger;

  constructor(
    private readonly options: ResolvedActuatorOptions,
    readonly readOnly: boolean,
    private readonly runtime: DiscoveryRuntime,
    private readonly registration: AppRegistration,
    telemetry: DiscoveryTelemetry,
    private readonly appConfig: ApplicationConfig,
  ) {
    this.logger = runtime.logger;
    this.health = new ActuatorHealthReader(runtime, registration, telemetry);
    this.metrics = new ActuatorMetrics(telemetry);
  }

  /** Says where the endpoints are, to those who find the app in a registry. */
  beforeServiceRegister(draft: RegistrationDraft): void {
    if (!this.options.metadata) return;
    const prefix = this.appConfig.getGlobalPrefix().replace(/^\/+|\/+$/g, '');
    // One that has parameters is no path that anybody could call.
    if (/[:*{]/.test(prefix)) return;
    const path = `/${prefix === '' ? '' : `${prefix}/`}${this.options.path}`;
    draft.metadata = { [CONTEXT_PATH]: path, ...draft.metadata };
    // Eureka itself asks nobody: it is for those who read it. A registry that asks would be kept out by the guard.
    const registries = this.runtime.options.uses.filter(({ register }) => register);
    if (registries.every(({ definition }) => definition.kind === 'eureka')) draft.healthPath ??= `${path}/health`;
  }

  /** What there is, and where. @param base the address of the whole */
  links(base: string) {
    const links = [...LINKS, ...WRITING].map((path) => {
      const name = path.replace(/\/\{\*?(\w+)\}$/, '-$1');
      return [name, { href: `${base}/${path}`, templated: path.includes('{') }] as const;
    });
    return { _links: { self: { href: base, templated: false }, ...Object.fromEntries(links) } };
  }

  async info(): Promise<unknown> {
    const { application, profiles, service, zone } = this.runtime.options;
    const version = service?.metadata?.['version'];
    const given = await this.options.info();
    return {
      app: { name: application, profiles, ...(zone === undefined ? {} : { zone }) },
      build: { name: application, ...(version === undefined ? {} : { version: String(version) }) },
      process: { pid: process.pid, parentPid: process.ppid, owner: owner(), cpus: availableParallelism() },
      node: { version: process.version.replace(/^v/, '') },
      ...(typeof given === 'object' && given !== null ? given : {}),
    };
  }

  env() {
    return environmentOf(this.runtime.configStore.current, this.runtime.options.profiles);
  }

  envEntry(key: string) {
    return environmentEntryOf(this.runtime.configStore.current, this.runtime.options.profiles, key);
  }

  /** As Spring Cloud has it of Eureka: what is registered, and whether somebody has said so. */
  registryStatus() {
    const { lease, pausedFor } = this.registration;
    return {
      status: lease?.registration.status ?? 'UNKNOWN',
      overriddenStatus: pausedFor === undefined ? 'UNKNOWN' : 'OUT_OF_SERVICE',
    };
  }

  /**
   * Takes the app out of traffic, or back.
   * @throws Refusal 400; DiscoveryError `TIMEOUT` when a registry doesn't answer
   */
  async setRegistryStatus({ status }: Readonly<Record<string, unknown>>) {
    const change = this.changeTo(status);
    const { clock } = this.runtime.options;
    await withDeadline(clock, CHANGE_MS, undefined, 'telling the registries', change);
    return this.registryStatus();
  }

  /** @throws Refusal 400 */
  private changeTo(status: unknown): () => Promise<void> {
    const { registration } = this;
    if (status === 'OUT_OF_SERVICE' || status === 'DOWN') {
      return () => registration.pause(`set to ${status} by its actuator`);
    }
    if (status === 'UP' || status === 'CANCEL_OVERRIDE') return () => registration.resume();
    throw new Refusal(400, 'status must be UP, OUT_OF_SERVICE, DOWN or CANCEL_OVERRIDE');
  }

  /** Asks for the configuration anew. @returns the keys that have changed */
  async refresh(): Promise<readonly string[]> {
    const before = this.runtime.configStore.current;
    await this.runtime.config.refresh();
    const after = this.runtime.configStore.current;
    return after === before ? [] : after.differences(before);
  }
}

/** Whose process it is; in a container there may be nobody of that number. */
function owner(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? '');
  }
}
