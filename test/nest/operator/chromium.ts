import { chromium, type Browser } from 'playwright-core';

/** Debian's Chromium, or another by `CHROMIUM`. */
export const EXECUTABLE = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

/** A browser for tests and screenshots. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: EXECUTABLE, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}
