import type { INestApplicationContext } from '@nestjs/common';
import { DiscoveryError } from '../model/index.js';
import { AppRegistration } from './app-registration.js';

/** Options of {@link enableGracefulShutdown}. */
export interface GracefulShutdownOptions {
  /** @default ['SIGTERM', 'SIGINT'] */
  readonly signals?: readonly NodeJS.Signals[];
  /**
   * When something else still keeps the process alive this long after the app has closed, the signal ends it, in
   * milliseconds. @default 2000
   */
  readonly exitAfterMs?: number;
}

/**
 * Makes the app stop without losing a request, when a signal comes and when `app.close()` is called: out of every
 * registry, on serving while that gets around, until what is being answered has ended; only then Nest's own shutdown
 * with all its hooks. Use it instead of `app.enableShutdownHooks()`.
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
  const signals = options.signals ?? ['SIGTERM', 'SIGINT'];
  // Nest hands out a proxy that ignores assignments and looks methods up when they are called: the original is asked of
  // the class, and the new one is defined on the app behind the proxy.
  const { close: nestClose } = Object.getPrototypeOf(app) as INestApplicationContext;
  let closing: Promise<void> | undefined;
  define(app, 'close', (...args: Parameters<typeof nestClose>) => {
    closing ??= registration
      .shutDown()
      .then(() => Reflect.apply(nestClose, app, args))
      .finally(stopListening);
    return closing;
  });
  define(app, 'enableShutdownHooks', () => {
    throw conflict();
  });
  const onSignal = (signal: NodeJS.Signals): void => {
    // A second signal while the first is being dealt with changes nothing.
    if (closing !== undefined) return;
    const end = (exitCode: number): void => {
      process.exitCode ??= exitCode;
      // The process ends by itself when nothing is left open; this timer doesn't count.
      setTimeout(() => process.kill(process.pid, signal), options.exitAfterMs ?? 2000).unref();
    };
    app.close().then(
      () => end(0),
      () => end(1),
    );
  };
  for (const signal of signals) process.on(signal, onSignal);
  return app;

  function stopListening(): void {
    for (const signal of signals) process.removeListener(signal, onSignal);
  }
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
