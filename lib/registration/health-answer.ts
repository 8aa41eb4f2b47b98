import { messageOf } from '../model/index.js';

/**
 * What a health check's answer means: undefined for healthy, else the reason. Nothing and `true` are healthy, `false` isn't;
 * Terminus's results count by their `status`, and so does what Spring's actuator answers. Anything else is a mistake in
 * the check, and a check that can't be believed isn't healthy.
 */
export function whyUnhealthy(answer: unknown): string | undefined {
  if (answer === undefined || answer === true) return undefined;
  if (answer === false) return 'it answered false';
  const status = statusOf(answer);
  if (status !== undefined) return HEALTHY.has(status) ? undefined : `its status is ${status}${detailOf(answer)}`;
  const parts = typeof answer === 'object' && answer !== null ? Object.entries(answer) : [];
  // An indicator of Terminus answers { database: { status: 'up' } }.
  if (parts.length === 0 || parts.some(([, part]) => statusOf(part) === undefined)) {
    return 'its answer is none: a check returns nothing, true or false, or a result with a status';
  }
  const bad = parts.find(([, part]) => !HEALTHY.has(statusOf(part) ?? ''));
  return bad === undefined ? undefined : `${bad[0]} is ${statusOf(bad[1]) ?? 'unknown'}${detailOf(bad[1])}`;
}

/** Degraded is still serving. */
const HEALTHY = new Set(['up', 'ok', 'degraded']);

function statusOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { status } = value as { readonly status?: unknown };
  return typeof status === 'string' ? status.toLowerCase() : undefined;
}

function detailOf(value: unknown): string {
  const { message } = value as { readonly message?: unknown };
  return typeof message === 'string' ? `: ${messageOf(message)}` : '';
}
