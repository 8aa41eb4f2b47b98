import type { EventEmitter } from 'node:events';
import type { IncomingHttpHeaders } from 'node:http';
import type { MiddlewareConsumer } from '@nestjs/common';
import type { HttpAdapterHost } from '@nestjs/core';
import type { IncomingHeaders } from '../http/index.js';
import type { DiscoveryRuntime } from './discovery-runtime.js';

/** What of Fastify is used here. */
interface Fastify {
  addHook(name: 'onRequest', hook: (request: WithHeaders, reply: unknown, done: () => void) => void): unknown;
  /** Of its plugin for middleware, which Nest adds unless it is told not to. */
  use?(middleware: (request: WithHeaders, response: unknown, next: () => void) => void): unknown;
}

interface WithHeaders {
  readonly headers: IncomingHttpHeaders;
}

/**
 * Makes the request that is being handled known to the app's calls before anything of the app has it, whatever the order
 * of imports: around the server's event, and by the first middleware for requests that come through no server of Nest's.
 */
export class IncomingRequests {
  private readonly incoming: IncomingHeaders;
  private remembers = false;

  /** To be made before the app's own code can add middleware. */
  constructor(
    private readonly runtime: DiscoveryRuntime,
    private readonly host: HttpAdapterHost,
  ) {
    this.incoming = runtime.incoming;
    this.rememberOnFastify();
  }

  /** To be called when the server is there. */
  follow(consumer: MiddlewareConsumer): void {
    const server = this.adapter?.getHttpServer() as EventEmitter | undefined | null;
    if (typeof server?.emit === 'function') {
      const emit = server.emit.bind(server);
      server.emit = (event: string | symbol, ...args: unknown[]): boolean =>
        event === 'request'
          ? this.within((args[0] as WithHeaders).headers, () => emit(event, ...args))
          : emit(event, ...args);
    }
    // A testing module gets its adapter late.
    this.rememberOnFastify();
    // Another server than Nest's may call an Express app: a cloud's functions.
    if (!this.remembers && this.runtime.forwardsHeaders) consumer.apply(this.remember).forRoutes('{*path}');
  }

  /** Fastify has more than one server where a name has more than one address, and requests that come through none. */
  private rememberOnFastify(): void {
    const instance: unknown = this.adapter?.getInstance();
    if (this.remembers || !isFastify(instance)) return;
    this.remembers = true;
    if (instance.use !== undefined) instance.use(this.remember);
    else instance.addHook('onRequest', this.remember);
  }

  private readonly remember = ({ headers }: WithHeaders, _response: unknown, next: () => void): void =>
    this.incoming.isOf(headers) ? next() : this.within(headers, next);

  private within<T>(headers: IncomingHttpHeaders, handle: () => T): T {
    // Costs a little: only where a client asked for it, which may come with a module that is loaded later.
    return this.runtime.forwardsHeaders ? this.incoming.within(headers, handle) : handle();
  }

  private get adapter(): HttpAdapterHost['httpAdapter'] | undefined {
    // Absent in an app without a server, whatever the types say.
    return this.host.httpAdapter as HttpAdapterHost['httpAdapter'] | undefined;
  }
}

function isFastify(instance: unknown): instance is Fastify {
  return typeof (instance as Partial<Fastify> | undefined | null)?.addHook === 'function';
}
