import { callable, either, object, oneOf, text, type Check } from '../../../backend/index.js';
import type { Registration } from '../../../model/index.js';

/**
 * What the records say beside name, address and ports:
 * - `spring`: Spring Cloud Zookeeper's class, with metadata, status, zone and weight. A Java reader that doesn't have this
 *   class can't read the record, and then no other of the service;
 * - `none`: nothing, for such readers. Metadata, zone and weight aren't told; an instance that isn't UP is not enabled;
 * - a function: the JSON of one's own payload, its class in `@class` as Jackson reads it (`java.util.HashMap` for a map of
 *   texts). Metadata are read back from a map, and from an object that has them in `metadata`.
 */
export type CuratorPayload = 'spring' | 'none' | ((registration: Registration) => unknown);

/** Options of {@link curator}. */
export interface CuratorLayoutOptions {
  /** Path of all services; Spring's `spring.cloud.zookeeper.discovery.root`. @default '/services' */
  readonly basePath?: string;
  /** What the records say beside name, address and ports. @default 'spring' */
  readonly payload?: CuratorPayload;
}

/** Apache Curator's layout, as Spring Cloud Zookeeper uses it. */
export interface CuratorLayout {
  readonly kind: 'curator';
  readonly options: CuratorLayoutOptions;
}

/**
 * Apache Curator's layout with Spring Cloud's payload, in both directions: Spring Cloud Zookeeper apps and ours find and
 * call each other.
 */
export function curator(options: CuratorLayoutOptions = {}): CuratorLayout {
  return Object.freeze({ kind: 'curator', options });
}

/** The checks of the layout's options. */
export const curatorChecks: Check = object({
  basePath: text,
  payload: either("'spring', 'none' or a function", oneOf('spring', 'none'), callable),
});
