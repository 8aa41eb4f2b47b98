import type { RequestListener } from 'node:http';
import { Logger } from '@nestjs/common';
import { afterEach, expect } from 'vitest';
import { freePortWith } from '../../../servers/free-port.js';
import type { ServiceHttpClient } from '../../../../lib/http/index.js';
import { DiscoveryRuntime } from '../../../../lib/nest/discovery-runtime.js';
import type { DiscoveryModuleOptions } from '../../../../lib/nest/index.js';
import { resolveOptions } from '../../../../lib/nest/resolve-options.js';
import { InMemoryRegistry, type InMemoryInstanceInput, type ManualClock } from '../../../../lib/testing/index.js';
import { httpServer, type TestServer } from '../transport/support.js';

Logger.overrideLogger(false);

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one.close();
});

/** What a node does with a request; the default answers its port. */
export type Behaviour = RequestListener;

/** An instance of a service: a real server whose behaviour can be changed, and what it has seen. */
export interface Node {
  readonly port: number;
  readonly url: string;
  readonly server: TestServer;
  hits: number;
  behaviour: Behaviour;
}

export const answer: Behaviour = (request, response) => {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ port: request.socket.localPort }));
};

export const status =
  (code: number, headers: Record<string, string> = {}): Behaviour =>
  (_request, response) => {
    response.writeHead(code, headers).end(String(code));
  };

/** Breaks the connection once the request is there. */
export const reset: Behaviour = (request) => {
  request.socket.destroy();
};

export const after =
  (ms: number, then: Behaviour = answer): Behaviour =>
  (request, response) => {
    setTimeout(() => then(request, response), ms);
  };

/** Ends in the middle of its body. */
export const cutOff: Behaviour = (_request, response) => {
  response.writeHead(200, { 'content-length': '100' });
  response.write('half', () => response.destroy());
};

/** Never answers. */
export const silence: Behaviour = () => {};

export async function node(behaviour: Behaviour = answer): Promise<Node> {
  const server = await httpServer((request, response) => {
    self.hits += 1;
    self.behaviour(request, response);
  });
  const self: Node = { port: server.port, url: server.url, server, hits: 0, behaviour };
  open.push(server);
  return self;
}

export async function nodes(count: number, behaviour: Behaviour = answer): Promise<Node[]> {
  return Promise.all(Array.from({ length: count }, () => node(behaviour)));
}

/** A port that nobody listens on, nor will: one that was just closed may be another test's server a moment later. */
export async function refusing(): Promise<Node> {
  const port = await freePortWith([]);
  const url = `http://127.0.0.1:${port}`;
  const server: TestServer = { url, port, accepted: 0, open: 0, close: async () => {} };
  return { port, url, server, hits: 0, behaviour: answer };
}

/** A service in a registry, and this app's client of it. */
export interface Service {
  readonly registry: InMemoryRegistry;
  readonly runtime: DiscoveryRuntime;
  readonly client: ServiceHttpClient;
  add(node: Node, more?: Omit<InMemoryInstanceInput, 'port'>): void;
  remove(node: Node): void;
  /** Waits until this app knows these instances and no others. */
  knows(...members: readonly Node[]): Promise<void>;
}

export async function service(
  members: readonly Node[],
  options: DiscoveryModuleOptions = {},
  clock?: ManualClock,
): Promise<Service> {
  const registry = new InMemoryRegistry();
  const ids = new Map<Node, string>();
  const add = (one: Node, more: Omit<InMemoryInstanceInput, 'port'> = {}): void => {
    ids.set(one, registry.addInstance('STOCK', { ...more, port: one.port }).id);
  };
  for (const member of members) add(member);
  const backend = registry.backend();
  const runtime = await DiscoveryRuntime.start(
    resolveOptions({ registry: backend, config: backend, ...(clock === undefined ? {} : { clock }), ...options }),
  );
  open.push(runtime);
  const client = runtime.clientFor('test', 'STOCK', {});
  client.warmUp();
  const knows = async (...expected: readonly Node[]): Promise<void> => {
    const wanted = expected.map(({ port }) => port).toSorted();
    await expect
      .poll(async () => (await runtime.discovery.getInstances('STOCK')).map(({ port }) => port).toSorted())
      .toEqual(wanted);
  };
  await knows(...members);
  return {
    registry,
    runtime,
    client,
    add,
    remove: (one) => void registry.removeInstance('STOCK', ids.get(one) ?? ''),
    knows,
  };
}

/** Makes calls, some at a time; gives the port that answered each, or the code or status of its error. */
export async function calls(
  { client }: Service,
  count: number,
  { concurrency = 1, method = 'get' }: { concurrency?: number; method?: string } = {},
): Promise<(number | string)[]> {
  const outcomes: (number | string)[] = [];
  let left = count;
  const worker = async (): Promise<void> => {
    while (left-- > 0) outcomes.push(await call(client, method));
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return outcomes;
}

async function call(client: ServiceHttpClient, method: string): Promise<number | string> {
  try {
    return (await client.axiosRef.request<{ port: number }>({ method, url: '/' })).data.port;
  } catch (error) {
    const { response, code } = error as { response?: { status: number }; code?: string };
    return String(response?.status ?? code);
  }
}

/** What each node has seen since this was last asked. */
export function seen(...members: readonly Node[]): number[] {
  return members.map((member) => {
    const { hits } = member;
    member.hits = 0;
    return hits;
  });
}
