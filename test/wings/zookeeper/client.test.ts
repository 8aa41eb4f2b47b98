import { spawn } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { ZooKeeperClient, type NodeEvent } from '../../../lib/backends/zookeeper/index.js';
import { freshName } from '../../contract/contract-harness.js';
import { withServer } from '../../servers/for-tests.js';
import { ask, Opened, until } from './support.js';

withServer('zookeeper', {}, (server) => {
  describe('ZooKeeperClient, operation by operation', () => {
    const opened = new Opened();

    it('creates, reads, writes, lists and removes, with the nodes above', async () => {
      const client = await opened.client(server.url);
      const path = `/${freshName('client')}/a/b`;
      expect(await client.getData(path)).toBeUndefined();
      expect(await client.exists(path)).toBeUndefined();
      expect(await client.getChildren(path)).toBeUndefined();
      expect(await client.setData(path, Buffer.from('x'))).toBeUndefined();
      expect(await client.remove(path)).toBe(false);
      expect(await client.create(path, Buffer.from('Grüße 世界'))).toBe(path);
      const found = await client.getData(path);
      expect(found?.data.toString()).toBe('Grüße 世界');
      expect(found?.stat).toMatchObject({ version: 0, childCount: 0 });
      expect(found?.stat.owner).toBeUndefined();
      const written = await client.setData(path, Buffer.from('y'), { version: 0 });
      expect(written?.version).toBe(1);
      expect(written?.mzxid).toBeGreaterThan(found?.stat.mzxid ?? 0n);
      await expect(client.setData(path, Buffer.from('z'), { version: 0 })).rejects.toMatchObject({
        code: 'BACKEND_REFUSED',
        failure: 'BAD_VERSION',
      });
      await expect(client.create(path)).rejects.toMatchObject({ failure: 'NODE_EXISTS' });
      await client.create(`${path}/child`);
      expect(await client.getChildren(path)).toEqual(['child']);
      await expect(client.remove(path)).rejects.toMatchObject({ failure: 'NOT_EMPTY' });
      expect(await client.remove(`${path}/child`)).toBe(true);
      expect(await client.remove(path, { version: 1 })).toBe(true);
    });

    it('creates sequential nodes and says their names; ephemeral ones are the session’s', async () => {
      const client = await opened.client(server.url);
      const parent = `/${freshName('seq')}`;
      const first = await client.create(`${parent}/App.`, Buffer.from('1'), { mode: 'ephemeral-sequential' });
      const second = await client.create(`${parent}/App.`, Buffer.from('2'), { mode: 'persistent-sequential' });
      expect(first).toBe(`${parent}/App.0000000000`);
      expect(second).toBe(`${parent}/App.0000000001`);
      expect((await client.exists(first))?.owner).toBe(client.sessionId);
      expect((await client.exists(second))?.owner).toBeUndefined();
      await expect(client.create(`${first}/below`)).rejects.toMatchObject({ failure: 'NO_CHILDREN_FOR_EPHEMERALS' });
      await client.remove(second);
    });

    it('tells of every change once for each watch that was left, also of a node that comes', async () => {
      const [client, other] = [await opened.client(server.url), await opened.client(server.url)];
      const path = `/${freshName('watch')}`;
      const events: NodeEvent[] = [];
      client.onNode(path, (event) => events.push(event));
      expect(await client.exists(path, { watch: true })).toBeUndefined();
      await other.create(path, Buffer.from('1'));
      await until(() => events.length === 1, 'the creation is told');
      await client.getData(path, { watch: true });
      await client.getChildren(path, { watch: true });
      await other.setData(path, Buffer.from('2'));
      await other.setData(path, Buffer.from('3'));
      await until(() => events.length === 2, 'the change is told');
      await other.create(`${path}/child`);
      await until(() => events.length === 3, 'the child is told');
      await other.remove(`${path}/child`);
      await client.exists(path, { watch: true });
      await other.remove(path);
      await until(() => events.length === 4, 'the removal is told');
      expect(events.map((event) => event.type)).toEqual(['created', 'changed', 'children', 'deleted']);
    });

    it('keeps to its chroot, which it creates', async () => {
      const root = `/${freshName('chroot')}/x`;
      const inside = await opened.client(server.url + root);
      const outside = await opened.client(server.url);
      const events: NodeEvent[] = [];
      inside.onNode('/a', (event) => events.push(event));
      await inside.create('/a/b', Buffer.from('1'));
      expect(await inside.create('/a/s', Buffer.alloc(0), { mode: 'persistent-sequential' })).toBe('/a/s0000000001');
      expect((await outside.getData(`${root}/a/b`))?.data.toString()).toBe('1');
      expect(await inside.getChildren('/')).toEqual(['a']);
      await inside.getData('/a/b', { watch: true });
      await outside.setData(`${root}/a/b`, Buffer.from('2'));
      await until(() => events.length === 1, 'the event comes');
      expect(events).toEqual([{ path: '/a/b', type: 'changed' }]);
    });

    it('sends credentials on every connection; nodes of `creator` are for those who have them', async () => {
      const proxy = await server.proxy();
      const path = `/${freshName('acl')}`;
      const auth = [{ scheme: 'digest', credentials: 'alice:wonder' }];
      const alice = new ZooKeeperClient({ servers: proxy.url, auth, access: 'creator', sessionTimeoutMs: 2000 });
      opened.add(() => alice.close());
      opened.add(() => proxy.close());
      await alice.open();
      await alice.create(path, Buffer.from('secret'));
      const stranger = await opened.client(server.url);
      await expect(stranger.getData(path)).rejects.toMatchObject({ code: 'BACKEND_REFUSED', failure: 'NO_AUTH' });
      const phases: string[] = [];
      alice.state.subscribe(({ phase }) => phases.push(phase));
      proxy.reset();
      await until(() => phases.at(-1) === 'connected', 'the connection is lost and comes back');
      expect(phases).toContain('suspended');
      expect((await alice.getData(path))?.data.toString()).toBe('secret');
    });

    it('says that the server refused the credentials', async () => {
      const client = new ZooKeeperClient({
        servers: server.url,
        auth: [{ scheme: 'nonsense', credentials: 'x' }],
        sessionTimeoutMs: 2000,
      });
      opened.add(() => client.close());
      await client.open();
      const outage = await until(() => client.outage, 'the refusal is told');
      await until(() => /refused the credentials/.test(client.outage?.message ?? ''), `said: ${outage.message}`);
      await expect(client.exists('/')).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    });

    it('reads the negotiated timeout back', async () => {
      const client = await opened.client(server.url, { sessionTimeoutMs: 500_000 });
      await until(() => client.state.current.phase === 'connected', 'it connects');
      expect(client.state.current.sessionTimeoutMs).toBe(60_000);
    });

    it('passes on what a quota, a huge value and odd paths make of it, and works on', async () => {
      const client = await opened.client(server.url);
      const path = `/${freshName('big')}`;
      await expect(client.create(path, Buffer.alloc(2 * 1024 * 1024))).rejects.toBeInstanceOf(Error);
      await expect(client.create(path, Buffer.alloc(1_048_575))).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
      expect(await until(() => client.exists('/'), 'it works on')).toBeDefined();
      for (const bad of ['x', '/a//b', '/a/', '/a/../b', '/a\u0000b', '']) {
        await expect(client.exists(bad)).rejects.toMatchObject({ code: 'INVALID_NAME' });
      }
    });

    it('hundreds of requests at once are answered in one connection', async () => {
      const client = await opened.client(server.url);
      const parent = `/${freshName('many')}`;
      await client.ensure(parent);
      const names = Array.from({ length: 500 }, (_, index) => `n${index}`);
      await Promise.all(names.map((name) => client.create(`${parent}/${name}`, Buffer.from(name))));
      const read = await Promise.all(names.map((name) => client.getData(`${parent}/${name}`)));
      expect(read.map((one) => one?.data.toString())).toEqual(names);
      expect((await client.getChildren(parent))?.length).toBe(500);
    });

    it('closing ends the session at once, and rejects what comes later', async () => {
      const [client, other] = [await opened.client(server.url), await opened.client(server.url)];
      const path = `/${freshName('gone')}`;
      await client.create(path, Buffer.from('x'), { mode: 'ephemeral' });
      expect(await other.exists(path)).toBeDefined();
      await client.close();
      // The server has ended the session before it answered.
      expect(await other.exists(path)).toBeUndefined();
      await expect(client.exists('/')).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
      expect(client.state.current.phase).toBe('closed');
      await client.close();
    });

    it('several servers: those that are not there are passed over', async () => {
      const client = await opened.client(`127.0.0.1:1,${server.url},127.0.0.1:2`);
      expect(await client.exists('/')).toBeDefined();
      expect(client.state.current.server).toBe(server.url);
    });

    it('a process that closed its client exits by itself', async () => {
      const program = `
        import { ZooKeeperClient } from './lib/backends/zookeeper/index.js';
        const client = new ZooKeeperClient({ servers: '${server.url},127.0.0.1:1' });
        await client.open();
        await client.exists('/');
        await client.close();
        const early = new ZooKeeperClient({ servers: '${server.url}' });
        await early.open();
        await early.close();
        console.log('closed');
      `;
      const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let output = '';
      child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
      const code = await new Promise((resolve) => child.once('exit', resolve));
      expect(output.trim()).toBe('closed');
      expect(code).toBe(0);
    });

    it('one connection a client, whatever it does', async () => {
      const count = async (): Promise<number> =>
        (await ask(server.host, server.port, 'cons')).split('\n').filter((line) => line.includes('queued')).length;
      const before = await count();
      const client = await opened.client(server.url);
      await Promise.all([client.exists('/'), client.getChildren('/'), client.getData('/')]);
      await until(async () => (await count()) <= before + 1, 'no second connection');
    });
  });
});
