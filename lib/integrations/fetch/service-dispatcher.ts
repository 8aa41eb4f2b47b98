import { Dispatcher, errors } from 'undici';
import type { ServiceHttpClient } from '../../http/index.js';
import { PendingRequest } from './pending-request.js';

/**
 * A dispatcher for undici's `fetch`, `request`, `stream`, `WebSocket` and `EventSource`, and for Node's own `fetch`: what they
 * send to `http://stock` goes to an instance of the service STOCK, picked, counted and, as long as the body can be sent again,
 * tried elsewhere as any other call of the app.
 *
 * ```ts
 * const dispatcher = serviceDispatcher(http);
 * await request('http://stock/quote', { dispatcher });
 * new WebSocket('ws://stock/prices', { dispatcher });
 * ```
 *
 * URLs know no upper case, so a host means the service that is called so in whatever case. Hosts with a port, addresses and
 * `localhost` are what they say, and so are hosts with dots unless a service is called so. With a client that is bound to a
 * service there is that service, and nothing else.
 *
 * The connections are the app's, and are closed with it: `close()` of a dispatcher waits for its own requests, and `destroy()` ends
 * them, with undici's `ClientDestroyedError` or the error that it is given; then both refuse further ones, with undici's own errors.
 *
 * @param client the injected client: an unbound one for all services
 */
export function serviceDispatcher(client: ServiceHttpClient): Dispatcher {
  return new ServiceDispatcher(client);
}

class ServiceDispatcher extends Dispatcher {
  private readonly pending = new Set<PendingRequest>();
  private readonly waiting: (() => void)[] = [];
  private isClosed = false;
  private isDestroyed = false;

  constructor(private readonly client: ServiceHttpClient) {
    super();
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const request = new PendingRequest(handler, this.ended);
    if (this.isDestroyed || this.isClosed) {
      request.destroy(this.isDestroyed ? new errors.ClientDestroyedError() : new errors.ClientClosedError());
      return false;
    }
    this.pending.add(request);
    // undici's types are of its own version; what is passed at run time is whatever the caller's version passes.
    return this.client.dispatch(options, request as never);
  }

  /** Takes no more requests, and waits for those that there are. */
  override close(callback?: () => void): Promise<void> & void {
    const isTwice = this.isDestroyed;
    this.isClosed = true;
    const closed = isTwice ? Promise.reject(new errors.ClientDestroyedError()) : this.whenIdle();
    return told(closed, callback);
  }

  /** Ends the requests that there are. */
  override destroy(error?: Error | null | (() => void), callback?: () => void): Promise<void> & void {
    const reason = error instanceof Error ? error : new errors.ClientDestroyedError();
    this.isClosed = true;
    this.isDestroyed = true;
    for (const request of this.pending) request.destroy(reason);
    return told(this.whenIdle(), typeof error === 'function' ? error : callback);
  }

  private whenIdle(): Promise<void> {
    return this.pending.size === 0 ? Promise.resolve() : new Promise((resolve) => this.waiting.push(resolve));
  }

  private readonly ended = (request: PendingRequest): void => {
    this.pending.delete(request);
    if (this.pending.size === 0) for (const resolve of this.waiting.splice(0)) resolve();
  };
}

/** As undici has it: a promise, or nothing for who gives a callback. */
function told(ended: Promise<void>, callback: ((error?: unknown) => void) | undefined): Promise<void> & void {
  if (callback === undefined) return ended as Promise<void> & void;
  ended.then(() => callback(), callback);
  return undefined as unknown as Promise<void> & void;
}
