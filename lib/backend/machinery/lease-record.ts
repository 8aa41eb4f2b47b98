import {
  createRegistration,
  defined,
  toDiscoveryError,
  type InstanceStatus,
  type Registration,
} from '../../model/index.js';
import { asNumber, asObject, asText, asTexts, invalidField, optionalText } from './record-fields.js';

/** A registration as a store without records of its own holds it: with what tells whether it still counts. */
export interface LeaseRecord {
  readonly registration: Registration;
  /** Milliseconds without a sign of life after which it doesn't count any more. */
  readonly leaseMs: number;
  /** Unique for each lease: whose record this is. */
  readonly owner: string;
}

const FORMAT = 1;

/** The longest lease that is believed: a record must not stay for years because a stranger wrote so. */
const MAX_LEASE_MS = 24 * 60 * 60 * 1000;

/** The record as JSON has it. */
export function encodeLeaseRecord({ registration, leaseMs, owner }: LeaseRecord): object {
  return { format: FORMAT, registration, leaseMs, owner };
}

/**
 * Reads a record, which anybody may have written.
 *
 * @param root the JSON
 * @throws DiscoveryError `INVALID_INSTANCE` or `INVALID_NAME`, naming the field
 */
export function decodeLeaseRecord(root: Readonly<Record<string, unknown>>): LeaseRecord {
  if (root['format'] !== FORMAT) throw invalidField('format', `must be ${FORMAT}`, root['format']);
  const leaseMs = root['leaseMs'];
  if (typeof leaseMs !== 'number' || !(leaseMs > 0 && leaseMs <= MAX_LEASE_MS)) {
    throw invalidField('leaseMs', `must be a number up to ${MAX_LEASE_MS}`, leaseMs);
  }
  return Object.freeze({
    registration: decodeRegistration(asObject(root['registration'], 'registration')),
    leaseMs,
    owner: asText(root['owner'], 'owner'),
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
      status: asText(input['status'], 'status') as InstanceStatus,
      metadata: asObject(input['metadata'], 'metadata'),
      tags: asTexts(input['tags'], 'tags'),
      weight: asNumber(input['weight'], 'weight'),
      ...defined({ zone, healthPath }),
    });
  } catch (error) {
    throw toDiscoveryError(error, 'INVALID_INSTANCE', 'the registration is malformed');
  }
}
