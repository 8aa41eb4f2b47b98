import {
  createRegistration,
  describe,
  DiscoveryError,
  toDiscoveryError,
  type Registration,
} from '../../model/index.js';
import type { ProcessIdentity } from './local.process.js';

/** What the file of an instance says. */
export interface LocalRecord {
  readonly registration: Registration;
  /** Milliseconds without a sign of life after which it doesn't count any more. */
  readonly leaseMs: number;
  /** Unique for each lease: whose file this is. */
  readonly owner: string;
  readonly process: ProcessIdentity;
}

const FORMAT = 1;

/** The longest lease that is believed: a record must not stay for years because a stranger wrote so. */
const MAX_LEASE_MS = 24 * 60 * 60 * 1000;

/** The text of a record's file. */
export function encodeRecord(record: LocalRecord): string {
  const { registration, leaseMs, owner, process } = record;
  return `${JSON.stringify({ format: FORMAT, registration, leaseMs, owner, process }, undefined, 2)}\n`;
}

/**
 * Reads a record's file, which anybody may have written.
 *
 * @throws DiscoveryError `INVALID_INSTANCE` or `INVALID_NAME`, naming the field
 */
export function decodeRecord(text: string): LocalRecord {
  const root = asObject(parse(text), 'the file');
  if (root['format'] !== FORMAT) throw invalid('format', `must be ${FORMAT}`, root['format']);
  const leaseMs = root['leaseMs'];
  if (typeof leaseMs !== 'number' || !(leaseMs > 0 && leaseMs <= MAX_LEASE_MS)) {
    throw invalid('leaseMs', `must be a number up to ${MAX_LEASE_MS}`, leaseMs);
  }
  return Object.freeze({
    registration: decodeRegistration(asObject(root['registration'], 'registration')),
    leaseMs,
    owner: asText(root['owner'], 'owner'),
    process: decodeProcess(asObject(root['process'], 'process')),
  });
}

function decodeRegistration(input: Readonly<Record<string, unknown>>): Registration {
  const zone = optionalText(input['zone'], 'zone');
  const healthPath = optionalText(input['healthPath'], 'healthPath');
  try {
    return createRegistration({
      service: asText(input['service'], 'service'),
      instanceId: asText(input['instanceId'], 'instanceId'),
      host: asText(input['host'], 'host'),
      ip: asText(input['ip'], 'ip'),
      port: asNumber(input['port'], 'port'),
      scheme: asText(input['scheme'], 'scheme'),
      // What isn't one of the words is refused there.
      status: asText(input['status'], 'status') as Registration['status'],
      metadata: asObject(input['metadata'], 'metadata'),
      tags: asTexts(input['tags'], 'tags'),
      weight: asNumber(input['weight'], 'weight'),
      ...(zone === undefined ? {} : { zone }),
      ...(healthPath === undefined ? {} : { healthPath }),
    });
  } catch (error) {
    throw toDiscoveryError(error, 'INVALID_INSTANCE', 'the registration is malformed');
  }
}

function decodeProcess(input: Readonly<Record<string, unknown>>): ProcessIdentity {
  const pid = input['pid'];
  // 0 and negative numbers would mean process groups to `kill`.
  if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid < 1) {
    throw invalid('process.pid', 'must be a positive whole number', pid);
  }
  const startedAt = optionalText(input['startedAt'], 'process.startedAt');
  const bootId = optionalText(input['bootId'], 'process.bootId');
  const pidNamespace = optionalText(input['pidNamespace'], 'process.pidNamespace');
  return Object.freeze({
    pid,
    hostname: asText(input['hostname'], 'process.hostname'),
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(bootId === undefined ? {} : { bootId }),
    ...(pidNamespace === undefined ? {} : { pidNamespace }),
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw toDiscoveryError(error, 'INVALID_INSTANCE', 'the file is no JSON');
  }
}

function asObject(value: unknown, field: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(field, 'must be an object', value);
  }
  return Object.fromEntries(Object.entries(value));
}

function asText(value: unknown, field: string): string {
  if (value === '') throw invalid(field, 'must not be empty', value);
  return asAnyText(value, field);
}

function asAnyText(value: unknown, field: string): string {
  if (typeof value !== 'string') throw invalid(field, 'must be a text', value);
  return value;
}

function optionalText(value: unknown, field: string): string | undefined {
  return value === undefined ? undefined : asAnyText(value, field);
}

function asNumber(value: unknown, field: string): number {
  if (typeof value !== 'number') throw invalid(field, 'must be a number', value);
  return value;
}

function asTexts(value: unknown, field: string): readonly string[] {
  if (!Array.isArray(value)) throw invalid(field, 'must be a list', value);
  return value.map((one: unknown, index) => asAnyText(one, `${field}[${index}]`));
}

function invalid(field: string, problem: string, value: unknown): DiscoveryError {
  return new DiscoveryError('INVALID_INSTANCE', `${field} ${problem}, got ${describe(value)}`, { field });
}
