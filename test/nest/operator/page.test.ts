import type { INestApplication } from '@nestjs/common';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { DiscoveryClient, ServiceHttpClient } from '../../../lib/index.js';
import { ServiceGatewayModule } from '../../../lib/integrations/gateway/index.js';
import { InMemoryRegistry } from '../../../lib/testing/index.js';
import { portOf, registered } from '../support.js';
import { withBrowser } from './browser.js';
import { startOperated, stockServer } from './support.js';

const urlOf = (app: INestApplication): string => `http://127.0.0.1:${portOf(app)}/discovery`;

const textOf = (page: Page, selector: string): Promise<string> => page.locator(selector).innerText();

/** What the row of an instance says. */
const rowOf = (page: Page, text: string): Promise<string> => page.locator('tbody tr', { hasText: text }).innerText();

withBrowser("the operator's page", ({ open, errors }) => {
  test('shows who is called and how often, who is left out, who came and who was killed', async () => {
    const registry = new InMemoryRegistry();
    const [good, bad] = [await stockServer(), await stockServer()];
    registry.addInstance('STOCK', { id: 'stock-good', port: good.port, zone: 'z1' });
    registry.addInstance('STOCK', { id: 'stock-bad', port: bad.port });
    const app = await startOperated('express', registry);
    await registered(app);
    const client = app.get(ServiceHttpClient).axiosRef;
    const callAll = async (): Promise<void> => {
      for (let call = 0; call < 12; call += 1) await client.get('lb://STOCK/quote');
    };
    await callAll();
    const page = await open(urlOf(app));
    expect(page.url()).toMatch(/\/discovery\/page$/);
    await expect.poll(() => textOf(page, '#ready')).toBe('READY');
    expect(await textOf(page, '#trouble-list')).toContain('Nothing that this app knows of');
    await expect.poll(() => rowOf(page, 'stock-good')).toMatch(/takes calls[\s\S]*6 in all[\s\S]*zone z1/);
    await callAll();
    await expect.poll(() => rowOf(page, 'stock-good')).toMatch(/50 %[\s\S]*12 in all/);
    expect(await page.locator('svg.spark polyline').first().getAttribute('points')).not.toBe('');
    // It fails from now on.
    bad.status = 503;
    await callAll();
    await expect.poll(() => rowOf(page, 'stock-bad')).toMatch(/left out[\s\S]*for .* more[\s\S]*5 \(/);
    expect(await textOf(page, '#trouble-list')).toContain('1 instance is left out for failures');
    await expect.poll(() => textOf(page, '#event-list')).toMatch(/LOOK\s+http:\S+ of STOCK is left out for/);
    await expect.poll(() => textOf(page, '#event-list')).toContain('again at another instance');
    // It is gone, and another comes.
    registry.removeInstance('STOCK', 'stock-bad');
    registry.addInstance('STOCK', { id: 'stock-new', port: 1, status: 'DOWN' });
    await expect.poll(() => page.locator('tbody tr', { hasText: 'stock-bad' }).count()).toBe(0);
    await expect.poll(() => rowOf(page, 'stock-new')).toContain('DOWN');
    expect(errors).toEqual([]);
  });

  test("shows a gateway's routes, and what their services made of it", async () => {
    const registry = new InMemoryRegistry();
    registry.addInstance('STOCK', { port: (await stockServer()).port });
    const gateway = ServiceGatewayModule.forRoot({
      routes: [
        { id: 'stock', path: '/stock/**', service: 'STOCK', stripPrefix: 1 },
        { id: '<b>empty</b>', path: '/empty/**', service: 'EMPTY' },
      ],
    });
    const app = await startOperated('express', registry, {}, {}, [gateway]);
    await registered(app);
    for (const path of ['stock/quote', 'stock/quote', 'empty/x'])
      await fetch(`http://127.0.0.1:${portOf(app)}/${path}`);
    const page = await open(urlOf(app));
    const rows = page.locator('#route-list li');
    await expect.poll(() => rows.count()).toBe(2);
    expect(await rows.first().innerText()).toMatch(
      /<b>empty<\/b>\s+open\s+to EMPTY · 1 request, .*\s+1 of them failed/i,
    );
    expect(await rows.last().innerText()).toMatch(/stock\s+closed\s+to STOCK · 2 requests/i);
    expect(errors).toEqual([]);
  });

  test('pauses the app and takes it back by the keyboard alone, and says why it is paused', async () => {
    const registry = new InMemoryRegistry();
    const app = await startOperated('express', registry);
    await registered(app);
    const page = await open(urlOf(app));
    await page.getByRole('button', { name: 'Pause…' }).focus();
    await page.keyboard.press('Enter');
    await page.keyboard.type('disk <b>is</b> full');
    await page.keyboard.press('Enter');
    await expect.poll(() => textOf(page, '#ready')).toBe('PAUSED');
    expect(registry.instancesOf('SHOP')).toMatchObject([{ status: 'OUT_OF_SERVICE' }]);
    expect(await textOf(page, '#registration-body')).toMatch(/OUT_OF_SERVICE[\s\S]*disk <b>is<\/b> full/);
    expect(await textOf(page, '#trouble-list')).toContain('it is paused: disk <b>is</b> full');
    await expect.poll(() => page.evaluate('document.activeElement.id')).toBe('resume');
    await page.keyboard.press('Enter');
    await expect.poll(() => textOf(page, '#ready')).toBe('READY');
    expect(errors).toEqual([]);
  });

  test('tells an outage: of the registry, of the newest configuration, of the app itself', async () => {
    const registry = new InMemoryRegistry();
    registry.setDocument('SHOP.yaml', 'limit: 5\ndb: { password: geheim }');
    registry.addInstance('STOCK', { id: 'one', port: 1 });
    const app = await startOperated('express', registry);
    await registered(app);
    await app
      .get(ServiceHttpClient)
      .axiosRef.get('lb://STOCK/')
      .catch(() => {});
    const page = await open(urlOf(app));
    await expect
      .poll(() => textOf(page, '#key-list'))
      .toMatch(/db\.password\s+hidden[\s\S]*limit\s+5\s+config: SHOP\.yaml, line 1/);
    expect(await page.content()).not.toContain('geheim');
    registry.setDocument('SHOP.yaml', 'limit: [');
    await expect.poll(() => textOf(page, '#trouble-list')).toContain('The newest configuration is not in force');
    expect(await textOf(page, '#configuration-problems')).toContain('SHOP.yaml');
    registry.fail();
    await expect.poll(() => textOf(page, '#trouble-list')).toContain("in-memory doesn't answer, for");
    await expect.poll(() => textOf(page, '#service-list')).toContain('as of before the outage');
    // What was never known isn't what was known before.
    await app
      .get(DiscoveryClient)
      .getInstances('ORDERS')
      .catch(() => {});
    await expect
      .poll(() => textOf(page, '#trouble-list'))
      .toMatch(/No registry has told yet who is there of 1 service, of ORDERS/);
    expect(await textOf(page, '#trouble-list')).toContain(
      'The instances of 1 service are those of before an outage, of STOCK',
    );
    registry.recover();
    await expect.poll(() => textOf(page, '#service-list')).not.toContain('before the outage');
    await app.close();
    await expect.poll(() => textOf(page, '#ready')).toBe('NO ANSWER');
    expect(await textOf(page, '#trouble-list')).toContain('the app does not answer');
    expect(await textOf(page, '#service-list')).toContain('STOCK');
    expect(errors).toEqual([]);
  });

  test('shows hostile names as they are, and runs nothing of them', async () => {
    const registry = new InMemoryRegistry();
    const evil = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
    registry.addInstance('<b>STOCK<i>', {
      id: evil,
      port: 1,
      tags: [evil],
      metadata: { [evil]: evil, lane: `${evil}\u001b[2J\u202e` },
    });
    registry.setDocument('SHOP.yaml', JSON.stringify({ [`k${evil.replaceAll('.', '')}`]: evil }));
    const app = await startOperated('express', registry, {}, { http: { routing: { lane: {} } } });
    const page = await open(urlOf(app));
    await page.getByLabel('those too that this app').check();
    await page.getByRole('button', { name: '<b>STOCK<i>' }).click();
    await expect.poll(() => textOf(page, '#service-list')).toContain(evil);
    await expect.poll(() => textOf(page, '#key-list')).toContain(evil);
    await expect.poll(() => textOf(page, '#event-list')).toContain('<b>STOCK<i> has 1 instance');
    expect(await page.locator('main img, main script, main b, main i').count()).toBe(0);
    expect(await page.title()).toContain('SHOP');
    expect(errors).toEqual([]);
  });

  test('10,000 services and instances are a page that one can use', async () => {
    const registry = new InMemoryRegistry();
    for (let service = 0; service < 10_000; service += 1) registry.addInstance(`S${service}`, { port: 1 });
    for (let instance = 0; instance < 10_000; instance += 1)
      registry.addInstance('BIG', { id: `b${instance}`, port: 1 + instance });
    const app = await startOperated('express', registry);
    const page = await open(urlOf(app));
    await page.getByLabel('those too that this app').check();
    await expect.poll(() => textOf(page, '#services-note')).toContain('50 of 10,002 shown');
    await page.getByLabel('Find a service').fill('big');
    await page.getByRole('button', { name: 'BIG' }).click();
    await expect.poll(() => textOf(page, '#service-list')).toContain('9,800 more are not shown');
    expect(await page.locator('#service-list tbody tr').count()).toBe(200);
    expect(errors).toEqual([]);
  });

  test('fits a screen of 400 pixels, and every control of it has a name', async () => {
    const registry = new InMemoryRegistry();
    registry.addInstance('A-SERVICE-WITH-A-VERY-LONG-NAME-THAT-NOBODY-WOULD-EVER-GIVE-IT', {
      id: 'x'.repeat(300),
      port: 1,
    });
    const app = await startOperated('express', registry);
    await app
      .get(ServiceHttpClient)
      .axiosRef.get('lb://A-SERVICE-WITH-A-VERY-LONG-NAME-THAT-NOBODY-WOULD-EVER-GIVE-IT/')
      .catch(() => {});
    const page = await open(urlOf(app), { viewport: { width: 400, height: 800 } });
    await expect.poll(() => page.locator('#service-list tbody tr').count()).toBe(1);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(400);
    const unnamed = await page.evaluate(
      "[...document.querySelectorAll('input, button')].filter((one) => !(one.textContent || (one.labels && one.labels.length))).length",
    );
    expect(unnamed).toBe(0);
  });
});
