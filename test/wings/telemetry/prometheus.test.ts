import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { firstValueFrom } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { DiscoveryPrometheusModule } from '../../../lib/integrations/prometheus/index.js';
import { standIn } from '../../servers/for-tests.js';
import { freePorts } from '../../servers/free-port.js';
import { guardOfThisProcess } from '../../servers/guard.js';
import { providePrometheus } from '../../servers/toolchains/prometheus.js';
import { queries } from '../../unit/observability/dashboard.js';
import { afterwards, serving, shop } from './support.js';

/** Prometheus itself, scraping a port each second; gives its address. */
async function scraping(program: string, port: number): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'nsd-prometheus-'));
  const { web } = await freePorts('web');
  const config = join(folder, 'prometheus.yml');
  const jobs = [{ job_name: 'app', static_configs: [{ targets: [`127.0.0.1:${port}`] }] }];
  await writeFile(config, JSON.stringify({ global: { scrape_interval: '1s' }, scrape_configs: jobs }));
  const started = await guardOfThisProcess().spawn({
    command: program,
    args: [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${web}`,
    ],
    env: process.env,
    cwd: folder,
    log: join(folder, 'prometheus.log'),
  });
  afterwards(async () => {
    process.kill(started.pid, 'SIGKILL');
    await started.waitForExit();
    await rm(folder, { recursive: true, force: true });
  });
  return `http://127.0.0.1:${web}`;
}

interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly data?: {
    readonly result: readonly { readonly metric: object; readonly value: readonly [number, string] }[];
  };
}

async function ask(prometheus: string, query: string): Promise<Answer> {
  const response = await fetch(`${prometheus}/api/v1/query?query=${encodeURIComponent(query)}`);
  return (await response.json()) as Answer;
}

/** What promtool says of a scrape's text: nothing, when all is well. */
async function lint(promtool: string, text: string): Promise<{ readonly code: number; readonly output: string }> {
  return new Promise((resolve) => {
    const child = execFile(promtool, ['check', 'metrics'], (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), output: stdout + stderr }),
    );
    child.stdin?.end(text);
  });
}

const programs = await providePrometheus();

describe('Prometheus', () => {
  if ('reason' in programs) return standIn('prometheus', programs.reason);

  it('scrapes what the collector gives, and has an answer to every query of the dashboard', async () => {
    const registry = new Registry();
    const { stock, registry: servers } = await shop(DiscoveryPrometheusModule.forRoot({ registry }));
    const port = await serving((_request, response) => {
      void registry.metrics().then((text) => response.setHeader('content-type', registry.contentType).end(text));
    });
    for (let i = 0; i < 20; i += 1) await firstValueFrom(stock.get('/'));
    servers.setDocument('application.yaml', 'limit: 1');
    expect(await lint(programs.promtool, await registry.metrics())).toEqual({ code: 0, output: '' });

    const prometheus = await scraping(programs.prometheus, port);
    const valueOf = async (query: string): Promise<string | undefined> =>
      (await ask(prometheus, query).catch(() => undefined))?.data?.result[0]?.value[1];
    const calls = 'service_discovery_client_call_duration_seconds_count{service_peer_name="STOCK",outcome="success"}';
    await expect.poll(() => valueOf(calls)).toBe('20');
    expect(await valueOf('service_discovery_instances{status="down"}')).toBe('1');
    expect(await valueOf('service_discovery_backend_ready')).toBe('1');
    for (const query of queries()) expect(await ask(prometheus, query), query).toMatchObject({ status: 'success' });
    // With two scrapes there are rates too.
    await firstValueFrom(stock.get('/'));
    await expect.poll(() => valueOf(queries()[0] ?? '')).toBeDefined();
  });
});
