import { withoutSecrets, withoutSecretUrls } from '../../../backend/index.js';
import {
  assertHost,
  assertPort,
  callFailureOf,
  codeOf,
  defined,
  DiscoveryError,
  messageOf,
  NoInstanceError,
  type Attempt,
} from '../../../model/index.js';
import { baseUrlOf, endpointOf, type AddressPreference } from '../eureka.codec.js';
import { type Application } from '../eureka.applications.js';
import { DEFAULT_ZONE, type EurekaInstance } from '../eureka.instance.js';

/** How a node is chosen: any, the same one until it goes down, or another one than last time. */
export type HaStrategy = 'random' | 'stick' | 'other';

/** A random node for each call. */
export const HA_STRATEGY_RANDOM = 'random';
/** One node until it goes down. */
export const HA_STRATEGY_STICK = 'stick';
/** Always another node than the last time. */
export const HA_STRATEGY_OTHER = 'other';

/** One node that was tried in vain. */
export interface NodeFailure {
  readonly instanceId: string;
  readonly url: string;
  readonly error: unknown;
}

/** Every node of a service was tried and failed, or there is none (`NO_INSTANCE`). */
export class WalkNodesError extends NoInstanceError {
  override name = 'WalkNodesError';
  constructor(
    service: string,
    /** What each node failed with, in the order in which they were tried; empty when there is none. */
    readonly failures: readonly NodeFailure[],
  ) {
    const tried = failures
      .map(({ url, error }) => `${withoutSecrets(url)} (${withoutSecretUrls(messageOf(error))})`)
      .join(', ');
    super(
      service,
      failures.length === 0
        ? `${service} has no instance that is UP`
        : `every instance of ${service} was tried and failed: ${tried}`,
      { cause: failures.at(-1)?.error, attempts: failures.map(toAttempt) },
    );
  }
}

function toAttempt({ url, error }: NodeFailure): Attempt {
  const code = codeOf(error);
  return {
    target: withoutSecrets(url),
    reason: withoutSecretUrls(messageOf(error)),
    ...defined({ code }),
  };
}

/** Calls one node. A failed call, or an HTTP error, leads to the next one; whatever else it throws is thrown as it is. */
export type Walker<T> = (url: string, instance: EurekaInstance) => T | Promise<T>;

/** Chooses nodes, and remembers what the strategy needs to know of the last time. */
export class NodePicker {
  private readonly lastIds = new Map<string, string>();

  constructor(
    private readonly strategy: HaStrategy,
    private readonly preferSameZone: boolean,
    private readonly random: () => number,
  ) {}

  /**
   * The node to try next.
   *
   * @param failed ids of those that were tried
   * @returns undefined when there is none left
   */
  pick(application: Application, zone: string, failed: ReadonlySet<string>): EurekaInstance | undefined {
    const left = application.upInstances.filter((instance) => !failed.has(instance.instanceId));
    const near = this.preferSameZone ? left.filter((instance) => instance.zone === (zone || DEFAULT_ZONE)) : left;
    const picked = this.choose(near.length > 0 ? near : left, this.lastIds.get(application.name));
    if (picked !== undefined) this.lastIds.set(application.name, picked.instanceId);
    return picked;
  }

  private choose(candidates: readonly EurekaInstance[], lastId: string | undefined): EurekaInstance | undefined {
    if (this.strategy === 'stick') {
      const last = candidates.find((instance) => instance.instanceId === lastId);
      if (last !== undefined) return last;
    }
    if (this.strategy === 'other' && candidates.length > 1) {
      return this.any(candidates.filter((instance) => instance.instanceId !== lastId));
    }
    return this.any(candidates);
  }

  private any(candidates: readonly EurekaInstance[]): EurekaInstance | undefined {
    return candidates[Math.min(Math.floor(this.random() * candidates.length), candidates.length - 1)];
  }
}

/** How nodes are walked. */
export interface WalkOptions extends AddressPreference {
  readonly zone: string;
  /** False: only a failed connection leads to the next node, any other error to the caller. */
  readonly nextNodeOnHttpError: boolean;
  readonly signal: AbortSignal | undefined;
}

/**
 * Calls one node after the other until one succeeds.
 *
 * @throws WalkNodesError when all failed or there is none; `ABORTED` with the signal; what else the walker throws
 */
export async function walkNodes<T>(
  picker: NodePicker,
  currentApplication: () => Application,
  service: string,
  path: string,
  walker: Walker<T>,
  options: WalkOptions,
): Promise<T> {
  const failures: NodeFailure[] = [];
  const failed = new Set<string>();
  for (;;) {
    // Asked anew each time: the next node comes from the newest list.
    const instance = picker.pick(currentApplication(), options.zone, failed);
    if (instance === undefined) throw new WalkNodesError(service, failures);
    failed.add(instance.instanceId);
    let url = '';
    try {
      url = urlOf(instance, path, options);
      return await walker(url, instance);
    } catch (error) {
      if (options.signal?.aborted === true) {
        throw new DiscoveryError('ABORTED', `the call to ${service} was aborted`, { service, cause: error });
      }
      if (url !== '' && !leadsOn(error, options.nextNodeOnHttpError)) throw error;
      failures.push({ instanceId: instance.instanceId, url, error });
    }
  }
}

/** The URL of a path on a node, with exactly one slash between them. @throws DiscoveryError `INVALID_INSTANCE` */
export function urlOf(instance: EurekaInstance, path: string, preference: AddressPreference): string {
  const base = baseUrlOf(instance, preference);
  // A registry's data is input from strangers: what stands there must be a host, and not a user, a path or a query.
  assertPort(endpointOf(instance, preference).port, 'port');
  assertHost(new RegExp('^https?://\\[?([^\\]/]*?)\\]?(?::\\d+)?$').exec(base)?.[1] ?? '');
  return `${base}/${path.replace(/^\/+/, '')}`;
}

/** A walker's own exception doesn't: its call may have succeeded, and the next node would see it again. */
function leadsOn(error: unknown, nextNodeOnHttpError: boolean): boolean {
  return isConnectionFailure(error) || (nextNodeOnHttpError && callFailureOf(error) === 'http');
}

/** True when no node answered, as far as an error of any HTTP client tells. */
export function isConnectionFailure(error: unknown): boolean {
  return callFailureOf(error) === 'unanswered' || codeOf(error) === 'ABORT_ERR';
}
