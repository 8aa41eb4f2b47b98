import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { DASHBOARD, dashboard, missing } from './dashboard.js';

it('the Grafana dashboard is made of the metrics as they are called, and shows each (npx tsx test/unit/observability/dashboard.ts)', async () => {
  expect(readFileSync(DASHBOARD, 'utf8')).toBe(await dashboard());
  expect(missing()).toEqual([]);
});
