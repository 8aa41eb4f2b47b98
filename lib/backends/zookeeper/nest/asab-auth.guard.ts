import {
  Inject,
  Injectable,
  ServiceUnavailableException,
  UnauthorizedException,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import { codeOf, messageOf } from '../../../model/index.js';
import { AsabTokenVerifier, type AsabCaller } from '../asab/asab.tokens.js';
import { authorizationOf, type IncomingRequest } from '../asab/asab.types.js';

const callers = new WeakMap<object, AsabCaller>();

/** Who sent a request that {@link AsabAuthGuard} let in; undefined for any other. */
export function asabCallerOf(request: object): AsabCaller | undefined {
  return callers.get(request);
}

/**
 * Lets in requests with a valid token: one of the cluster's applications, or a user's when `publicKeysUrl` is set. Others
 * get a 401, or a 503 while it can't be checked.
 */
@Injectable()
export class AsabAuthGuard implements CanActivate {
  constructor(@Inject(AsabTokenVerifier) private readonly verifier: AsabTokenVerifier) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<IncomingRequest>();
    try {
      callers.set(request, await this.verifier.verify(authorizationOf(request)));
      return true;
    } catch (error) {
      // The caller needn't know more than that; the reason is the exception's cause.
      const details = { cause: error, description: 'ASAB' };
      if (codeOf(error) === 'BACKEND_REFUSED') throw new UnauthorizedException(messageOf(error), details);
      throw new ServiceUnavailableException("the authorization can't be checked at present", details);
    }
  }
}
