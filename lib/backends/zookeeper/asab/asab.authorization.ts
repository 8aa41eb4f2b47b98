import { AsyncLocalStorage } from 'node:async_hooks';
import type { CallAuthorizer, Logger } from '../../../backend/index.js';
import { describe, DiscoveryError, type ServiceInstance } from '../../../model/index.js';
import type { InternalAuth } from './asab.internal-auth.js';
import { authorizationOf, type IncomingRequest } from './asab.types.js';

/**
 * Whose authorization a call carries: that of the incoming request in whose course it is made (left out), that of a
 * given request, or the cluster's own (`internal`: superuser rights).
 */
export type AsabAuth = 'internal' | IncomingRequest | undefined;

/** The request in whose course something happens. */
interface RequestContext {
  readonly authorization: string | undefined;
}

/** The `Authorization` of outgoing calls. */
export class AsabAuthorization implements CallAuthorizer {
  private readonly requests = new AsyncLocalStorage<RequestContext>();
  private warned = false;

  constructor(
    private readonly parts: {
      readonly backend: string;
      readonly logger: Logger;
      readonly mode: 'forward' | 'internal' | 'none';
      readonly internal: InternalAuth;
    },
  ) {}

  /** Runs `handle` so that calls made in its course forward the request's authorization. */
  within<T>(request: IncomingRequest, handle: () => T): T {
    return this.requests.run({ authorization: authorizationOf(request) }, handle);
  }

  /** For the app's own HTTP clients: only applications that were found here are told who is calling. */
  async headers(instance: ServiceInstance): Promise<Readonly<Record<string, string>>> {
    const { backend, mode } = this.parts;
    if (instance.backend !== backend || mode === 'none') return {};
    return this.headersFor(mode === 'internal' ? 'internal' : undefined);
  }

  /**
   * The headers for a call.
   *
   * @throws DiscoveryError `INVALID_OPTION` for a request without `Authorization`, and for anything that is neither a
   * request nor `internal`; as `InternalAuth.token` for `internal`
   */
  async headersFor(auth: AsabAuth): Promise<Readonly<Record<string, string>>> {
    if (auth === undefined) {
      const authorization = this.requests.getStore()?.authorization;
      return authorization === undefined ? {} : { authorization };
    }
    if (auth === 'internal') {
      this.warnOfRights();
      return { authorization: `Bearer ${await this.parts.internal.token()}` };
    }
    if (!isRequest(auth)) {
      throw new DiscoveryError(
        'INVALID_OPTION',
        `auth must be an incoming request or 'internal', got ${typeof auth === 'string' ? 'another text' : describe(auth)}`,
        { field: 'auth' },
      );
    }
    const authorization = authorizationOf(auth);
    if (authorization !== undefined) return { authorization };
    throw new DiscoveryError('INVALID_OPTION', 'the request whose authorization is to be forwarded has none', {
      field: 'auth',
    });
  }

  private warnOfRights(): void {
    if (this.warned || this.requests.getStore()?.authorization === undefined) return;
    this.warned = true;
    this.parts.logger.warn(
      `${this.parts.backend}: internal (superuser) authorization is used while an authorized request is handled; that is seldom wanted`,
    );
  }
}

function isRequest(value: unknown): value is IncomingRequest {
  return (
    typeof value === 'object' &&
    value !== null &&
    'headers' in value &&
    typeof value.headers === 'object' &&
    value.headers !== null
  );
}
