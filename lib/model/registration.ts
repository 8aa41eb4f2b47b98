import { defined } from './defined.js';
import { DiscoveryError } from './errors.js';
import { assertName, assertServiceName, describe } from './names.js';
import {
  assertObject,
  assertHost,
  assertPort,
  createMetadata,
  createServiceInstance,
  INSTANCE_STATUSES,
  type InstanceStatus,
  type Metadata,
  type ServiceInstance,
} from './service-instance.js';

/** What an app wants a registry to say of it. Immutable. */
export interface Registration {
  readonly service: string;
  readonly instanceId: string;
  readonly host: string;
  /** The address behind `host`, when both are known; else the same text. */
  readonly ip: string;
  readonly port: number;
  readonly scheme: string;
  readonly status: InstanceStatus;
  readonly metadata: Metadata;
  readonly tags: readonly string[];
  readonly weight: number;
  readonly zone?: string;
  /** Path that answers 200 while the instance is healthy, for registries that ask by themselves. */
  readonly healthPath?: string;
  /** The addresses that the server is bound to, when known: `0.0.0.0` and `::` are all of their family. */
  readonly boundTo?: readonly string[];
}

/** Fields of a {@link Registration}; those with a default may be left out. */
export interface RegistrationInput {
  readonly service: string;
  /** @default `service:host:port`, a slash in the service's name as `-` */
  readonly instanceId?: string;
  readonly host: string;
  /** @default `host` */
  readonly ip?: string;
  readonly port: number;
  /** @default 'http' */
  readonly scheme?: string;
  /** @default 'UP' */
  readonly status?: InstanceStatus;
  /** @default {} */
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** @default [] */
  readonly tags?: readonly string[];
  /** @default 1 */
  readonly weight?: number;
  readonly zone?: string;
  readonly healthPath?: string;
  /** The addresses that the server is bound to; for registries that tell them (ASAB). @default unknown */
  readonly boundTo?: readonly string[];
}

/** What may change while an instance stays registered. */
export interface RegistrationPatch {
  readonly status?: InstanceStatus;
  /** Replaces all metadata. */
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly weight?: number;
  readonly tags?: readonly string[];
}

/**
 * Checks and freezes a registration.
 *
 * @throws DiscoveryError `INVALID_OPTION`, `INVALID_INSTANCE` or `INVALID_NAME`, naming the field
 */
export function createRegistration(input: RegistrationInput): Registration {
  assertObject(input, 'a registration');
  assertServiceName(input.service, 'service');
  assertHost(input.host);
  assertPort(input.port, 'port');
  if (input.ip !== undefined) assertHost(input.ip, 'ip');
  const { healthPath } = input;
  if (healthPath !== undefined && !(typeof healthPath === 'string' && /^\/[\x21-\x7e]*$/.test(healthPath))) {
    throw new DiscoveryError(
      'INVALID_OPTION',
      `healthPath must be a path that begins with a slash, got ${describe(healthPath)}`,
      { field: 'healthPath' },
    );
  }
  const { boundTo } = input;
  if (boundTo !== undefined && !Array.isArray(boundTo)) {
    throw new DiscoveryError('INVALID_OPTION', `boundTo must be a list of addresses, got ${describe(boundTo)}`, {
      field: 'boundTo',
    });
  }
  boundTo?.forEach((address) => assertHost(address, 'boundTo'));
  const instanceId = input.instanceId ?? `${input.service.replaceAll('/', '-')}:${input.host}:${input.port}`;
  assertName(instanceId, 'instanceId');
  if (input.tags !== undefined && !(Array.isArray(input.tags) && input.tags.every((tag) => typeof tag === 'string'))) {
    throw new DiscoveryError('INVALID_OPTION', `tags must be a list of texts, got ${describe(input.tags)}`, {
      field: 'tags',
    });
  }
  // The checks of scheme, status, weight and metadata are those of an instance: what we register others must accept.
  const instance = createServiceInstance({
    service: input.service,
    id: instanceId,
    host: input.host,
    port: input.port,
    backend: 'registration',
    ...defined({
      scheme: input.scheme,
      status: input.status,
      metadata: input.metadata,
      weight: input.weight,
      zone: input.zone,
    }),
  });
  return Object.freeze({
    service: input.service,
    instanceId,
    host: input.host,
    ip: input.ip ?? input.host,
    port: input.port,
    scheme: instance.scheme,
    status: instance.status,
    metadata: instance.metadata,
    tags: Object.freeze([...(input.tags ?? [])]),
    weight: instance.weight,
    ...defined({
      zone: instance.zone,
      healthPath: input.healthPath,
      boundTo: boundTo === undefined ? undefined : Object.freeze([...boundTo]),
    }),
  });
}

/**
 * The registration after a change.
 *
 * @throws DiscoveryError as {@link createRegistration}; the given registration is untouched
 */
export function patchRegistration(registration: Registration, patch: RegistrationPatch): Registration {
  if (patch.status !== undefined && !INSTANCE_STATUSES.includes(patch.status)) {
    throw new DiscoveryError('INVALID_OPTION', `status must be one of ${INSTANCE_STATUSES.join(', ')}`, {
      field: 'status',
    });
  }
  return createRegistration({
    ...registration,
    ...defined({ status: patch.status }),
    ...(patch.metadata === undefined ? {} : { metadata: createMetadata(patch.metadata) }),
    ...defined({ weight: patch.weight, tags: patch.tags }),
  });
}

/** The instance that others see when this registration is in force on `backend`. */
export function toInstance(registration: Registration, backend: string): ServiceInstance {
  return createServiceInstance({
    service: registration.service,
    id: registration.instanceId,
    host: registration.host,
    port: registration.port,
    scheme: registration.scheme,
    status: registration.status,
    metadata: registration.metadata,
    tags: registration.tags,
    weight: registration.weight,
    backend,
    ...defined({ zone: registration.zone }),
  });
}
