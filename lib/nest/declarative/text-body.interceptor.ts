import type { IncomingMessage } from 'node:http';
import { TextDecoder } from 'node:util';
import {
  PayloadTooLargeException,
  UnsupportedMediaTypeException,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import type { Observable } from 'rxjs';

/** As much as Fastify takes by default. */
const MAX_BYTES = 1024 * 1024;

interface Request {
  readonly raw?: IncomingMessage;
  body?: unknown;
}

/** Reads a text that is a request's body, which Fastify does by itself and Express only when it is told to. */
export class TextBodyInterceptor implements NestInterceptor {
  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    if (context.getType() !== 'http') return next.handle();
    const request = context.switchToHttp().getRequest<Request>();
    const raw = request.raw ?? (request as unknown as IncomingMessage);
    const [type = '', ...parameters] = (raw.headers['content-type'] ?? '').split(';');
    const isRead = request.body !== undefined && request.body !== null;
    if (!isRead && type.trim().toLowerCase() === 'text/plain') {
      request.body = raw.readableEnded ? '' : await read(raw, charsetOf(parameters));
    }
    return next.handle();
  }
}

async function read(request: IncomingMessage, decoder: TextDecoder): Promise<string> {
  if (request.headers['content-encoding'] !== undefined) throw new UnsupportedMediaTypeException();
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BYTES) throw new PayloadTooLargeException();
    chunks.push(chunk);
  }
  return decoder.decode(Buffer.concat(chunks));
}

function charsetOf(parameters: readonly string[]): TextDecoder {
  const charset = parameters
    .map((one) => /^\s*charset="?([^"\s]+)"?\s*$/i.exec(one)?.[1])
    .find((one) => one !== undefined);
  try {
    return new TextDecoder(charset ?? 'utf-8');
  } catch {
    throw new UnsupportedMediaTypeException();
  }
}
