import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { springConfig } from '../../lib/backends/spring-config/index.js';
import {
  assertDocumentId,
  digestOf,
  DiscoveryError,
  type BackendContext,
  type ConfigDriver,
  type WriteOptions,
} from '../../lib/backend/index.js';
import { createFaultProxy } from '../servers/fault-proxy.js';
import { standIn } from '../servers/for-tests.js';
import { LOGIN, provideConfigServer, startConfigServer } from '../wings/spring-config/config-server.js';
import { describeConfigContract, type ContractHarness } from './contract-harness.js';

/** A config server only reads: what it reads from is written to. */
function writable(config: ConfigDriver, folder: string): ConfigDriver {
  const pathOf = (id: string, { ifRevision }: WriteOptions): string => {
    assertDocumentId(id);
    if (ifRevision === undefined) return join(folder, id);
    throw new DiscoveryError('UNSUPPORTED', 'files have no revisions');
  };
  const writes: Pick<ConfigDriver, 'publish' | 'remove'> = {
    publish: async (id, content, options = {}) => {
      const path = pathOf(id, options);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, content);
      return digestOf(content);
    },
    remove: async (id, options = {}) => {
      const path = pathOf(id, options);
      const there = await readFile(path).then(
        () => true,
        () => false,
      );
      await rm(path, { force: true });
      return there;
    },
  };
  return Object.assign(Object.create(config) as ConfigDriver, writes);
}

const program = await provideConfigServer();
if ('reason' in program) standIn('spring-config-server', program.reason, 'Spring application');
else {
  const createHarness = async (): Promise<ContractHarness> => {
    const folder = await mkdtemp(join(tmpdir(), 'nsd-config-'));
    const server = await startConfigServer(program, folder);
    const proxy = await createFaultProxy([{ name: 'http', host: '127.0.0.1', port: server.port }]);
    return {
      definition: ({ name = 'spring-config' } = {}) => {
        const url = `http://127.0.0.1:${proxy.port}`;
        const definition = springConfig({ name, url, ...LOGIN, pollMs: 100, requestTimeoutMs: 3000 });
        return {
          ...definition,
          create: (context: BackendContext) => {
            const backend = definition.create(context);
            const { config } = backend;
            if (config === undefined) throw new Error('it has configuration');
            return Object.assign(Object.create(backend, { config: { value: writable(config, folder) } }), {
              open: () => backend.open(),
              close: () => backend.close(),
            }) as typeof backend;
          },
        };
      },
      outage: () => proxy.drop(),
      recover: () => proxy.heal(),
      // Its layers aren't documents of one name each: what the server makes of its files is tried in test/wings.
      config: { documentId: (base) => `${base}.yaml` },
      close: async () => {
        await proxy.close();
        await server.close();
        await rm(folder, { recursive: true, force: true });
      },
    };
  };
  describeConfigContract('spring-config', createHarness, { patienceMs: 10_000 });
}
