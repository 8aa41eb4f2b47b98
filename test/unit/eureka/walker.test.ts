import { describe, expect, it } from 'vitest';
import { decodeRecord } from '../../../lib/backends/eureka/eureka.codec.js';
import { Application } from '../../../lib/backends/eureka/eureka.applications.js';
import { instanceOf, type InstanceRecord } from '../../../lib/backends/eureka/eureka.record.js';
import {
  NodePicker,
  urlOf,
  walkNodes,
  WalkNodesError,
  type WalkOptions,
} from '../../../lib/backends/eureka/client/walker.js';
import { HttpStatusError } from '../../../lib/backends/eureka/client/http-client.js';

const OPTIONS: WalkOptions = {
  preferIp: false,
  preferHttps: false,
  zone: 'default',
  nextNodeOnHttpError: true,
  signal: undefined,
};

function record(id: string, fields: Record<string, unknown> = {}): InstanceRecord {
  const decoded = decodeRecord(
    {
      instanceId: id,
      hostName: `host-${id}`,
      ipAddr: '10.0.0.1',
      app: 'A',
      status: 'UP',
      port: { $: 8080, '@enabled': 'true' },
      ...fields,
    },
    'A',
  );
  if (decoded === undefined) throw new Error('it has an id');
  return decoded;
}

const application = (...instances: InstanceRecord[]): Application =>
  new Application('A', new Map(instances.map((one) => [one.instanceId, one])));

const NONE: ReadonlySet<string> = new Set();

describe('the choice of a node', () => {
  const three = application(record('1'), record('2'), record('3'));

  it('random: any node, every node', () => {
    const picker = new NodePicker('random', true, Math.random);
    const ids = new Set(Array.from({ length: 200 }, () => picker.pick(three, '', NONE)?.instanceId));
    expect(ids).toEqual(new Set(['1', '2', '3']));
  });

  it('stick: one node until it fails or goes down, then another one', () => {
    const picker = new NodePicker('stick', true, Math.random);
    const first = picker.pick(three, '', NONE)?.instanceId ?? '';
    for (let call = 0; call < 20; call += 1) expect(picker.pick(three, '', NONE)?.instanceId).toBe(first);
    const second = picker.pick(three, '', new Set([first]))?.instanceId ?? '';
    expect(second).not.toBe(first);
    expect(picker.pick(three, '', NONE)?.instanceId).toBe(second);
    const down = application(
      ...[...three.records].map((one) => (one.instanceId === second ? record(second, { status: 'DOWN' }) : one)),
    );
    expect(picker.pick(down, '', NONE)?.instanceId).not.toBe(second);
  });

  it('other: never the node of the last time, unless there is no other', () => {
    const picker = new NodePicker('other', true, Math.random);
    let last = picker.pick(three, '', NONE)?.instanceId;
    for (let call = 0; call < 50; call += 1) {
      const next = picker.pick(three, '', NONE)?.instanceId;
      expect(next).not.toBe(last);
      last = next;
    }
    const one = application(record('1'));
    expect([1, 2, 3].map(() => picker.pick(one, '', NONE)?.instanceId)).toEqual(['1', '1', '1']);
  });

  it('the own zone first when asked, others when it has none left', () => {
    const zoned = application(
      record('1', { metadata: { zone: 'a' } }),
      record('2', { metadata: { zone: 'b' } }),
      record('3', { metadata: { zone: 'b' } }),
      record('4'),
    );
    const near = new NodePicker('random', true, Math.random);
    for (let call = 0; call < 30; call += 1) expect(near.pick(zoned, 'a', NONE)?.instanceId).toBe('1');
    expect(['2', '3', '4']).toContain(near.pick(zoned, 'a', new Set(['1']))?.instanceId);
    expect(near.pick(zoned, '', NONE)?.instanceId).toBe('4');
    const any = new NodePicker('random', false, Math.random);
    const ids = new Set(Array.from({ length: 200 }, () => any.pick(zoned, 'a', NONE)?.instanceId));
    expect(ids.size).toBe(4);
    expect(zoned.upInstancesInZone('b').map((one) => one.instanceId)).toEqual(['2', '3']);
    expect(zoned.upInstancesNotInZone('b').map((one) => one.instanceId)).toEqual(['1', '4']);
    expect(zoned.upInstancesInZone('').map((one) => one.instanceId)).toEqual(['4']);
  });

  it('only what is UP', () => {
    const picker = new NodePicker('random', true, Math.random);
    const statuses = ['DOWN', 'STARTING', 'OUT_OF_SERVICE', 'UNKNOWN'];
    expect(picker.pick(application(...statuses.map((status) => record(status, { status }))), '', NONE)).toBeUndefined();
  });
});

describe('walking the nodes', () => {
  const two = application(record('1'), record('2'));
  const walk = <T>(
    walker: (url: string) => T | Promise<T>,
    options: Partial<WalkOptions> = {},
    app = two,
  ): Promise<T> =>
    walkNodes(new NodePicker('random', true, () => 0), () => app, 'A', '//path?x=1', walker, {
      ...OPTIONS,
      ...options,
    });

  it('gives what the walker returns, plain or promised, with the complete URL', async () => {
    expect(await walk((url) => url)).toBe('http://host-1:8080/path?x=1');
    expect(await walk((url) => Promise.resolve(url.length))).toBe(27);
  });

  it('tries the next node after a failed call, and tells all when none is left', async () => {
    const seen: string[] = [];
    const answer = await walk((url) => {
      seen.push(url);
      if (seen.length === 1) throw new HttpStatusError(500, 'oops', url);
      return 'ok';
    });
    expect(answer).toBe('ok');
    expect(new Set(seen).size).toBe(2);
    const failing = walk((url) => Promise.reject(new HttpStatusError(503, 'no', url)));
    await expect(failing).rejects.toBeInstanceOf(WalkNodesError);
    await expect(failing).rejects.toMatchObject({
      code: 'NO_INSTANCE',
      service: 'A',
      failures: [
        { instanceId: '1', error: { status: 503 } },
        { instanceId: '2', error: { status: 503 } },
      ],
      attempts: [{ target: 'http://host-1:8080/path' }, { target: 'http://host-2:8080/path' }],
    });
    await expect(walk(() => 1, {}, application())).rejects.toMatchObject({ code: 'NO_INSTANCE', failures: [] });
  });

  it('when told so: only a failed connection leads on', async () => {
    const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
    const wrapped = new TypeError('fetch failed', { cause: refused });
    for (const problem of [refused, wrapped]) {
      let calls = 0;
      const answer = await walk(
        () => {
          calls += 1;
          if (calls === 1) throw problem;
          return calls;
        },
        { nextNodeOnHttpError: false },
      );
      expect(answer).toBe(2);
    }
    const rejected = walk((url) => Promise.reject(new HttpStatusError(500, '', url)), { nextNodeOnHttpError: false });
    await expect(rejected).rejects.toBeInstanceOf(HttpStatusError);
  });

  it.each([
    ['its own mistake', new TypeError('x is not a function')],
    ['what it has to say', new Error('sold out')],
  ])('a walker’s exception is thrown as it is, and no other node sees the call: %s', async (_, problem) => {
    for (const nextNodeOnHttpError of [true, false]) {
      let calls = 0;
      const walked = walk(
        () => {
          calls += 1;
          throw problem;
        },
        { nextNodeOnHttpError },
      );
      await expect(walked).rejects.toBe(problem);
      expect(calls).toBe(1);
    }
  });

  it('stops with its signal', async () => {
    const abort = new AbortController();
    const calls: string[] = [];
    const aborted = walk(
      (url) => {
        calls.push(url);
        abort.abort();
        throw new Error('given up');
      },
      { signal: abort.signal },
    );
    await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' });
    expect(calls).toHaveLength(1);
  });

  it('calls nothing that a stranger slipped into the host', async () => {
    for (const hostName of ['internal/admin?x=', 'user:pass@host', 'a b', 'x\r\ny']) {
      const bad = application(record('1', { hostName }));
      await expect(walk(() => 'called', {}, bad)).rejects.toMatchObject({
        failures: [{ error: { code: 'INVALID_INSTANCE' } }],
      });
    }
    expect(urlOf(instanceOf(record('1', { hostName: 'fd00::1' })), 'p', OPTIONS)).toBe('http://[fd00::1]:8080/p');
  });
});
