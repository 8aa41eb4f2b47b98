import type { IncomingHttpHeaders } from 'node:http';
import { isObservable, Observable } from 'rxjs';

/** Handles a message as one in whose course calls are made that carry on some of its headers. */
export type Within = <T>(headers: () => IncomingHttpHeaders, handle: () => T) => T;

type Handler = (...args: readonly unknown[]) => unknown;

/** What is used of a transport strategy. */
interface Transport {
  readonly transportId?: unknown;
  addHandler?(pattern: unknown, handler: Handler, ...more: readonly unknown[]): unknown;
  handleMessage?(...args: readonly unknown[]): unknown;
}

/**
 * Makes what a message brings besides its data known to the calls that are made while it is handled: the metadata of TCP's packets
 * and of gRPC, the headers of NATS. To be called before the transport has handlers.
 */
export function rememberMessages(transport: Transport, within: Within): void {
  const { transportId, handleMessage, addHandler } = transport;
  const headersOf = HEADERS_OF.get(transportId);
  if (headersOf !== undefined && handleMessage !== undefined) {
    transport.handleMessage = (...args) =>
      within(
        () => headersOf(args),
        () => Reflect.apply(handleMessage, transport, args),
      );
  }
  // gRPC's server calls its handlers by itself.
  if (transportId !== GRPC || addHandler === undefined) return;
  transport.addHandler = (pattern, handler, ...more) => {
    const remembering: Handler = (...args) => {
      const headers = (): IncomingHttpHeaders => headersOfGrpc(args[1]);
      const answer = within(headers, () => handler(...args));
      return answer instanceof Promise
        ? answer.then((one: unknown) => subscribedWithin(within, headers, one))
        : subscribedWithin(within, headers, answer);
    };
    return Reflect.apply(addHandler, transport, [pattern, remembering, ...more]);
  };
}

/** What an answer does only when it is subscribed to is done for the same message. */
function subscribedWithin(within: Within, headers: () => IncomingHttpHeaders, answer: unknown): unknown {
  if (!isObservable(answer)) return answer;
  return new Observable((subscriber) => within(headers, () => answer.subscribe(subscriber)));
}

/** The most that is taken of what comes from outside. */
const MAX_HEADERS = 100;
const MAX_VALUE = 8192;

/** Headers of what a message brings, which may be anything. */
function headersOf(entries: Iterable<readonly [name: string, value: unknown]>): IncomingHttpHeaders {
  const headers = Object.create(null) as IncomingHttpHeaders;
  let left = MAX_HEADERS;
  for (const [name, value] of entries) {
    const first: unknown = Array.isArray(value) ? value[0] : value;
    if (typeof first !== 'string' || first.length > MAX_VALUE) continue;
    if ((left -= 1) < 0) break;
    headers[name.toLowerCase()] = first;
  }
  return headers;
}

/** Of a message of Nest's TCP transport: `{ pattern, data, metadata }`. */
function headersOfTcp([, message]: readonly unknown[]): IncomingHttpHeaders {
  const metadata: unknown = (message as { readonly metadata?: unknown } | undefined | null)?.metadata;
  return headersOf(typeof metadata === 'object' && metadata !== null ? Object.entries(metadata) : []);
}

/** Of a message of NATS. */
function headersOfNats([, message]: readonly unknown[]): IncomingHttpHeaders {
  const headers: unknown = (message as { readonly headers?: unknown } | undefined | null)?.headers;
  return headersOf(
    typeof headers === 'object' && headers !== null && Symbol.iterator in headers
      ? (headers as Iterable<readonly [string, unknown]>)
      : [],
  );
}

/** Of gRPC's metadata. */
function headersOfGrpc(metadata: unknown): IncomingHttpHeaders {
  const { getMap } = (metadata ?? {}) as { getMap?(): Record<string, unknown> };
  return headersOf(getMap === undefined ? [] : Object.entries(Reflect.apply(getMap, metadata, []) as object));
}

/** Of the transports, by Nest's numbers, that hand each message to one method. */
const HEADERS_OF: ReadonlyMap<unknown, (args: readonly unknown[]) => IncomingHttpHeaders> = new Map([
  [0, headersOfTcp],
  [2, headersOfNats],
]);

/** Nest's number of gRPC. */
const GRPC = 4;
