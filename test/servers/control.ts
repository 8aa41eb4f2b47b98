import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Acquired, ServerPool } from './pool.js';
import type { ProductName, Provision, ServerInfo } from './types.js';

/** What a test worker asks the process that owns the shared servers. */
export interface ControlRequest {
  readonly ask: 'provision' | 'share';
  readonly product: ProductName;
  readonly variant: string;
  readonly isDefault: boolean;
}

/** Serves a pool to other processes on loopback. */
export class ControlServer {
  private constructor(
    private readonly server: Server,
    readonly address: string,
  ) {}

  static async open(pool: ServerPool): Promise<ControlServer> {
    const server = createServer((incoming, outgoing) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () => {
        answer(pool, JSON.parse(Buffer.concat(chunks).toString()) as ControlRequest)
          .then((result) => outgoing.writeHead(200).end(JSON.stringify(result)))
          .catch((error: unknown) =>
            outgoing.writeHead(500).end(error instanceof Error ? error.message : String(error)),
          );
      });
    });
    // Builds take minutes.
    server.requestTimeout = 0;
    server.headersTimeout = 0;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new ControlServer(server, String((server.address() as AddressInfo).port));
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }
}

async function answer(pool: ServerPool, question: ControlRequest): Promise<Provision | Acquired<ServerInfo>> {
  const { product, variant, isDefault } = question;
  if (question.ask === 'provision') return pool.provision(product, variant);
  const acquired = await pool.share(product, variant, isDefault);
  return acquired.available ? { available: true, server: acquired.server.describe() } : acquired;
}

/** Asks the process that owns the shared servers. `fetch` would give up after five minutes; a build may take longer. */
export function askControl<T extends Provision | Acquired<ServerInfo>>(
  port: string,
  question: ControlRequest,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, method: 'POST', agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.once('end', () => {
        if (response.statusCode === 200) resolve(JSON.parse(text) as T);
        else reject(new Error(text));
      });
      response.once('error', reject);
    });
    outgoing.once('error', reject);
    outgoing.end(JSON.stringify(question));
  });
}
