import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../../lib/backend/index.js';
import { DiscoveryError } from '../../../lib/model/index.js';
import { authOf } from './auth-double.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { toNacosInstance, type NacosServiceInfo } from '../../../lib/backends/nacos/client/naming/model.js';
import { Subscriptions } from '../../../lib/backends/nacos/client/naming/subscriptions.js';

const down = new DiscoveryError('BACKEND_UNAVAILABLE', 'down');

function infoOf(lastRefTime: number, ...ports: readonly number[]): NacosServiceInfo {
  return {
    name: 's',
    groupName: 'g',
    clusters: '',
    lastRefTime,
    hosts: ports.map((port) => toNacosInstance({ ip: '1.1.1.1', port })),
    reachProtectionThreshold: false,
  };
}

class World {
  readonly clock = new ManualClock();
  epoch = 1;
  random = 0;
  connected = true;
  answer: () => NacosServiceInfo = () => infoOf(1, 1, 2);
  before: () => Promise<unknown> = () => Promise.resolve();
  asked = 0;
  ended = 0;
  readonly heard: (readonly number[] | string)[] = [];
  readonly subscriptions: Subscriptions;

  constructor(emptyPushProtection = false) {
    this.subscriptions = new Subscriptions({
      env: {
        backend: 'nacos',
        clock: this.clock,
        logger: silentLogger,
        random: () => this.random,
        report: () => {},
      },
      port: {
        epoch: () => this.epoch,
        connected: () => this.connected,
        subscribe: async () => {
          this.asked += 1;
          await this.before();
          return this.answer();
        },
        unsubscribe: () => {
          this.ended += 1;
          return Promise.resolve();
        },
      },
      refreshMs: 30_000,
      settleMs: 5000,
      emptyPushProtection,
    });
    this.subscriptions.start();
  }

  /** How often it is asked within ten minutes. */
  async askedInTenMinutes(): Promise<number> {
    const before = this.asked;
    await this.clock.advance(600_000);
    return this.asked - before;
  }

  subscribe() {
    return this.subscriptions.subscribe('s', 'g', {
      changed: (info) => void this.heard.push(info.hosts.map((host) => host.port)),
      failed: (error) => void this.heard.push(error.message),
    });
  }

  /** Lets everything happen that follows without time. */
  async settled(): Promise<void> {
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  }

  async after(ms: number): Promise<void> {
    await this.clock.advance(ms);
    await this.settled();
  }

  async reconnect(): Promise<void> {
    this.epoch += 1;
    this.subscriptions.connected();
    await this.settled();
  }
}

describe('subscriptions', () => {
  it('after a reconnection a shorter list is doubted, for five seconds', async () => {
    const world = new World();
    world.subscribe();
    await world.settled();
    expect(world.heard).toEqual([[1, 2]]);
    world.answer = () => infoOf(0, 1);
    await world.reconnect();
    await world.after(4000);
    expect(world.heard).toEqual([[1, 2]]);
    expect(world.asked).toBeGreaterThan(3);
    await world.after(2000);
    expect(world.heard).toEqual([[1, 2], [1]]);
    await world.subscriptions.close();
  });

  it('who has come back within that time was never missed', async () => {
    const world = new World();
    world.subscribe();
    await world.settled();
    world.subscriptions.disconnected(down);
    world.answer = () => infoOf(0);
    await world.reconnect();
    await world.after(1000);
    world.subscriptions.pushed(infoOf(5, 1, 2));
    await world.settled();
    // Confirmed after the failure, though it didn't change.
    expect(world.heard).toEqual([[1, 2], 'down', [1, 2]]);
    await world.after(10_000);
    expect(world.heard).toHaveLength(3);
    await world.subscriptions.close();
  });

  it('without a reconnection a shorter list is believed at once, and a late one never', async () => {
    const world = new World();
    world.subscribe();
    await world.settled();
    world.subscriptions.pushed(infoOf(3));
    world.subscriptions.pushed(infoOf(2, 1, 2, 3));
    await world.settled();
    expect(world.heard).toEqual([[1, 2], []]);
    await world.subscriptions.close();
  });

  it('with the protection on, an empty list is ignored', async () => {
    const world = new World(true);
    world.subscribe();
    await world.settled();
    world.subscriptions.pushed(infoOf(3));
    world.subscriptions.pushed(infoOf(4, 1));
    await world.settled();
    expect(world.heard).toEqual([[1, 2], [1]]);
    await world.subscriptions.close();
  });

  it('a failed question is asked again, and everything from time to time', async () => {
    const world = new World();
    world.answer = () => {
      throw down;
    };
    world.subscribe();
    await world.settled();
    expect(world.heard).toEqual(['down']);
    world.answer = () => infoOf(1, 1);
    await world.after(31_000);
    expect(world.heard).toEqual(['down', [1]]);
    const { asked } = world;
    await world.after(31_000);
    expect(world.asked).toBeGreaterThan(asked);
    await world.subscriptions.close();
  });

  it('a refused question is asked less and less often, and at once on a new connection', async () => {
    const world = new World();
    world.random = 0.5;
    world.answer = () => {
      throw new DiscoveryError('BACKEND_REFUSED', 'no right');
    };
    world.subscribe();
    await world.settled();
    expect(await world.askedInTenMinutes()).toBeLessThan(60);
    const { asked } = world;
    world.epoch += 1;
    world.subscriptions.connected();
    await world.settled();
    expect(world.asked).toBe(asked + 1);
    await world.subscriptions.close();
  });

  it('a refused login has a pace of its own: the question that needs it is asked as after any outage', async () => {
    const world = new World();
    let logins = 0;
    // A server that came back without its data has no users either, until somebody has made them.
    const auth = authOf(world.clock, () => {
      logins += 1;
      return { status: 403, text: 'unknown user!' };
    });
    world.before = () => auth.headers({ kind: 'naming' });
    world.subscribe();
    await world.settled();
    expect(await world.askedInTenMinutes()).toBeGreaterThan(100);
    expect(logins).toBeLessThan(30);
    await world.subscriptions.close();
  });

  it('the last one who leaves ends it at the server; who comes meanwhile asks anew', async () => {
    const world = new World();
    const [one, two] = [world.subscribe(), world.subscribe()];
    await world.settled();
    expect(world.asked).toBe(1);
    one.close();
    one.close();
    await world.settled();
    expect(world.ended).toBe(0);
    two.close();
    world.subscribe();
    await world.settled();
    expect(world.ended).toBe(1);
    expect(world.asked).toBe(2);
    expect(world.subscriptions.size).toBe(1);
    await world.subscriptions.close();
    expect(world.clock.pending).toBe(0);
  });
});
