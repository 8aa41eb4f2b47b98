import { Module, type OnModuleDestroy } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { AppRegistration, DiscoveryModule, enableGracefulShutdown } from '../../lib/index.js';
import { shutdownAdvice, stopDuration } from '../../lib/nest/startup-advice.js';
import { inMemory } from '../../lib/testing/index.js';
import type { BackendDefinition } from '../../lib/backend/index.js';
import { createApp, init, listen, LogCollector, registered } from './support.js';

afterEach(() => vi.unstubAllEnvs());

class Database implements OnModuleDestroy {
  onModuleDestroy(): void {}
}

@Module({ providers: [Database] })
class DatabaseModule {}

function discovery(registry: BackendDefinition = inMemory()) {
  return DiscoveryModule.forRoot({ service: { name: 'SHOP' }, registry });
}

@Module({ imports: [DatabaseModule, discovery()] })
class LastModule {}

@Module({ imports: [discovery(), DatabaseModule] })
class FirstModule {}

async function adviceFor(module: unknown, listeners: number, wire = false) {
  const app = await createApp(module);
  if (wire) enableGracefulShutdown(app);
  await app.init();
  const isWired = app.get(AppRegistration).isShutdownWired;
  const modules = app.get(ModulesContainer);
  return (env: NodeJS.ProcessEnv = {}) => {
    const listening = vi.spyOn(process, 'listenerCount').mockReturnValue(listeners);
    try {
      return shutdownAdvice({ isWired, modules, own: DiscoveryModule }, env);
    } finally {
      listening.mockRestore();
    }
  };
}

describe('one line at start says what is wrong with the way the app will stop', () => {
  it('nothing is wired', async () => {
    const advice = await adviceFor(LastModule, 0);
    expect(advice()).toContain('enableGracefulShutdown(app) in main.ts');
    expect(advice({ NODE_ENV: 'test' })).toBeUndefined();
  });

  it('Nest’s hooks, and the module isn’t last', async () => {
    const advice = await adviceFor(FirstModule, 1);
    expect(advice()).toContain('DatabaseModule will be destroyed while requests still come in');
  });

  it('Nest’s hooks, and the module is last: all is well', async () => {
    expect((await adviceFor(LastModule, 1))()).toBeUndefined();
  });

  it('enableGracefulShutdown: all is well wherever it stands', async () => {
    expect((await adviceFor(FirstModule, 1, true))()).toBeUndefined();
  });

  it('the length of a stop', () => {
    expect(stopDuration(110_000)).toBe(
      'a stop may take 110 s: in Kubernetes terminationGracePeriodSeconds must be 112 or more',
    );
  });
});

describe('an address that only this machine can call', () => {
  const elsewhere = (): BackendDefinition => ({ ...inMemory(), hosts: ['10.0.0.5'] });

  async function start(registry: BackendDefinition, service = {}) {
    const logger = new LogCollector();
    const app = await listen(
      DiscoveryModule.forRoot({ service: { name: 'SHOP', ...service }, registry, config: inMemory({ name: 'c' }) }),
      logger,
    );
    return { app, logger };
  }

  it('is fine at a registry of this machine', async () => {
    const { app, logger } = await start(inMemory());
    await registered(app);
    expect(logger.warnings()).toEqual([]);
  });

  it('is warned of at one elsewhere', async () => {
    const { app, logger } = await start(elsewhere());
    await registered(app);
    expect(logger.warnings()).toEqual([
      'warn SHOP registers 127.0.0.1, which only this machine can call: listen on 0.0.0.0, or give service.host',
    ]);
  });

  it('is refused there in production, and only that', async () => {
    vi.stubEnv('NODE_ENV', 'production');
    const { app, logger } = await start(elsewhere());
    await expect
      .poll(() => logger.lines)
      .toContain(
        'error SHOP is not registered: SHOP registers 127.0.0.1, which only this machine can call: listen on 0.0.0.0, or give service.host',
      );
    expect(app.get(AppRegistration).lease).toBeUndefined();
    const given = await start(elsewhere(), { host: '127.0.0.1' });
    await registered(given.app);
  });
});

describe('imports that can’t work say what to write', () => {
  it('DiscoveryModule without forRoot', async () => {
    @Module({ imports: [DiscoveryModule] })
    class Bare {}
    await expect(init(Bare)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('use DiscoveryModule.forRoot()') as string,
    });
  });

  it('two definitions of one product where one would do', async () => {
    const [registry, config] = [inMemory(), inMemory()];
    await expect(init(DiscoveryModule.forRoot({ registry, config }))).rejects.toMatchObject({
      code: 'DUPLICATE_BACKEND',
      message: expect.stringContaining('use one definition for both') as string,
    });
  });
});
