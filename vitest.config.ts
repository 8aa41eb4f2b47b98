import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

/** Nest 11 stands beside the root's Nest 12: the tests in test/nest run on both. */
const nest11 = ['common', 'core', 'platform-express', 'testing'].map((name) => ({
  find: new RegExp(`^@nestjs/${name}$`),
  replacement: path(`test/nest-11/node_modules/@nestjs/${name}`),
}));

const project = (name: string, include: string[], more: Record<string, unknown> = {}) => ({
  extends: true as const,
  test: { name, include, ...more },
});

export default defineConfig({
  test: {
    pool: 'forks',
    globalSetup: ['./test/servers/global-setup.ts'],
    reporters: ['default', './test/servers/reporter.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // A condition that is waited for is given time: the machine may be busy.
    expect: { poll: { timeout: 15_000 } },
    projects: [
      project('unit', ['test/unit/**/*.test.ts']),
      project('contract', ['test/contract/**/*.test.ts'], { testTimeout: 60_000 }),
      project('wings', ['test/wings/**/*.test.ts'], { testTimeout: 60_000 }),
      project('servers', ['test/servers/**/*.test.ts'], { testTimeout: 120_000, hookTimeout: 300_000 }),
      project('nest-12', ['test/nest/**/*.test.ts']),
      { ...project('nest-11', ['test/nest/**/*.test.ts']), resolve: { alias: nest11 } },
      project('e2e', ['test/e2e/**/*.test.ts'], { fileParallelism: false, testTimeout: 120_000, hookTimeout: 180_000 }),
    ],
  },
});
