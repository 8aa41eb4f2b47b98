import type { BackendUse, Clock, Logger, Unsubscribe } from '../backend/index.js';
import { requestChannel, type RequestMessage } from '../backend/machinery/index.js';
import { describe, messageOf } from '../model/index.js';
import type { CallObserver, CallTelemetry } from '../observability/index.js';

/** What can be switched on besides the names and kinds of backends. */
const WORDS = ['calls', 'events', '*'] as const;

/**
 * What `DISCOVERY_DEBUG=consul,calls` switches on: `calls`, the calls to services, which instances were picked for them and how each
 * try ended; `events`, everything that happens; the name or kind of a backend, its requests (over HTTP) and what it does besides; `*`,
 * all of it. No line holds a header, a body or a query: no secrets.
 */
export class DebugSwitch {
  private readonly releases: Unsubscribe[] = [];

  /**
   * @param words what is on, in lower case
   * @param logger takes what is found out
   */
  constructor(
    private readonly words: readonly string[],
    private readonly logger: Logger,
    private readonly clock: Clock,
  ) {}

  /** The logger of a part: where the part is on, what it only tells for debugging is written too. */
  loggerFor(part: string, logger: Logger, name = part): Logger {
    if (!this.isOn(part) && !this.isOn(name)) return logger;
    return { ...logger, debug: (message) => logger.log(message) };
  }

  /** Begins to listen to what is on; says what isn't known. */
  open(calls: CallTelemetry, logger: Logger, uses: readonly BackendUse[]): void {
    if (this.words.length === 0) return;
    const backends = uses.flatMap(({ definition: { kind, name } }) => [kind, name]).map((name) => name.toLowerCase());
    const unknown = this.words.filter((word) => !backends.includes(word) && !WORDS.some((known) => known === word));
    if (unknown.length > 0) {
      const known = [...new Set([...backends, ...WORDS])].join(', ');
      logger.warn(`DISCOVERY_DEBUG: ${unknown.map(describe).join(', ')} is nothing of this app; it has ${known}`);
    }
    if (this.isOn('calls')) this.releases.push(calls.observe(this.observer));
    const kinds = uses.flatMap(({ definition: { kind, name } }) => (this.isOn(kind) || this.isOn(name) ? [kind] : []));
    if (kinds.length > 0) this.listen(new Set(kinds));
  }

  /** Listens no more. */
  close(): void {
    for (const release of this.releases.splice(0)) release();
  }

  private isOn(word: string): boolean {
    return this.words.includes(word.toLowerCase()) || this.words.includes('*');
  }

  private listen(kinds: ReadonlySet<string>): void {
    const hear = (message: unknown): void => {
      const { client, method, what, status, tookMs, error } = message as RequestMessage;
      const kind = [...kinds].find((one) => isOf(one, client));
      if (kind === undefined) return;
      const end = status === undefined ? `failed: ${messageOf(error)}` : String(status);
      this.logger.log(
        `${kind}: ${what.startsWith(method) ? '' : `${method} `}${what}: ${end}, ${Math.round(tookMs)} ms`,
      );
    };
    requestChannel.subscribe(hear);
    this.releases.push(() => requestChannel.unsubscribe(hear));
  }

  private readonly observer: CallObserver = {
    begin: ({ protocol, service, method, template }) => {
      const startedAt = this.clock.now();
      const what = [protocol === 'http' ? method : `${protocol} ${method ?? ''}`.trim(), service].join(' ');
      const call = template === undefined ? what : `${what}${template}`;
      const took = (since: number): string => `${Math.round(this.clock.now() - since)} ms`;
      return {
        attempt: ({ instance, reason }) => {
          const sentAt = this.clock.now();
          this.logger.log(`${call}: ${reason} try at ${instance.url} (${instance.id})`);
          return {
            end: ({ outcome, status, errorType }) =>
              this.logger.log(`${call}: ${instance.url}: ${status ?? errorType ?? outcome}, ${took(sentAt)}`),
          };
        },
        retryRefused: () => this.logger.log(`${call}: not tried again: the retry budget is used up`),
        end: ({ outcome, status, errorType }) =>
          this.logger.log(`${call}: ${outcome} (${status ?? errorType ?? 'answered'}), ${took(startedAt)} in all`),
      };
    },
  };
}

/** Whether a client is a product's: `the Consul client`, `the config client` of spring-config. */
function isOf(kind: string, client: string): boolean {
  const words = kind.toLowerCase().split('-');
  return words.some((word) => client.toLowerCase().includes(word));
}
