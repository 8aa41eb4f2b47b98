import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { INestApplication } from '@nestjs/common';
import { afterEach } from 'vitest';
import { createOn, portOf, type Platform } from '../support.js';
import { operated } from './operated.js';

export { operated } from './operated.js';

const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** A server that answers what it is told to; its port, and what makes it answer otherwise. */
export async function stockServer(): Promise<{ readonly port: number; status: number }> {
  const stock = { port: 0, status: 200 };
  const server = createServer((_, response) => response.writeHead(stock.status).end('{}'));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stock.port = (server.address() as AddressInfo).port;
  return stock;
}

/** The app, listening. */
export async function startOperated(
  platform: Platform,
  ...given: Parameters<typeof operated>
): Promise<INestApplication> {
  const app = await createOn(platform, operated(...given));
  await app.listen(0, '127.0.0.1');
  return app;
}

/** Asks an app. */
export function ask(app: INestApplication, path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`http://127.0.0.1:${portOf(app)}${path}`, { redirect: 'manual', ...init });
}

/** What an app answers, as JSON. */
export async function read(app: INestApplication, path: string, init?: RequestInit): Promise<Record<string, unknown>> {
  return (await (await ask(app, path, init)).json()) as Record<string, unknown>;
}

/** Sends an object. */
export function post(app: INestApplication, path: string, body: unknown = {}, headers = {}): Promise<Response> {
  return ask(app, path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
}

/** The status that a request gets whose headers are given as they go out; Node's `fetch` has some of its own. */
export function statusOf(
  app: INestApplication,
  path: string,
  headers: Readonly<Record<string, string>>,
  body?: string,
): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const sent = request(
      { port: portOf(app), host: '127.0.0.1', path, headers, method: body === undefined ? 'GET' : 'POST' },
      (response) => {
        response.resume();
        resolve(response.statusCode);
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}
