import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server as TcpServer, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import axios, {
  AxiosError,
  type AxiosAdapter,
  type AxiosRequestConfig,
  type AxiosResponse,
  type CreateAxiosDefaults,
} from 'axios';
import {
  AxiosTransport,
  DirectPath,
  PooledTransport,
  type TransportOptions,
} from '../../../../lib/http/transport/index.js';

/** A way to make a call: axios's own adapter (the oracle), ours in axios's pipeline, ours without it. */
export interface Path {
  readonly name: 'axios' | 'adapter' | 'direct';
  request(config: AxiosRequestConfig): Promise<AxiosResponse>;
  close(): Promise<void>;
  readonly transport: AxiosTransport | PooledTransport;
}

export function openPath(name: Path['name'], defaults: CreateAxiosDefaults = {}, options: TransportOptions = {}): Path {
  const transport = name === 'axios' ? new AxiosTransport(options) : new PooledTransport(options);
  const adapter: AxiosAdapter = (config) => transport.send(config);
  const instance = axios.create({ ...defaults, adapter });
  const direct = new DirectPath(instance);
  return {
    name,
    transport,
    request: (config) => {
      if (name !== 'direct') return instance.request(config);
      // Otherwise the test would try the pipeline twice.
      if (!direct.isOpen(config)) throw new Error('the direct path is closed to this config');
      return direct.request(config, adapter);
    },
    close: () => transport.close(),
  };
}

/** A server that tests bring down with all its sockets. */
export interface TestServer {
  readonly url: string;
  readonly port: number;
  /** Sockets that were opened so far. */
  readonly accepted: number;
  /** Sockets that are open now. */
  readonly open: number;
  close(): Promise<void>;
}

async function listen(server: Server | TcpServer): Promise<TestServer> {
  const sockets = new Set<Socket>();
  let accepted = 0;
  server.on('connection', (socket: Socket) => {
    accepted += 1;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    get accepted() {
      return accepted;
    },
    get open() {
      return sockets.size;
    },
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

export function httpServer(
  handler: RequestListener,
  configure: (server: Server) => void = () => {},
): Promise<TestServer> {
  const server = createHttpServer(handler);
  configure(server);
  return listen(server);
}

/** A server that says what it wants, HTTP or not. */
export function rawServer(onRequest: (socket: Socket, head: string, count: number) => void): Promise<TestServer> {
  let count = 0;
  return listen(
    createTcpServer((socket) => {
      let received = '';
      socket.on('data', (chunk) => {
        received += chunk.toString('latin1');
        if (!received.includes('\r\n\r\n')) return;
        const head = received;
        received = '';
        count += 1;
        onRequest(socket, head, count);
      });
    }),
  );
}

/** Answers with what was asked. */
export const echo: RequestListener = (request, response) => {
  void body(request).then(
    (data) => {
      const { host: _, connection: __, ...headers } = request.headers;
      response.setHeader('content-type', 'application/json');
      response.setHeader('x-one', 'first');
      response.end(JSON.stringify({ method: request.method, url: request.url, headers, data }));
      // A request that is given up.
    },
    () => {},
  );
};

async function body(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('latin1');
}

/** What becomes of a call, in a form in which two paths can be compared. */
export async function outcome(call: Promise<AxiosResponse>): Promise<unknown> {
  try {
    return { response: await shape(await call) };
  } catch (error) {
    if (!(error instanceof AxiosError)) return { thrown: (error as Error).name, code: (error as AxiosError).code };
    return {
      error: {
        name: error.name,
        code: error.code,
        status: error.status,
        isCancel: axios.isCancel(error),
        hasRequest: error.request !== undefined,
        method: error.config?.method,
        response: error.response === undefined ? undefined : await shape(error.response),
      },
    };
  }
}

/** Differs from connection to connection, or says how a connection is used. */
const NOT_COMPARED = new Set(['date', 'connection', 'keep-alive']);

async function shape(response: AxiosResponse): Promise<unknown> {
  const { data, headers, status, statusText, config, request } = response;
  return {
    keys: Object.keys(response).toSorted(),
    status,
    statusText,
    isAxiosHeaders: headers instanceof axios.AxiosHeaders,
    headers: Object.entries(headers)
      .filter(([name]) => !NOT_COMPARED.has(name))
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
    data: data instanceof Readable ? `stream: ${await readAll(data)}` : printable(data),
    dataKind: Buffer.isBuffer(data) ? 'buffer' : typeof data,
    config: {
      method: config.method,
      url: config.url,
      data: typeof config.data === 'string' ? config.data : typeof config.data,
      timeout: config.timeout,
      allowAbsoluteUrls: config.allowAbsoluteUrls,
      headers: Object.fromEntries(
        Object.entries(config.headers.toJSON()).map(([name, value]) => [name, String(value)]),
      ),
    },
    method: (request as { method?: string }).method,
    path: (request as { path?: string }).path,
    host: (request as { host?: string }).host,
    protocol: (request as { protocol?: string }).protocol,
  };
}

/** The text of a stream, or how it failed. */
export function readAll(stream: Readable): Promise<string> {
  return text(stream).catch((error: unknown) => `failed: ${(error as AxiosError).code}`);
}

/** Large buffers compare slowly. */
function printable(data: unknown): unknown {
  return Buffer.isBuffer(data) ? data.toString('latin1') : data;
}

/** Waits until something is true. */
export async function until(condition: () => boolean, what: string, forMs = 30_000): Promise<void> {
  const end = Date.now() + forMs;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited ${forMs} ms for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
