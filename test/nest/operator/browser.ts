import { existsSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe } from 'vitest';
import { standIn } from '../../servers/for-tests.js';
import { CHROMIUM } from '../../servers/toolchains/chromium.js';
import { launchBrowser } from './chromium.js';

/** What a suite has of its browser. */
export interface Window {
  /** A page that fails the test when anything on it does. */
  open(url: string, options?: Parameters<Browser['newContext']>[0]): Promise<Page>;
  /** Errors of scripts, and what a content security policy has forbidden, on all pages of the test. */
  readonly errors: readonly string[];
}

/** A suite with a browser; skipped where there is none, unless `REQUIRE_SERVERS=1`. */
export function withBrowser(name: string, define: (window: Window) => void): void {
  if (!existsSync(CHROMIUM)) {
    const reason = `no browser at ${CHROMIUM} (Debian: apt-get install chromium, or npm run servers -- provision --all)`;
    describe(name, () => standIn(name, reason, 'browser'));
    return;
  }
  describe(name, { timeout: 90_000 }, () => {
    let browser: Browser | undefined;
    const errors: string[] = [];

    beforeAll(async () => {
      browser = await launchBrowser();
    });
    afterEach(async () => {
      for (const context of browser?.contexts() ?? []) await context.close();
      errors.length = 0;
    });
    afterAll(() => browser?.close());

    define({
      errors,
      open: async (url, options) => {
        if (browser === undefined) throw new Error('the browser has not started');
        const page = await (await browser.newContext(options)).newPage();
        page.on('pageerror', (error) => errors.push(error.message));
        page.on('console', (message) => {
          // What the network says is part of the tests: apps are killed in them.
          if (message.type() === 'error' && !/Failed to load resource|net::/.test(message.text()))
            errors.push(message.text());
        });
        await page.goto(url);
        return page;
      },
    });
  });
}
