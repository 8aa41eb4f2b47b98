import type { ChildProcess } from 'node:child_process';

/** Ends a sample that still runs, by what it ends its own processes at: killed, it would leave them behind. */
export async function endSample(sample: ChildProcess | undefined): Promise<void> {
  if (sample === undefined || sample.exitCode !== null || sample.signalCode !== null) return;
  const exited = new Promise((resolve) => sample.once('exit', resolve));
  sample.kill('SIGTERM');
  await exited;
}
