import { object, text, type Check } from '../../../backend/index.js';

/** Options of {@link curator}. */
export interface CuratorLayoutOptions {
  /** Path of all services; Spring's `spring.cloud.zookeeper.discovery.root`. @default '/services' */
  readonly basePath?: string;
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
export const curatorChecks: Check = object({ basePath: text });
