import { PeriodicTask } from '../../../backend/index.js';
import { keepIdentity, toDiscoveryError, type DiscoveryError, type ServiceInstance } from '../../../model/index.js';
import { toHttpInstance } from '../nats.codec.js';
import type { NatsShared } from '../nats.shared.js';
import type { InstanceSource } from './source.js';

interface Known {
  readonly instance: ServiceInstance;
  /** Rounds in a row in which it didn't answer. */
  readonly missed: number;
}

/**
 * The micro services of one name that answer HTTP: asked again and again, each gone when it didn't answer several rounds
 * in a row. One missed answer says nothing: it may be busy, or between two connections.
 */
export class RoundsSource implements InstanceSource {
  current: InstanceSource['current'];
  private readonly task: PeriodicTask;
  private readonly leaveState: () => void;
  private known = new Map<string, Known>();
  private lastKnown: readonly ServiceInstance[] = [];
  private readonly complaints = new Set<string>();
  private closed = false;

  constructor(
    private readonly shared: NatsShared,
    private readonly rounds: Required<NonNullable<NatsShared['settings']['rounds']>>,
    private readonly service: string,
    private readonly onChange: () => void,
  ) {
    const { context, session } = shared;
    this.task = new PeriodicTask({
      clock: context.clock,
      what: `asking the services ${service}`,
      // An outage of the connection is told of by the session, and ends with its state.
      intervalMs: () => rounds.intervalMs,
      timeoutMs: () => rounds.maxWaitMs + 1000,
      random: () => context.random(),
      run: (signal) => this.round(signal),
      onError: (error) => this.failed(error),
    });
    this.leaveState = session.state.subscribe(({ phase, error }) => {
      if (phase === 'connected') this.task.trigger().catch(() => {});
      else if (error !== undefined) this.failed(error);
    });
    this.task.start('now');
  }

  async refresh(): Promise<void> {
    try {
      await this.task.trigger();
    } catch (error) {
      throw this.wrapped(error);
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    this.leaveState();
    await this.task.stop();
  }

  private async round(signal: AbortSignal): Promise<void> {
    const { queries, session, settings } = this.shared;
    await session.settled(signal);
    const answered = new Map<string, ServiceInstance>();
    for await (const info of queries.infoEach({
      name: this.service,
      maxWaitMs: this.rounds.maxWaitMs,
      stallMs: this.rounds.stallMs,
      signal,
    })) {
      try {
        const instance = toHttpInstance(info, this.service, settings.name);
        if (instance !== undefined) answered.set(instance.id, instance);
      } catch (error) {
        this.complain(info.id, error);
      }
    }
    // Nobody answered because there was nobody to ask: that says nothing.
    const { phase, error } = session.state.current;
    if (phase !== 'connected') throw error ?? new Error('the connection was lost');
    if (signal.aborted || this.closed) return;
    const next = new Map<string, Known>();
    for (const [id, known] of this.known) {
      const missed = known.missed + 1;
      if (!answered.has(id) && missed < this.rounds.tolerance) next.set(id, { ...known, missed });
    }
    for (const [id, instance] of answered) next.set(id, { instance, missed: 0 });
    this.known = next;
    this.changed([...next.values()].map(({ instance }) => instance));
  }

  private changed(found: readonly ServiceInstance[]): void {
    // In an order of their own, since answers come in any.
    const sorted = [...found].sort((a, b) => (a.id < b.id ? -1 : 1));
    const instances = keepIdentity(this.lastKnown, sorted);
    this.lastKnown = instances;
    if (this.current?.instances === instances) return;
    this.current = { instances };
    this.onChange();
  }

  private failed(error: unknown): void {
    const wrapped = this.wrapped(error);
    if (this.closed || this.current?.error?.message === wrapped.message) return;
    this.current = { error: wrapped };
    this.onChange();
  }

  private wrapped(error: unknown): DiscoveryError {
    const { name } = this.shared.settings;
    const failure = toDiscoveryError(error, 'BACKEND_UNAVAILABLE', `${this.service} can't be asked`, { backend: name });
    if (failure.code !== 'TIMEOUT') return failure;
    return toDiscoveryError(new Error(failure.message), 'BACKEND_UNAVAILABLE', `${this.service} can't be asked`, {
      backend: name,
      cause: error,
    });
  }

  private complain(id: string, error: unknown): void {
    if (this.complaints.has(id)) return;
    if (this.complaints.size < 1000) this.complaints.add(id);
    const { context, settings } = this.shared;
    context.report({
      type: 'record.skipped',
      backend: settings.name,
      record: `${this.service}: ${id}`,
      error: toDiscoveryError(error, 'INVALID_INSTANCE', `the metadata of ${this.service} are malformed`, {
        backend: settings.name,
      }),
    });
  }
}
