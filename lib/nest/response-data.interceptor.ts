import { Readable } from 'node:stream';
import {
  Injectable,
  StreamableFile,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import type { AxiosResponse } from 'axios';
import { map, type Observable } from 'rxjs';

/**
 * Puts the data of an axios response in its place where a handler returns one: the rest is this app's own request, with its
 * headers and the instance's address, which is nothing for whoever asked. Also where it stands in a list or in a property.
 */
@Injectable()
export class ResponseDataInterceptor implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(map(withoutResponses));
  }
}

function withoutResponses(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (isAxiosResponse(value)) return answerOf(value);
  if (Array.isArray(value)) return value.some(isAxiosResponse) ? value.map(dataOf) : value;
  if (Object.getPrototypeOf(value) !== Object.prototype || !Object.values(value).some(isAxiosResponse)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, dataOf(one)]));
}

function isAxiosResponse(value: unknown): value is AxiosResponse<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    'config' in value &&
    'headers' in value &&
    'statusText' in value &&
    'data' in value
  );
}

function dataOf(value: unknown): unknown {
  return isAxiosResponse(value) ? value.data : value;
}

/** Bytes as bytes, which Nest would else write as JSON. */
function answerOf({ data, headers }: AxiosResponse<unknown>): unknown {
  const isStream = data instanceof Readable;
  if (!isStream && !(data instanceof Uint8Array)) return data;
  const type: unknown = headers['content-type'];
  const options = typeof type === 'string' ? { type } : {};
  return isStream ? new StreamableFile(data, options) : new StreamableFile(data, options);
}
