import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DiscoveryError, messageOf } from '../model/index.js';

/** A server of its own for an orchestrator's probes, for apps whose own port is guarded or speaks another protocol. */
export interface ProbeOptions {
  /** 0 takes a free one, which `AppRegistration.probePort` tells. */
  readonly port: number;
  /** The address to listen on. @default every address of the machine */
  readonly host?: string;
  /** Path that answers whether the app need not be restarted. @default '/livez' */
  readonly livePath?: string;
  /** Path that answers whether it may take traffic. @default '/readyz' */
  readonly readyPath?: string;
}

/** What a {@link ProbeServer} answers. */
export interface ProbeAnswers {
  readonly isLive: () => boolean;
  /** Why the app may take no traffic; empty when it may. */
  readonly notReady: () => readonly string[];
}

/**
 * Answers `/livez` and `/readyz` as Kubernetes's own components do: 200 and `ok`, or 503 and a line for each reason. Holds
 * no connection open, and keeps no process alive.
 */
export class ProbeServer {
  private readonly server: Server;

  constructor(
    private readonly options: ProbeOptions,
    answers: ProbeAnswers,
  ) {
    const { livePath = '/livez', readyPath = '/readyz' } = options;
    this.server = createServer({ keepAlive: false, maxHeaderSize: 8192 }, (request, response) => {
      const path = (request.url ?? '').split('?', 1)[0];
      const reasons = path === livePath ? (answers.isLive() ? [] : ['it is closed']) : undefined;
      const problems = path === readyPath ? answers.notReady() : reasons;
      response.setHeader('content-type', 'text/plain; charset=utf-8');
      response.setHeader('cache-control', 'no-store');
      response.setHeader('connection', 'close');
      if (problems === undefined) response.writeHead(404).end('not found\n');
      else if (request.method !== 'GET' && request.method !== 'HEAD') {
        response.writeHead(405, { allow: 'GET, HEAD' }).end('only GET and HEAD\n');
      } else if (problems.length === 0) response.writeHead(200).end('ok\n');
      else response.writeHead(503).end(problems.map((problem) => `[-] ${problem}\n`).join(''));
    });
    this.server.requestTimeout = 5000;
  }

  /** The port that it listens on. */
  get port(): number | undefined {
    return (this.server.address() as AddressInfo | null)?.port;
  }

  /** @throws DiscoveryError `INVALID_OPTION` when the port can't be had */
  async listen(): Promise<void> {
    const { port, host } = this.options;
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', (error) =>
        reject(
          new DiscoveryError('INVALID_OPTION', `probes.port: ${port} can't be listened on: ${messageOf(error)}`, {
            field: 'probes.port',
            cause: error,
          }),
        ),
      );
      this.server.listen({ port, ...(host === undefined ? {} : { host }) }, resolve);
    });
    this.server.unref();
  }

  /** Ends it, with whatever is connected. */
  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }
}
