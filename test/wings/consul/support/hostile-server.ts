import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Answers one request, badly. */
export type Answer = (request: IncomingMessage, response: ServerResponse, url: URL) => void;

/** A server that answers what a Consul agent never should. For bad input only: it proves no support of anything. */
export class HostileServer {
  readonly requests: { readonly url: URL; readonly at: number }[] = [];

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async open(answer: Answer): Promise<HostileServer> {
    const server = createServer((request, response) => {
      const url = new URL(request.url ?? '/', 'http://hostile');
      if (url.pathname === '/v1/status/leader') return void response.end('"127.0.0.1:1"');
      hostile.requests.push({ url, at: Date.now() });
      answer(request, response, url);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const hostile = new HostileServer(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    return hostile;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }
}

/** An answer of the health endpoint. */
export function health(response: ServerResponse, index: number | string | undefined, ports: readonly number[]): void {
  const entries = ports.map((port) => ({
    Node: { ID: 'n', Node: 'node', Address: '10.0.0.1', Datacenter: 'dc1', CreateIndex: 1, ModifyIndex: 1 },
    Service: {
      ID: `id-${port}`,
      Service: 'x',
      Tags: null,
      Address: '',
      Port: port,
      Weights: { Passing: 1, Warning: 1 },
    },
    Checks: null,
  }));
  if (index !== undefined) response.setHeader('X-Consul-Index', String(index));
  response.setHeader('X-Consul-KnownLeader', 'true');
  response.setHeader('Content-Type', 'application/json; charset=utf-8');
  response.end(JSON.stringify(entries));
}
