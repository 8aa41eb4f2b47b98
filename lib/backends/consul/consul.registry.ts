import {
  neverArrived,
  sleep,
  type DriverHost,
  type Lease,
  type LeaseKeeper,
  type LeaseOperations,
  type OverrideStatus,
  type OverrideTarget,
  type RegistryDriver,
  type Removal,
} from '../../backend/index.js';
import { defined, DiscoveryError, NoInstanceError, type Registration } from '../../model/index.js';
import type { ConsulClient } from './client/consul-client.js';
import { ConsulError, isConsulError } from './client/errors.js';
import {
  checkIdOf,
  encodeService,
  maintenanceIdOf,
  needsMaintenance,
  notesOf,
  reasonOf,
  statusOfReason,
  ttlStatusOf,
} from './consul.codec.js';
import { DEFAULT_TTL_MS, renewalMs, type ConsulCheckOptions, type ConsulSettings } from './consul.options.js';

/** The write side: services of one agent. */
export class ConsulRegistryDriver implements RegistryDriver {
  readonly capabilities = { status: 'native', metadata: 'emulated' } as const;

  private readonly leases = new Set<LeaseKeeper>();

  constructor(
    private readonly host: DriverHost,
    private readonly client: ConsulClient,
    private readonly settings: ConsulSettings,
  ) {}

  /** Has every registration confirmed now: the agent was away, and may have come back without them. */
  confirmAll(): void {
    for (const lease of this.leases) lease.renewNow();
  }

  register(registration: Registration): Lease {
    const { settings } = this;
    const everyMs = renewalMs(settings.check, settings.verifyMs);
    const operations = new AgentRegistration(this.host, this.client, settings);
    return this.host.lease(registration, operations, {
      capabilities: this.capabilities,
      renewEveryMs: () => everyMs,
      timeoutMs: Math.min(settings.connection.requestTimeoutMs, attemptMs(settings.check, everyMs)),
      // A pass that failed is tried again long before the next would be due.
      backoff: { initialMs: 250, maxMs: settings.watch.maxBackoffMs },
      check: (wanted) => void encodeService(wanted, settings),
      follow: (lease) => {
        this.leases.add(lease);
        return () => this.leases.delete(lease);
      },
    });
  }

  /** By the service's maintenance mode, at the agent that has it. */
  async overrideStatus(target: OverrideTarget, status: OverrideStatus): Promise<void> {
    this.host.assertOpen();
    const { service, instanceId, reason, signal } = target;
    const { services } = this.client;
    try {
      if (status === 'UP') await services.enable(instanceId, defined({ signal }));
      else await services.disable(instanceId, defined({ reason, signal }));
    } catch (error) {
      if (!isForgotten(error)) throw error;
      const problem = `the agent of ${this.host.name} has no instance ${instanceId} of ${service}: ask the agent that it is registered at`;
      throw new NoInstanceError(service, problem);
    }
  }
}

/** How long one try may take: one that hangs must leave time for another before the TTL ends. */
function attemptMs(check: ConsulCheckOptions, everyMs: number): number {
  const left = check.type === 'ttl' ? (check.ttlMs ?? DEFAULT_TTL_MS) - everyMs : everyMs;
  return Math.max(1000, left / 2);
}

/** How long an agent that runs again may take to read what it was sent before, in milliseconds. */
const SETTLE_MS = 200;

/** One registration at the agent. */
class AgentRegistration implements LeaseOperations {
  /** Whether a maintenance of ours is in force, as far as we know; undefined: the agent must be asked. */
  private maintained: boolean | undefined;
  private arrived = false;
  /** A registration was given up unanswered: the agent may read it yet, when it runs again. */
  private uncertain = false;

  constructor(
    private readonly host: DriverHost,
    private readonly client: ConsulClient,
    private readonly settings: ConsulSettings,
  ) {}

  async register(registration: Registration, signal: AbortSignal): Promise<void> {
    this.maintained = undefined;
    await this.put(registration, signal);
    await this.showStatus(registration, signal);
  }

  async change(registration: Registration, previous: Registration, signal: AbortSignal): Promise<void> {
    const { status, ...rest } = registration;
    const { status: statusBefore, ...before } = previous;
    const same =
      notesOf(status) === notesOf(statusBefore) &&
      Object.entries(rest).every(([key, value]) => before[key as keyof typeof before] === value);
    try {
      if (!same) await this.put(registration, signal);
      await this.showStatus(registration, signal);
    } catch (error) {
      // The agent forgot it meanwhile.
      if (!isForgotten(error)) throw error;
      await this.register(registration, signal);
    }
  }

  async renew(registration: Registration, signal: AbortSignal): Promise<'renewed' | 'forgotten'> {
    const { client, settings } = this;
    try {
      if (settings.check.type === 'ttl') await this.giveSign(registration, signal);
      else await client.services.info(registration.instanceId, { signal });
      return 'renewed';
    } catch (error) {
      if (isForgotten(error)) return 'forgotten';
      throw error;
    }
  }

  mayExist(): boolean {
    return this.arrived;
  }

  async deregister({ instanceId }: Registration, signal: AbortSignal): Promise<Removal> {
    const removal = await this.take(instanceId, signal);
    if (!this.uncertain) return removal;
    // An agent that was stopped for a while reads what was given up together with the removal, in any order.
    const { client } = this;
    if (!(await sleep(this.host.context.clock, SETTLE_MS, signal))) throw this.unconfirmed(instanceId);
    try {
      await client.services.info(instanceId, { signal });
    } catch (error) {
      if (isForgotten(error)) return removal;
      throw error;
    }
    return this.take(instanceId, signal);
  }

  private async put(registration: Registration, signal: AbortSignal): Promise<void> {
    const { client, settings } = this;
    try {
      // Without `replace-existing-checks`, which would end an operator's maintenance.
      await client.services.register(encodeService(registration, settings), { signal });
      this.arrived = true;
    } catch (error) {
      this.arrived ||= !neverArrived(error);
      this.uncertain ||= !(error instanceof ConsulError) || error.status === undefined;
      throw error;
    }
  }

  private async take(instanceId: string, signal: AbortSignal): Promise<Removal> {
    try {
      await this.client.services.deregister(instanceId, { signal });
      return 'removed';
    } catch (error) {
      // Gone is gone; older agents answer 500 to that.
      if (isForgotten(error)) return 'absent';
      throw error;
    }
  }

  /** Makes check and maintenance say what the registration's status is. */
  private async showStatus(registration: Registration, signal: AbortSignal): Promise<void> {
    const { client, settings } = this;
    const { instanceId, status } = registration;
    const wanted = needsMaintenance(status, settings.check);
    if (wanted) {
      this.maintained = undefined;
      await client.services.disable(instanceId, { reason: reasonOf(status), signal });
      this.maintained = true;
    }
    if (settings.check.type === 'ttl') await this.giveSign(registration, signal);
    if (wanted) return;
    this.maintained ??= await this.isMaintainedByUs(instanceId, signal);
    if (!this.maintained) return;
    await client.services.enable(instanceId, { signal });
    this.maintained = false;
  }

  private async giveSign({ instanceId, status }: Registration, signal: AbortSignal): Promise<void> {
    const sign = ttlStatusOf(status);
    await this.client.checks.mark(checkIdOf(instanceId), sign.status, { note: sign.note, signal });
  }

  /** An earlier run with the same id may have left its maintenance; an operator's stays. */
  private async isMaintainedByUs(instanceId: string, signal: AbortSignal): Promise<boolean> {
    const id = maintenanceIdOf(instanceId);
    const checks = await this.client.checks.list({ filter: `CheckID == ${JSON.stringify(id)}`, signal });
    const maintenance = checks[id];
    return maintenance !== undefined && statusOfReason(maintenance.Notes) !== undefined;
  }

  private unconfirmed(instanceId: string): DiscoveryError {
    const backend = this.host.name;
    return new DiscoveryError('ABORTED', `whether ${instanceId} is gone was not confirmed`, { backend });
  }
}

/** Whether the agent says that it has no such service or check (or another kind of check under its id). */
function isForgotten(error: unknown): boolean {
  if (isConsulError(error, 'not-found')) return true;
  return isConsulError(error, 'server') && /unknown (?:service|check)|does not have associated TTL/i.test(error.answer);
}
