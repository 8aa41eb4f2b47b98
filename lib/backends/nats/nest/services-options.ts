import type { InjectionToken, ModuleMetadata, OptionalFactoryDependency } from '@nestjs/common';
import { anything, checkOptions, flag, listOf, object, text } from '../../../backend/index.js';
import type { NatsServiceClientOptions } from '../client/service-client.js';
import { CONNECTION_OPTIONS, type NatsConnectionOptions } from '../connection/connection-options.js';
import { SERVICE_OPTIONS, type ServiceConfig } from '../service/service-options.js';

/** Options of `NatsServicesModule.forRoot`. */
export interface NatsServicesOptions {
  /** How to connect. @default the connection of the `nats()` backend that `DiscoveryModule` has */
  readonly connection?: NatsConnectionOptions;
  /** Name of the `nats()` backend to share the connection of, when there are several. @default the first */
  readonly backend?: string;
  /** What all services have unless they say otherwise. */
  readonly service?: Omit<ServiceConfig, 'name' | 'version' | 'idGenerator'>;
  /** How all services are called. */
  readonly client?: Omit<NatsServiceClientOptions, 'ambientHeaders'>;
  /**
   * Headers of the request that is being dealt with which the calls made meanwhile take along.
   * @default ['traceparent', 'tracestate', 'baggage', 'x-request-id']
   */
  readonly propagateHeaders?: readonly string[];
  /** Start the services when the app is ready; false: when `NatsServicesHost.start()` is called. @default true */
  readonly autoStart?: boolean;
}

/** Options of `NatsServicesModule.forRootAsync`. */
export interface NatsServicesAsyncOptions extends Pick<ModuleMetadata, 'imports'> {
  readonly inject?: (InjectionToken | OptionalFactoryDependency)[];
  // The parameters are whatever `inject` names.
  readonly useFactory: (...dependencies: never[]) => NatsServicesOptions | Promise<NatsServicesOptions>;
}

const { name: _name, version: _version, idGenerator: _id, ...service } = SERVICE_OPTIONS;

/** @throws DiscoveryError `INVALID_OPTION`, naming the field */
export function checkServicesOptions(options: NatsServicesOptions): void {
  checkOptions('NatsServicesModule', options, {
    connection: object(CONNECTION_OPTIONS),
    backend: text,
    service: object(service),
    client: anything,
    propagateHeaders: listOf(text),
    autoStart: flag,
  });
}

/** Headers that trace a request through several services. */
export const DEFAULT_PROPAGATED: readonly string[] = ['traceparent', 'tracestate', 'baggage', 'x-request-id'];
