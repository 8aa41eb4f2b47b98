import { connect, type Socket } from 'node:net';

/** A half of a connection. */
export type Direction = 'to-server' | 'to-client';

/** Whom a connection reports to. */
export interface ConnectionObserver {
  moved(direction: Direction, bytes: number): void;
  closed(): void;
}

type Item = { readonly at: number; readonly what: Buffer | 'end' | 'reset' };

// What waits in a lane before its sender is no longer read from; then the kernel's buffers fill, as on a real network.
const highWater = 1 << 20;

/** One direction of a connection: an ordered queue that can be slowed down or held. */
class Lane {
  private readonly queue: Item[] = [];
  private queued = 0;
  private timer: NodeJS.Timeout | undefined;
  private blocked = false;
  private shut = false;
  delayMs = 0;
  held = false;

  constructor(
    private readonly from: Socket,
    private readonly to: Socket,
    private readonly moved: (bytes: number) => void,
  ) {
    from.on('data', (chunk: Buffer) => this.push(chunk));
    from.on('end', () => this.push('end'));
    to.on('drain', () => {
      this.blocked = false;
      this.pump();
    });
  }

  push(what: Item['what']): void {
    if (this.shut) return;
    this.queue.push({ at: Date.now() + this.delayMs, what });
    if (typeof what !== 'string') this.queued += what.length;
    if (this.queued > highWater) this.from.pause();
    this.pump();
  }

  pump(): void {
    clearTimeout(this.timer);
    for (let item = this.queue[0]; item && !this.held && !this.blocked && !this.shut; item = this.queue[0]) {
      const early = item.at - Date.now();
      if (early > 0) {
        this.timer = setTimeout(() => this.pump(), early);
        return;
      }
      this.queue.shift();
      this.deliver(item.what);
    }
  }

  close(): void {
    this.shut = true;
    clearTimeout(this.timer);
    this.queue.length = 0;
  }

  private deliver(what: Item['what']): void {
    if (what === 'reset') {
      this.to.resetAndDestroy();
    } else if (what === 'end') {
      this.to.end();
    } else {
      this.queued -= what.length;
      if (this.queued <= highWater && !this.from.destroyed) this.from.resume();
      if (this.to.destroyed) return;
      this.moved(what.length);
      this.blocked = !this.to.write(what);
    }
  }
}

/** A client's connection and its counterpart to the server. */
export class ProxiedConnection {
  private readonly server: Socket;
  private readonly lanes: Record<Direction, Lane>;
  private readonly gone = { client: false, server: false };

  constructor(
    private readonly client: Socket,
    target: { readonly host: string; readonly port: number },
    private readonly observer: ConnectionObserver,
  ) {
    this.server = connect({ host: target.host, port: target.port, allowHalfOpen: true, noDelay: true });
    client.setNoDelay(true);
    this.lanes = {
      'to-server': new Lane(client, this.server, (bytes) => observer.moved('to-server', bytes)),
      'to-client': new Lane(this.server, client, (bytes) => observer.moved('to-client', bytes)),
    };
    this.watch('client', client, this.lanes['to-server']);
    this.watch('server', this.server, this.lanes['to-client']);
  }

  delay(ms: number): void {
    this.eachLane((lane) => (lane.delayMs = ms));
  }

  hold(direction: Direction): void {
    this.lanes[direction].held = true;
  }

  release(): void {
    this.eachLane((lane) => {
      lane.held = false;
      lane.pump();
    });
  }

  /** Both peers see an RST. */
  reset(): void {
    this.client.resetAndDestroy();
    this.server.resetAndDestroy();
  }

  /** One peer is gone, the other never hears of it. */
  vanish(peer: 'client' | 'server'): void {
    this.eachLane((lane) => lane.close());
    const [lost, left] = peer === 'client' ? [this.client, this.server] : [this.server, this.client];
    lost.resetAndDestroy();
    left.resume(); // what it still sends goes nowhere
  }

  /** Both peers see an orderly end. */
  destroy(): void {
    this.client.destroy();
    this.server.destroy();
  }

  private watch(peer: 'client' | 'server', socket: Socket, outgoing: Lane): void {
    // An RST travels as the last thing in its lane, so that a held or slow lane holds or slows it too.
    socket.on('error', () => outgoing.push('reset'));
    socket.on('close', (hadError) => {
      if (!hadError) outgoing.push('end');
      this.gone[peer] = true;
      if (this.gone.client && this.gone.server) {
        this.eachLane((lane) => lane.close());
        this.observer.closed();
      }
    });
  }

  private eachLane(action: (lane: Lane) => void): void {
    action(this.lanes['to-server']);
    action(this.lanes['to-client']);
  }
}
