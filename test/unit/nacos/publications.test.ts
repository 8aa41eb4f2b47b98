import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DiscoveryError } from '../../../lib/model/index.js';
import { instanceKey, toNacosInstance, type NacosInstance } from '../../../lib/backends/nacos/client/naming/model.js';
import { Publications, stepFor, type PublicationStep } from '../../../lib/backends/nacos/client/naming/publications.js';

const make = (port: number, weight = 1): NacosInstance => toNacosInstance({ ip: '1.1.1.1', port, weight });
const refused = new DiscoveryError('BACKEND_REFUSED', 'refused');
const down = new DiscoveryError('BACKEND_UNAVAILABLE', 'down');

/** A server as far as publications go: one publication of a service for each connection, the last one counts. */
class Server {
  epoch = 1;
  published = new Map<string, NacosInstance>();
  steps: PublicationStep['kind'][] = [];
  /** What the next requests do: fail, or fail although the server has done it. */
  behaviour: ('ok' | 'lost' | 'answer lost' | 'refused' | 'reconnect')[] = [];

  readonly publications = new Publications({
    epoch: () => this.epoch,
    send: async (_service, _group, step) => {
      await Promise.resolve();
      const behaviour = this.behaviour.shift() ?? 'ok';
      if (behaviour === 'lost') throw down;
      if (behaviour === 'refused') throw refused;
      if (behaviour === 'reconnect') this.reconnect();
      this.steps.push(step.kind);
      const all = step.kind === 'batch' ? step.instances : step.kind === 'register' ? [step.instance] : [];
      this.published = new Map(all.map((instance) => [instanceKey(instance), instance]));
      if (behaviour === 'answer lost') throw down;
    },
  });

  /** Another connection: what was published is gone. */
  reconnect(): void {
    this.epoch += 1;
    this.published.clear();
  }

  get ports(): readonly number[] {
    return [...this.published.values()].map((instance) => instance.port).sort((a, b) => a - b);
  }

  set(port: number, weight = 1): Promise<void> {
    return this.publications.set('s', 'g', make(port, weight));
  }

  remove(port: number): Promise<void> {
    return this.publications.remove('s', 'g', [make(port)]);
  }
}

describe('publications', () => {
  it('one instance is registered, several are a batch, the last one is deregistered', async () => {
    const server = new Server();
    await server.set(1);
    await server.set(2);
    expect(server.ports).toEqual([1, 2]);
    await server.remove(1);
    expect(server.ports).toEqual([2]);
    await server.remove(2);
    expect(server.ports).toEqual([]);
    expect(server.steps).toEqual(['register', 'batch', 'batch', 'deregister']);
    expect(server.publications.size).toBe(0);
  });

  it('what the server has already is not sent again', async () => {
    const server = new Server();
    const instance = make(1);
    await server.publications.set('s', 'g', instance);
    await server.publications.set('s', 'g', instance);
    expect(server.steps).toEqual(['register']);
  });

  it('everything is published again after a reconnection, and what was taken back is not', async () => {
    const server = new Server();
    await server.set(1);
    await server.set(2);
    server.reconnect();
    await server.remove(1);
    await server.publications.redo();
    expect(server.ports).toEqual([2]);
    server.reconnect();
    await server.remove(2);
    await server.publications.redo();
    expect(server.ports).toEqual([]);
  });

  it('a registration that arrived although its answer was lost is taken back all the same', async () => {
    const server = new Server();
    server.behaviour = ['answer lost'];
    await expect(server.set(1)).rejects.toBe(down);
    expect(server.ports).toEqual([1]);
    await server.remove(1);
    expect(server.ports).toEqual([]);
  });

  it('a connection that changes under a request leaves nothing behind', async () => {
    const server = new Server();
    server.behaviour = ['reconnect'];
    await server.set(1);
    expect(server.ports).toEqual([1]);
    server.behaviour = ['reconnect'];
    await server.remove(1);
    await server.publications.redo();
    expect(server.ports).toEqual([]);
  });

  it('what is refused is not tried again with the next reconnection, nor in the way of others', async () => {
    const server = new Server();
    await server.set(1);
    server.behaviour = ['refused'];
    await expect(server.set(2)).rejects.toBe(refused);
    server.reconnect();
    await server.publications.redo();
    expect(server.ports).toEqual([1]);
    server.behaviour = ['refused'];
    await expect(server.set(1, 5)).rejects.toBe(refused);
    expect(server.publications.desired('s', 'g')[0]?.weight).toBe(1);
  });

  it('what could not be sent stays wanted', async () => {
    const server = new Server();
    server.behaviour = ['lost'];
    await expect(server.set(1)).rejects.toBe(down);
    await server.publications.redo();
    expect(server.ports).toEqual([1]);
  });

  it('many changes at once end as the last ones say', async () => {
    const server = new Server();
    await Promise.all([server.set(1), server.set(2), server.remove(1), server.set(3), server.set(1), server.remove(2)]);
    expect(server.ports).toEqual([1, 3]);
    await Promise.all([server.remove(1), server.remove(3), server.set(3), server.remove(3)]);
    expect(server.ports).toEqual([]);
  });

  it('whatever happens on the way, after a last redo the server has what is wanted', async () => {
    const action = fc.oneof(
      fc.record({ set: fc.integer({ min: 1, max: 4 }) }),
      fc.record({ remove: fc.integer({ min: 1, max: 4 }) }),
      fc.constant('reconnect' as const),
      fc.constant('redo' as const),
    );
    const behaviour = fc.array(fc.constantFrom('ok', 'lost', 'answer lost', 'reconnect'), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 20 }), behaviour, async (actions, behaviours) => {
        const server = new Server();
        server.behaviour = [...behaviours] as Server['behaviour'];
        const running: Promise<unknown>[] = [];
        const wanted = new Set<number>();
        for (const one of actions) {
          if (one === 'reconnect') server.reconnect();
          else if (one === 'redo') running.push(server.publications.redo().catch(() => {}));
          else if ('set' in one) {
            wanted.add(one.set);
            running.push(server.set(one.set).catch(() => {}));
          } else {
            wanted.delete(one.remove);
            running.push(server.remove(one.remove).catch(() => {}));
          }
        }
        await Promise.all(running);
        server.behaviour = [];
        await server.publications.redo();
        expect(server.ports).toEqual([...wanted].sort((a, b) => a - b));
      }),
      { numRuns: 500 },
    );
  });

  it('the one step from what is published to what should be', () => {
    const [one, two] = [make(1), make(2)];
    expect(stepFor([], [])).toBeUndefined();
    expect(stepFor([one], [])).toMatchObject({ kind: 'deregister' });
    expect(stepFor([], [one])).toMatchObject({ kind: 'register' });
    expect(stepFor([one], [two])).toMatchObject({ kind: 'register' });
    expect(stepFor([one], [one, two])).toMatchObject({ kind: 'batch' });
    expect(stepFor([one, two], [two])).toMatchObject({ kind: 'batch' });
  });
});
