import type { Reporter, TestModule } from 'vitest/node';

const prefix = 'server unavailable: ';

/** The title of the skipped test that stands for a suite without its server. */
export function skipTitle(server: string, reason: string): string {
  return `${prefix}${server}: ${reason.trim().split('\n')[0] ?? ''}`;
}

/** A vitest reporter that names, at the end of a run, the servers that could not be had, why, and what that skipped. */
export default class ServerReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const files = new Map<string, Set<string>>();
    for (const module of modules) {
      for (const test of module.children.allTests('skipped')) {
        if (!test.name.startsWith(prefix)) continue;
        const what = test.name.slice(prefix.length);
        files.set(what, (files.get(what) ?? new Set<string>()).add(module.relativeModuleId));
      }
    }
    if (files.size === 0) return;
    const lines = [...files].flatMap(([what, where]) => [
      `  ${what}`,
      ...[...where].map((file) => `    skipped: ${file}`),
    ]);
    process.stdout.write(
      `\nServers that could not be had (REQUIRE_SERVERS=1 makes this a failure):\n${lines.join('\n')}\n`,
    );
  }
}
