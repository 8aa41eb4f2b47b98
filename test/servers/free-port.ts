import { createServer } from 'node:net';

// Below the range that kernels take outgoing connections from, so that no client's socket sits on a port between our
// check and the server's bind.
const lowest = 18_000;
const highest = 31_000;

const given = new Set<number>();

function canListen(port: number, host: string | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'EAFNOSUPPORT'));
    server.listen({ port, exclusive: true, ...(host === undefined ? {} : { host }) }, () =>
      server.close(() => resolve(true)),
    );
  });
}

/** Whether nothing listens on this port, neither on loopback nor on all addresses. */
export async function isFree(port: number): Promise<boolean> {
  return (await canListen(port, '127.0.0.1')) && (await canListen(port, undefined));
}

/**
 * A port such that it and its neighbours at the given offsets are free (Nacos derives its gRPC and Raft ports from the
 * HTTP port). No port is handed out twice by one process.
 */
export async function freePortWith(offsets: readonly number[]): Promise<number> {
  for (let attempt = 0; attempt < 500; attempt++) {
    const base = lowest + Math.floor(Math.random() * (highest - lowest));
    const wanted = [0, ...offsets].map((offset) => base + offset);
    if (wanted.some((port) => given.has(port))) continue;
    for (const port of wanted) given.add(port);
    const free = await Promise.all(wanted.map(isFree));
    if (free.every(Boolean)) return base;
  }
  throw new Error('no free port found');
}

/** As many free ports as there are names. */
export async function freePorts<N extends string>(...names: readonly N[]): Promise<Record<N, number>> {
  const ports = {} as Record<N, number>;
  for (const name of names) ports[name] = await freePortWith([]);
  return ports;
}
