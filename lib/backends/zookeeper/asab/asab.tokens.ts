import { DiscoveryError, messageOf } from '../../../model/index.js';
import type { AsabClaims } from './asab.internal-auth.js';
import { loadJose } from './asab.jose.js';
import type { AsabTools } from './asab.tools.js';

/** Options of an {@link AsabTokenVerifier}. */
export interface AsabTokenOptions {
  /**
   * Where the authorization server publishes the keys of users' tokens (a JWK set); it may be a discovered address:
   * `http://seacat-auth.service_id.asab/.well-known/jwks.json`.
   * @default none: internal tokens only
   */
  readonly publicKeysUrl?: string;
  /** Who must have issued users' tokens. @default anybody who has one of the keys */
  readonly issuer?: string;
  /** For whom users' tokens must be. @default anybody */
  readonly audience?: string;
}

/** Who is calling. */
export interface AsabCaller {
  /** True for another application of the cluster, with all rights; false for a user. */
  readonly internal: boolean;
  readonly claims: AsabClaims;
}

/** Checks the tokens of incoming requests: those of the cluster, and users'. */
export class AsabTokenVerifier {
  private keys: Promise<(token: string) => Promise<AsabClaims>> | undefined;

  /** @throws DiscoveryError `INVALID_OPTION` for a URL that is none */
  constructor(
    private readonly tools: AsabTools,
    private readonly options: AsabTokenOptions = {},
  ) {
    const { publicKeysUrl } = options;
    if (publicKeysUrl !== undefined && !/^https?:\/\//.test(publicKeysUrl)) {
      throw new DiscoveryError('INVALID_OPTION', 'publicKeysUrl must be an http or https URL', {
        field: 'publicKeysUrl',
      });
    }
  }

  /**
   * Who sends this `Authorization` header.
   *
   * @throws DiscoveryError `BACKEND_REFUSED` for one that is missing or not valid; others when it can't be checked
   */
  async verify(authorization: string | undefined): Promise<AsabCaller> {
    const token = /^bearer +([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(authorization ?? '')?.[1];
    if (token === undefined) {
      throw new DiscoveryError('BACKEND_REFUSED', 'the request has no bearer token', { field: 'authorization' });
    }
    try {
      return { internal: true, claims: await this.tools.internal.verify(token) };
    } catch (error) {
      if (this.options.publicKeysUrl === undefined) throw error;
      // A user's token may be checked although the internal key can't be had.
      const claims = await this.verifyUser(token, this.options.publicKeysUrl);
      return { internal: false, claims };
    }
  }

  private async verifyUser(token: string, url: string): Promise<AsabClaims> {
    this.keys ??= this.load(url);
    const verify = await this.keys.catch((error: unknown) => {
      this.keys = undefined;
      throw error;
    });
    return verify(token);
  }

  private async load(url: string): Promise<(token: string) => Promise<AsabClaims>> {
    const jose = await loadJose('zookeeper');
    const { fetch } = this.tools;
    const { issuer, audience } = this.options;
    const keys = jose.createRemoteJWKSet(new URL(url), { [jose.customFetch]: fetch });
    const expected = {
      requiredClaims: ['exp'],
      ...(issuer === undefined ? {} : { issuer }),
      ...(audience === undefined ? {} : { audience }),
    };
    return async (token) => {
      try {
        return (await jose.jwtVerify(token, keys, expected)).payload;
      } catch (error) {
        if (error instanceof DiscoveryError && error.code !== 'BACKEND_REFUSED') throw error;
        const unreachable = !(error instanceof jose.errors.JOSEError) || error instanceof jose.errors.JWKSTimeout;
        throw new DiscoveryError(
          unreachable ? 'BACKEND_UNAVAILABLE' : 'BACKEND_REFUSED',
          unreachable
            ? `the public keys can't be read: ${messageOf(error)}`
            : `the token is not valid: ${messageOf(error)}`,
          { cause: error },
        );
      }
    };
  }
}
