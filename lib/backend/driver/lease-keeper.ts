import {
  defined,
  DiscoveryError,
  messageOf,
  patchRegistration,
  toDiscoveryError,
  type DiscoveryEvent,
  type InstanceStatus,
  type Registration,
  type RegistrationPatch,
} from '../../model/index.js';
import { Backoff } from '../machinery/backoff.js';
import { sleep } from '../machinery/system-clock.js';
import type { Clock } from '../port/clock.js';
import { abandonOnAbort, cutAfter, untilAborted, withDeadline } from '../machinery/deadline.js';
import type { Lease, LeaseState, RegistryDriver, RevokeResult } from '../port/registry-driver.js';
import { RateLimit } from '../machinery/rate-limit.js';
import { ValueView } from '../machinery/value-view.js';
import type { View } from '../port/view.js';

/**
 * What a product does for a lease; called one at a time. Every operation must be safe to repeat, and must end soon after
 * its signal aborts: the next one doesn't wait longer for it.
 */
export interface LeaseOperations {
  /** Makes the registry have this registration, whatever it had before. */
  register(registration: Registration, signal: AbortSignal): Promise<void>;
  /** Confirms the registration; `forgotten` leads to `register` at once. Absent when a connection keeps it alive. */
  renew?(registration: Registration, signal: AbortSignal): Promise<'renewed' | 'forgotten'>;
  /** Changes what the registry has. @default `register` */
  change?(registration: Registration, previous: Registration, signal: AbortSignal): Promise<void>;
  /** Makes the registry not have it; `absent` when the registry says that it hadn't anyway. */
  deregister(registration: Registration, signal: AbortSignal): Promise<Removal>;
  /**
   * Whether anything may be at the registry: false as long as all that was sent surely never arrived, or was refused.
   * {@link neverArrived} tells of errors. What isn't there needs no removal. @default true once `register` was called
   */
  mayExist?(): boolean;
}

/** How a removal ended: `absent` when there was nothing of ours to remove, as far as the registry tells. */
export type Removal = 'removed' | 'absent';

/** Options of a {@link LeaseKeeper}. */
export interface LeaseKeeperOptions {
  readonly clock: Clock;
  /** Name of the backend. */
  readonly backend: string;
  readonly capabilities: RegistryDriver['capabilities'];
  readonly operations: LeaseOperations;
  /** Milliseconds between renewals. @default never */
  readonly renewEveryMs?: () => number;
  /** Each interval is shortened by a random part of at most this share. @default 0.1 */
  readonly jitter?: number;
  /** An operation that takes longer counts as failed, in milliseconds. @default 10000 */
  readonly timeoutMs?: number;
  readonly backoff?: { readonly initialMs?: number; readonly maxMs?: number };
  /** Changes that may follow each other at once; beyond them one in `changeIntervalMs`, the newest. @default 2 */
  readonly changeBurst?: number;
  /** @default 500 */
  readonly changeIntervalMs?: number;
  /** Throws for what the product would refuse for ever; asked before every change. */
  readonly check?: ((registration: Registration) => void) | undefined;
  /** Told of every success and failure. */
  readonly report?: (event: DiscoveryEvent) => void;
  /** Told when the lease is over, so that the driver forgets it. */
  readonly onRevoked?: () => void;
  /** @default Math.random */
  readonly random?: () => number;
}

/** What the removal of a record may take that the registry has never confirmed, in milliseconds. */
const UNCONFIRMED_REMOVAL_MS = 1000;

/**
 * The lease of every product that is driven by requests: one loop that compares what is wanted with what the registry
 * was last known to have, and does the one thing that is missing. Since all operations of a lease go through this loop,
 * a late heartbeat can't undo a revocation: the removal is sent after whatever was in flight has ended.
 */
export class LeaseKeeper implements Lease {
  readonly registered: Promise<void>;
  private readonly stateView: ValueView<LeaseState>;
  private desired: Registration;
  /** What the registry has as far as we know; undefined: nothing, or we can't be sure. */
  private actual: Registration | undefined;
  /** Counts the times that the registry lost everything; what began before doesn't count as registered. */
  private epoch = 0;
  private renewAt = Infinity;
  private answeredAt: number | undefined;
  private readonly revoking = new AbortController();
  /** Cuts off what is in flight, when whoever revokes can't wait for it. */
  private readonly cutting = new AbortController();
  private wake = new AbortController();
  private readonly backoff: Backoff;
  /** Keeps a flapping status from flooding the registry. */
  private readonly changes: RateLimit;
  private changed = false;
  /** Something was sent. */
  private begun = false;
  /** The registry had it once. */
  private confirmed = false;
  /** Why the removal failed. */
  private leftBy: DiscoveryError | undefined;
  /** Operations that have not ended, also those whose time was up. */
  private readonly underWay = new Set<Promise<unknown>>();
  private readonly loop: Promise<void>;
  private revocation: Promise<RevokeResult> | undefined;
  private settleRegistered: { resolve: () => void; reject: (error: DiscoveryError) => void };
  private pending: {
    readonly registration: Registration;
    resolve: () => void;
    reject: (error: DiscoveryError) => void;
  }[] = [];

  constructor(
    registration: Registration,
    private readonly options: LeaseKeeperOptions,
  ) {
    this.desired = registration;
    this.stateView = new ValueView<LeaseState>(Object.freeze({ phase: 'pending' }), (error) =>
      options.report?.({ type: 'listener.failed', where: `lease of ${registration.instanceId}`, error }),
    );
    this.backoff = new Backoff({
      clock: options.clock,
      ...options.backoff,
      ...(options.random === undefined ? {} : { random: options.random }),
    });
    this.changes = new RateLimit({
      clock: options.clock,
      burst: options.changeBurst ?? 2,
      intervalMs: options.changeIntervalMs ?? 500,
    });
    this.settleRegistered = { resolve: () => {}, reject: () => {} };
    this.registered = new Promise<void>((resolve, reject) => {
      this.settleRegistered = { resolve, reject };
    });
    // Whoever doesn't care must not bring the process down.
    this.registered.catch(() => {});
    // Not at once: the driver has no lease yet that its operations could ask for.
    this.loop = Promise.resolve().then(() => this.keep());
  }

  get registration(): Registration {
    return this.desired;
  }

  get state(): View<LeaseState> {
    return this.stateView;
  }

  get confirmedAt(): number | undefined {
    const { operations, clock } = this.options;
    const isKept = operations.renew === undefined && this.state.current.phase === 'registered';
    return isKept ? clock.now() : this.answeredAt;
  }

  update(patch: RegistrationPatch): Promise<void> {
    if (this.revoking.signal.aborted) return Promise.reject(this.revokedError());
    const { status, metadata } = this.options.capabilities;
    try {
      if (patch.status !== undefined && status === 'unsupported') throw this.unsupported('status');
      if (patch.metadata !== undefined && metadata === 'unsupported') throw this.unsupported('metadata');
      const patched = patchRegistration(this.desired, patch);
      this.options.check?.(patched);
      this.desired = patched;
    } catch (error) {
      return Promise.reject(error);
    }
    const { desired } = this;
    this.changed = true;
    this.setPending();
    return new Promise<void>((resolve, reject) => {
      this.pending.push({ registration: desired, resolve, reject });
      this.wake.abort();
    });
  }

  setStatus(status: InstanceStatus): Promise<void> {
    return this.update({ status });
  }

  /** Asks for a new registration, because the connection that carried it is gone. */
  forgotten(): void {
    this.epoch += 1;
    this.actual = undefined;
    this.backoff.reset();
    this.setPending();
    this.wake.abort();
  }

  /** Asks for a renewal now. */
  renewNow(): void {
    if (this.options.operations.renew === undefined) return;
    this.renewAt = this.options.clock.now();
    this.wake.abort();
  }

  revoke(signal?: AbortSignal): Promise<RevokeResult> {
    this.revocation ??= this.takeBack(signal);
    return this.revocation;
  }

  private async keep(): Promise<void> {
    const { signal } = this.revoking;
    while (!signal.aborted) {
      if (this.changed && !(await this.changes.take(signal))) return;
      this.changed = false;
      this.wake = new AbortController();
      try {
        await this.doWhatIsMissing();
        this.backoff.reset();
      } catch (error) {
        if (signal.aborted) return;
        this.failed(error);
        // A registry that is back hears of the instance no later than at a heartbeat.
        await this.backoff.wait(this.wake.signal, this.options.renewEveryMs?.());
        continue;
      }
      if (signal.aborted || this.actual !== this.desired) continue;
      if (this.renewAt === Infinity) await untilAborted(this.wake.signal);
      else if (await sleep(this.options.clock, this.untilRenewal(), this.wake.signal)) this.renewAt = -Infinity;
    }
  }

  private async doWhatIsMissing(): Promise<void> {
    const { operations } = this.options;
    const { desired: wanted, epoch } = this;
    if (this.actual === wanted) {
      if (operations.renew === undefined || this.options.clock.now() < this.renewAt) return;
      const result = await this.attempt('renew', (signal) =>
        operations.renew === undefined ? Promise.resolve('renewed' as const) : operations.renew(wanted, signal),
      );
      if (result === 'renewed' && epoch === this.epoch) this.succeeded(wanted, false);
      else this.actual = undefined;
      return;
    }
    const previous = this.actual;
    // Unknown until it is confirmed: a registration that timed out may have arrived.
    this.actual = undefined;
    this.begun = true;
    await this.attempt(previous === undefined ? 'register' : 'change', (signal) =>
      previous === undefined || operations.change === undefined
        ? operations.register(wanted, signal)
        : operations.change(wanted, previous, signal),
    );
    if (epoch === this.epoch) this.succeeded(wanted, true);
  }

  /** At most the interval: a clock that was set back must not postpone the renewal. */
  private untilRenewal(): number {
    const { clock, renewEveryMs } = this.options;
    return Math.min(this.renewAt - clock.now(), renewEveryMs?.() ?? Infinity);
  }

  private attempt<T>(what: string, operation: (signal: AbortSignal) => Promise<T>): Promise<T> {
    // Not bound to the revocation: what is in flight ends by itself, in time, before the removal is sent.
    const { signal } = this.cutting;
    const name = `${what} ${this.desired.service} at ${this.options.backend}`;
    return withDeadline(this.options.clock, this.options.timeoutMs ?? 10_000, signal, name, (cut) => {
      const running = operation(cut);
      const ended = running.then(
        () => void this.underWay.delete(ended),
        () => void this.underWay.delete(ended),
      );
      this.underWay.add(ended);
      return running;
    });
  }

  private succeeded(registration: Registration, news: boolean): void {
    this.confirmed = true;
    this.actual = registration;
    const { renewEveryMs, clock, report, backend, operations } = this.options;
    this.answeredAt = clock.now();
    this.renewAt = Infinity;
    if (renewEveryMs !== undefined && operations.renew !== undefined) {
      const random = this.options.random ?? Math.random;
      this.renewAt = clock.now() + renewEveryMs() * (1 - random() * (this.options.jitter ?? 0.1));
    }
    if (this.revoking.signal.aborted) return;
    this.settleRegistered.resolve();
    const done = this.pending.filter((entry) => entry.registration === registration || this.desired === registration);
    this.pending = this.pending.filter((entry) => !done.includes(entry));
    for (const entry of done) entry.resolve();
    // A renewal is news when the one before failed.
    const recovered = this.state.current.phase === 'retrying';
    if (this.desired === registration) this.setState({ phase: 'registered' });
    if (news || recovered) {
      const { service, instanceId, status } = registration;
      report?.({ type: 'registration.registered', backend, service, instanceId, status });
    }
  }

  private failed(error: unknown, what: 'registered' | 'deregistered' = 'registered'): DiscoveryError {
    const { backend, report } = this.options;
    const { service, instanceId } = this.desired;
    const prefix = `${service} could not be ${what} at ${backend}`;
    const wrapped = toDiscoveryError(error, 'BACKEND_UNAVAILABLE', prefix, { backend, service });
    this.setState({ phase: 'retrying', error: wrapped });
    report?.({ type: 'registration.failed', backend, service, instanceId, error: wrapped });
    return wrapped;
  }

  private async takeBack(signal: AbortSignal | undefined): Promise<RevokeResult> {
    this.revoking.abort();
    this.wake.abort();
    const error = this.revokedError();
    this.settleRegistered.reject(error);
    for (const entry of this.pending.splice(0)) entry.reject(error);
    // A registry that is out and never confirmed the record gets one second: whoever stops must not wait for it.
    const isOut = !this.confirmed && this.state.current.phase === 'retrying';
    const outcome = isOut
      ? await cutAfter(this.options.clock, UNCONFIRMED_REMOVAL_MS, signal, (cut) => this.removeRecord(cut))
      : await this.removeRecord(signal);
    const result = outcome === 'left' ? 'left-to-expire' : 'removed';
    this.setState({ phase: 'revoked' });
    const { backend, report } = this.options;
    const { service, instanceId, status } = this.desired;
    const facts = { backend, service, instanceId, status };
    if (outcome === 'left') report?.({ type: 'registration.left', ...facts, ...defined({ error: this.leftBy }) });
    else report?.({ type: `registration.${outcome}`, ...facts });
    this.options.onRevoked?.();
    return result;
  }

  private async removeRecord(signal: AbortSignal | undefined): Promise<Removal | 'left'> {
    const { operations, clock, timeoutMs, backend } = this.options;
    this.backoff.reset();
    try {
      await abandonOnAbort(this.loop, signal, `revoking ${this.desired.instanceId}`);
    } catch {
      this.cutting.abort();
      await this.loop;
      return this.mayExist() ? 'left' : 'absent';
    }
    // A request whose time was up may still be on its way; the removal must come after it.
    await this.stragglers(signal);
    if (this.underWay.size === 0 && !this.mayExist()) return 'absent';
    for (let tries = 1; signal?.aborted !== true; tries += 1) {
      try {
        const removal = await withDeadline(
          clock,
          timeoutMs ?? 10_000,
          signal,
          `deregister ${this.desired.service} at ${backend}`,
          (cut) => operations.deregister(this.desired, cut),
        );
        if (this.underWay.size > 0) return 'left';
        // One that failed before may have done it.
        return tries > 1 ? 'removed' : removal;
      } catch (error) {
        this.leftBy = this.failed(error, 'deregistered');
        // Without a limit of the caller's one failure is enough: nobody would ever end this loop.
        if (signal === undefined || !this.confirmed) return 'left';
        await this.backoff.wait(signal);
      }
    }
    return 'left';
  }

  private mayExist(): boolean {
    return this.begun && (this.options.operations.mayExist?.() ?? true);
  }

  /** Waits for operations that didn't end with their signal, as long as for one. */
  private async stragglers(signal: AbortSignal | undefined): Promise<void> {
    if (this.underWay.size === 0) return;
    const { clock, timeoutMs } = this.options;
    const all = Promise.all(this.underWay);
    await withDeadline(clock, timeoutMs ?? 10_000, signal, 'what is under way', () => all).catch(() => {});
  }

  private setPending(): void {
    if (this.stateView.current.phase === 'registered') this.stateView.set(Object.freeze({ phase: 'pending' }));
  }

  private setState(state: LeaseState): void {
    const { current } = this.stateView;
    if (current.phase === 'revoked') return;
    if (current.phase === state.phase && messageOf(current.error) === messageOf(state.error)) return;
    this.stateView.set(Object.freeze(state));
  }

  private revokedError(): DiscoveryError {
    const { service, instanceId } = this.desired;
    return new DiscoveryError('LEASE_REVOKED', `the registration of ${instanceId} was revoked`, {
      service,
      backend: this.options.backend,
    });
  }

  private unsupported(field: string): DiscoveryError {
    const { backend } = this.options;
    return new DiscoveryError('UNSUPPORTED', `${backend} can't change the ${field} of a registered instance`, {
      backend,
      field,
    });
  }
}
