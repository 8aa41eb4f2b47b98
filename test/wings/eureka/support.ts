import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { waitFor } from '../../servers/wait.js';

/** Waits until the condition holds; what it throws counts as "not yet". */
export async function until(condition: () => unknown, what: string, timeoutMs = 30_000): Promise<void> {
  await waitFor(async () => Boolean(await condition()), { what, timeoutMs, intervalMs: 20 });
}

/** A record as the server has it, or undefined. */
export async function rawRecord(
  serverUrl: string,
  app: string,
  instanceId: string,
): Promise<Record<string, unknown> | undefined> {
  const path = `/apps/${encodeURIComponent(app.toUpperCase())}/${encodeURIComponent(instanceId)}`;
  const response = await fetch(`${serverUrl}${path}`, { headers: { accept: 'application/json' } });
  if (response.status === 404) {
    await response.text();
    return undefined;
  }
  const body = (await response.json()) as { instance: Record<string, unknown> };
  return body.instance;
}

/** What an operator does: sets, or with undefined ends, a status at the server. */
export async function override(serverUrl: string, app: string, instanceId: string, value?: string): Promise<void> {
  const path = `/apps/${encodeURIComponent(app.toUpperCase())}/${encodeURIComponent(instanceId)}/status`;
  const url = `${serverUrl}${path}${value === undefined ? '' : `?value=${value}`}`;
  const response = await fetch(url, { method: value === undefined ? 'DELETE' : 'PUT' });
  if (response.status !== 200) throw new Error(`the server answered ${response.status}`);
}

/** A small service on a port of its own. */
export interface Service {
  readonly port: number;
  readonly requests: readonly string[];
  close(): Promise<void>;
}

/** Starts a service that answers every request with `handler`. */
export async function startService(
  handler: (request: IncomingMessage, response: ServerResponse, body: string) => void,
): Promise<Service> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      requests.push(`${request.method} ${request.url}`);
      handler(request, response, Buffer.concat(chunks).toString());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** What a meddling proxy does with one request. */
export type Meddle = (
  request: { readonly method: string; readonly path: string; readonly url: string },
  response: ServerResponse,
) => 'forward' | 'done' | ((body: string) => string);

/** Stands in front of a real server, counts, and does to answers what a broken server or middlebox would. */
export interface MeddlingProxy {
  readonly url: string;
  /** `GET /apps/`, `PUT /apps/A/id` …, without the context path and the query. */
  readonly requests: string[];
  meddle: Meddle;
  close(): Promise<void>;
}

/** Starts a proxy in front of the server at `target`, which passes everything on until told otherwise. */
export async function startMeddlingProxy(target: string): Promise<MeddlingProxy> {
  const base = new URL(target);
  const server = createServer((incoming, outgoing) => {
    const path = (incoming.url ?? '').slice(base.pathname.length).replace(/\?.*$/, '');
    proxy.requests.push(`${incoming.method} ${path}`);
    const verdict = proxy.meddle({ method: incoming.method ?? '', path, url: incoming.url ?? '' }, outgoing);
    if (verdict === 'done') return;
    const forwarded = httpRequest(
      { host: base.hostname, port: base.port, method: incoming.method, path: incoming.url, headers: incoming.headers },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () => {
          let body: Buffer | string = Buffer.concat(chunks);
          const headers = { ...answer.headers };
          if (verdict !== 'forward') {
            if (headers['content-encoding'] === 'gzip') body = gunzipSync(body);
            delete headers['content-encoding'];
            body = verdict(body.toString());
          }
          delete headers['content-length'];
          delete headers['transfer-encoding'];
          outgoing.writeHead(answer.statusCode ?? 500, headers).end(body);
        });
      },
    );
    forwarded.on('error', () => outgoing.destroy());
    incoming.pipe(forwarded);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy: MeddlingProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${base.pathname}`,
    requests: [],
    meddle: () => 'forward',
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return proxy;
}
