import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { consul, ConsulClient, type ConsulOptions } from '../../../lib/backends/consul/index.js';
import type { DiscoveryReport } from '../../../lib/backend/index.js';
import { createRegistration, type DiscoveryEvent } from '../../../lib/model/index.js';
import { createContext } from '../../contract/contract-harness.js';
import { withServer } from '../../servers/for-tests.js';
import { startAgent } from './support/own-agents.js';
import { fresh, until } from './support/wait.js';

withServer('consul', { variant: 'acl' }, (server) => {
  it('a token that may not read: an error and a warning, never an empty list; one that may: the list', async () => {
    const root = new ConsulClient({ address: server.url, token: server.token ?? '' });
    const service = fresh('guarded');
    await root.services.register({ Name: service, Port: 1, Address: '10.0.0.1' });
    const policy = await root.acl.policies.create({ Name: service, Rules: 'node_prefix "" { policy = "read" }' });
    const limited = await root.acl.tokens.create({ Policies: [{ ID: policy.ID }] });
    const warnings: string[] = [];
    const backendWith = async (options: ConsulOptions) => {
      const context = createContext([], {
        logger: { error() {}, log() {}, debug() {}, warn: (message) => void warnings.push(message) },
      });
      const backend = consul({ address: server.url, watch: { waitMs: 1000, maxBackoffMs: 200 }, ...options }).create(
        context,
      );
      await backend.open();
      const reports: DiscoveryReport[] = [];
      backend.discovery?.watch(service, (report) => reports.push(report));
      return { backend, reports };
    };
    const apps = [await backendWith({ token: limited }), await backendWith({})];
    for (const { reports } of apps) {
      await until(() => reports.length > 0, 'a report');
      expect(reports[0]?.error?.code).toBe('BACKEND_REFUSED');
    }
    for (const { backend } of apps) {
      await expect(backend.discovery?.listServices()).rejects.toMatchObject({ code: 'BACKEND_REFUSED' });
    }
    expect(warnings.filter((message) => message.includes(service))).toHaveLength(2);
    const [first] = apps;
    await root.acl.policies.update({
      ...policy,
      Rules: `${policy.Rules ?? ''}\nservice_prefix "" { policy = "read" }`,
    });
    await until(() => first?.reports.at(-1)?.instances?.length === 1, 'the list, since the rights were given');
    expect(await first?.backend.discovery?.listServices()).toContain(service);
    // The last list stays when they are taken away.
    await root.acl.policies.update({ ...policy, Rules: 'node_prefix "" { policy = "read" }' });
    await root.services.register({ Name: service, Port: 1, Address: '10.0.0.2' });
    await until(() => first?.reports.at(-1)?.error !== undefined, 'an error');
    expect(first?.reports.every((report) => report.instances?.length !== 0)).toBe(true);
    for (const { backend } of apps) await backend.close();
    await root.services.deregister(service);
    await root.acl.tokens.destroy(limited);
    await root.acl.policies.destroy(policy);
    await root.close();
  });

  it('registering without the right says so, and succeeds when the token file brings one that may', async () => {
    const root = new ConsulClient({ address: server.url, token: server.token ?? '' });
    const folder = await mkdtemp(join(tmpdir(), 'nsd-consul-'));
    const tokenFile = join(folder, 'token');
    const weak = await root.acl.tokens.create({});
    await writeFile(tokenFile, weak.SecretID);
    const events: DiscoveryEvent[] = [];
    const backend = consul({ address: server.url, tokenFile, watch: { maxBackoffMs: 300 } }).create(
      createContext(events),
    );
    await backend.open();
    const lease = backend.registry?.register(
      createRegistration({ service: fresh('late'), host: '127.0.0.1', port: 1 }),
    );
    await until(() => lease?.state.current.phase === 'retrying', 'it is refused');
    expect(lease?.state.current.error?.code).toBe('BACKEND_REFUSED');
    expect(JSON.stringify(events) + String(lease?.state.current.error)).not.toContain(weak.SecretID);
    const strong = await root.acl.tokens.create({ Policies: [{ Name: 'global-management' }] });
    await writeFile(tokenFile, strong.SecretID);
    await lease?.registered;
    expect(await lease?.revoke()).toBe('removed');
    await backend.close();
    await Promise.all([root.acl.tokens.destroy(weak), root.acl.tokens.destroy(strong)]);
    await root.close();
    await rm(folder, { recursive: true });
  });
});

withServer('consul', { variant: 'dev' }, () => {
  it('rights that are taken away where everything else is allowed: an error, and the last list stays', async () => {
    const root = randomUUID();
    const tokens = { initial_management: root, agent: root };
    const agent = await startAgent('allowing', () => ({ acl: { enabled: true, default_policy: 'allow', tokens } }));
    const admin = new ConsulClient({ address: agent.server.url, token: root });
    const service = fresh('denied');
    const register = (address: string) => admin.services.register({ Name: service, Port: 1, Address: address });
    await register('10.0.0.1');
    const policy = await admin.acl.policies.create({ Name: service, Rules: '' });
    const token = await admin.acl.tokens.create({ Policies: [{ ID: policy.ID }] });
    const watch = { waitMs: 1000, maxBackoffMs: 200 };
    const backend = consul({ address: admin.address, token, watch }).create(createContext([]));
    await backend.open();
    const reports: DiscoveryReport[] = [];
    backend.discovery?.watch(service, (report) => reports.push(report));
    await until(() => reports.at(-1)?.instances?.length === 1, 'the list');
    await admin.acl.policies.update({ ...policy, Rules: 'service_prefix "" { policy = "deny" }' });
    await register('10.0.0.2');
    await until(() => reports.at(-1)?.error !== undefined, 'the refusal');
    expect(reports.at(-1)?.error?.code).toBe('BACKEND_REFUSED');
    expect(reports.every((report) => report.instances?.length !== 0)).toBe(true);
    await Promise.all([backend.close(), admin.close()]);
    await agent.server.dispose();
  });
});
