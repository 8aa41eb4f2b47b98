import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { NestFactory } from '@nestjs/core';
import { test } from 'vitest';
import { AppRegistration, ServiceHttpClient } from '../../../lib/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { launchBrowser } from './chromium.js';
import { operated } from './operated.js';

/**
 * `SCREENSHOTS=docs/images npx vitest run --project nest-12 test/nest/operator/screenshots`: the pictures of docs/operator.md, of an app
 * on a bad night: one instance fails, another is down, and a document that doesn't parse was published.
 */
const folder = process.env['SCREENSHOTS'];

async function stock(delayMs: () => number, status: () => number): Promise<number> {
  const server = createServer((_, response) => {
    setTimeout(() => response.writeHead(status()).end('{}'), delayMs());
  });
  server.unref();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

test.runIf(folder !== undefined)('the pictures of the page', { timeout: 300_000 }, async () => {
  let failing = 200;
  const registry = new InMemoryRegistry();
  const rand = (from: number, to: number) => () => from + Math.random() * (to - from);
  const ports = [
    await stock(rand(4, 16), () => 200),
    await stock(rand(8, 60), () => 200),
    await stock(rand(5, 20), () => failing),
  ];
  registry.addInstance('STOCK', { id: 'stock-a', port: ports[0] ?? 0, zone: 'eu-1a', metadata: { version: '2.4.0' } });
  registry.addInstance('STOCK', { id: 'stock-b', port: ports[1] ?? 0, zone: 'eu-1b', metadata: { version: '2.4.0' } });
  registry.addInstance('STOCK', {
    id: 'stock-c',
    port: ports[2] ?? 0,
    zone: 'eu-1a',
    metadata: { version: '2.5.0-rc1' },
    tags: ['canary'],
  });
  registry.addInstance('PAYMENTS', { id: 'payments-1', host: '10.0.4.17', port: 8080, status: 'DOWN' });
  registry.addInstance('PAYMENTS', { id: 'payments-2', port: ports[0] ?? 0 });
  registry.setDocument(
    'application.yaml',
    'checkout: { limit: 100 }\ndb: { url: "postgres://shop:geheim@db/shop", password: geheim }',
  );
  registry.setDocument('SHOP.yaml', 'checkout: { limit: 250 }\ngreeting: Good evening');

  const app = await NestFactory.create(
    operated(registry, {}, { zone: 'eu-1a', profiles: ['prod'], http: { ejection: { maxShare: 0.5 } } }),
    {
      logger: false,
    },
  );
  await app.listen(0, '127.0.0.1');
  const client = app.get(ServiceHttpClient).axiosRef;
  let going = true;
  const load = (async () => {
    while (going) {
      void client.get('lb://STOCK/quote').catch(() => {});
      if (Math.random() < 0.3) void client.get('lb://PAYMENTS/pay').catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  })();

  const browser = await launchBrowser();
  const { port } = app.getHttpServer().address() as AddressInfo;
  const views = await Promise.all(
    [
      { name: 'operator-light', colorScheme: 'light', viewport: { width: 1180, height: 900 } },
      { name: 'operator-dark', colorScheme: 'dark', viewport: { width: 1180, height: 900 } },
      { name: 'operator-narrow', colorScheme: 'light', viewport: { width: 400, height: 900 } },
    ].map(async ({ name, ...options }) => {
      const page = await (await browser.newContext(options as Parameters<typeof browser.newContext>[0])).newPage();
      await page.goto(`http://127.0.0.1:${port}/discovery`);
      return { name, page };
    }),
  );
  const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  await wait(Number(process.env['SECONDS'] ?? 60) * 1000);
  failing = 503;
  await wait(4000);
  registry.setDocument('SHOP.yaml', 'checkout: { limit: [');
  await wait(7000);
  await mkdir(folder ?? '', { recursive: true });
  for (const { name, page } of views) await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
  await app.get(AppRegistration).pause('disk is full');
  registry.fail();
  await wait(3000);
  await views[1]?.page.screenshot({ path: `${folder}/operator-outage.png`, fullPage: true });
  going = false;
  await load;
  await browser.close();
  await app.close();
});
