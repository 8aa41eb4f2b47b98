import { Backoff, SingleFlight, withoutSecrets } from '../../../backend/index.js';
import { DiscoveryError, messageOf } from '../../../model/index.js';
import type { Environment } from './environment.js';
import { isServerFailure, NacosError } from './errors.js';
import type { HttpTransport } from './http/transport.js';
import { isObject, numberAt, parseObject, textAt } from './json.js';
import type { NacosClientSettings } from './options.js';
import { signatureHeaders, type SignedResource } from './signing.js';

/** After a refusal or a failure nobody logs in again so soon, in milliseconds: a wrong password must be no storm. */
const FORCED_LOGIN_INTERVAL_MS = 5000;

/** However often a login was refused, it is tried again after this time, in milliseconds. */
const MAX_REFUSAL_MS = 60_000;

/** Where logging in was moved to over the years; the first that exists is used. */
const LOGIN_PATHS = ['/v1/auth/users/login', '/v3/auth/user/login', '/v1/auth/login'] as const;

/** A server without users is asked again after this time, in milliseconds. */
const NO_USERS_MS = 60_000;

/** The server answered a login, and neither with yes nor with no. */
class LoginFailedError extends DiscoveryError {
  override name = 'LoginFailedError';
}

/** The server refused a login. */
class LoginRefusedError extends NacosError {
  override name = 'LoginRefusedError';
}

/**
 * True when it failed because no server let us log in: the request itself was not sent. Logins have a pace of their own,
 * so whoever is told this may ask again as after any outage: what is asked too soon costs the server nothing.
 */
export function isLoginFailure(error: unknown): boolean {
  const isOne = error instanceof LoginFailedError || error instanceof LoginRefusedError;
  return isOne || (error instanceof Error && isLoginFailure(error.cause));
}

/** True when a server refused a request that it was sent, and would refuse again: it is asked less and less often. */
export function isRefusal(error: DiscoveryError): boolean {
  return error.code === 'BACKEND_REFUSED' && !isLoginFailure(error);
}

interface Token {
  readonly value: string;
  /** From then on a new one is fetched in the background. */
  readonly renewAt: number;
  readonly expiresAt: number;
}

/** What auth needs to know of the servers. */
export interface LoginServers {
  /** Runs on the server that answered last, and on the next ones when that fails. */
  run<T>(operation: (baseUrl: string) => Promise<T>, signal?: AbortSignal): Promise<T>;
}

/**
 * Who the client is: an access token after a login with user and password, or signatures with access keys, or both.
 * One login at a time for everybody; ahead of its end the token is renewed while the old one is still used.
 */
export class NacosAuth {
  private token: Token | undefined;
  private refusal: { readonly error: DiscoveryError; readonly until: number } | undefined;
  private forcedAt = -Infinity;
  private renewNotBefore = -Infinity;
  private forced: Promise<void> | undefined;
  private readonly flight = new SingleFlight<Token>();
  private readonly closing = new AbortController();
  private readonly refusals: Backoff;
  /** That the token can't be renewed was told. */
  private warned = false;

  constructor(
    private readonly settings: NacosClientSettings,
    private readonly env: Environment,
    private readonly http: HttpTransport,
    private readonly servers: LoginServers,
  ) {
    const minMs = FORCED_LOGIN_INTERVAL_MS;
    this.refusals = new Backoff({
      clock: env.clock,
      initialMs: minMs,
      minMs,
      maxMs: MAX_REFUSAL_MS,
      random: () => env.random(),
    });
  }

  /**
   * The headers of a request (gRPC) or its parameters (HTTP).
   *
   * @throws DiscoveryError `BACKEND_REFUSED` for a wrong password, `BACKEND_UNAVAILABLE` when no server lets us log in
   */
  async headers(resource: SignedResource): Promise<Record<string, string>> {
    const { credentials, signatureRegion, username } = this.settings;
    const token = username === undefined ? undefined : await this.currentToken();
    const keys = await credentials?.();
    return {
      ...(keys === undefined || keys.accessKey === ''
        ? {}
        : signatureHeaders(resource, keys, this.env.clock.now(), signatureRegion)),
      ...(token === undefined || token === '' ? {} : { accessToken: token }),
    };
  }

  /**
   * Tells that a request with these headers was refused. Resolves with true when there is a newer token by now: then
   * the request may be tried once more.
   */
  async refused(headers: Readonly<Record<string, string>>): Promise<boolean> {
    if (this.settings.username === undefined) return false;
    const used = headers['accessToken'] ?? '';
    // A server that gives out the same token again must not make the caller think that something changed.
    const renewed = (): boolean => this.token !== undefined && this.token.value !== used;
    if (renewed()) return true;
    // All that were refused at the same time wait for one login.
    this.forced ??= this.forceLogin().finally(() => {
      this.forced = undefined;
    });
    await this.forced;
    return renewed();
  }

  close(): void {
    this.closing.abort();
  }

  private async currentToken(): Promise<string> {
    const now = this.env.clock.now();
    const { token } = this;
    if (token !== undefined && now < token.expiresAt) {
      if (now >= token.renewAt && now >= this.renewNotBefore) {
        this.login().catch((error: unknown) => {
          if (!this.warned)
            this.env.logger.warn(
              `${this.env.backend}: the access token could not be renewed, which is tried again: ${messageOf(error)}`,
            );
          this.warned = true;
        });
      }
      return token.value;
    }
    return (await this.login()).value;
  }

  /** Never rejects. */
  private async forceLogin(): Promise<void> {
    const now = this.env.clock.now();
    if (now - this.forcedAt < FORCED_LOGIN_INTERVAL_MS) return;
    this.forcedAt = now;
    try {
      await this.login();
    } catch (error) {
      // Whose request was refused tells it.
      this.env.logger.debug(`${this.env.backend}: logging in again failed: ${messageOf(error)}`);
    }
  }

  private login(): Promise<Token> {
    return this.flight.run('login', async () => {
      const { refusal } = this;
      if (refusal !== undefined && this.env.clock.now() < refusal.until) throw refusal.error;
      this.refusal = undefined;
      try {
        const token = await this.servers.run((baseUrl) => this.loginAt(baseUrl), this.closing.signal);
        this.token = token;
        this.refusals.reset();
        this.warned = false;
        return token;
      } catch (error) {
        const until = this.env.clock.now() + FORCED_LOGIN_INTERVAL_MS;
        this.renewNotBefore = until;
        if (!(error instanceof DiscoveryError)) throw error;
        const refused = !isServerFailure(error);
        if (refused) this.token = undefined;
        // Servers of 3.x answer a wrong password as if it were trouble of their own: not asked again at once either.
        if (refused || error.cause instanceof LoginFailedError) {
          this.refusal = { error, until: this.env.clock.now() + this.refusals.next() };
        }
        throw error;
      }
    });
  }

  private async loginAt(baseUrl: string): Promise<Token> {
    const { username, password, contextPath, requestTimeoutMs } = this.settings;
    for (const path of LOGIN_PATHS) {
      const answer = await this.http.request({
        method: 'POST',
        url: `${baseUrl}${contextPath}${path}`,
        params: { username, password },
        timeoutMs: requestTimeoutMs,
        signal: this.closing.signal,
      });
      if ([404, 405, 410, 501].includes(answer.status) && path !== LOGIN_PATHS.at(-1)) continue;
      if (answer.status === 200) return this.readToken(answer.text);
      if (answer.status === 412) return this.noToken(baseUrl);
      if (answer.status >= 500 && !/unknown user|user .*not found|bad credentials/i.test(answer.text)) {
        const hint = answer.status === 500 ? '; servers of 3.x answer a wrong password with that, too' : '';
        throw new LoginFailedError(
          'BACKEND_UNAVAILABLE',
          `logging in at ${withoutSecrets(baseUrl)} failed with ${answer.status}${hint}`,
          { backend: this.env.backend },
        );
      }
      throw new LoginRefusedError(
        403,
        `${this.env.backend} refused the login of '${username ?? ''}' (${answer.status}): check username and password`,
        { backend: this.env.backend },
      );
    }
    throw new NacosError(404, `${baseUrl} has no login`, { backend: this.env.backend });
  }

  /** A server that asks nobody who he is may never have been given a user: then the requests go without. */
  private noToken(baseUrl: string): Token {
    this.env.logger.warn(
      `${this.env.backend}: ${withoutSecrets(baseUrl)} has no users; requests are sent without login`,
    );
    const expiresAt = this.env.clock.now() + NO_USERS_MS;
    return { value: '', renewAt: expiresAt, expiresAt };
  }

  private readToken(text: string): Token {
    // v3 wraps its answers.
    const outer = parseObject(text);
    const inner = isObject(outer['data']) ? outer['data'] : outer;
    const value = textAt(inner, 'accessToken');
    if (value === undefined || value === '' || /[^\x20-\x7e]/.test(value)) {
      throw new DiscoveryError('BACKEND_UNAVAILABLE', `${this.env.backend} answered the login without an access token`);
    }
    const ttlMs = Math.max(1, Math.min(numberAt(inner, 'tokenTtl') ?? 18_000, 30 * 24 * 3600)) * 1000;
    const now = this.env.clock.now();
    // A tenth ahead, a little earlier for some, so that a thousand clients don't come together.
    const margin = ttlMs * (0.1 + 0.05 * this.env.random());
    return { value, renewAt: now + ttlMs - margin, expiresAt: now + ttlMs };
  }
}
