import type { Guard } from '../guard.js';
import type { ProductName, Provision, RunningServer, Settings } from '../types.js';

/** What a start may be told. */
export interface StartOptions {
  readonly variant: string;
  readonly settings?: Settings;
  readonly guard: Guard;
}

/** A registry product that can be brought up on this machine. */
export interface Product {
  readonly name: ProductName;
  /** The environment variable with the address of a server that is up already; it stands for the default variant. */
  readonly variable: string;
  /** Finds or builds the program. Slow on the first call on a machine, quick afterwards. */
  provision(variant: string): Promise<Provision>;
  /** Starts a new server of its own ports and folder. */
  start(options: StartOptions): Promise<RunningServer>;
  /** Describes the server that the environment variable names. Throws if it does not answer. */
  attach(address: string): Promise<Attached>;
}

/** A server that somebody else runs. */
export interface Attached {
  readonly version: string;
  readonly urls: readonly string[];
  readonly ports?: Readonly<Record<string, number>>;
  readonly proxied?: Readonly<Record<string, number>>;
  readonly username?: string;
  readonly password?: string;
}

/** A `Provision` for something that isn't there. */
export function unavailable(reason: string): Provision {
  return { available: false, reason };
}

/** A `Provision` that names where the program comes from. */
export function availableFrom(source: string): Provision {
  return { available: true, source };
}
