import type { INestApplicationContext } from '@nestjs/common';
import { ConfigClient } from '../config/index.js';
import { DiscoveryClient } from '../discovery/index.js';
import { AppRegistration } from '../nest/index.js';

/**
 * Waits until everything that a test has given so far has arrived in an app: the instances of the services that it
 * watches, its configuration, and, once it listens, its own registration. For tests that change a registry while the app
 * runs; nobody need wait a while and hope.
 *
 * ```ts
 * backend.registry.setDocument('application.yaml', 'checkout: { limit: 7 }', 'yaml');
 * await settled(app);
 * ```
 *
 * @param app the app, or a testing module that was initialised
 * @throws DiscoveryError what a backend failed with that can't be asked: an outage never settles
 */
export async function settled(app: INestApplicationContext): Promise<void> {
  const { lease } = app.get(AppRegistration, { strict: false });
  await Promise.all([
    app.get(DiscoveryClient, { strict: false }).refresh(),
    app.get(ConfigClient, { strict: false }).refresh(),
    lease?.registered,
  ]);
}
