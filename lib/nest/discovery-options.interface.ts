import type { InjectionToken, ModuleMetadata, OptionalFactoryDependency, Type } from '@nestjs/common';
import type { BackendDefinition, Clock } from '../backend/index.js';
import type { CallOptions, HttpTransportOptions } from '../http/index.js';
import type { ConfigDecoder, DeclaredDocument, StandardSchema } from '../config/index.js';
import type { OverrideOptions } from '../discovery/index.js';
import type { AddressOptions, HealthOptions, RequiredService, ShutdownOptions } from '../registration/index.js';
import type { ProbeOptions } from './probe-server.js';

/** A backend used for some of what it can do, as in a migration from one registry to another. */
export interface NarrowedBackend {
  readonly backend: BackendDefinition;
  /** Register in it. @default true */
  readonly register?: boolean;
  /** Read from it. @default true */
  readonly discover?: boolean;
}

/** One backend, or several: the app registers in all, and reads are merged, the first winning. */
export type Registries = BackendDefinition | NarrowedBackend | readonly (BackendDefinition | NarrowedBackend)[];

/** What this app registers as. */
export interface ServiceOptions extends AddressOptions {
  /** The name that others call it by. */
  readonly name: string;
  /** Unique among the service's instances. @default `name:host:port` */
  readonly instanceId?: string;
  /** The port that others call, when it isn't the one that the server listens on. */
  readonly port?: number;
  /** Scheme that others call it with. @default 'https' for a TLS server, else 'http' */
  readonly scheme?: string;
  /** What others read and route by. @default {} */
  readonly metadata?: Readonly<Record<string, string | number | boolean>>;
  /** Labels, by which `routing.tags` chooses. @default [] */
  readonly tags?: readonly string[];
  /** Share of the traffic; 0 takes none. @default 1 */
  readonly weight?: number;
  /** Path that answers 200 while the instance is healthy, for registries that ask by themselves. */
  readonly healthPath?: string;
  /** How the app's health is found out, which decides whether others may call it. @default healthy as long as it runs */
  readonly health?: HealthOptions;
}

/** How services are looked up. */
export interface DiscoveryOptions {
  /** How long the first question about a service may wait for a registry, in milliseconds. @default 5000 */
  readonly firstSnapshotTimeoutMs?: number;
  /** How long an unused watch stays open, in milliseconds. @default 30000 */
  readonly lingerMs?: number;
  /**
   * Doubt an empty list that follows one that wasn't: hold it this long, asking again and again, and believe it when a read
   * still confirms it after that; in milliseconds, false believes it at once. @default what the backend needs until
   * everybody has renewed its registration: 5 s, Consul 25 s, Eureka 60 s, NATS the lease
   */
  readonly emptyProtectionMs?: number | false;
  /** The service's name on a backend, when it differs. */
  readonly nameFor?: (service: string, backend: string) => string;
  /** Whether `overrides` and `DISCOVERY_OVERRIDES` hold in production (`NODE_ENV`) too. @default false: they are an error */
  readonly overridesInProduction?: boolean;
}

/** How configuration is loaded. */
export interface ConfigOptions {
  /**
   * Documents that are named instead of found by convention, on any backend: they win over the layers of the application, and
   * a later one over an earlier. A missing one that isn't `optional` is an error when the app starts. @default []
   */
  readonly documents?: readonly DeclaredDocument[];
  /**
   * Whether documents are also found by convention, as layers: the app's with each profile, the app's, the shared ones with each
   * profile, the shared ones. @default true
   */
  readonly layers?: boolean;
  /**
   * Variables that win over documents: `SERVICE_CONFIG__DB__URL`, and Spring's `DB_URL` for `db.url`. False takes none; an object
   * is read in the place of `process.env`. @default true
   */
  readonly environment?: boolean | Readonly<Record<string, string | undefined>>;
  /** Arguments that win over variables: `--db.url=…`. False takes none. @default `process.argv.slice(2)` */
  readonly commandLine?: boolean | readonly string[];
  /** What turns values that begin with a prefix, such as `{cipher}`, into what they stand for. @default [] */
  readonly decoders?: readonly ConfigDecoder[];
  /** Start without it when it can't be loaded. @default false */
  readonly optional?: boolean;
  /** How long the first load may take, in milliseconds. @default 10000 */
  readonly loadTimeoutMs?: number;
  /** Changes that follow each other this closely are taken as one, in milliseconds. @default 50 */
  readonly debounceMs?: number;
  /** Keep the last known documents on disk and start with them when a backend is down. @default false */
  readonly snapshots?: boolean;
  /** Checks the whole configuration, as one object, whenever it is about to change. */
  readonly schema?: StandardSchema;
}

/** Options of `DiscoveryModule.forRoot`. */
export interface DiscoveryModuleOptions {
  /** What this app registers as; leave it out for an app that only calls others. */
  readonly service?: ServiceOptions;
  /** Where services register and are found. @default local() */
  readonly registry?: Registries;
  /** Where configuration comes from; of several the first wins. @default local() */
  readonly config?: BackendDefinition | readonly BackendDefinition[];
  /**
   * When to register: in the background as soon as the server listens; the same, but the app doesn't start without a
   * registry (`fail-fast`); or when `AppRegistration.register()` is called. @default 'background'
   */
  readonly registration?: 'background' | 'fail-fast' | 'manual';
  /** How long `fail-fast` waits for the registry, in milliseconds. @default 10000 */
  readonly registrationTimeoutMs?: number;
  readonly discovery?: DiscoveryOptions;
  /**
   * Addresses that this app calls instead of what the registries say, by service: `{ STOCK: 'http://localhost:3001' }`. The
   * variable `DISCOVERY_OVERRIDES` (`STOCK=http://localhost:3001,ORDERS=…`) wins over them. @default none
   */
  readonly overrides?: OverrideOptions;
  readonly configOptions?: ConfigOptions;
  /** What sends the calls: see {@link HttpTransportOptions}. @default 'undici' */
  readonly transport?: 'undici' | 'axios' | HttpTransportOptions;
  /** How calls are made, to every service. */
  readonly http?: CallOptions;
  /** How calls are made, to one service; what is left out is as in `http`. */
  readonly clients?: Readonly<Record<string, CallOptions>>;
  /**
   * Key of the configuration below which rules for lanes and versions stand, by service (`*` for every one); they may change
   * while the app runs. @default none
   */
  readonly laneRules?: string;
  /** How the app stops. */
  readonly shutdown?: ShutdownOptions;
  /**
   * Services without which the app can't work: it isn't ready before they are there. `'STOCK'`, or
   * `{ name: 'DB', atLeast: 2 }`. @default []
   */
  readonly requires?: readonly RequiredService[];
  /** What the app's readiness depends on besides. */
  readonly readiness?: {
    /** Not ready while a registry doesn't have the app. @default false: an outage of the registry takes no app out */
    readonly registered?: boolean;
  };
  /** A server for an orchestrator's probes, on a port of its own. @default none */
  readonly probes?: ProbeOptions;
  /** The zone that this app runs in. */
  readonly zone?: string;
  /** Which layers of configuration apply. @default `SERVICE_PROFILES` (comma list), else `SPRING_PROFILES_ACTIVE`, else `NODE_ENV` */
  readonly profiles?: readonly string[];
  /** Folder for last known data. @default below the system's temporary folder */
  readonly snapshotDirectory?: string;
  /** Time; for tests. @default the system's */
  readonly clock?: Clock;
}

/** Gives the options, for `useClass` and `useExisting`. */
export interface DiscoveryOptionsFactory {
  createDiscoveryOptions(): DiscoveryModuleOptions | Promise<DiscoveryModuleOptions>;
}

/** Options of `DiscoveryModule.forRootAsync`: one of `useFactory`, `useClass` and `useExisting`. */
export interface DiscoveryModuleAsyncOptions extends Pick<ModuleMetadata, 'imports'> {
  readonly inject?: (InjectionToken | OptionalFactoryDependency)[];
  // The parameters are whatever `inject` names.
  readonly useFactory?: (...dependencies: never[]) => DiscoveryModuleOptions | Promise<DiscoveryModuleOptions>;
  readonly useClass?: Type<DiscoveryOptionsFactory>;
  readonly useExisting?: InjectionToken<DiscoveryOptionsFactory>;
}
