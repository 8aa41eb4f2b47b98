import type { DiscoveryError, InstanceStatus, Registration, RegistrationPatch } from '../model/index.js';
import {
  ValueView,
  type Lease,
  type LeaseState,
  type NamedDriver,
  type RevokeResult,
  type View,
} from '../backend/index.js';

const PHASE_ORDER: readonly LeaseState['phase'][] = ['retrying', 'pending', 'registered', 'revoked'];

/** One registration in several registries: registered when all have it, retrying as long as one fails. */
export class CompositeLease implements Lease {
  readonly registered: Promise<void>;
  private readonly stateView: ValueView<LeaseState>;
  private revocation: Promise<RevokeResult> | undefined;

  /** @param leases at least one */
  constructor(
    readonly leases: readonly NamedDriver<Lease>[],
    onListenerError: (error: unknown) => void,
    private readonly onRevoked: () => void = () => {},
  ) {
    this.stateView = new ValueView<LeaseState>(this.worstState(), onListenerError);
    for (const { driver } of leases) driver.state.subscribe(() => this.stateView.set(this.worstState()));
    this.registered = Promise.all(leases.map(({ driver }) => driver.registered)).then(() => {});
    this.registered.catch(() => {});
  }

  get registration(): Registration {
    return this.first.registration;
  }

  get state(): View<LeaseState> {
    return this.stateView;
  }

  async update(patch: RegistrationPatch): Promise<void> {
    const results = await Promise.allSettled(this.leases.map(({ driver }) => driver.update(patch)));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason as DiscoveryError;
  }

  setStatus(status: InstanceStatus): Promise<void> {
    return this.update({ status });
  }

  revoke(signal?: AbortSignal): Promise<RevokeResult> {
    this.revocation ??= this.revokeAll(signal);
    return this.revocation;
  }

  private get first(): Lease {
    const [first] = this.leases;
    if (first === undefined) throw new TypeError('a composite lease needs at least one lease');
    return first.driver;
  }

  private async revokeAll(signal: AbortSignal | undefined): Promise<RevokeResult> {
    const results = await Promise.all(this.leases.map(({ driver }) => driver.revoke(signal)));
    this.onRevoked();
    return results.every((result) => result === 'removed') ? 'removed' : 'left-to-expire';
  }

  private worstState(): LeaseState {
    const states = this.leases.map(({ driver }) => driver.state.current);
    const [worst] = states.toSorted((a, b) => PHASE_ORDER.indexOf(a.phase) - PHASE_ORDER.indexOf(b.phase));
    return worst ?? Object.freeze({ phase: 'pending' });
  }
}
