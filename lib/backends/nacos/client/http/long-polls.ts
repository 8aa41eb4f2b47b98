import { sleep, WatchLoop } from '../../../../backend/index.js';
import { messageOf } from '../../../../model/index.js';
import type { ListenedItem } from '../config/items.js';
import type { ConfigAddress } from '../config/model.js';
import type { Environment } from '../environment.js';

/** What long polls need. */
export interface LongPollOptions {
  readonly env: Environment;
  /** The items to ask for, with what is known of them. */
  readonly items: () => readonly ListenedItem[];
  /** Asked for each question, so that they may change. */
  readonly holdMs: () => number;
  readonly itemsPerPoll: () => number;
  readonly changed: (
    items: readonly ListenedItem[],
    holdMs: number,
    signal: AbortSignal,
  ) => Promise<readonly ConfigAddress[]>;
  /** Told of every item that the server says has changed. */
  readonly hint: (address: ConfigAddress) => void;
}

/** Waits at the server for changes of configuration: one question for so many items, as many questions as needed. */
export class LongPolls {
  private readonly loops: WatchLoop[] = [];
  private started = false;

  constructor(private readonly options: LongPollOptions) {}

  start(): void {
    this.started = true;
    this.itemsChanged();
  }

  /** The items are others now: questions are asked anew. */
  itemsChanged(): void {
    if (!this.started) return;
    const wanted = Math.ceil(this.options.items().length / this.options.itemsPerPoll());
    while (this.loops.length < wanted) this.loops.push(this.poll(this.loops.length));
    for (const loop of this.loops) loop.again();
  }

  async close(): Promise<void> {
    this.started = false;
    await Promise.all(this.loops.splice(0).map((loop) => loop.close()));
  }

  /** Polls for the items at one place in the list. */
  private poll(place: number): WatchLoop {
    const { env, items, itemsPerPoll, holdMs, changed, hint } = this.options;
    const loop = new WatchLoop({
      clock: env.clock,
      burst: 5,
      minIntervalMs: 200,
      backoff: { initialMs: 500, maxMs: 10_000 },
      random: () => env.random(),
      round: async (signal) => {
        const size = itemsPerPoll();
        const own = items().slice(place * size, (place + 1) * size);
        if (own.length === 0) {
          await sleep(env.clock, 60_000, signal);
          return;
        }
        for (const address of await changed(own, holdMs(), signal)) hint(address);
      },
      onError: (error) => env.logger.debug(`${env.backend}: waiting for changes: ${messageOf(error)}`),
    });
    loop.start();
    return loop;
  }
}
