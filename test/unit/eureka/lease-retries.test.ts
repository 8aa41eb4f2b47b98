import { afterEach, expect, it } from 'vitest';
import { eureka } from '../../../lib/backends/eureka/index.js';
import type { DiscoveryEvent } from '../../../lib/model/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { createContext, registrationOf } from '../../contract/contract-harness.js';
import { freePorts } from '../../servers/free-port.js';
import { until } from '../../wings/eureka/support.js';

const ending: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

it.each([
  ['instanceId', { instanceId: 'a;b' }],
  ['instanceId', { instanceId: 'a%2Fb' }],
  ['instanceId', { instanceId: '100%' }],
  ['service', { service: 'a;b' }],
])('a name that no heartbeat could carry is refused at once, naming %s', async (field, names) => {
  const backend = eureka({ serviceUrls: 'http://127.0.0.1:1/eureka' }).create(createContext([]));
  ending.push(() => backend.close());
  await backend.open();
  expect(() => backend.registry?.register(registrationOf(names))).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION', field }),
  );
});

it('however long no server answers, the next try comes within a heartbeat', async () => {
  const { http } = await freePorts('http');
  const clock = new ManualClock(Date.now());
  const events: DiscoveryEvent[] = [];
  const heartbeatMs = 2000;
  const definition = eureka({ serviceUrls: `http://127.0.0.1:${http}/eureka`, heartbeatMs });
  // The longest of the delays that may be drawn.
  const backend = definition.create(createContext(events, { clock, random: () => 0.999 }));
  ending.push(() => backend.close());
  await backend.open();
  const lease = backend.registry?.register(registrationOf());
  const failures = (): number => events.filter(({ type }) => type === 'registration.failed').length;
  for (let round = 1; round <= 8; round += 1) {
    await until(() => failures() >= round, `try ${round}`);
    await clock.advance(heartbeatMs);
  }
  expect(lease?.state.current.phase).toBe('retrying');
});
