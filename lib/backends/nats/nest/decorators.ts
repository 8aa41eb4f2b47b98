import { SetMetadata } from '@nestjs/common';
import { checkOptions } from '../../../backend/index.js';
import { DiscoveryError } from '../../../model/index.js';
import { assertPrefix, assertServiceName } from '../service/names.js';
import {
  assertIdentity,
  ENDPOINT_OPTIONS,
  endpointConfig,
  DEFAULT_INHERITED,
  inherit,
  INHERITED_OPTIONS,
  SERVICE_OPTIONS,
  type EndpointOptions,
  type InheritedOptions,
  type ServiceConfig,
} from '../service/service-options.js';

const PREFIX = 'nestjs-service-discovery:nats';

/** Metadata keys. */
export const SERVICE_METADATA = `${PREFIX}:service`;
export const GROUP_METADATA = `${PREFIX}:group`;
export const ENDPOINT_METADATA = `${PREFIX}:endpoint`;

/** How the payload of requests is read, and that of answers written. */
export type PayloadKind = 'json' | 'text' | 'bytes';

/** Options of {@link NatsEndpoint}. */
export interface NatsEndpointOptions extends EndpointOptions {
  /** @default the method's name */
  readonly name?: string;
  /**
   * What requests carry: JSON (what is none is answered with 400), text or bytes. Answers of a `json` endpoint are JSON
   * too, texts included; bytes are sent as they are everywhere.
   * @default 'json'
   */
  readonly payload?: PayloadKind;
}

/** Options of {@link NatsGroup}. */
export interface NatsGroupOptions extends InheritedOptions {
  /** The service that the endpoints belong to, when their class isn't one itself. */
  readonly service?: string;
}

/** A group, as it was declared. */
export interface DeclaredGroup {
  readonly name: string;
  readonly options: NatsGroupOptions;
}

/**
 * Makes the endpoints of a provider or controller a NATS micro service, which starts when the app is ready and is the
 * first to stop. Several classes may share a service: one of them describes it, the others name it in
 * `@NatsGroup(…, { service })`.
 *
 * @throws DiscoveryError `INVALID_NAME` or `INVALID_OPTION`, when the class is defined
 * @publicApi
 */
export function NatsService(config: ServiceConfig): ClassDecorator {
  checkOptions('@NatsService', config, SERVICE_OPTIONS);
  assertIdentity(config);
  return SetMetadata(SERVICE_METADATA, config);
}

/**
 * Puts the endpoints of a class, or one endpoint, into a group: its name goes before their subjects. Written several
 * times, the first is the outermost; a method's groups lie within its class's.
 *
 * @throws DiscoveryError `INVALID_NAME` or `INVALID_OPTION`, when the class is defined
 * @publicApi
 */
export function NatsGroup(name: string, options: NatsGroupOptions = {}): ClassDecorator & MethodDecorator {
  const { service, ...inherited } = options;
  checkOptions('@NatsGroup', inherited, INHERITED_OPTIONS);
  inherit(inherited, DEFAULT_INHERITED);
  if (name !== '') assertPrefix(name, 'group name');
  if (service !== undefined) assertServiceName(service, 'service');
  return (target: object, _key?: string | symbol, descriptor?: PropertyDescriptor): void => {
    const holder = metadataHolder(target, descriptor);
    const inner = (Reflect.getOwnMetadata(GROUP_METADATA, holder) ?? []) as readonly DeclaredGroup[];
    // Decorators are applied from the innermost to the outermost.
    Reflect.defineMetadata(GROUP_METADATA, [{ name, options }, ...inner], holder);
  };
}

/**
 * Makes a method answer the requests on a subject. It gets the payload and the request, or what its parameters'
 * decorators say; what it returns (also by a promise or an Observable, whose last value counts) is the answer. Nest's
 * guards, pipes, interceptors and exception filters apply, with the context type `nats`.
 *
 * @throws DiscoveryError `INVALID_NAME` or `INVALID_OPTION`, when the class is defined
 * @publicApi
 */
export function NatsEndpoint(options: string | NatsEndpointOptions = {}): MethodDecorator {
  const given: NatsEndpointOptions = typeof options === 'string' ? { name: options } : options;
  const { name, payload = 'json', ...rest } = given;
  checkOptions('@NatsEndpoint', rest, ENDPOINT_OPTIONS);
  if (!['json', 'text', 'bytes'].includes(payload)) {
    throw new DiscoveryError('INVALID_OPTION', "@NatsEndpoint: payload must be 'json', 'text' or 'bytes'", {
      field: 'payload',
    });
  }
  return (_target: object, key: string | symbol, descriptor: PropertyDescriptor): void => {
    endpointConfig(name ?? String(key), rest, DEFAULT_INHERITED, []);
    Reflect.defineMetadata(ENDPOINT_METADATA, given, metadataHolder(_target, descriptor));
  };
}

/** Metadata of a method lie on its function, those of a class on the class. */
function metadataHolder(target: object, descriptor: PropertyDescriptor | undefined): object {
  return descriptor === undefined ? target : (descriptor.value as object);
}
