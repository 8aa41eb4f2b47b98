import { Dispatcher } from 'undici';
import { DiscoveryError } from '../../model/index.js';
import type { ServiceHttpClient } from '../../http/index.js';

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
 * The connections are the app's, and are closed with it: `close()` and `destroy()` of a dispatcher only end its own use.
 *
 * @param client the injected client: an unbound one for all services
 */
export function serviceDispatcher(client: ServiceHttpClient): Dispatcher {
  return new ServiceDispatcher(client);
}

class ServiceDispatcher extends Dispatcher {
  private isClosed = false;

  constructor(private readonly client: ServiceHttpClient) {
    super();
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (this.isClosed) throw new DiscoveryError('BACKEND_CLOSED', 'this dispatcher was closed');
    // undici's types are of its own version; what is passed at run time is whatever the caller's version passes.
    return this.client.dispatch(options, handler);
  }

  override close(callback?: () => void): Promise<void> & void {
    return this.end(callback);
  }

  override destroy(error?: Error | null | (() => void), callback?: () => void): Promise<void> & void {
    return this.end(typeof error === 'function' ? error : callback);
  }

  private end(callback: (() => void) | undefined): Promise<void> & void {
    this.isClosed = true;
    const ended = Promise.resolve();
    if (callback !== undefined) queueMicrotask(callback);
    return ended as Promise<void> & void;
  }
}
