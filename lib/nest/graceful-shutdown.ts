import type { INestApplicationContext } from '@nestjs/common';
import { abandonOnAbort } from '../backend/index.js';
import { DiscoveryError, messageOf } from '../model/index.js';
import { AppRegistration } from './app-registration.js';
import { DiscoveryCoreModule } from './discovery-core.module.js';
import { DiscoveryRuntime } from './discovery-runtime.js';
import { DiscoveryModule } from './discovery.module.js';
import { HookCaller } from './hook-caller.js';

/** Options of {@link enableGracefulShutdown}. */
export interface GracefulShutdownOptions {
  /** @default ['SIGTERM', 'SIGINT'] */
  readonly signals?: readonly NodeJS.Signals[];
  /**
   * When something else still keeps the process alive this long after the app has closed, it is ended all the same, in
   * milliseconds. @default 2000
   */
  readonly exitAfterMs?: number;
}

/** A signal that comes twice within this time is one: npm and a terminal both send it. */
const SAME_SIGNAL_MS = 500;

/**
 * Makes the app stop without losing a request, when a signal comes and when `app.close()` is called: out of every
 * registry, on serving while that gets around, until what is being answered has ended; only then Nest's own shutdown
 * with all its hooks. Use it instead of `app.enableShutdownHooks()`.
 *
 * After a signal the process ends with status 0, or with 1 when something took longer than it may (`shutdown` in the
 * module's options) or failed, whatever else listens to the signal. A second signal skips the waits, a third one ends the
 * process at once.
 *
 * @returns the app
 * @throws DiscoveryError `SHUTDOWN_HOOKS_CONFLICT` when Nest's hooks are on: both would run at once
 * @publicApi
 */
export function enableGracefulShutdown<T extends INestApplicationContext>(
  app: T,
  options: GracefulShutdownOptions = {},
): T {
  if (hasNestHooks(app)) throw conflict();
  const registration = app.get(AppRegistration, { strict: false });
  const hooks = app.get(HookCaller, { strict: false });
  const { logger, options: settings } = app.get(DiscoveryRuntime, { strict: false });
  const signals = options.signals ?? ['SIGTERM', 'SIGINT'];
  registration.isShutdownWired = true;
  // Nest hands out a proxy that ignores assignments and looks methods up when they are called: the original is asked of
  // the class, and the new one is defined on the app behind the proxy.
  const { close: nestClose } = Object.getPrototypeOf(app) as INestApplicationContext;
  const { shutdown } = registration;
  let closing: Promise<void> | undefined;
  let firstSignalAt: number | undefined;
  let further = 0;

  const closeAll = async (args: Parameters<typeof nestClose>): Promise<void> => {
    await registration.shutDown();
    hooks.limitNestHooks(settings.shutdown.hookTimeoutMs, isOurs);
    await Reflect.apply(nestClose, app, args);
  };
  const close = (...args: Parameters<typeof nestClose>): Promise<void> => {
    closing ??= abandonOnAbort(closeAll(args), shutdown.expired, 'the shutdown').finally(() => {
      // Until a process ends that was told to, its signals are ours.
      if (firstSignalAt === undefined) stopListening();
    });
    return closing;
  };
  define(app, 'close', close);
  define(app, 'enableShutdownHooks', () => {
    throw conflict();
  });
  const onSignal = (signal: NodeJS.Signals): void => {
    if (firstSignalAt === undefined) {
      firstSignalAt = performance.now();
      void stop(signal);
    } else if (performance.now() - firstSignalAt > SAME_SIGNAL_MS) {
      further += 1;
      if (further > 1) process.exit(1);
      logger.warn(`${signal} again: the shutdown goes on without waiting`);
      shutdown.hurry();
    }
  };
  for (const signal of signals) process.on(signal, onSignal);
  return app;

  async function stop(signal: NodeJS.Signals): Promise<void> {
    try {
      await close(...([signal] as unknown as Parameters<typeof nestClose>));
      end(hooks.overran ? 1 : 0);
    } catch (error) {
      const { totalTimeoutMs } = settings.shutdown;
      const culprits = hooks.pending.length > 0 ? hooks.pending.join(', ') : shutdown.current;
      if (shutdown.expired.aborted) {
        logger.error(`the shutdown has taken longer than ${totalTimeoutMs} ms, for ${culprits}: the process ends`);
        process.exit(1);
      }
      logger.error(`the app could not be closed: ${messageOf(error)}`);
      end(1);
    }
  }

  function end(status: number): void {
    // A status that the app has set says more.
    process.exitCode ||= status;
    // The process ends by itself when nothing is left open; this timer doesn't count.
    setTimeout(() => {
      const open = [...new Set(process.getActiveResourcesInfo())].join(', ');
      logger.warn(`the app is closed, but something keeps the process alive (${open}): it ends now`);
      process.exit();
    }, options.exitAfterMs ?? 2000).unref();
  }

  function stopListening(): void {
    for (const signal of signals) process.removeListener(signal, onSignal);
  }
}

/** Instances whose hooks have limits of their own. */
function isOurs(instance: object): boolean {
  return instance instanceof DiscoveryModule || instance instanceof DiscoveryCoreModule;
}

function define(app: object, name: keyof INestApplicationContext, value: unknown): void {
  Object.defineProperty(app, name, { value, configurable: true, writable: true });
}

/** Whether `enableShutdownHooks()` was called: Nest has no public way to ask, so a change there is read as "no". */
function hasNestHooks(app: object): boolean {
  const { shutdownCleanupRefs, activeShutdownSignals } = app as {
    readonly shutdownCleanupRefs?: { readonly size?: unknown };
    readonly activeShutdownSignals?: { readonly length?: unknown };
  };
  const count = Number(shutdownCleanupRefs?.size ?? 0) + Number(activeShutdownSignals?.length ?? 0);
  return count > 0;
}

function conflict(): DiscoveryError {
  return new DiscoveryError(
    'SHUTDOWN_HOOKS_CONFLICT',
    'enableGracefulShutdown(app) and app.enableShutdownHooks() can not be used together: leave enableShutdownHooks out',
  );
}
