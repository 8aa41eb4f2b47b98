import type { OverrideStatus } from '../../backend/index.js';
import { UsageError } from './command-io.js';

/** The status that is wanted; undefined when it is only asked for. @throws UsageError for what is none */
export function statusFrom([wanted]: readonly string[]): OverrideStatus | undefined {
  if (wanted === undefined || wanted === 'UP' || wanted === 'OUT_OF_SERVICE') return wanted;
  throw new UsageError('status is UP or OUT_OF_SERVICE');
}

/** Why an app takes no traffic. @throws UsageError when that isn't said */
export function reasonFrom([, ...reason]: readonly string[]): string {
  if (reason.length > 0) return reason.join(' ');
  throw new UsageError('why? others will read it: status OUT_OF_SERVICE "disk is full"');
}
