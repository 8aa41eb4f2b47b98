import { existsSync } from 'node:fs';
import { installDebianPackages } from './apt.js';

/** Debian's Chromium, or another by `CHROMIUM`. */
export const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

/** The browser that pages are tested in, installed from Debian if need be; or the reason why there is none. */
export async function provideChromium(): Promise<{ readonly chromium: string } | { readonly reason: string }> {
  if (existsSync(CHROMIUM)) return { chromium: CHROMIUM };
  const problem = await installDebianPackages(['chromium']);
  if (existsSync(CHROMIUM)) return { chromium: CHROMIUM };
  return { reason: problem ?? `not at ${CHROMIUM} after installing` };
}
