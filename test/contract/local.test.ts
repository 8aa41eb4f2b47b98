import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { local } from '../../lib/backends/local/index.js';
import { toFileName } from '../../lib/model/index.js';
import {
  describeConfigContract,
  describeDiscoveryContract,
  describeRegistryContract,
  type ContractHarness,
  type ContractTiming,
} from './contract-harness.js';

/** Longer than the patience. */
const LEASE_MS = 9000;
const timing: ContractTiming = { patienceMs: 7000, quietMs: 200, expiryMs: LEASE_MS + 5000 };

/** Its server is the file system; an outage is a file where a folder should be (permissions don't stop root). */
async function createHarness(): Promise<ContractHarness> {
  const home = await mkdtemp(join(tmpdir(), 'nsd-contract-'));
  const directory = join(home, 'registry');
  const configDirectory = join(home, 'config');
  const folders = [join(directory, 'default'), configDirectory];
  let away: string[] = [];
  return {
    definition: (options = {}) => local({ directory, configDirectory, leaseMs: LEASE_MS, pollMs: 100, ...options }),
    outage: async () => {
      for (const folder of folders) {
        try {
          await rename(folder, `${folder}.away`);
          away.push(folder);
        } catch {
          // Nothing was ever configured.
        }
        await writeFile(folder, 'in the way');
      }
    },
    recover: async () => {
      for (const folder of folders) await rm(folder);
      for (const folder of away) await rename(`${folder}.away`, folder);
      away = [];
    },
    forget: (service, instanceId) =>
      rm(
        join(
          directory,
          'default',
          'registry',
          toFileName(service, 'service'),
          `${toFileName(instanceId, 'instanceId')}.json`,
        ),
      ),
    config: {
      documentId: (base) => `${base}.yaml`,
      applicationDocumentId: (application, profile) =>
        `${application ?? 'application'}${profile === undefined ? '' : `-${profile}`}.yaml`,
      prefix: (base) => base,
    },
    close: () => rm(home, { recursive: true, force: true }),
  };
}

describeRegistryContract('local', createHarness, timing);
describeDiscoveryContract('local', createHarness, timing);
describeConfigContract('local', createHarness, timing);
