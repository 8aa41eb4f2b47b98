import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import LongestFirst from './test/servers/longest-first.js';

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

/** Nest 11 stands beside the root's Nest 12: the tests in test/nest run on both. */
const nest11 = [
  'common',
  'config',
  'core',
  'microservices',
  'platform-express',
  'platform-fastify',
  'terminus',
  'testing',
  'throttler',
].map((name) => ({
  find: new RegExp(`^@nestjs/${name}$`),
  replacement: path(`test/nest-11/node_modules/@nestjs/${name}`),
}));

const project = (name: string, include: string[], more: Record<string, unknown> = {}) => ({
  extends: true as const,
  test: { name, include, ...more },
});

/** Groups of projects, one after the other. */
const computing = { sequence: { groupOrder: 0 }, maxWorkers: 2 };
/** Most of the time of these goes by waiting for a server. */
const waiting = { sequence: { groupOrder: 1 }, maxWorkers: 4 };
/** Whole apps, builds and installations. */
const whole = { sequence: { groupOrder: 2 }, fileParallelism: false };

export default defineConfig({
  test: {
    pool: 'forks',
    sequence: { sequencer: LongestFirst },
    globalSetup: ['./test/servers/global-setup.ts'],
    reporters: ['default', './test/servers/reporter.ts'],
    // For what hangs: a machine that is busy with other work takes its time, and no promise of ours is measured by it.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // A condition that is waited for is given time: the machine may be busy.
    expect: { poll: { timeout: 30_000 } },
    projects: [
      project('unit', ['test/unit/**/*.test.ts'], computing),
      project('nest-12', ['test/nest/**/*.test.ts'], computing),
      { ...project('nest-11', ['test/nest/**/*.test.ts'], computing), resolve: { alias: nest11 } },
      project('contract', ['test/contract/**/*.test.ts'], { ...waiting, testTimeout: 180_000 }),
      project('wings', ['test/wings/**/*.test.ts'], { ...waiting, testTimeout: 180_000, hookTimeout: 300_000 }),
      project('servers', ['test/servers/**/*.test.ts'], { ...waiting, testTimeout: 120_000, hookTimeout: 300_000 }),
      project('e2e', ['test/e2e/**/*.test.ts'], { ...whole, testTimeout: 240_000, hookTimeout: 240_000 }),
    ],
  },
});
