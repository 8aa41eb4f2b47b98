import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { PeriodicTask, SingleFlight, type BackendContext, type Unsubscribe } from '../../../backend/index.js';
import { describe, DiscoveryError, messageOf } from '../../../model/index.js';
import { isFailure } from '../client/errors.js';
import type { ZooKeeperClient } from '../client/zookeeper-client.js';
import { loadJose, type Jose } from './asab.jose.js';
import { field, parseObject, textField } from '../json.js';

/** Where ASAB keeps the cluster's private key, whatever the base path. */
export const INTERNAL_KEY_PATH = '/asab/auth/internal_auth_private.key';

/** How long a token is valid, in seconds. */
const LIFETIME_S = 1500;

/** A token that ends sooner is replaced, in seconds. */
const RENEW_BEFORE_S = 600;

/** How often it is looked whether a token ends soon, in milliseconds. */
const TICK_MS = 300_000;

/** The claims of a token. */
export type AsabClaims = Readonly<Record<string, unknown>>;

/** The key as it stands in ZooKeeper: JWK, EC P-256. */
interface PrivateKey {
  readonly kty: 'EC';
  readonly crv: 'P-256';
  readonly x: string;
  readonly y: string;
  readonly d: string;
  readonly kid?: string;
}

/** What {@link InternalAuth} needs of its backend. */
export interface InternalAuthOptions {
  readonly context: BackendContext;
  readonly backend: string;
  readonly client: ZooKeeperClient;
  /** The address under which this application is found. */
  readonly ownUrl: () => string;
  /** This machine's name for others. */
  readonly ownHost: () => string;
  readonly assertOpen: () => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/**
 * The authorization between applications of one cluster: tokens signed with a key that all of them share, which lies in
 * ZooKeeper. Whoever may read it has superuser rights.
 *
 * Nothing is read or created before the first use. From then on the key is read again on every connection and whenever it
 * changes, and tokens are renewed before they end.
 */
export class InternalAuth {
  private jose: Jose | undefined;
  private key: { readonly jwk: PrivateKey; readonly text: string; readonly mzxid: bigint } | undefined;
  private current: { readonly token: string; readonly expiresAt: number; readonly issuer: string } | undefined;
  private readonly flights = new SingleFlight<void>();
  private readonly release: Unsubscribe[] = [];
  private task: PeriodicTask | undefined;
  private stale = true;

  constructor(private readonly options: InternalAuthOptions) {}

  /**
   * A token that is valid for a while.
   *
   * @throws DiscoveryError `MISSING_PEER`, `BACKEND_UNAVAILABLE`, or `BACKEND_REFUSED` for a key that is none
   */
  async token(): Promise<string> {
    await this.prepare();
    const { current } = this;
    // The issuer is known better once something is registered.
    if (current === undefined || this.endsSoon(current) || current.issuer !== this.options.ownUrl()) {
      await this.flights.run('token', () => this.issue());
    }
    if (this.current === undefined) throw this.unusable('no token could be issued');
    return this.current.token;
  }

  /**
   * The claims of a token of this cluster, whoever issued it.
   *
   * @throws DiscoveryError `BACKEND_REFUSED` for a token that is not valid, else as {@link token}
   */
  async verify(token: string): Promise<AsabClaims> {
    await this.prepare();
    const { key, jose } = this;
    if (key === undefined || jose === undefined) throw this.unusable('the key could not be read');
    const { d: _, ...publicKey } = key.jwk;
    try {
      const { payload } = await jose.jwtVerify(token, await jose.importJWK(publicKey, 'ES256'), {
        algorithms: ['ES256'],
        requiredClaims: ['exp'],
        currentDate: new Date(this.options.now()),
      });
      return payload;
    } catch (error) {
      throw new DiscoveryError('BACKEND_REFUSED', `the internal token is not valid: ${messageOf(error)}`, {
        backend: this.options.backend,
        cause: error,
      });
    }
  }

  /** Ends the renewing of tokens. */
  async close(): Promise<void> {
    for (const release of this.release.splice(0)) release();
    await this.task?.stop();
    this.key = undefined;
    this.current = undefined;
  }

  private async prepare(): Promise<void> {
    const { client, context, backend, assertOpen } = this.options;
    assertOpen();
    this.jose ??= await loadJose(backend);
    assertOpen();
    if (this.task === undefined) {
      this.release.push(
        client.state.subscribe(({ phase }) => {
          if (phase === 'connected') this.readAgain();
        }),
        client.onNode(INTERNAL_KEY_PATH, () => this.readAgain()),
      );
      this.task = new PeriodicTask({
        clock: context.clock,
        what: `the renewal of the internal token of ${backend}`,
        intervalMs: () => TICK_MS,
        timeoutMs: () => 30_000,
        random: () => context.random(),
        run: () => this.tick(),
        onError: (error) =>
          context.logger.warn(`${backend}: the internal token could not be renewed: ${messageOf(error)}`),
      });
      this.task.start('after-interval');
    }
    if (!this.stale) return;
    const loading = this.flights.run('key', () => this.load());
    // The key that was known serves on through an outage, and nobody waits for the end of that.
    if (this.key === undefined) await loading;
    else loading.catch(() => {});
  }

  private readAgain(): void {
    this.stale = true;
    // A failure shows with the next use.
    this.flights.run('key', () => this.load()).catch(() => {});
  }

  private async tick(): Promise<void> {
    if (this.current !== undefined && this.endsSoon(this.current)) await this.flights.run('token', () => this.issue());
  }

  private endsSoon({ expiresAt }: { readonly expiresAt: number }): boolean {
    return expiresAt - this.options.now() / 1000 < RENEW_BEFORE_S;
  }

  /** Reads the key, and creates it when there is none; of many that do so at once, one wins and all have its key. */
  private async load(): Promise<void> {
    const { client, backend, context } = this.options;
    this.stale = false;
    try {
      for (;;) {
        const found = await client.getData(INTERNAL_KEY_PATH, { watch: true });
        if (found !== undefined) {
          await this.take(found.data, found.stat.mzxid);
          return;
        }
        const key = generateKey();
        try {
          await client.create(INTERNAL_KEY_PATH, Buffer.from(JSON.stringify(key)));
          context.logger.log(`${backend}: created the internal key ${key.kid ?? ''} at ${INTERNAL_KEY_PATH}`);
        } catch (error) {
          if (!isFailure(error, 'NODE_EXISTS')) throw error;
        }
      }
    } catch (error) {
      this.stale = true;
      throw error;
    }
  }

  private async take(data: Buffer, mzxid: bigint): Promise<void> {
    const text = data.toString('utf8');
    if (this.key?.text === text) return;
    const jwk = this.parseKey(data);
    const changed = this.key !== undefined;
    this.key = { jwk, text, mzxid };
    this.current = undefined;
    if (changed) await this.issue();
  }

  private parseKey(data: Buffer): PrivateKey {
    let problem = 'is no EC P-256 key';
    try {
      const jwk = parseObject(data);
      const [x, y, d] = [textField(jwk, 'x'), textField(jwk, 'y'), textField(jwk, 'd')];
      const kid = textField(jwk, 'kid');
      if (field(jwk, 'kty') === 'EC' && field(jwk, 'crv') === 'P-256' && x && y && d) {
        return { kty: 'EC', crv: 'P-256', x, y, d, ...(kid === undefined ? {} : { kid }) };
      }
    } catch {
      // Nothing of what stands there may be told.
      problem = 'is not JSON';
    }
    throw this.unusable(`the internal key at ${INTERNAL_KEY_PATH} ${problem}; remove it, and a new one is created`);
  }

  private async issue(): Promise<void> {
    const { key, jose } = this;
    const { now, ownUrl, ownHost, context, backend } = this.options;
    if (key === undefined || jose === undefined) throw this.unusable('the internal key was not read yet');
    const issuer = ownUrl();
    const issuedAt = Math.floor(now() / 1000);
    const expiresAt = issuedAt + LIFETIME_S;
    const claims = {
      iss: issuer,
      iat: issuedAt,
      exp: expiresAt,
      azp: issuer,
      aud: `http://${ownHost()}`,
      resources: { '*': ['authz:superuser'] },
    };
    const signing = await jose.importJWK(key.jwk, 'ES256');
    const token = await new jose.SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', typ: 'JWT', kid: key.jwk.kid ?? null })
      .sign(signing);
    // A key that was changed meanwhile has a token of its own.
    if (this.key !== key) return;
    this.current = { token, expiresAt, issuer };
    context.logger.log(`${backend}: issued an internal token, valid until ${new Date(expiresAt * 1000).toISOString()}`);
  }

  private unusable(problem: string): DiscoveryError {
    return new DiscoveryError('BACKEND_REFUSED', `${this.options.backend}: ${problem}`, {
      backend: this.options.backend,
    });
  }
}

function generateKey(): PrivateKey {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { x, y, d } = privateKey.export({ format: 'jwk' });
  if (x === undefined || y === undefined || d === undefined) {
    throw new DiscoveryError('UNSUPPORTED', `this Node can't export keys as JWK, got ${describe(x)}`);
  }
  return { kty: 'EC', crv: 'P-256', x, y, d, kid: randomUUID().replaceAll('-', '') };
}
