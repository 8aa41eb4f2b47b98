import { valid as validVersion } from 'semver';
import { describe, DiscoveryError } from '../../../model/index.js';

/** Queue group of endpoints that name none: one instance of the group gets each request. */
export const DEFAULT_QUEUE_GROUP = 'q';

/** Root of the control subjects: `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`. */
export const DEFAULT_API_PREFIX = '$SRV';

const NAME = /^[A-Za-z0-9\-_]+$/;
const SUBJECT = /^[^\s>]*>?$/;
const PRINTABLE = /^[^\u0000-\u0020\u007f]*$/;

/** True for the name of a service as ADR-32 has it. */
export function isServiceName(name: string): boolean {
  return NAME.test(name) && name.length <= 255;
}

/** @throws DiscoveryError `INVALID_NAME` unless it is letters, digits, `-` and `_` */
export function assertServiceName(value: unknown, field: string): asserts value is string {
  if (typeof value !== 'string' || !isServiceName(value)) {
    throw new DiscoveryError(
      'INVALID_NAME',
      `${field} must be letters, digits, '-' and '_' only, got ${describe(value)}`,
      {
        field,
      },
    );
  }
}

/** @throws DiscoveryError `INVALID_OPTION` unless it is a semantic version such as 1.4.0-rc.1 */
export function assertVersion(value: unknown, field: string): asserts value is string {
  // The parser is lenient about a leading `v`, `=` and blanks; the rule isn't. Build metadata doesn't come back from it.
  const strict = typeof value === 'string' && value.length <= 256 ? validVersion(value) : null;
  if (strict === null || (value as string).split('+', 1)[0] !== strict) {
    throw new DiscoveryError(
      'INVALID_OPTION',
      `${field} must be a semantic version (three numbers, as 1.4.0 or 1.4.0-rc.1), got ${describe(value)}`,
      { field },
    );
  }
}

/**
 * A subject that may be subscribed: tokens between dots, `*` for one, `>` for all that follow at the end only.
 *
 * @throws DiscoveryError `INVALID_NAME`
 */
export function assertSubject(value: unknown, field: string): asserts value is string {
  if (typeof value !== 'string' || !isSubject(value)) {
    throw new DiscoveryError(
      'INVALID_NAME',
      `${field} must be a subject: tokens without blanks between single dots, '>' as the last one only, got ${describe(value)}`,
      { field },
    );
  }
}

/** The name of a queue group. @throws DiscoveryError `INVALID_NAME` */
export function assertQueueGroup(value: unknown, field: string): asserts value is string {
  if (typeof value !== 'string' || !isSubject(value) || /[*>]/.test(value)) {
    throw new DiscoveryError(
      'INVALID_NAME',
      `${field} must be a text without blanks and wildcards, or false for none, got ${describe(value)}`,
      { field },
    );
  }
}

/** A prefix of subjects. @throws DiscoveryError `INVALID_NAME` */
export function assertPrefix(value: unknown, field: string): asserts value is string {
  if (typeof value !== 'string' || !isSubject(value) || value.includes('>')) {
    throw new DiscoveryError(
      'INVALID_NAME',
      `${field} must be a prefix of subjects: tokens without blanks and '>' between single dots, got ${describe(value)}`,
      { field },
    );
  }
}

/**
 * Copies metadata: texts by names. Immutable, as ADR-32 wants it.
 *
 * @throws DiscoveryError `INVALID_OPTION`, naming the entry
 */
export function copyMetadata(input: unknown, field: string): Readonly<Record<string, string>> {
  const metadata = Object.create(null) as Record<string, string>;
  if (input === undefined) return Object.freeze(metadata);
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new DiscoveryError('INVALID_OPTION', `${field} must be an object of texts, got ${describe(input)}`, {
      field,
    });
  }
  for (const [key, value] of Object.entries(input)) {
    if (typeof value !== 'string' || key === '__proto__') {
      const at = `${field}.${key}`;
      throw new DiscoveryError('INVALID_OPTION', `${at} must be a text, got ${describe(value)}`, { field: at });
    }
    metadata[key] = value;
  }
  return Object.freeze(metadata);
}

function isSubject(value: string): boolean {
  if (value === '' || value.length > 2000 || !SUBJECT.test(value) || !PRINTABLE.test(value)) return false;
  return value.split('.').every((token) => token !== '' && (!/[*>]/.test(token) || token.length === 1));
}
