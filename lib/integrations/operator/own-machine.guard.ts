import { ForbiddenException, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { isLoopback } from '../../backend/index.js';
import { requestOf } from './exchange.js';

/** What a browser on this machine calls it. */
const OWN_NAME = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i;

/**
 * Stands in where no guard was given: lets this machine in only, and that by its own name, so that a page on the internet whose
 * name leads here (DNS rebinding) reads nothing.
 */
export class OwnMachineGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { socket, headers } = requestOf(context.switchToHttp().getRequest());
    // A proxy on this machine has a caller behind it.
    const isForwarded = headers['x-forwarded-for'] !== undefined || headers['forwarded'] !== undefined;
    if (!isForwarded && isLoopback(socket.remoteAddress ?? '') && OWN_NAME.test(headers.host ?? '')) return true;
    throw new ForbiddenException('without a guard (DiscoveryOperatorModule.register) only this machine may see this');
  }
}
