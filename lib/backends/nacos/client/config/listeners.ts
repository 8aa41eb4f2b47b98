import { DiscoveryError, messageOf } from '../../../../model/index.js';
import type { ConfigItems, ConfigObservation } from './items.js';
import { configKeyText, type ConfigAddress, type NacosConfigItem, type NacosConfigListener } from './model.js';
import type { ConfigReading } from './reading.js';
import type { Environment } from '../environment.js';

interface Entry {
  readonly key: string;
  readonly listener: NacosConfigListener;
  readonly observation: ConfigObservation;
  active: boolean;
  /** Why what came last can't be read, as it was told. */
  rejected: string | undefined;
}

/** How many listeners run at one time. */
export class Slots {
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  /** @param limit asked for each run, so that it may change */
  constructor(private readonly limit: () => number) {}

  /** Runs `task` when fewer than the limit are running. */
  async run(task: () => Promise<void>): Promise<void> {
    while (this.running >= this.limit()) await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.running += 1;
    try {
      await task();
    } finally {
      this.running -= 1;
      this.waiting.shift()?.();
    }
  }
}

/**
 * The listeners that users gave. Each is told once of an item that exists, then of every change, and of its removal;
 * one call at a time for each listener, in order, and one that throws or hangs hurts nobody else.
 */
export class ConfigListeners {
  private entries: Entry[] = [];

  constructor(
    private readonly env: Environment,
    private readonly items: ConfigItems,
    private readonly reading: ConfigReading,
    private readonly noSnapshot: () => boolean,
    private readonly slots: Slots,
  ) {}

  add(address: ConfigAddress, listener: NacosConfigListener): void {
    // An item that isn't there when the listener comes is no news.
    let last: string | undefined;
    let queue: Promise<void> = Promise.resolve();
    const entry: Entry = {
      key: configKeyText(address),
      listener,
      active: true,
      rejected: undefined,
      observation: this.items.observe(address, {
        changed: (item) => {
          queue = queue.then(async () => {
            const told = await this.tell(entry, address, item, last);
            if (told !== undefined) last = told.content;
          });
        },
        failed: (error) => this.env.logger.debug(`${this.env.backend}: ${address.dataId}: ${error.message}`),
      }),
    };
    this.entries.push(entry);
  }

  /** Removes one occurrence; true when there was one. */
  remove(address: ConfigAddress, listener: NacosConfigListener): boolean {
    const key = configKeyText(address);
    const index = this.entries.findIndex((entry) => entry.key === key && entry.listener === listener);
    const [entry] = index < 0 ? [] : this.entries.splice(index, 1);
    if (entry === undefined) return false;
    entry.active = false;
    entry.observation.close();
    return true;
  }

  close(): void {
    for (const entry of this.entries.splice(0)) {
      entry.active = false;
      entry.observation.close();
    }
  }

  /** Never rejects. What was told is returned. */
  private async tell(
    entry: Entry,
    address: ConfigAddress,
    item: NacosConfigItem | undefined,
    last: string | undefined,
  ): Promise<{ readonly content: string | undefined } | undefined> {
    const { env, reading } = this;
    try {
      if (!this.noSnapshot()) await reading.keep(address, item);
      const failover = await reading.failover(address);
      const content = failover ?? (item === undefined ? undefined : await reading.readable(address, item));
      entry.rejected = undefined;
      if (content === last || !entry.active) return undefined;
      await this.slots.run(async () => {
        if (!entry.active) return;
        try {
          await entry.listener(address.tenant, address.dataId, address.group, content);
        } catch (error) {
          const where = `listener of ${address.group}/${address.dataId} on ${env.backend}`;
          env.report({ type: 'listener.failed', where, error });
        }
      });
      return { content };
    } catch (error) {
      // It can't be read: the listener keeps what it has. The key that it needs may come.
      entry.observation.again();
      const rejected =
        error instanceof DiscoveryError ? error : new DiscoveryError('CONFIG_DOCUMENT_INVALID', messageOf(error));
      if (entry.rejected === rejected.message) return undefined;
      entry.rejected = rejected.message;
      env.report({ type: 'config.rejected', backend: env.backend, error: rejected });
      env.logger.error(`${env.backend}: ${address.dataId}: ${rejected.message}`);
      return undefined;
    }
  }
}
