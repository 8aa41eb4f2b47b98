import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import zookeeperLibrary from 'node-zookeeper-client';
import { afterEach } from 'vitest';
import type { BackendContext, DiscoveryReport, Logger } from '../../../lib/backend/index.js';
import {
  asab,
  zookeeper,
  ZooKeeperClient,
  type AsabLayoutOptions,
  type ZooKeeperBackend,
  type ZooKeeperOptions,
} from '../../../lib/backends/zookeeper/index.js';
import type { DiscoveryEvent, ServiceInstance } from '../../../lib/model/index.js';
import { createContext } from '../../contract/contract-harness.js';

/** Waits until `condition` gives something other than false or undefined. */
export async function until<T>(
  condition: () => T | Promise<T>,
  what: string,
  withinMs = 30_000,
): Promise<Exclude<T, false | undefined>> {
  const end = Date.now() + withinMs;
  let problem: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value !== false && value !== undefined) return value as Exclude<T, false | undefined>;
      problem = undefined;
    } catch (error) {
      problem = error;
    }
    if (Date.now() > end) throw new Error(`waited ${withinMs} ms in vain: ${what}`, { cause: problem });
    await delay(10);
  }
}

/** What was logged, by level. */
export class LogRecorder implements Logger {
  readonly lines: { readonly level: string; readonly message: string }[] = [];
  readonly error = (message: string): void => void this.lines.push({ level: 'error', message });
  readonly warn = (message: string): void => void this.lines.push({ level: 'warn', message });
  readonly log = (message: string): void => void this.lines.push({ level: 'log', message });
  readonly debug = (message: string): void => void this.lines.push({ level: 'debug', message });

  of(level: string): readonly string[] {
    return this.lines.filter((line) => line.level === level).map((line) => line.message);
  }
}

/** A backend of a test, with what it told. */
export interface TestBackend {
  readonly backend: ZooKeeperBackend;
  readonly events: DiscoveryEvent[];
  readonly log: LogRecorder;
  close(): Promise<void>;
}

/** Opens things and closes them after each test. */
export class Opened {
  private readonly closers: (() => Promise<unknown>)[] = [];

  constructor() {
    afterEach(async () => {
      await Promise.all(this.closers.splice(0).map((close) => close()));
    });
  }

  /** Closes it after the test. */
  add(close: () => Promise<unknown>): void {
    this.closers.push(close);
  }

  async client(servers: string, options: { readonly sessionTimeoutMs?: number } = {}): Promise<ZooKeeperClient> {
    const client = new ZooKeeperClient({ servers, sessionTimeoutMs: 2000, connectTimeoutMs: 1000, ...options });
    this.add(() => client.close());
    await client.open();
    return client;
  }

  async backend(options: ZooKeeperOptions, context: Partial<BackendContext> = {}): Promise<TestBackend> {
    const events: DiscoveryEvent[] = [];
    const log = new LogRecorder();
    const definition = zookeeper({ sessionTimeoutMs: 2000, connectTimeoutMs: 1000, ...options });
    const backend = definition.create(createContext(events, { logger: log, ...context }));
    const close = (): Promise<void> => backend.close();
    this.add(close);
    await backend.open();
    return { backend, events, log, close };
  }

  /** A backend with the ASAB layout whose records' host is the registration's. */
  asab(
    servers: string,
    options: AsabLayoutOptions,
    more: ZooKeeperOptions = {},
    context: Partial<BackendContext> = {},
  ): Promise<TestBackend> {
    const layout = asab({ host: (registration) => registration.host, manifest: false, ...options });
    return this.backend({ servers, layout, ...more }, context);
  }
}

/** The ASAB tools of a backend that has them. */
export function toolsOf({ backend }: TestBackend): NonNullable<ZooKeeperBackend['asab']> {
  if (backend.asab === undefined) throw new Error('no ASAB layout');
  return backend.asab;
}

/** Watches a service and keeps the newest list. */
export function watching({ backend }: TestBackend, service: string): { reports: DiscoveryReport[]; ports(): number[] } {
  const reports: DiscoveryReport[] = [];
  backend.discovery.watch(service, (report) => reports.push(report));
  const newest = (): readonly ServiceInstance[] => reports.at(-1)?.instances ?? [];
  return { reports, ports: () => newest().map((instance) => instance.port) };
}

/** The id and the password of a client's session, as only tests need them. */
function credentialsOf(client: ZooKeeperClient): { readonly id: Buffer; readonly password: Buffer } {
  const inside = client as unknown as {
    readonly session: { readonly credentials?: { readonly id: Buffer; readonly password: Buffer } };
  };
  const { credentials } = inside.session;
  if (credentials === undefined) throw new Error('there is no session');
  return credentials;
}

/**
 * Ends a client's session at the server, as another client that has its password. The client may take its session back
 * before the end of it is sent, so it is asked for until the server has none of that name.
 */
export async function killSession(client: ZooKeeperClient, server: string): Promise<void> {
  const { id, password } = credentialsOf(client);
  for (;;) {
    const killer = zookeeperLibrary.createClient(server, {
      sessionTimeout: 2000,
      retries: 0,
      sessionId: id,
      sessionPassword: password,
    } as Parameters<typeof zookeeperLibrary.createClient>[1]);
    const end = await new Promise<'closed' | 'expired'>((resolve) => {
      killer.once('connected', () => killer.close());
      killer.once('disconnected', () => resolve('closed'));
      killer.once('expired', () => resolve('expired'));
      killer.connect();
    });
    if (end === 'expired') return;
  }
}

/** One of ZooKeeper's four-letter commands. */
export function ask(host: string, port: number, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    let answer = '';
    socket.setEncoding('utf8');
    socket.once('connect', () => socket.write(command));
    socket.on('data', (text: string) => (answer += text));
    socket.once('error', reject);
    socket.once('close', () => resolve(answer));
  });
}
