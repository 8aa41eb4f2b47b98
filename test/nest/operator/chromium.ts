import { chromium, type Browser } from 'playwright-core';
import { CHROMIUM } from '../../servers/toolchains/chromium.js';

/** A browser for tests and screenshots. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}
