import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { expect, it } from 'vitest';
import { EventFeed } from '../../../lib/integrations/operator/event-feed.js';
import { ManualClock } from '../../../lib/testing/index.js';

/** A response whose reader reads nothing until it is told to. */
class SlowResponse extends EventEmitter {
  text = '';
  readonly chunks: unknown[] = [];
  waiting = 0;
  writableEnded = false;
  destroyed = false;

  get writableLength(): number {
    return this.waiting;
  }

  write(chunk: Buffer | string): boolean {
    this.chunks.push(chunk);
    this.text += String(chunk);
    this.waiting += chunk.length;
    return false;
  }

  end(): void {
    this.writableEnded = true;
    this.emit('close');
  }

  read(): void {
    this.waiting = 0;
  }
}

const slow = (response: SlowResponse) => (): ServerResponse => response as unknown as ServerResponse;
const line = (text: string) => ({ type: 'backend.state', level: 'info', text }) as const;

it('holds a bounded number of bytes for a browser that reads nothing, and tells it what it missed', async () => {
  const clock = new ManualClock();
  const feed = new EventFeed(clock, 2);
  const [reading, sleeping] = [new SlowResponse(), new SlowResponse()];
  expect(feed.attach(slow(reading), 0) && feed.attach(slow(sleeping), 0)).toBe(true);
  for (let second = 0; second < 20; second += 1) {
    for (let event = 0; event < 50; event += 1) {
      feed.tell(line('x'.repeat(400)));
      reading.read();
    }
    await clock.advance(1000);
  }
  expect(sleeping.waiting).toBeLessThan(128 * 1024 + 1000);
  expect(reading.text).not.toContain('event: dropped');
  sleeping.read();
  feed.tell(line('the end'));
  expect(sleeping.text.slice(-800)).toMatch(/event: dropped\ndata: \d{3}\n\nid: \d+\ndata: .*the end/);
  expect(feed.dropped).toBe(0);
  feed.close();
});

it('is watched from the first stream to the last, beats meanwhile, and leaves no timer', async () => {
  const clock = new ManualClock();
  const watched: boolean[] = [];
  const feed = new EventFeed(clock, 2, (now) => watched.push(now));
  const [one, other] = [new SlowResponse(), new SlowResponse()];
  feed.attach(slow(one), 0);
  feed.attach(slow(other), 0);
  await clock.advance(15_000);
  expect(one.text).toBe('retry: 2000\n\n: \n\n');
  one.end();
  expect(watched).toEqual([true]);
  other.end();
  expect(watched).toEqual([true, false]);
  expect(clock.pending).toBe(0);
  feed.attach(slow(new SlowResponse()), 0);
  for (let event = 0; event < 60; event += 1) feed.tell(line('x'));
  feed.close();
  expect(clock.pending).toBe(0);
  expect(feed.attach(slow(new SlowResponse()), 0)).toBe(false);
});

it('makes what it sends of an event once for fifty browsers, and not at all for none', () => {
  const feed = new EventFeed(new ManualClock(), 50);
  let made = 0;
  const counted = (text: string) => ({
    ...line(text),
    toJSON: () => {
      made += 1;
      return { text };
    },
  });
  feed.tell(counted('nobody is there'));
  expect(made).toBe(0);
  const browsers = Array.from({ length: 50 }, () => new SlowResponse());
  for (const browser of browsers) feed.attach(slow(browser), 0);
  expect(made).toBe(1);
  feed.tell(counted('all are there'));
  expect(made).toBe(2);
  for (const { text } of browsers) expect(text).toContain('id: 2\ndata: {"text":"all are there"}\n\n');
  // The same bytes, and not fifty copies of them.
  expect(new Set(browsers.flatMap(({ chunks }) => chunks)).size).toBe(3);
  feed.close();
});
