import type { PullSource } from '../../../backend/index.js';
import { defined, keepMembers, type ServiceInstance } from '../../../model/index.js';
import { toHttpInstance } from '../nats.codec.js';
import type { NatsShared } from '../nats.shared.js';

interface Known {
  readonly instance: ServiceInstance;
  /** Rounds in a row in which it didn't answer. */
  readonly missed: number;
}

/** How long an answer may take beyond the time that the services are given, in milliseconds. */
const SLACK_MS = 1000;

/**
 * The micro services of one name that answer HTTP: asked again and again, each gone when it didn't answer several rounds
 * in a row. One missed answer says nothing: it may be busy, or between two connections.
 *
 * @param service @default of any name
 */
export function roundsSource(
  { host, session, queries }: NatsShared,
  { intervalMs, maxWaitMs, stallMs, tolerance }: Required<NonNullable<NatsShared['settings']['rounds']>>,
  service?: string,
): PullSource<readonly ServiceInstance[]> {
  let known: ReadonlyMap<string, Known> = new Map();
  return {
    what: service === undefined ? 'the services' : `the services ${service}`,
    keep: keepMembers,
    everyMs: intervalMs,
    timeoutMs: maxWaitMs + SLACK_MS,
    retry: { initialMs: intervalMs, maxMs: intervalMs },
    // An outage of the connection is told of by the session, and ends with its state.
    follow: ({ again, failed }) =>
      session.state.subscribe(({ phase, error }) => {
        if (phase === 'connected') again();
        else if (error !== undefined) failed(error);
      }),
    read: async ({ signal }) => {
      await session.settled(signal);
      const answered = new Map<string, ServiceInstance>();
      for await (const info of queries.infoEach({ ...defined({ name: service }), maxWaitMs, stallMs, signal })) {
        try {
          const instance = toHttpInstance(info, service ?? info.name, host.name);
          if (instance !== undefined) answered.set(instance.id, instance);
        } catch (error) {
          host.skip(`${service ?? info.name}: ${info.id}`, error);
        }
      }
      // Nobody answered because there was nobody to ask: that says nothing.
      const { phase, error } = session.state.current;
      if (phase !== 'connected') throw error ?? new Error('the connection was lost');
      const next = new Map<string, Known>();
      for (const [id, before] of known) {
        const missed = before.missed + 1;
        if (!answered.has(id) && missed < tolerance) next.set(id, { ...before, missed });
      }
      for (const [id, instance] of answered) next.set(id, { instance, missed: 0 });
      if (!signal.aborted) known = next;
      // In an order of their own, since answers come in any.
      return [...next.values()].map(({ instance }) => instance).sort((a, b) => (a.id < b.id ? -1 : 1));
    },
  };
}
