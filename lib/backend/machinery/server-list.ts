import { codeOf, defined, DiscoveryError, messageOf, type Attempt } from '../../model/index.js';
import type { Clock } from '../port/clock.js';
import { withoutSecrets, withoutSecretUrls } from './log-text.js';

/** Options of a {@link ServerList}. */
export interface ServerListOptions {
  readonly clock: Clock;
  /** Name of the backend, for error messages. */
  readonly backend: string;
  /** Their base URLs or addresses, best first. */
  readonly servers: readonly string[];
  /** Whether an error means "try the next server", rather than being the answer. */
  readonly isServerFailure: (error: unknown) => boolean;
  /** Servers tried by one call. @default all, each once */
  readonly maxAttempts?: number;
  /** The quarantine is emptied when this share of the servers is in it. @default 2 / 3 */
  readonly quarantineLimit?: number;
  /**
   * After about this time (± 50 %) another server is picked, so that a server that came back gets its share again, in
   * milliseconds. @default never
   */
  readonly sessionMs?: number;
  /** @default Math.random */
  readonly random?: () => number;
}

/**
 * The servers of one registry. A call goes to the server that answered last; when it fails there, the server is
 * quarantined and the next one is tried within the same call.
 */
export class ServerList {
  private servers: readonly string[];
  private current: string | undefined;
  private readonly quarantine = new Set<string>();
  private sessionEnds = Infinity;
  private readonly random: () => number;

  constructor(private readonly options: ServerListOptions) {
    this.random = options.random ?? Math.random;
    this.servers = [...new Set(options.servers)];
  }

  /** All servers, in order of preference. */
  get all(): readonly string[] {
    return this.servers;
  }

  /** Those that failed and are avoided for now. */
  get quarantined(): readonly string[] {
    return [...this.quarantine];
  }

  /** Replaces the servers (after a look-up); the present one is kept when it is still among them. */
  update(servers: readonly string[]): void {
    this.servers = [...new Set(servers)];
    for (const server of this.quarantine) if (!this.servers.includes(server)) this.quarantine.delete(server);
    if (this.current !== undefined && !this.servers.includes(this.current)) this.current = undefined;
    this.limitQuarantine();
  }

  /**
   * Runs `operation` on the present server, and on the next ones when that fails.
   *
   * @throws DiscoveryError `BACKEND_UNAVAILABLE` with every attempt when all failed, or the operation's own error when
   * it is an answer
   */
  async run<T>(operation: (server: string) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const attempts: Attempt[] = [];
    const aborted = (): boolean => signal?.aborted === true;
    let cause: unknown;
    for (const server of this.candidates()) {
      if (aborted()) break;
      try {
        const result = await operation(server);
        this.succeeded(server);
        return result;
      } catch (error) {
        cause = error;
        // Not the server's word: the caller gave up.
        if (aborted()) break;
        if (!this.options.isServerFailure(error)) {
          // It answered, if only to say no.
          this.succeeded(server);
          throw error;
        }
        const code = codeOf(error);
        attempts.push({
          target: withoutSecrets(server),
          reason: withoutSecretUrls(messageOf(error)),
          ...defined({ code }),
        });
        this.failed(server);
      }
    }
    const { backend } = this.options;
    if (aborted()) {
      throw new DiscoveryError('ABORTED', `the request to ${backend} was aborted`, { backend, attempts, cause });
    }
    const tried = attempts.map((attempt) => `${attempt.target} (${attempt.reason})`).join(', ');
    throw new DiscoveryError('BACKEND_UNAVAILABLE', `no server of ${backend} answered: ${tried || 'none is known'}`, {
      backend,
      attempts,
      cause,
    });
  }

  private candidates(): readonly string[] {
    if (this.options.clock.now() >= this.sessionEnds) this.endSession();
    const { current } = this;
    const healthy = this.servers.filter((server) => server !== current && !this.quarantine.has(server));
    const rest = this.servers.filter((server) => server !== current && this.quarantine.has(server));
    const ordered = [...(current === undefined ? [] : [current]), ...healthy, ...rest];
    return ordered.slice(0, this.options.maxAttempts ?? ordered.length);
  }

  private succeeded(server: string): void {
    this.quarantine.delete(server);
    // A call that was under way during an update must not bring its server back.
    if (this.current === server || !this.servers.includes(server)) return;
    this.current = server;
    this.beginSession();
  }

  private failed(server: string): void {
    if (!this.servers.includes(server)) return;
    if (this.current === server) this.current = undefined;
    this.quarantine.add(server);
    this.limitQuarantine();
  }

  private limitQuarantine(): void {
    if (this.quarantine.size >= this.servers.length * (this.options.quarantineLimit ?? 2 / 3)) this.quarantine.clear();
  }

  /** The next call goes to another server, if there is one: also to one that failed once, which may be back. */
  private endSession(): void {
    const previous = this.current;
    this.quarantine.clear();
    const others = this.servers.filter((server) => server !== previous);
    this.current = others[Math.floor(this.random() * others.length)] ?? previous;
    this.beginSession();
  }

  private beginSession(): void {
    const { sessionMs, clock } = this.options;
    if (sessionMs !== undefined) this.sessionEnds = clock.now() + sessionMs * (0.5 + this.random());
  }
}
