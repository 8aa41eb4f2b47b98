// One app that discovers a lot, in a process of its own, told by its parent what to do. Plain JavaScript on the built
// package, so that it runs as users' apps do.
import 'reflect-metadata';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DiscoveryClient, DiscoveryModule } from 'nestjs-service-discovery';

const { product, layout, options } = JSON.parse(process.argv[2]);
const wing = await import(`nestjs-service-discovery/${product}`);
const registry = wing[product]({ ...options, ...(layout === undefined ? {} : { layout: wing[layout]() }) });

class AppModule {}
Module({ imports: [DiscoveryModule.forRoot({ registry })] })(AppModule);
const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error'] });
const discovery = app.get(DiscoveryClient);

const heap = () => {
  for (let i = 0; i < 3; i += 1) globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};
const sockets = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
const cpuMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

async function until(condition) {
  while (!condition()) await sleep(1);
}

let seen;
const answers = {
  /** Takes in a service: how long until all are known, what it stalled, what it weighs. */
  load: async ({ service, instances }) => {
    const before = heap();
    const delay = monitorEventLoopDelay({ resolution: 1 });
    await sleep(50);
    delay.enable();
    await sleep(5);
    delay.reset();
    const [began, cpu] = [performance.now(), cpuMs()];
    discovery.watchInstances(service).subscribe((snapshot) => (seen = snapshot));
    await until(() => seen?.instances.length === instances);
    const [ms, usedMs] = [performance.now() - began, cpuMs() - cpu];
    await sleep(5);
    delay.disable();
    await sleep(200);
    return { ms, cpuMs: usedMs, stallMs: delay.max / 1e6, bytesEach: (heap() - before) / instances };
  },
  cpu: async () => cpuMs(),
  /** Waits for the next list. */
  next: async () => {
    const before = seen;
    await until(() => seen !== before);
  },
  /** Uses many services at once. */
  use: async ({ services }) => {
    const before = heap();
    const known = new Set();
    const [began, cpu] = [performance.now(), cpuMs()];
    for (const name of services) {
      discovery.watchInstances(name).subscribe(({ instances }) => void (instances.length > 0 && known.add(name)));
    }
    await until(() => known.size === services.length);
    const [ms, usedMs] = [performance.now() - began, cpuMs() - cpu];
    await sleep(2000);
    const bytesEach = (heap() - before) / services.length;
    const rest = cpuMs();
    await sleep(10_000);
    return { ms, cpuMs: usedMs, sockets: sockets(), bytesEach, restCpuMsPerSecond: (cpuMs() - rest) / 10 };
  },
};

process.on('message', ({ id, ask, ...rest }) => {
  answers[ask](rest).then(
    (answer) => process.send({ id, answer }),
    (error) => process.send({ id, error: String(error) }),
  );
});
process.on('disconnect', () => process.exit(1));
process.send({ started: true });
