import { GrpcCall, setMissing } from './grpc-call.js';
import type { CallMetadata, CallStatus, GrpcLibrary } from './grpc-port.js';
import { CALL_KEY, type GrpcService } from './grpc-service.js';

/** What of a call's options is used. */
interface CallOptions {
  readonly deadline?: unknown;
  readonly method_definition: {
    readonly path: string;
    readonly requestStream: boolean;
    readonly responseStream: boolean;
  };
}

interface Listener {
  readonly onReceiveMetadata?: (metadata: CallMetadata, next: (metadata: CallMetadata) => void) => void;
  readonly onReceiveStatus?: (status: CallStatus, next: (status: CallStatus) => void) => void;
}

type Interceptor = (options: CallOptions, nextCall: (options: CallOptions) => object) => object;

/**
 * Begins and ends each call, where the request in whose course it is made is known: its instance may be picked much later. A
 * call for one answer gets the service's time-out as its deadline, unless it has its own.
 */
export function callInterceptor(service: GrpcService, library: GrpcLibrary): Interceptor {
  const { timeoutMs, totalTimeoutMs, forwardHeaders } = service.options;
  const limitMs = totalTimeoutMs === 0 ? timeoutMs : totalTimeoutMs;
  const { app } = service;
  return (options, nextCall) => {
    service.assertChannel();
    const { path, requestStream, responseStream } = options.method_definition;
    const isBounded = limitMs > 0 && !requestStream && !responseStream && options.deadline === undefined;
    const call = nextCall(isBounded ? { ...options, deadline: Date.now() + limitMs } : options);
    const isIdempotent = service.isIdempotent(path);
    return intercepting(library, call, (given) => {
      const context = service.contextOf(given);
      const observed = app.calls.begin?.({ protocol: 'grpc', service: service.name, method: path.slice(1) });
      const own = new GrpcCall(service, context, isIdempotent, responseStream, observed);
      const id = service.add(own);
      const metadata = given.clone();
      // Another policy wouldn't take it off.
      if (service.picks) metadata.set(CALL_KEY, id);
      setMissing(metadata, app.routing.carried(service.options, context));
      if (forwardHeaders.length > 0) setMissing(metadata, app.incoming.pick(forwardHeaders));
      return {
        metadata,
        listener: {
          onReceiveMetadata: (answer, next) => {
            own.answered();
            next(answer);
          },
          onReceiveStatus: (status, next) => {
            service.delete(id);
            next(own.ended(status));
          },
        },
      };
    });
  };
}

function intercepting(
  { InterceptingCall }: GrpcLibrary,
  call: object,
  begin: (metadata: CallMetadata) => { readonly metadata: CallMetadata; readonly listener: Listener },
): object {
  const start = (given: CallMetadata, _listener: object, next: (metadata: CallMetadata, listener: object) => void) => {
    const { metadata, listener } = begin(given);
    next(metadata, listener);
  };
  return new InterceptingCall(call as never, { start: start as never });
}
