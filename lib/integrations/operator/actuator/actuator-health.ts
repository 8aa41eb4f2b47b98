import type { AppRegistration, DiscoveryTelemetry } from '../../../nest/index.js';
import type { DiscoveryRuntime } from '../../../nest/discovery-runtime.js';
import { shown } from '../event-text.js';

/** Spring's words, as far as they are used here, the worst first: of several the first one counts. */
const ORDER = ['DOWN', 'OUT_OF_SERVICE', 'UP', 'UNKNOWN'] as const;

/** One of Spring's statuses. */
export type ActuatorStatus = (typeof ORDER)[number];

/** One part of the health, as Spring shows it. */
export interface ActuatorComponent {
  readonly status: ActuatorStatus;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** The whole, or a group of parts. */
export interface ActuatorHealth {
  readonly status: ActuatorStatus;
  readonly components: Readonly<Record<string, ActuatorComponent>>;
  readonly groups?: readonly string[];
}

/**
 * The app's health in Spring's shape. A registry that doesn't answer takes nobody down: that is `UNKNOWN`, which no other status gives
 * way to.
 */
export class ActuatorHealthReader {
  constructor(
    private readonly runtime: DiscoveryRuntime,
    private readonly registration: AppRegistration,
    private readonly telemetry: DiscoveryTelemetry,
  ) {}

  /** All of it. */
  whole(): ActuatorHealth {
    return { ...together(this.components()), groups: ['liveness', 'readiness'] };
  }

  /** A group, or a part, by its name; undefined when there is none. */
  named(name: string): ActuatorHealth | ActuatorComponent | undefined {
    const { livenessState, readinessState, ...others } = this.components();
    if (name === 'liveness') return together({ livenessState });
    if (name === 'readiness') {
      const { healthChecks } = others;
      return together({ readinessState, ...(healthChecks === undefined ? {} : { healthChecks }) });
    }
    const all: Readonly<Record<string, ActuatorComponent | undefined>> = { livenessState, readinessState, ...others };
    return Object.hasOwn(all, name) ? all[name] : undefined;
  }

  private components() {
    const { ready, reasons } = this.registration.readiness;
    const { health } = this.runtime;
    const { backends } = this.telemetry.snapshot();
    const answer = backends.every(({ phase }) => phase === 'ready');
    const { healthy, failing } = health.state.current;
    const checks: ActuatorComponent = {
      status: healthy === undefined ? 'UNKNOWN' : healthy ? 'UP' : 'DOWN',
      ...(failing.length === 0
        ? {}
        : { details: Object.fromEntries(failing.map(({ check, reason }) => [check, shown(reason)])) }),
    };
    const readinessState: ActuatorComponent = ready
      ? { status: 'UP' }
      : { status: 'OUT_OF_SERVICE', details: { reasons: reasons.map(shown) } };
    const discovery: ActuatorComponent = {
      status: answer ? 'UP' : 'UNKNOWN',
      details: Object.fromEntries(
        backends.map(({ name, phase, error }) => [
          name,
          error === undefined ? phase : `${phase}: ${shown(error.message)}`,
        ]),
      ),
    };
    return {
      discovery,
      ...(health.hasChecks ? { healthChecks: checks } : {}),
      livenessState: { status: this.registration.isLive ? 'UP' : 'DOWN' } as ActuatorComponent,
      ping: { status: 'UP' } as ActuatorComponent,
      readinessState,
    };
  }
}

/** Parts, and the worst of their statuses. */
function together(components: Readonly<Record<string, ActuatorComponent>>): ActuatorHealth {
  const status = ORDER.find((one) => Object.values(components).some((part) => part.status === one)) ?? 'UNKNOWN';
  return { status, components };
}

/** The status of the answer, as Spring maps it. */
export function httpStatusOf({ status }: { readonly status: ActuatorStatus }): number {
  return status === 'DOWN' || status === 'OUT_OF_SERVICE' ? 503 : 200;
}
