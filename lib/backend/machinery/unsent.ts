import { defined, DiscoveryError } from '../../model/index.js';

/** Failures after which a request has surely not reached its server: no address, no connection, no handshake. */
const UNSENT_CODES: ReadonlySet<string> = new Set([
  // Of the certificate, for clients other than the pooled transport, which knows by itself what was sent.
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REVOKED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'ECONNREFUSED',
  'ENOTCONN',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** Whether a code of Node's, of axios's or of undici's means that nothing was sent. */
export function isUnsentCode(code: string): boolean {
  return UNSENT_CODES.has(code);
}

/** Whether a request that failed so has surely reached no server: each of its tries, and the causes of its error count. */
export function isUnsent(error: unknown): boolean {
  for (let at = error, depth = 0; at instanceof Error && depth < 10; at = at.cause, depth += 1) {
    if (at instanceof DiscoveryError && at.attempts !== undefined && at.attempts.length > 0)
      return at.attempts.every(({ code }) => code !== undefined && isUnsentCode(code));
    // Several addresses of one host were tried.
    if (at instanceof AggregateError && at.errors.length > 0) return at.errors.every(isUnsent);
    if ('code' in at && typeof at.code === 'string' && isUnsentCode(at.code)) return true;
  }
  return false;
}

/** The error of a request that wasn't tried, because there is no connection at present. */
export function notConnected(outage: DiscoveryError): DiscoveryError {
  const cause = Object.assign(new Error('not connected', { cause: outage }), { code: 'ENOTCONN' });
  const { code, message, backend } = outage;
  return new DiscoveryError(code, message, defined({ backend, cause }));
}
