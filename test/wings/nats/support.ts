import { connect, type NatsConnection } from 'nats';
import { afterEach } from 'vitest';
import {
  addService,
  NatsClient,
  type NatsClientOptions,
  type NatsServiceHandle,
  type ServiceConfig,
} from '../../../lib/backends/nats/index.js';

let number = 0;

/** A name that no other test of this server has. */
export function fresh(name: string): string {
  return `${name}-${process.pid}-${(number += 1)}`;
}

/** What a test opened, closed after it in the opposite order. */
export class Opened {
  private readonly closers: (() => Promise<unknown>)[] = [];

  constructor() {
    afterEach(async () => {
      for (const close of this.closers.splice(0).reverse()) await close().catch(() => {});
    });
  }

  closing(close: () => Promise<unknown>): void {
    this.closers.push(close);
  }

  /** A bare connection of the `nats` package. */
  async connection(url: string): Promise<NatsConnection> {
    const connection = await connect({
      servers: url,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 50,
      reconnectJitter: 0,
    });
    this.closing(() => connection.close());
    return connection;
  }

  async client(url: string, options: NatsClientOptions = {}): Promise<NatsClient> {
    const client = new NatsClient({ servers: url, reconnectWaitMs: 100, ...options });
    this.closing(() => client.close());
    await client.connect();
    return client;
  }

  /** A service that has started. */
  async service(connection: NatsConnection, config: Partial<ServiceConfig> = {}): Promise<NatsServiceHandle> {
    const service = addService(connection, { name: fresh('svc'), version: '1.2.3', ...config });
    this.closing(() => service.stop());
    await service.start();
    return service;
  }
}

export function text(data: Uint8Array): string {
  return new TextDecoder().decode(data);
}

export function bytes(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}
