import {
  asObject,
  asText,
  decodeLeaseRecord,
  encodeLeaseRecord,
  invalidField,
  optionalText,
  type LeaseRecord,
} from '../../backend/index.js';
import { defined, toDiscoveryError } from '../../model/index.js';
import type { ProcessIdentity } from './local.process.js';

/** What the file of an instance says. */
export interface LocalRecord extends LeaseRecord {
  readonly process: ProcessIdentity;
}

/** The text of a record's file. */
export function encodeRecord(record: LocalRecord): string {
  return `${JSON.stringify({ ...encodeLeaseRecord(record), process: record.process }, undefined, 2)}\n`;
}

/**
 * Reads a record's file, which anybody may have written.
 *
 * @throws DiscoveryError `INVALID_INSTANCE` or `INVALID_NAME`, naming the field
 */
export function decodeRecord(text: string): LocalRecord {
  const root = asObject(parse(text), 'the file');
  return Object.freeze({
    ...decodeLeaseRecord(root),
    process: decodeProcess(asObject(root['process'], 'process')),
  });
}

function decodeProcess(input: Readonly<Record<string, unknown>>): ProcessIdentity {
  const pid = input['pid'];
  // 0 and negative numbers would mean process groups to `kill`.
  if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid < 1) {
    throw invalidField('process.pid', 'must be a positive whole number', pid);
  }
  const startedAt = optionalText(input['startedAt'], 'process.startedAt');
  const bootId = optionalText(input['bootId'], 'process.bootId');
  const pidNamespace = optionalText(input['pidNamespace'], 'process.pidNamespace');
  return Object.freeze({
    pid,
    hostname: asText(input['hostname'], 'process.hostname'),
    ...defined({ startedAt, bootId, pidNamespace }),
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw toDiscoveryError(error, 'INVALID_INSTANCE', 'the file is no JSON');
  }
}
