import { afterAll, expect, test } from 'vitest';
import { BACKENDS } from '../faults/backends.js';
import { FAULTS } from '../faults/faults.js';
import { endServers, faultsFor, tryFaults, whyUnavailable } from '../faults/suite.js';

// The quick half of `npm run faults`.
const faults = FAULTS.filter(({ quick }) => quick);

afterAll(() => endServers());

test.concurrent.for(BACKENDS.filter(({ quick }) => quick))(
  '$name: no call fails through any of the quick faults, and everybody knows everybody again',
  { timeout: 600_000 },
  async (backend, { skip }) => {
    const reason = await whyUnavailable(backend);
    if (reason !== undefined && process.env['REQUIRE_SERVERS'] !== '1') skip(reason);
    const cells = await tryFaults(backend, faults, { lastsMs: 3000, quick: true });
    expect(cells.map(({ fault }) => fault)).toEqual(faultsFor(backend, faults).map(({ name }) => name));
    expect(cells.filter(({ held }) => !held)).toEqual([]);
    expect(cells.reduce((sum, { failedCalls }) => sum + failedCalls, 0)).toBe(0);
    expect(cells.every(({ calls }) => calls > 0)).toBe(true);
  },
);
