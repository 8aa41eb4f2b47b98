// One app of the fault suite, in a process of its own: a provider, a caller, or an observer that only looks. Plain
// JavaScript on the built package, so that it runs as users' apps do.
import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  AppRegistration,
  DiscoveryClient,
  DiscoveryModule,
  enableGracefulShutdown,
  EventHub,
  ServiceHttpClient,
} from 'nestjs-service-discovery';
import { filter, firstValueFrom } from 'rxjs';

const { role, backend, service, instanceId, helper, shutdown, perSecond } = JSON.parse(process.argv[2]);

async function definition({ product, layout, options }) {
  const wing = await import(`nestjs-service-discovery/${product}`);
  return wing[product]({ ...options, ...(layout === undefined ? {} : { layout: wing[layout]() }) });
}

class Who {
  who() {
    return { instanceId };
  }
}
decorate(Who, 'who', Get('who'));
Controller()(Who);

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');

const registry = await definition(backend);
class AppModule {}
Module({
  controllers: [Who],
  imports: [
    DiscoveryModule.forRoot({
      ...(role === 'provider' ? { service: { name: service, instanceId, host: '127.0.0.1' }, shutdown } : {}),
      // Nobody can register by DNS.
      registry: { backend: registry, register: backend.product !== 'dns' },
    }),
  ],
})(AppModule);

const app = await NestFactory.create(AppModule, { logger: ['error'], abortOnError: true });
if (helper) enableGracefulShutdown(app);
else app.enableShutdownHooks();

const phases = new Map();
app.get(EventHub).subscribe((event) => {
  if (event.type === 'backend.state') phases.set(event.backend, event.state.phase);
});
// On every address: ASAB's records say what is bound, and nobody calls an app that only its own machine could reach.
if (role === 'provider') await app.listen(0, '0.0.0.0');
else await app.init();

const counts = { sent: 0, failed: [] };
let clockOffset = 0;
const now = Date.now;
Date.now = () => now() + clockOffset;

const answers = {
  state: async () => {
    const lease = app.get(AppRegistration).lease?.state.current;
    return { phase: lease?.phase, reason: lease?.error?.message, ready: app.get(AppRegistration).isReady, ...memory() };
  },
  list: async () => {
    try {
      const { state, instances, error } = await app.get(DiscoveryClient).getSnapshot(service);
      return {
        state,
        ids: instances.filter(({ status }) => status === 'UP').map(({ id }) => id),
        phases: [...phases.values()],
        reason: error?.message,
      };
    } catch (error) {
      return { state: 'unknown', ids: [], phases: [...phases.values()], reason: error.message };
    }
  },
  calls: async ({ reset }) => {
    const told = { sent: counts.sent, failed: counts.failed };
    if (reset) Object.assign(counts, { sent: 0, failed: [] });
    return told;
  },
  /** Watches services, each until it is known, and leaves them. */
  watches: async ({ from, to }) => {
    const discovery = app.get(DiscoveryClient);
    for (let number = from; number < to; number += 1) {
      await firstValueFrom(
        discovery.watchInstances(`${service}-${number}`).pipe(filter(({ state }) => state === 'fresh')),
      );
    }
  },
  /** Asks until there is an answer. */
  refresh: async () => {
    const discovery = app.get(DiscoveryClient);
    for (;;) {
      try {
        return await discovery.refresh(service);
      } catch {
        await sleep(50);
      }
    }
  },
  held: async () => {
    for (let times = 0; times < 3; times += 1) {
      collect();
      await sleep(50);
    }
    return memory();
  },
  clock: async ({ offsetMs }) => void (clockOffset = offsetMs),
  stall: async ({ ms }) => {
    // After the answer: a loop that stands answers nobody.
    setTimeout(() => {
      const until = performance.now() + ms;
      while (performance.now() < until);
    }, 10);
  },
};

function memory() {
  return { heap: process.memoryUsage().heapUsed, handles: process.getActiveResourcesInfo().length };
}

process.on('message', ({ id, ask, ...rest }) => {
  answers[ask](rest).then(
    (answer) => process.send({ id, answer }),
    (error) => process.send({ id, error: String(error) }),
  );
});
// Whoever started it is gone.
process.on('disconnect', () => process.exit(1));
process.send({ started: true });

if (role === 'caller') {
  const client = app.get(ServiceHttpClient);
  const call = async () => {
    counts.sent += 1;
    const at = performance.now();
    try {
      await client.axiosRef.get(`lb://${service}/who`, { timeout: 5000 });
    } catch (error) {
      const tried = error.attempts?.map(({ target, reason }) => `${target} ${reason}`).join(', ') ?? '';
      counts.failed.push({ afterMs: Math.round(performance.now() - at), reason: `${error.message} ${tried}` });
    }
  };
  for (;;) {
    void call();
    await sleep(1000 / perSecond);
  }
}

function decorate(type, method, decorator) {
  decorator(type.prototype, method, Object.getOwnPropertyDescriptor(type.prototype, method));
}
