import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Socket } from 'node:net';

/** Where Node tells of every socket that `net.connect` makes, before it is connected. */
const CLIENT_SOCKETS = 'net.client.socket';

/**
 * The sockets that a NATS library dials with, owned, since neither library closes the one of a dial that timed out: a server
 * that accepts and is silent would collect one for every try, and they would keep the process alive after `close()`.
 *
 * The libraries hand no socket out. But they read their option `timeout` once for each dial, right before they make the
 * socket, without a pause in between: {@link begins} stands there and listens for just that moment. A TLS socket that is
 * made from the first byte isn't told of by Node; it takes {@link signal}.
 */
export class DialSockets {
  private latest: Socket | undefined;
  private dial = new AbortController();
  private ended = false;

  /** Ends the socket of the present dial. */
  get signal(): AbortSignal {
    return this.dial.signal;
  }

  /** A socket is made next: the one before was given up, as a library has one at a time. */
  begins(): void {
    this.release();
    const adopt = (message: unknown): void => {
      stop();
      const { socket } = message as { readonly socket?: unknown };
      if (!(socket instanceof Socket)) return;
      if (this.ended) socket.destroy();
      else this.latest = socket;
    };
    const stop = (): void => void unsubscribe(CLIENT_SOCKETS, adopt);
    subscribe(CLIENT_SOCKETS, adopt);
    queueMicrotask(stop);
  }

  /** Destroys the socket that there is, if any. */
  release(): void {
    this.latest?.destroy();
    this.latest = undefined;
    this.dial.abort();
    if (!this.ended) this.dial = new AbortController();
  }

  /** As {@link release}, and for all that is still dialled. */
  end(): void {
    this.ended = true;
    this.release();
  }
}
