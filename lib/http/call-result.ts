import type { AxiosResponse, InternalAxiosRequestConfig } from 'axios';
import { failureOf } from '../balancing/index.js';
import { isNobodyToCall } from '../discovery/index.js';
import { codeOf } from '../model/index.js';
import type { CallFollower, CallResult, CallTelemetry } from '../observability/index.js';
import type { ServiceRequestConfig } from './call-options.js';

/** A call to a service begins: what tells those who observe it; undefined when nobody does. */
export function beginCall(
  { begin }: CallTelemetry,
  service: string,
  config: InternalAxiosRequestConfig,
): CallFollower | undefined {
  if (begin === undefined) return undefined;
  const { urlTemplate } = config as ServiceRequestConfig;
  return begin({ protocol: 'http', service, method: (config.method ?? 'get').toUpperCase(), template: urlTemplate });
}

/** What a host that a resolver knows is called where calls are counted: few names, whatever is called. */
export function resolvedName(host: string): string {
  return host.replace(/^[^.]*/, '*');
}

/** The answer, once those who observe the call know of it. */
export function followed<T>(observed: CallFollower, answer: Promise<T>): Promise<T> {
  return answer.then(
    (result) => {
      observed.end(resultOfAnswer(result));
      return result;
    },
    (error: unknown) => {
      observed.end(resultOfError(error));
      throw error;
    },
  );
}

/** What a call's answer says of how it ended: with `validateStatus` off a failure comes as an answer. */
export function resultOfAnswer(answer: unknown): CallResult {
  const status = typeof answer === 'object' && answer !== null ? (answer as Partial<AxiosResponse>).status : undefined;
  if (typeof status !== 'number') return { outcome: 'success' };
  return status < 400 ? { outcome: 'success', status } : { outcome: 'failed', status, errorType: String(status) };
}

/** What a call's error says of how it ended. */
export function resultOfError(error: unknown): CallResult {
  const failure = failureOf(error);
  if (typeof failure === 'number') return { outcome: 'failed', status: failure, errorType: String(failure), error };
  const errorType = typeOf(error);
  return { outcome: isNobodyToCall(error) || isGivenUp(error) ? 'discarded' : 'failed', errorType, error };
}

/** How a try ended that another one was faster than. */
export const OVERTAKEN: CallResult = Object.freeze({ outcome: 'discarded', errorType: 'OVERTAKEN' });

/** Whether the caller gave up: axios's error, that of a standard signal. */
function isGivenUp(error: unknown): boolean {
  return codeOf(error) === 'ERR_CANCELED' || (error instanceof Error && error.name === 'AbortError');
}

/** One of few words. A code may hold anything, where the code of others makes the call. */
function typeOf(error: unknown): string {
  const code = codeOf(error) ?? (error instanceof Error ? codeOf(error.cause) : undefined);
  if (code !== undefined && /^[A-Z][A-Z0-9_]{1,40}$/.test(code)) return code;
  return error instanceof Error && /^[A-Z]\w{1,40}Error$/.test(error.name) ? error.name : '_OTHER';
}
