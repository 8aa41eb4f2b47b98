import { peerError } from '../../../backend/index.js';

/*
 * jose as far as we use it. Declared here and not imported from its types, which users may not have.
 */

/** A key that jose has read. */
export type JoseKey = object;

/** What a token was verified to say. */
export interface JoseResult {
  readonly payload: Readonly<Record<string, unknown>>;
}

/** The package. */
export interface Jose {
  readonly SignJWT: new (claims: object) => {
    setProtectedHeader(header: object): { sign(key: JoseKey): Promise<string> };
  };
  readonly customFetch: symbol;
  readonly errors: {
    readonly JOSEError: abstract new (...parameters: never[]) => Error;
    readonly JWKSTimeout: abstract new (...parameters: never[]) => Error;
  };
  importJWK(key: object, algorithm: string): Promise<JoseKey>;
  jwtVerify(token: string, key: JoseKey, options: object): Promise<JoseResult>;
  createRemoteJWKSet(url: URL, options: object): JoseKey;
}

/** @throws DiscoveryError `MISSING_PEER` with the command that installs it */
export async function loadJose(backend: string): Promise<Jose> {
  try {
    return (await import('jose')) as unknown as Jose;
  } catch (error) {
    throw peerError(backend, 'jose', error);
  }
}
