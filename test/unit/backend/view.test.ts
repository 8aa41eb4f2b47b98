import { describe, expect, it } from 'vitest';
import { ValueView } from '../../../lib/backend/index.js';

describe('ValueView', () => {
  it('tells every listener every later value, in order', () => {
    const view = new ValueView(0);
    const heard: string[] = [];
    view.subscribe((value) => heard.push(`a${value}`));
    view.set(1);
    view.subscribe((value) => heard.push(`b${value}`));
    view.set(2);
    expect(heard).toEqual(['a1', 'a2', 'b2']);
    expect(view.current).toBe(2);
  });

  it('does not tell the very value that it was', () => {
    const view = new ValueView(Number.NaN);
    const heard: number[] = [];
    view.subscribe((value) => heard.push(value));
    view.set(Number.NaN);
    expect(heard).toEqual([]);
    view.set(0);
    view.set(-0);
    expect(heard).toEqual([0, -0]);
  });

  it('delivers a value set from within a listener after the present one has reached everybody', () => {
    const view = new ValueView(0);
    const heard: string[] = [];
    view.subscribe((value) => {
      heard.push(`a${value}`);
      if (value < 3) view.set(value + 1);
      // What is read inside is the newest value already.
      expect(view.current).toBeGreaterThanOrEqual(Math.min(value + 1, 3));
    });
    view.subscribe((value) => heard.push(`b${value}`));
    view.set(1);
    expect(heard).toEqual(['a1', 'b1', 'a2', 'b2', 'a3', 'b3']);
  });

  it('isolates a listener that throws, and reports it', () => {
    const errors: unknown[] = [];
    const view = new ValueView(0, (error) => errors.push(error));
    const heard: number[] = [];
    const broken = new Error('broken');
    view.subscribe(() => {
      throw broken;
    });
    view.subscribe((value) => heard.push(value));
    view.set(1);
    view.set(2);
    expect(heard).toEqual([1, 2]);
    expect(errors).toEqual([broken, broken]);
  });

  it('does not tell who unsubscribes during the emission, and loses nobody else', () => {
    const view = new ValueView(0);
    const heard: string[] = [];
    const unsubscribe: (() => void)[] = [];
    view.subscribe((value) => {
      heard.push(`a${value}`);
      for (const one of unsubscribe) one();
    });
    unsubscribe.push(view.subscribe((value) => heard.push(`b${value}`)));
    view.subscribe((value) => heard.push(`c${value}`));
    view.set(1);
    view.set(2);
    expect(heard).toEqual(['a1', 'c1', 'a2', 'c2']);
    expect(view.listenerCount).toBe(2);
  });

  it('tells who subscribes during an emission only what is set afterwards', () => {
    const view = new ValueView(0);
    const heard: string[] = [];
    let late = false;
    view.subscribe((value) => {
      if (late) return;
      late = true;
      view.set(value + 1);
      // The value 2 was set before this moment, though it has reached nobody yet.
      expect(view.current).toBe(2);
      view.subscribe((one) => heard.push(`late${one}`));
    });
    view.subscribe((value) => heard.push(`b${value}`));
    view.set(1);
    expect(heard).toEqual(['b1', 'b2']);
    view.set(3);
    expect(heard).toEqual(['b1', 'b2', 'b3', 'late3']);
  });

  it('takes one function subscribed twice for two subscriptions', () => {
    const view = new ValueView(0);
    let calls = 0;
    const listener = (): void => void (calls += 1);
    const first = view.subscribe(listener);
    view.subscribe(listener);
    view.set(1);
    expect(calls).toBe(2);
    first();
    first();
    view.set(2);
    expect(calls).toBe(3);
    expect(view.listenerCount).toBe(1);
  });

  it('carries undefined as any other value', () => {
    const view = new ValueView<number | undefined>(1);
    const heard: (number | undefined)[] = [];
    view.subscribe((value) => {
      heard.push(value);
      if (heard.length === 1) view.set(2);
    });
    view.set(undefined);
    view.set(undefined);
    view.set(3);
    expect(heard).toEqual([undefined, 2, undefined, 3]);
  });

  it('tells nobody after close(), also in the middle of an emission', () => {
    const view = new ValueView(0);
    const heard: string[] = [];
    view.subscribe((value) => {
      heard.push(`a${value}`);
      view.close();
    });
    view.subscribe((value) => heard.push(`b${value}`));
    view.set(1);
    view.set(2);
    expect(heard).toEqual(['a1']);
    expect(view.current).toBe(2);
    expect(view.listenerCount).toBe(0);
  });
});
