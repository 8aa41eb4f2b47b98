import { withDeadline, type Clock, type Logger } from '../backend/index.js';
import { DiscoveryError, messageOf } from '../model/index.js';
import { methodOf, type AppInstances } from './app-instances.js';
import type { LifecycleHook } from './lifecycle-hooks.interface.js';

/** Nest's hooks of a shutdown. */
const NEST_HOOKS = ['onModuleDestroy', 'beforeApplicationShutdown', 'onApplicationShutdown'] as const;

/** Calls the hooks of the app's providers and controllers, and knows which of them have not ended. */
export class HookCaller {
  private readonly running = new Set<string>();
  private readonly late = new Set<string>();

  constructor(
    private readonly instances: AppInstances,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  /** The hooks that have not ended: `DatabaseService.onModuleDestroy`. */
  get pending(): readonly string[] {
    return [...this.running];
  }

  /** True once a hook was left behind because its time was up. */
  get overran(): boolean {
    return this.late.size > 0;
  }

  /** Calls one after the other. What one throws is thrown, and the others aren't called. */
  async inOrder(hook: LifecycleHook, argument: unknown): Promise<void> {
    for (const { instance } of this.instances.all()) {
      // Who has no such hook costs no turn of its own: the lease is there as soon as the server listens.
      const method = methodOf(instance, hook);
      if (method !== undefined) await method(argument);
    }
  }

  /** Calls all at once. What one throws is logged, and one that takes longer than `timeoutMs` is left behind. */
  async together(hook: LifecycleHook, timeoutMs: number): Promise<void> {
    await Promise.all(
      this.instances.all().map(async ({ instance, name }) => {
        const method = methodOf(instance, hook);
        if (method === undefined) return;
        const what = `${name}.${hook}`;
        try {
          await this.limited(what, timeoutMs, method);
        } catch (error) {
          this.logger.error(`${what} failed: ${messageOf(error)}`);
        }
      }),
    );
  }

  /**
   * From now on a hook of Nest's own shutdown that takes longer than `timeoutMs` is left behind, so that those after it are
   * called all the same. Nest looks a hook up at the instance, where it is shadowed.
   *
   * @param except instances whose hooks have limits of their own
   */
  limitNestHooks(timeoutMs: number, except: (instance: object) => boolean): void {
    for (const { instance, name } of this.instances.all()) {
      if (except(instance)) continue;
      for (const hook of NEST_HOOKS) {
        const original = methodOf(instance, hook);
        if (original === undefined) continue;
        const value = (...args: readonly unknown[]) =>
          this.limited(`${name}.${hook}`, timeoutMs, () => original(...args));
        // What can't be shadowed is called as it is; the deadline over all stands above it.
        Reflect.defineProperty(instance, hook, { value, configurable: true, writable: true });
      }
    }
  }

  private async limited(what: string, timeoutMs: number, run: () => unknown): Promise<void> {
    this.running.add(what);
    const ended = Promise.resolve()
      .then(run)
      .finally(() => this.running.delete(what));
    try {
      await withDeadline(this.clock, timeoutMs, undefined, what, () => ended);
    } catch (error) {
      const isLate = error instanceof DiscoveryError && error.code === 'TIMEOUT' && this.running.has(what);
      if (!isLate) throw error;
      this.late.add(what);
      // Whatever it does now, nobody waits for it.
      ended.catch(() => {});
      this.logger.error(`${what} has not ended after ${timeoutMs} ms: the shutdown goes on without it`);
    }
  }
}
