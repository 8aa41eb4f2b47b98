import { isGuarded } from '../../../http/index.js';
import { DiscoveryError } from '../../../model/index.js';
import { GrpcCall, setMissing } from './grpc-call.js';
import { GuardedCall } from './guarded-call.js';
import type { CallMetadata, CallStatus, GrpcLibrary } from './grpc-port.js';
import type { ChannelState, GrpcService } from './grpc-service.js';

/** What of a call's options is used. */
interface CallOptions {
  readonly deadline?: unknown;
  readonly method_definition: { readonly requestStream: boolean; readonly responseStream: boolean };
}

type Interceptor = (options: CallOptions, nextCall: (options: CallOptions) => object) => object;

interface Listener {
  onReceiveMetadata(metadata: CallMetadata): void;
  onReceiveMessage(message: unknown): void;
  onReceiveStatus(status: CallStatus): void;
}

/** A call as its channel makes it. */
interface ChannelCall {
  start(metadata: CallMetadata, listener: Listener): void;
  cancelWithStatus(code: number, details: string): void;
}

/** A channel, as far as calls go. */
interface Channel {
  createCall(path: string, deadline: unknown, host: unknown, parent: unknown, flags: unknown): ChannelCall;
}

/**
 * Begins and ends each call of a client, where the request in whose course it is made is known: its instance may be picked much
 * later. A call for one answer gets the service's time-out as its deadline, unless it has its own.
 */
export class CallChannel {
  /** Of the call that is about to be created; streams until somebody says so. */
  private isStream = true;
  private isBounded = false;
  private readonly limitMs: number;

  constructor(
    private readonly service: GrpcService,
    private readonly library: GrpcLibrary,
    private readonly url: string,
  ) {
    const { timeoutMs, totalTimeoutMs } = service.options;
    this.limitMs = totalTimeoutMs === 0 ? timeoutMs : totalTimeoutMs;
  }

  /** For a client's `interceptors`: knows what a channel isn't told. It adds nothing to the call itself, which would cost each. */
  readonly interceptor: Interceptor = (options, nextCall) => {
    const { requestStream, responseStream } = options.method_definition;
    this.isBounded = this.limitMs > 0 && !requestStream && !responseStream && options.deadline === undefined;
    this.isStream = responseStream;
    try {
      return nextCall(options);
    } finally {
      this.isStream = true;
      this.isBounded = false;
    }
  };

  /** For a client's `channelFactoryOverride`. @throws DiscoveryError `PEER_UNUSABLE`, `INVALID_OPTION` */
  readonly create = (target: string, credentials: object, options: object): object => {
    const { library, service, url } = this;
    if (target !== url) {
      throw new DiscoveryError(
        'INVALID_OPTION',
        `the client of ${service.name} has the url ${target}, and not the ${url} that goes with its channelOptions`,
        { field: 'url', service: service.name },
      );
    }
    if (!(credentials instanceof library.ChannelCredentials)) {
      throw new DiscoveryError(
        'PEER_UNUSABLE',
        `the gRPC client of ${service.name} belongs to another copy of @grpc/grpc-js than the one that GrpcDiscovery has loaded: ` +
          "have one copy installed (npm ls @grpc/grpc-js), or give the client's own as `grpc`",
        { field: '@grpc/grpc-js', service: service.name },
      );
    }
    const channel = new library.Channel(target, credentials, options);
    const calls = channel as unknown as Channel;
    const { createCall } = calls;
    const state = { isConfigured: false };
    calls.createCall = (path, given, host, parent, flags) => {
      const deadline = this.isBounded ? Date.now() + this.limitMs : given;
      return this.begins(path, createCall.call(calls, path, deadline, host, parent, flags), this.isStream, state);
    };
    return channel;
  };

  /** @param state of the channel, which has its configuration from the first answer of a registry on */
  private begins(path: string, call: ChannelCall, isStream: boolean, state: ChannelState): ChannelCall {
    const { start } = call;
    call.start = (given, listener) => {
      const { service } = this;
      const { app, options } = service;
      const context = service.contextOf(given);
      const observed = app.calls.begin?.({ protocol: 'grpc', service: service.name, method: path.slice(1) });
      const own = new GrpcCall(service, context, service.isIdempotent(path), isStream, observed);
      const carried = app.routing.carried(options, context);
      const forwarded = options.forwardHeaders.length === 0 ? undefined : app.incoming.pick(options.forwardHeaders);
      const { onReceiveMetadata, onReceiveStatus } = listener;
      if (isStream) {
        listener.onReceiveMetadata = (answer) => {
          own.answered();
          onReceiveMetadata.call(listener, answer);
        };
      }
      let id: string | undefined;
      const tell = (status: CallStatus): void => {
        if (id !== undefined) service.delete(id);
        onReceiveStatus.call(listener, own.ended(status));
      };
      const go = (): void => {
        let metadata = given;
        if (!state.isConfigured || carried !== undefined || forwarded !== undefined) {
          // The caller's own may be used again.
          metadata = given.clone();
          setMissing(metadata, carried);
          setMissing(metadata, forwarded);
        }
        // As long as it isn't there, the configuration is chosen later: the call is known by its metadata then.
        if (!state.isConfigured) id = service.add(own, metadata, state);
        service.starting = own;
        try {
          start.call(call, metadata, listener);
        } finally {
          service.starting = undefined;
        }
      };
      listener.onReceiveStatus = tell;
      if (!isGuarded(service.options)) {
        go();
        return;
      }
      const guarded = new GuardedCall(service, call, tell);
      listener.onReceiveStatus = (status) => guarded.receive(status);
      void guarded.run(go);
    };
    return call;
  }
}
