import { callable, checkOptions, either, listOf, literal, satisfying, type Check } from '../../../backend/index.js';
import { POINT_CHECKS, type PointCallOptions } from '../point-options.js';
import type { MessageAddress } from './message-address.js';

/** How a service is called by messages that differs from `forRoot({ http, clients })`. */
export interface MessageTargetOptions extends PointCallOptions {
  /**
   * Patterns of messages that may be sent again when they may have been received and their connection broke; true: all of them.
   * What was surely not sent goes to another instance whatever it is. @default []
   */
  readonly idempotent?: readonly (string | object)[] | true;
  /**
   * Names of the metadata that says on which port an instance takes messages; the first that it has counts, and without one its
   * own port. @default ['tcp_port', 'tcp.port']
   */
  readonly portMetadata?: readonly string[];
  /** Options of Nest's TCP client: `tlsOptions`, `serializer`, `socketClass` … @default {} */
  readonly tcp?: Readonly<Record<string, unknown>>;
  /** Makes the client of one instance, a `ClientProxy` of Nest's or of your own. @default Nest's TCP client */
  readonly client?: (address: MessageAddress) => object;
  /** What calls that belong together have in common, for `consistent-hash` and `sticky`. @default none */
  readonly keyOf?: (pattern: unknown, data: unknown) => string | undefined;
}

/** Where this module writes it; Consul's keys have no dots. */
export const PORT_METADATA: readonly string[] = Object.freeze(['tcp_port', 'tcp.port']);

const CHECKS: Readonly<Record<keyof MessageTargetOptions, Check>> = {
  ...POINT_CHECKS,
  idempotent: either(
    'a list of patterns, or true',
    listOf(
      satisfying(
        'a pattern',
        (value) => (typeof value === 'string' && value !== '') || (typeof value === 'object' && value !== null),
      ),
    ),
    literal(true),
  ),
  portMetadata: satisfying(
    'a list of names',
    (value) => Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'string' && one !== ''),
  ),
  tcp: satisfying("the options of Nest's TCP client", (value) => typeof value === 'object' && value !== null),
  client: callable,
  keyOf: callable,
};

/** @throws DiscoveryError `INVALID_OPTION`, naming the field */
export function checkMessageOptions(what: string, options: MessageTargetOptions): void {
  checkOptions(what, options, CHECKS);
}
