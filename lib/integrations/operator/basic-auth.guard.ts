import { timingSafeEqual } from 'node:crypto';
import { UnauthorizedException, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { checkOptions, conceal, digestOf, text } from '../../backend/index.js';
import { requestOf, responseOf } from './exchange.js';

/** Options of {@link basicAuth}. */
export interface BasicAuthOptions {
  readonly username: string;
  readonly password: string;
}

/**
 * A guard that asks for a name and a password, as browsers and Spring Boot Admin know it. It sends them with every request: use it
 * behind TLS.
 *
 * @throws DiscoveryError `INVALID_OPTION`, naming the field
 */
export function basicAuth(options: BasicAuthOptions): CanActivate {
  checkOptions('basicAuth()', options, { username: text, password: text });
  return new BasicAuthGuard(options);
}

class BasicAuthGuard implements CanActivate {
  private readonly expected: Buffer;

  constructor({ username, password }: BasicAuthOptions) {
    this.expected = Buffer.from(digestOf(`${username}:${password}`));
    conceal(this);
  }

  canActivate(context: ExecutionContext): boolean {
    const http = context.switchToHttp();
    const { headers } = requestOf(http.getRequest());
    const [, encoded = ''] = /^Basic +([A-Za-z0-9+/=]+)$/i.exec(headers.authorization ?? '') ?? [];
    const given = Buffer.from(digestOf(Buffer.from(encoded, 'base64').toString()));
    // In a time that says nothing of where they differ.
    if (timingSafeEqual(given, this.expected)) return true;
    responseOf(http.getResponse()).setHeader('www-authenticate', 'Basic realm="discovery", charset="UTF-8"');
    throw new UnauthorizedException();
  }
}
