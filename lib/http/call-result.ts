import type { AxiosResponse, InternalAxiosRequestConfig } from 'axios';
import { resultOfError } from '../discovery/index.js';
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

/** How a try ended that another one was faster than. */
export const OVERTAKEN: CallResult = Object.freeze({ outcome: 'discarded', errorType: 'OVERTAKEN' });
