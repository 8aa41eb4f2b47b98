import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach } from 'vitest';
import type { Backend, BackendContext, ConfigReport, DiscoveryReport, Watch } from '../../../lib/backend/index.js';
import { silentLogger, systemClock } from '../../../lib/backend/index.js';
import { local, type LocalOptions } from '../../../lib/backends/local/index.js';
import type { ConfigScope, DiscoveryEvent } from '../../../lib/model/index.js';

/** A folder and the backends in it, closed and removed after each test. */
export class LocalFixture {
  home = '';
  readonly warnings: string[] = [];
  readonly events: DiscoveryEvent[] = [];
  private backends: Backend[] = [];
  private cleanUps: (() => unknown)[] = [];

  constructor() {
    afterEach(async () => {
      for (const cleanUp of this.cleanUps.splice(0)) await cleanUp();
      await Promise.all(this.backends.splice(0).map((backend) => backend.close()));
      if (this.home !== '') await rm(this.home, { recursive: true, force: true });
      this.home = '';
      this.warnings.splice(0);
      this.events.splice(0);
    });
  }

  get directory(): string {
    return join(this.home, 'meeting');
  }

  get configDirectory(): string {
    return join(this.home, 'config');
  }

  async makeHome(): Promise<string> {
    this.home = await mkdtemp(join(tmpdir(), 'nsd-local-'));
    return this.home;
  }

  onCleanUp(cleanUp: () => unknown): void {
    this.cleanUps.push(cleanUp);
  }

  create(options: LocalOptions = {}, context: Partial<BackendContext> = {}): Backend {
    const definition = local({
      directory: this.directory,
      configDirectory: this.configDirectory,
      pollMs: 100,
      ...options,
    });
    const backend = definition.create({
      appId: 'test',
      application: { name: 'test', profiles: [] },
      logger: { ...silentLogger, warn: (message) => void this.warnings.push(message) },
      clock: systemClock,
      random: Math.random,
      report: (event) => void this.events.push(event),
      ...context,
    });
    this.backends.push(backend);
    return backend;
  }

  async open(options: LocalOptions = {}, context: Partial<BackendContext> = {}): Promise<Required<Drivers>> {
    const backend = this.create(options, context);
    await backend.open();
    const { registry, discovery, config } = backend;
    if (registry === undefined || discovery === undefined || config === undefined)
      throw new Error('a driver is absent');
    return { backend, registry, discovery, config };
  }
}

/** A backend with its drivers, all of which the local backend has. */
export type Drivers = { backend: Backend } & Pick<Backend, 'registry' | 'discovery' | 'config'>;

/** A watch and all its reports. */
export function watching(drivers: Required<Drivers>, service: string): { watch: Watch; reports: DiscoveryReport[] } {
  const reports: DiscoveryReport[] = [];
  return { watch: drivers.discovery.watch(service, (report) => reports.push(report)), reports };
}

/** A configuration watch and all its reports. */
export function watchingConfig(
  drivers: Required<Drivers>,
  scope: ConfigScope,
): { watch: Watch; reports: ConfigReport[] } {
  const reports: ConfigReport[] = [];
  return { watch: drivers.config.watch(scope, (report) => reports.push(report)), reports };
}

/** Waits until the condition holds. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  withinMs = 20_000,
): Promise<void> {
  const end = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited ${withinMs} ms in vain: ${what}`);
    await delay(10);
  }
}
