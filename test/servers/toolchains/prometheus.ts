import { join } from 'node:path';
import { cached, lookUp } from '../cache.js';
import { which } from '../exec.js';
import { whileShowing } from '../progress.js';
import { hasApt, unpackDebianPackages } from './apt.js';

/** Where Prometheus's server and its tool are. */
export interface PrometheusPrograms {
  readonly prometheus: string;
  readonly promtool: string;
}

/** Prometheus for tests: this machine's own, else Debian's, unpacked into the cache; or the reason why there is none. */
export async function providePrometheus(): Promise<PrometheusPrograms | { readonly reason: string }> {
  const [prometheus, promtool] = await Promise.all([which('prometheus'), which('promtool')]);
  if (prometheus !== undefined && promtool !== undefined) return { prometheus, promtool };
  const key = `prometheus-debian-${process.arch}`;
  if ((await lookUp(key)) === undefined && !(await hasApt())) {
    return { reason: 'neither on the PATH nor to be had from Debian' };
  }
  try {
    const folder = await cached(key, (target) =>
      whileShowing("unpacking Debian's prometheus", unpackDebianPackages(['prometheus'], target)),
    );
    const path = (name: string): string => join(folder, 'usr', 'bin', name);
    return { prometheus: path('prometheus'), promtool: path('promtool') };
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}
