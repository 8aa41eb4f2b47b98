import type { NodeStat } from '../client/node-stat.js';

/** An instance has a session that it vanishes with, or says something; and nothing is below it. */
export function isFolder({ owner, dataLength, childCount }: NodeStat): boolean {
  return childCount > 0 || (owner === undefined && dataLength === 0);
}
