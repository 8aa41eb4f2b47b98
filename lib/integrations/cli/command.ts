import type { DiscoveryRuntime } from '../../nest/discovery-runtime.js';
import type { CommandIo } from './command-io.js';

/** What commands are given besides their words. */
export interface CommandOptions {
  readonly json: boolean;
  readonly header: readonly string[];
  readonly data: string | undefined;
  readonly application: string | undefined;
  readonly format: string | undefined;
  readonly operator: string | undefined;
  readonly service: string | undefined;
  readonly instance: string | undefined;
  /** How long an answer may take, in milliseconds. */
  readonly timeoutMs: number;
}

/** A command: its words after its name, what it was given, and what it works with. Resolves with the exit status. */
export type Command = (
  words: readonly string[],
  options: CommandOptions,
  runtime: DiscoveryRuntime,
  io: CommandIo,
) => Promise<number>;
