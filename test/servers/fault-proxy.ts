import { createServer, type Server } from 'node:net';
import { freePortWith } from './free-port.js';
import { type Direction, ProxiedConnection } from './proxied-connection.js';

/** A port to stand in front of. */
export interface ProxyTarget {
  /** What the port is for, such as `http` or `grpc`. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** Distance of the proxy's port from the proxy's first port, for clients that compute one port from another. */
  readonly offset?: number;
}

/** What has gone through a proxy so far. */
export interface ProxyCounts {
  /** Connections open now, on the client's side. */
  readonly open: number;
  /** Connections ever accepted. */
  readonly total: number;
  readonly bytesToServer: number;
  readonly bytesToClient: number;
}

/**
 * A TCP proxy on loopback that can do to connections what networks do. A fault lasts until {@link heal} unless said
 * otherwise, and holds for connections that exist and for those that come. Faults of different kinds add up.
 */
export interface FaultProxy {
  /** The first port. */
  readonly port: number;
  /** All ports by the name of the target. */
  readonly ports: Readonly<Record<string, number>>;
  readonly counts: ProxyCounts;
  /** Every chunk arrives this much later, in either direction; order is kept. 0 ends it. */
  delay(ms: number): void;
  /** The server is not there: connections are closed (FIN), new ones refused. */
  drop(): Promise<void>;
  /** Existing connections get an RST, on both sides, now; new ones work. `{ newToo: true }` resets those as well. */
  reset(options?: { newToo?: boolean }): void;
  /**
   * Nothing arrives any more, neither bytes nor FIN nor RST; connecting still works, as to a host whose kernel lives.
   * What was sent meanwhile waits, as TCP would retransmit it, and arrives after {@link heal}. With a direction only that
   * half is cut: the half-open connection on which one side still talks.
   */
  blackhole(direction?: Direction | 'both'): void;
  /**
   * One peer of the existing connections vanishes without FIN or RST: its own socket is reset, the other peer keeps a
   * connection that looks open and on which nothing ever comes, until it gives up or the proxy closes. New ones work.
   */
  halfOpen(vanished?: 'client' | 'server'): void;
  /** Ends all faults but the half-open connections: those are lost. `resetHeld` resets what a blackhole holds back. */
  heal(options?: { resetHeld?: boolean }): Promise<void>;
  /** Ends every connection and frees the ports. */
  close(): Promise<void>;
}

/** Opens a proxy in front of one or more ports; resolves when it listens. */
export async function createFaultProxy(targets: readonly ProxyTarget[]): Promise<FaultProxy> {
  const base = await freePortWith(targets.map((target) => target.offset ?? 0).filter((offset) => offset !== 0));
  let next = base;
  const gates: Gate[] = [];
  for (const target of targets) {
    if (target.offset !== undefined) next = base + target.offset;
    else if (gates.length > 0) next = await freePortWith([]);
    gates.push(new Gate(target, next));
  }
  const [first] = gates;
  if (!first) throw new Error('a proxy needs a target');
  await Promise.all(gates.map((gate) => gate.open()));
  const each = (action: (gate: Gate) => unknown) => gates.forEach(action);
  const sum = (value: (gate: Gate) => number) => gates.reduce((total, gate) => total + value(gate), 0);
  return {
    port: first.port,
    ports: Object.fromEntries(gates.map((gate) => [gate.target.name, gate.port])),
    get counts() {
      return {
        open: sum((gate) => gate.connections.size),
        total: sum((gate) => gate.total),
        bytesToServer: sum((gate) => gate.bytes['to-server']),
        bytesToClient: sum((gate) => gate.bytes['to-client']),
      };
    },
    delay: (ms) => each((gate) => gate.delay(ms)),
    drop: async () => void (await Promise.all(gates.map((gate) => gate.drop()))),
    reset: (options) => each((gate) => gate.reset(options?.newToo ?? false)),
    blackhole: (direction = 'both') => each((gate) => gate.hold(direction)),
    halfOpen: (vanished = 'server') => each((gate) => gate.halfOpen(vanished)),
    heal: async (options) => void (await Promise.all(gates.map((gate) => gate.heal(options?.resetHeld ?? false)))),
    close: async () => void (await Promise.all(gates.map((gate) => gate.close()))),
  };
}

/** One listening port of a proxy. */
class Gate {
  readonly connections = new Set<ProxiedConnection>();
  readonly bytes: Record<Direction, number> = { 'to-server': 0, 'to-client': 0 };
  total = 0;
  private server: Server | undefined;
  private delayMs = 0;
  private resetNew = false;
  private readonly held = new Set<Direction>();

  constructor(
    readonly target: ProxyTarget,
    readonly port: number,
  ) {}

  open(): Promise<void> {
    if (this.server) return Promise.resolve();
    const server = createServer({ allowHalfOpen: true }, (client) => {
      this.total++;
      if (this.resetNew) {
        client.on('error', () => undefined);
        client.resetAndDestroy();
        return;
      }
      const connection = new ProxiedConnection(client, this.target, {
        moved: (direction, bytes) => (this.bytes[direction] += bytes),
        closed: () => this.connections.delete(connection),
      });
      this.connections.add(connection);
      connection.delay(this.delayMs);
      for (const direction of this.held) connection.hold(direction);
    });
    this.server = server;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ port: this.port, host: '127.0.0.1', exclusive: true }, () => {
        server.off('error', reject);
        resolve();
      });
    });
  }

  delay(ms: number): void {
    this.delayMs = ms;
    for (const connection of this.connections) connection.delay(ms);
  }

  drop(): Promise<void> {
    const stopped = this.stopListening();
    for (const connection of this.connections) connection.destroy();
    return stopped;
  }

  reset(newToo: boolean): void {
    if (newToo) this.resetNew = true;
    for (const connection of this.connections) connection.reset();
  }

  hold(direction: Direction | 'both'): void {
    const directions: Direction[] = direction === 'both' ? ['to-server', 'to-client'] : [direction];
    for (const one of directions) {
      this.held.add(one);
      for (const connection of this.connections) connection.hold(one);
    }
  }

  halfOpen(vanished: 'client' | 'server'): void {
    for (const connection of this.connections) connection.vanish(vanished);
  }

  async heal(resetHeld: boolean): Promise<void> {
    this.resetNew = false;
    this.delay(0);
    const wasHeld = this.held.size > 0;
    this.held.clear();
    for (const connection of this.connections) {
      if (wasHeld && resetHeld) connection.reset();
      else connection.release();
    }
    await this.open();
  }

  async close(): Promise<void> {
    const stopped = this.stopListening();
    for (const connection of this.connections) connection.destroy();
    await stopped;
  }

  private stopListening(): Promise<void> {
    const server = this.server;
    if (!server) return Promise.resolve();
    this.server = undefined;
    // The port is closed at once; the callback would wait for connections, which may be silent for ever.
    server.close();
    return new Promise((resolve) => setImmediate(resolve));
  }
}
