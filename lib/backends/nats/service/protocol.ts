import { asObject, asText, invalidField } from '../../../backend/index.js';
import { defined, DiscoveryError } from '../../../model/index.js';

/** The questions that every service answers. */
export type ServiceVerb = 'PING' | 'INFO' | 'STATS';

/** Header with the number of an error answer. */
export const ERROR_CODE_HEADER = 'Nats-Service-Error-Code';

/** Header with the description of an error answer. */
export const ERROR_HEADER = 'Nats-Service-Error';

const TYPES: Readonly<Record<ServiceVerb, string>> = {
  PING: 'io.nats.micro.v1.ping_response',
  INFO: 'io.nats.micro.v1.info_response',
  STATS: 'io.nats.micro.v1.stats_response',
};

/** Who a service instance is: the answer to PING (ADR-32). */
export interface ServiceIdentity {
  /** Kind of the service. */
  readonly name: string;
  /** Unique for the instance. */
  readonly id: string;
  readonly version: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** One endpoint in the answer to INFO. */
export interface EndpointInfo {
  readonly name: string;
  /** The whole subject, with the prefixes of its groups. */
  readonly subject: string;
  /** Empty when there is none: then every instance gets every request. */
  readonly queue_group: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The answer to INFO. */
export interface ServiceInfo extends ServiceIdentity {
  readonly description: string;
  readonly endpoints: readonly EndpointInfo[];
}

/** One endpoint in the answer to STATS. Times are in nanoseconds. */
export interface EndpointStats {
  readonly name: string;
  readonly subject: string;
  readonly queue_group: string;
  readonly num_requests: number;
  readonly num_errors: number;
  /** Empty when there was none. */
  readonly last_error: string;
  readonly processing_time: number;
  readonly average_processing_time: number;
  /** Whatever the service adds. */
  readonly data?: unknown;
}

/** The answer to STATS. */
export interface ServiceStats extends ServiceIdentity {
  /** When it started, as ISO 8601 in UTC. */
  readonly started: string;
  readonly endpoints: readonly EndpointStats[];
}

/** The answer to each question. */
export interface ServiceAnswers {
  readonly PING: ServiceIdentity;
  readonly INFO: ServiceInfo;
  readonly STATS: ServiceStats;
}

/** The three subjects on which one instance is asked: all services, those of its name, itself. */
export function controlSubjects(prefix: string, verb: ServiceVerb, name: string, id: string): readonly string[] {
  return [`${prefix}.${verb}`, `${prefix}.${verb}.${name}`, `${prefix}.${verb}.${name}.${id}`];
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** An answer as it goes over the wire. */
export function encodeAnswer<V extends ServiceVerb>(verb: V, answer: ServiceAnswers[V]): Uint8Array {
  return encoder.encode(JSON.stringify({ type: TYPES[verb], ...answer }));
}

/**
 * Reads what a service answered. Strict about what it is, lenient about what older and other implementations leave out.
 *
 * @throws DiscoveryError `INVALID_INSTANCE`, naming the field
 */
export function decodeAnswer<V extends ServiceVerb>(verb: V, data: Uint8Array): ServiceAnswers[V] {
  let root: unknown;
  try {
    root = JSON.parse(decoder.decode(data));
  } catch (cause) {
    throw new DiscoveryError('INVALID_INSTANCE', `a service answered ${verb} with something that is no JSON`, {
      cause,
    });
  }
  const answer = asObject(root, 'the answer');
  if (answer['type'] !== TYPES[verb]) throw invalidField('type', `must be ${TYPES[verb]}`, answer['type']);
  const identity: ServiceIdentity = {
    name: asText(answer['name'], 'name'),
    id: asText(answer['id'], 'id'),
    version: asText(answer['version'], 'version'),
    metadata: asMetadata(answer['metadata']),
  };
  const readers: { readonly [K in ServiceVerb]: () => ServiceAnswers[K] } = {
    PING: () => identity,
    INFO: () => ({
      ...identity,
      description: text(answer['description']),
      endpoints: asList(answer['endpoints']).map((one) => readEndpointInfo(asObject(one, 'endpoints'))),
    }),
    STATS: () => ({
      ...identity,
      started: text(answer['started']),
      endpoints: asList(answer['endpoints']).map((one) => readEndpointStats(asObject(one, 'endpoints'))),
    }),
  };
  const read = readers[verb]();
  Object.freeze(read);
  return read;
}

function readEndpointInfo(input: Readonly<Record<string, unknown>>): EndpointInfo {
  return Object.freeze({
    name: asText(input['name'], 'endpoints.name'),
    subject: asText(input['subject'], 'endpoints.subject'),
    queue_group: text(input['queue_group']),
    metadata: asMetadata(input['metadata']),
  });
}

function readEndpointStats(input: Readonly<Record<string, unknown>>): EndpointStats {
  const { data } = input;
  return Object.freeze({
    name: asText(input['name'], 'endpoints.name'),
    subject: text(input['subject']),
    queue_group: text(input['queue_group']),
    num_requests: count(input['num_requests']),
    num_errors: count(input['num_errors']),
    last_error: text(input['last_error']),
    processing_time: count(input['processing_time']),
    average_processing_time: count(input['average_processing_time']),
    ...defined({ data }),
  });
}

/** Texts only, since other languages' clients read nothing else; without a prototype. */
function asMetadata(value: unknown): Readonly<Record<string, string>> {
  const metadata = Object.create(null) as Record<string, string>;
  if (value !== undefined && value !== null) {
    for (const [key, one] of Object.entries(asObject(value, 'metadata'))) {
      if (key !== '__proto__' && ['string', 'number', 'boolean'].includes(typeof one)) metadata[key] = String(one);
    }
  }
  return Object.freeze(metadata);
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function count(value: unknown): number {
  return typeof value === 'number' && value >= 0 ? value : 0;
}
