import { describe, expect, it } from 'vitest';
import { BackendBase, silentLogger, type BackendContext } from '../../../lib/backend/index.js';
import { DiscoveryError, type DiscoveryEvent } from '../../../lib/model/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { deferred, noUnhandledRejections, rejectionOf, turn, watchPromise } from './helpers.js';

noUnhandledRejections();

class TestBackend extends BackendBase {
  readonly calls: string[] = [];
  onStart: () => Promise<void> = async () => {};
  onStop: () => Promise<void> = async () => {};

  protected start(): Promise<void> {
    this.calls.push('start');
    return this.onStart();
  }

  protected stop(): Promise<void> {
    this.calls.push('stop');
    return this.onStop();
  }

  use(): void {
    this.assertOpen();
  }

  ready(): void {
    this.setReady();
  }

  degraded(error: unknown): void {
    this.setDegraded(error);
  }
}

function setUp() {
  const events: DiscoveryEvent[] = [];
  const context: BackendContext = {
    appId: 'app',
    application: { name: 'APP', profiles: [] },
    logger: silentLogger,
    clock: new ManualClock(),
    random: Math.random,
    report: (event) => events.push(event),
  };
  const backend = new TestBackend('consul', context);
  const phases = (): string[] =>
    events.map((event) => (event.type === 'backend.state' ? event.state.phase : event.type));
  return { backend, events, phases };
}

describe('BackendBase', () => {
  it('begins as connecting, and tells every state once', () => {
    const { backend, phases } = setUp();
    expect(backend.state.current).toEqual({ phase: 'connecting' });
    const seen: string[] = [];
    backend.state.subscribe((state) => seen.push(state.phase));
    backend.ready();
    backend.ready();
    backend.degraded(new Error('refused'));
    backend.degraded(new Error('refused'));
    expect(backend.state.current.error).toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      backend: 'consul',
      message: 'refused',
    });
    expect(Object.isFrozen(backend.state.current)).toBe(true);
    const own = new DiscoveryError('BACKEND_REFUSED', 'no rights');
    backend.degraded(own);
    expect(backend.state.current.error).toBe(own);
    backend.ready();
    expect(phases()).toEqual(['ready', 'degraded', 'degraded', 'ready']);
    expect(seen).toEqual(phases());
  });

  it('tells the states in their order, also when a listener brings the next one about', () => {
    const { backend, phases } = setUp();
    backend.state.subscribe((state) => {
      if (state.phase === 'degraded') backend.ready();
    });
    backend.degraded(new Error('for a moment'));
    expect(phases()).toEqual(['degraded', 'ready']);
    expect(backend.state.current.phase).toBe('ready');
  });

  it('isolates a listener that throws, and reports it', () => {
    const { backend, events } = setUp();
    const error = new Error('broken');
    backend.state.subscribe(() => {
      throw error;
    });
    backend.ready();
    expect(events.at(-1)).toEqual({ type: 'listener.failed', where: 'state of consul', error });
  });

  it('opens once, closes once', async () => {
    const { backend, phases } = setUp();
    await Promise.all([backend.open(), backend.open()]);
    await backend.open();
    await Promise.all([backend.close(), backend.close()]);
    await backend.close();
    expect(backend.calls).toEqual(['start', 'stop']);
    expect(phases()).toEqual(['closed']);
  });

  it('is closed before it was opened, and can not be opened then', async () => {
    const { backend } = setUp();
    expect(() => backend.use()).not.toThrow();
    await backend.close();
    expect(await rejectionOf(backend.open())).toMatchObject({ code: 'BACKEND_CLOSED', backend: 'consul' });
    expect(() => backend.use()).toThrow(expect.objectContaining({ code: 'BACKEND_CLOSED' }));
    expect(backend.calls).toEqual(['stop']);
    expect(backend.state.current).toEqual({ phase: 'closed' });
  });

  it('is closed while it opens: first it has opened', async () => {
    const { backend } = setUp();
    const opening = deferred();
    backend.onStart = async () => {
      await opening.promise;
      backend.calls.push('started');
    };
    const open = watchPromise(backend.open());
    const close = watchPromise(backend.close());
    expect(() => backend.use()).toThrow(DiscoveryError);
    await turn();
    expect(backend.calls).toEqual(['start']);
    opening.resolve();
    await turn();
    expect(backend.calls).toEqual(['start', 'started', 'stop']);
    expect([open.state, close.state]).toEqual(['resolved', 'resolved']);
  });

  it.each(['rejects', 'throws'])('can be closed after an opening that %s', async (how) => {
    const { backend } = setUp();
    const error = new DiscoveryError('MISSING_PEER', 'npm install it');
    backend.onStart = () => {
      if (how === 'throws') throw error;
      return Promise.reject(error);
    };
    await expect(backend.open()).rejects.toBe(error);
    await expect(backend.open()).rejects.toBe(error);
    await backend.close();
    expect(backend.calls).toEqual(['start', 'stop']);
    expect(backend.state.current.phase).toBe('closed');
  });

  it('says nothing after it was closed, also when closing failed', async () => {
    for (const fails of [false, true]) {
      const { backend, phases } = setUp();
      const seen: string[] = [];
      backend.state.subscribe((state) => seen.push(state.phase));
      if (fails) backend.onStop = () => Promise.reject(new Error('stuck'));
      await backend.open();
      await backend.close().catch(() => {});
      backend.ready();
      backend.degraded(new Error('late'));
      expect(phases()).toEqual(['closed']);
      expect(seen).toEqual(['closed']);
      expect(backend.state.current.phase).toBe('closed');
    }
  });
});
