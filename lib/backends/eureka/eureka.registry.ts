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
import {
  DiscoveryError,
  messageOf,
  NoInstanceError,
  type InstanceStatus,
  type Registration,
} from '../../model/index.js';
import type { EurekaSession } from './client/session.js';
import type { OutgoingInstance } from './eureka.codec.js';
import type { EurekaInstance } from './eureka.instance.js';
import type { EurekaSettings } from './eureka.options.js';
import { toOutgoingInstance } from './eureka.registration.js';

/** What the registry, if it is being read, knows of an instance; undefined when it isn't read at present. */
export type LookUp = (app: string, instanceId: string) => { readonly instance: EurekaInstance | undefined } | undefined;

/** The write side: registration, heartbeats, status and metadata. */
export class EurekaRegistryDriver implements RegistryDriver {
  readonly capabilities = { status: 'native', metadata: 'native' } as const;
  private warned = false;

  constructor(
    private readonly host: DriverHost,
    private readonly session: EurekaSession,
    private readonly settings: EurekaSettings,
    private readonly lookUp: LookUp,
  ) {}

  register(registration: Registration): Lease {
    return this.keep(registration).lease;
  }

  /** By the status override, which the server puts over what the instance says with each heartbeat. */
  async overrideStatus({ service, instanceId, signal }: OverrideTarget, status: OverrideStatus): Promise<void> {
    this.host.assertOpen();
    const { api } = this.session;
    const known =
      status === 'UP'
        ? // What it says itself follows with its next heartbeat.
          await api.deleteStatusOverride(service, instanceId, status, signal)
        : await api.statusUpdate(service, instanceId, status, signal);
    if (!known) throw new NoInstanceError(service, `${this.host.name} has no instance ${instanceId} of ${service}`);
  }

  /** As {@link register}, with the operations of the lease. */
  keep(registration: Registration): { readonly lease: LeaseKeeper; readonly record: OwnRecord } {
    const { host, session, settings } = this;
    const { heartbeatMs, changeBurst, changeIntervalMs } = settings.lease;
    const record = new OwnRecord(host, session, settings, this.lookUp);
    const lease = host.lease(registration, record, {
      capabilities: this.capabilities,
      check: assertPathParts,
      renewEveryMs: () => heartbeatMs,
      timeoutMs: session.operationTimeoutMs,
      // However long an outage was: back within a heartbeat of its end.
      backoff: { initialMs: Math.min(500, heartbeatMs), maxMs: heartbeatMs },
      changeBurst,
      changeIntervalMs,
    });
    if (heartbeatMs !== 30_000 && !this.warned) {
      this.warned = true;
      host.context.logger.warn(
        `${host.name}: heartbeatMs is ${heartbeatMs}; servers count on 30000 when they decide on self-preservation`,
      );
    }
    return { lease, record };
  }
}

/**
 * Both names are a part of every path but the registration's, and servers take these characters for their own there,
 * encoded or not: the instance would be registered and never be confirmed.
 */
function assertPathParts({ service, instanceId }: Registration): void {
  for (const [field, name] of Object.entries({ service, instanceId })) {
    if (!/[;%]/.test(name)) continue;
    throw new DiscoveryError('INVALID_OPTION', `Eureka takes no ${field} with ';' or '%', got '${name}'`, { field });
  }
}

/** How often a registration is corrected at most when the server made something else of it. */
const MAX_CORRECTIONS = 3;

/** How often, and how long after each other, a removal is checked that may have been overtaken, in milliseconds. */
const REMOVAL_CHECKS = 3;
const REMOVAL_CHECK_MS = 200;

/** The record of one lease at the server. */
export class OwnRecord implements LeaseOperations {
  /** Version of the newest registration that was sent: the server takes no older one. */
  private dirtyAt = 0;
  /**
   * An operator's word on this instance, as last seen. Servers forget it together with the lease, so it is sent along when
   * they have lost the instance.
   */
  private override: InstanceStatus = 'UNKNOWN';
  private changing = false;
  /** A registration was sent and never answered: it may arrive late. */
  private unanswered = false;
  private arrived = false;
  /** The last registration was refused: a proxy whose way leads elsewhere, say. Whoever refuses that knows no instance. */
  private refused = false;

  constructor(
    private readonly host: DriverHost,
    private readonly session: EurekaSession,
    private readonly settings: EurekaSettings,
    private readonly lookUp: LookUp,
  ) {}

  /** What an operator set for this instance through the server; `UNKNOWN` when nobody did. */
  get overriddenStatus(): InstanceStatus {
    return this.override;
  }

  /** True from the begin of a change until the server has it. */
  get isChanging(): boolean {
    return this.changing;
  }

  async register(registration: Registration, signal: AbortSignal): Promise<void> {
    await this.put(registration, signal);
    this.changing = false;
  }

  private async put(registration: Registration, signal: AbortSignal): Promise<void> {
    const instance = await this.toInstance(registration, signal);
    await this.send(instance, await this.lostOverride(instance, signal), signal);
    for (let corrections = 0; corrections < MAX_CORRECTIONS; corrections += 1) {
      const found = (await this.look(instance, signal))?.instance;
      if (found === undefined) return;
      this.seen(found);
      if (found.lastDirtyTimestamp > this.dirtyAt) {
        // Registered before by a process whose clock is ahead: the server kept that one's data.
        this.dirtyAt = found.lastDirtyTimestamp;
        await this.send(instance, 'UNKNOWN', signal);
      } else if (found.status === instance.status || this.override !== 'UNKNOWN') return;
      else await this.sendAfterDown(instance, signal);
    }
  }

  async renew(registration: Registration, signal: AbortSignal): Promise<'renewed' | 'forgotten'> {
    const { api } = this.session;
    const { service, instanceId, status } = registration;
    if (!(await api.heartbeat(service, instanceId, status, this.dirtyAt, signal))) {
      // Also the answer after an operator took an override back: then the record is there, and says so.
      const found = await this.look({ app: service, instanceId }, signal);
      if (found?.instance !== undefined) this.seen(found.instance);
      return 'forgotten';
    }
    const known = this.lookUp(service, instanceId) ?? (await this.look({ app: service, instanceId }, signal));
    if (known?.instance !== undefined) this.seen(known.instance);
    return 'renewed';
  }

  async change(registration: Registration, previous: Registration, signal: AbortSignal): Promise<void> {
    this.changing = true;
    const [from, to] = [previous.status, registration.status];
    // A server lets the UP or OUT_OF_SERVICE that it has win over the other one; not over what comes after DOWN.
    const fixed = (from === 'UP' && to === 'OUT_OF_SERVICE') || (from === 'OUT_OF_SERVICE' && to === 'UP');
    if (fixed) await this.send({ ...(await this.toInstance(registration, signal)), status: 'DOWN' }, 'UNKNOWN', signal);
    await this.register(registration, signal);
  }

  mayExist(): boolean {
    return this.arrived;
  }

  async deregister({ service, instanceId }: Registration, signal: AbortSignal): Promise<Removal> {
    const { session } = this;
    const { clock } = this.host.context;
    let removed = await session.api.cancel(service, instanceId, signal);
    if (!removed && this.refused) throw this.unknown(instanceId);
    // What was never answered may be read by the server after the removal.
    for (let check = 0; this.unanswered && check < REMOVAL_CHECKS; check += 1) {
      if (!(await sleep(clock, REMOVAL_CHECK_MS, signal))) break;
      const found = await this.look({ app: service, instanceId }, signal);
      if (found?.instance !== undefined) removed = (await session.api.cancel(service, instanceId, signal)) || removed;
    }
    this.unanswered = false;
    return removed ? 'removed' : 'absent';
  }

  private unknown(instanceId: string): DiscoveryError {
    const { name } = this.host;
    const problem = `${name} knows no ${instanceId}, and refuses to register it too: its address may lead elsewhere`;
    return new DiscoveryError('BACKEND_REFUSED', problem, { backend: name });
  }

  private async toInstance(registration: Registration, signal: AbortSignal): Promise<OutgoingInstance> {
    const { session, settings } = this;
    const amazon = await session.amazon(signal);
    return toOutgoingInstance(registration, 0, { lease: settings.lease, zone: session.servers.zone, amazon });
  }

  private async sendAfterDown(instance: OutgoingInstance, signal: AbortSignal): Promise<void> {
    await this.send({ ...instance, status: 'DOWN' }, 'UNKNOWN', signal);
    await this.send(instance, 'UNKNOWN', signal);
  }

  private async send(instance: OutgoingInstance, override: InstanceStatus, signal: AbortSignal): Promise<void> {
    this.dirtyAt = Math.max(this.host.context.clock.now(), this.dirtyAt + 1);
    const before = this.unanswered;
    this.unanswered = true;
    try {
      await this.session.api.register(
        { ...instance, overriddenStatus: override, lastDirtyTimestamp: this.dirtyAt },
        signal,
      );
      this.unanswered = false;
      this.arrived = true;
      this.refused = false;
    } catch (error) {
      if (neverArrived(error)) {
        this.unanswered = before;
        this.refused = wasAnswered(error);
      } else this.arrived = true;
      throw error;
    }
  }

  /** An operator's word that the server has lost together with the instance. */
  private async lostOverride(instance: OutgoingInstance, signal: AbortSignal): Promise<InstanceStatus> {
    if (this.override === 'UNKNOWN') return 'UNKNOWN';
    const found = await this.look(instance, signal);
    if (found === undefined) return 'UNKNOWN';
    if (found.instance === undefined) return this.override;
    this.seen(found.instance);
    return 'UNKNOWN';
  }

  /** What the server has; undefined when that can't be told now. */
  private async look(
    { app, instanceId }: { readonly app: string; readonly instanceId: string },
    signal: AbortSignal,
  ): Promise<{ readonly instance: EurekaInstance | undefined } | undefined> {
    try {
      return { instance: await this.session.api.getAppInstance(app, instanceId, signal) };
    } catch (error) {
      signal.throwIfAborted();
      this.host.context.logger.debug(`${this.host.name}: ${instanceId} can't be looked at: ${messageOf(error)}`);
      return undefined;
    }
  }

  private seen({ instanceId, overriddenStatus }: EurekaInstance): void {
    if (overriddenStatus === this.override) return;
    const { name, context } = this.host;
    this.override = overriddenStatus;
    context.logger.log(
      overriddenStatus === 'UNKNOWN'
        ? `${name}: the status of ${instanceId} is its own again`
        : `${name}: the status of ${instanceId} was set to ${overriddenStatus} at the server; it stays so`,
    );
  }
}

/** Whether any of the servers refused what never arrived, rather than not being there. */
function wasAnswered(error: unknown): boolean {
  if (!(error instanceof DiscoveryError)) return false;
  return error.code === 'BACKEND_REFUSED' || error.attempts?.some(({ code }) => code === 'BACKEND_REFUSED') === true;
}
