import fc from 'fast-check';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { isAsabHost, parseAsabHost } from '../../../lib/backends/zookeeper/asab/asab.address.js';
import {
  AsabIdentity,
  isContainerized,
  launchTime,
  readManifest,
} from '../../../lib/backends/zookeeper/asab/asab.identity.js';
import { resolveAsabOptions } from '../../../lib/backends/zookeeper/asab/asab.options.js';
import { FrameReader } from '../../../lib/backends/zookeeper/client/frames.js';
import { inParallel } from '../../../lib/backend/index.js';
import { assertPath, childPath, parentPath } from '../../../lib/backends/zookeeper/client/paths.js';
import { parseServers } from '../../../lib/backends/zookeeper/client/servers.js';
import { asab, curator, zookeeper } from '../../../lib/backends/zookeeper/index.js';
import { resolveZooKeeperOptions } from '../../../lib/backends/zookeeper/zookeeper.options.js';
import { silentLogger } from '../../../lib/backend/index.js';
import { createRegistration } from '../../../lib/model/index.js';

describe('options', () => {
  const refused = (options: unknown, field: string): void => {
    expect(() => zookeeper(options as never)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION', field }));
  };

  it('have defaults', () => {
    const settings = resolveZooKeeperOptions({}, {});
    expect(settings).toMatchObject({ name: 'zookeeper', servers: 'localhost:2181', sessionTimeoutMs: 30_000 });
    expect(settings.layout).toMatchObject({ kind: 'asab', settings: { path: '/asab', readyTimeoutMs: 600_000 } });
    expect(settings.rescanMs).toBe(300_000);
    expect(settings.config).toEqual({ root: '/config', defaultContext: 'application', profileSeparator: ',' });
    expect(resolveZooKeeperOptions({}, { ASAB_ZOOKEEPER_SERVERS: 'zk:1' }).servers).toBe('zk:1');
    expect(resolveZooKeeperOptions({ layout: curator() }, {}).layout).toEqual({
      kind: 'curator',
      basePath: '/services',
      payload: 'spring',
    });
  });

  it('name the field that is wrong', () => {
    refused({ server: 'x' }, 'server');
    refused({ servers: '' }, 'servers');
    refused({ servers: 'host:99999' }, 'servers');
    refused({ servers: 'a b:1' }, 'servers');
    refused({ servers: [] }, 'servers');
    refused({ layout: 'asab' }, 'layout');
    refused({ layout: { kind: 'other', options: {} } }, 'layout.kind');
    refused({ layout: asab({ nodeID: 'x' } as never) }, 'layout.options.nodeID');
    refused({ layout: asab({ listen: ['10.0.0.1'] as never }) }, 'layout.options.listen[0]');
    refused({ layout: asab({ authorization: 'external' as never }) }, 'layout.options.authorization');
    refused({ layout: curator({ basePath: '' }) }, 'layout.options.basePath');
    refused({ auth: [{ scheme: 'digest' }] }, 'auth[0].credentials');
    refused({ access: 'creator' }, 'access');
    refused({ sessionTimeoutMs: 1 }, 'sessionTimeoutMs');
    expect(() => zookeeper({ config: { root: '../x' } })).toThrow(expect.objectContaining({ code: 'INVALID_NAME' }));
    expect(() => zookeeper({ servers: 'h:1/../x' })).toThrow(expect.objectContaining({ code: 'INVALID_NAME' }));
  });

  it('never show a password that stands in the wrong place', () => {
    for (const options of [{ servers: 'user:secret@host:1' }, { auth: 'digest:secret' }, { auth: ['user:secret'] }]) {
      const error: unknown = (() => {
        try {
          return zookeeper(options as never);
        } catch (problem) {
          return problem;
        }
      })();
      expect(String(error)).not.toContain('secret');
      expect(error).toMatchObject({ code: 'INVALID_OPTION' });
    }
  });
});

describe('connection strings', () => {
  it('hold hosts, ports, IPv6 addresses and a chroot', () => {
    expect(parseServers('a,b:1, [::1]:2/root/x/', 'servers')).toEqual({
      servers: [
        { host: 'a', port: 2181, name: 'a:2181' },
        { host: 'b', port: 1, name: 'b:1' },
        { host: '::1', port: 2, name: '[::1]:2' },
      ],
      chroot: '/root/x',
    });
    expect(parseServers(['a', 'a:2181'], 'servers').servers).toHaveLength(1);
    expect(parseServers('a/', 'servers').chroot).toBeUndefined();
    for (const given of ['zk1:2181/apps,zk2:2181/apps', ['zk1:2181/apps', 'zk2:2181/apps'], ['zk1', 'zk2/apps']]) {
      const { servers, chroot } = parseServers(given, 'servers');
      expect([servers.map(({ name }) => name), chroot]).toEqual([['zk1:2181', 'zk2:2181'], '/apps']);
    }
    for (const given of ['zk1/apps,zk2/other', 'zk1/apps,zk2', ['zk1/apps', 'zk2', 'zk3/apps']]) {
      expect(() => parseServers(given, 'servers')).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION', field: 'servers' }),
      );
    }
  });
});

describe('being in a container', () => {
  const cases: readonly (readonly [string, Readonly<Record<string, string>>, NodeJS.ProcessEnv, boolean])[] = [
    ['nothing', {}, {}, false],
    ['Docker', { '.dockerenv': '' }, {}, true],
    ['Podman', { 'run/.containerenv': '' }, {}, true],
    ['Kubernetes', {}, { KUBERNETES_SERVICE_HOST: '10.0.0.1' }, true],
    ['LXC and nspawn', {}, { container: 'lxc' }, true],
    ['cgroup v1', { 'proc/1/cgroup': '11:pids:/kubepods/burstable/pod1\n' }, {}, true],
    [
      'containerd on cgroup v2',
      {
        'proc/1/cgroup': '0::/\n',
        'proc/self/mountinfo':
          '500 400 0:60 / / rw,relatime - overlay overlay rw,lowerdir=/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/1/fs\n501 500 0:61 / /proc rw - proc proc rw\n',
      },
      {},
      true,
    ],
    [
      'a machine whose root is an overlay, and one with engines on it',
      {
        'proc/1/cgroup': '0::/init.scope\n',
        'proc/self/mountinfo':
          '25 1 0:2 / / rw - overlay overlay rw,lowerdir=/ro,upperdir=/rw\n90 25 0:60 / /var/lib/docker/overlay2/x rw - overlay overlay rw,lowerdir=/var/lib/docker/1\n',
      },
      {},
      false,
    ],
  ];

  it.each(cases)('%s', async (_what, files, environment, expected) => {
    const root = await mkdtemp(join(tmpdir(), 'container-'));
    onTestFinished(() => rm(root, { recursive: true }));
    for (const [file, content] of Object.entries(files)) {
      await mkdir(dirname(join(root, file)), { recursive: true });
      await writeFile(join(root, file), content);
    }
    expect(isContainerized(root, environment)).toBe(expected);
  });
});

describe('paths', () => {
  it('are checked as the server does', () => {
    for (const good of ['/', '/a', '/a/b.c', '/ü/世界', '/__proto__', '/a,b:c'])
      expect(() => assertPath(good)).not.toThrow();
    for (const bad of ['', 'a', '/a/', '//', '/a//b', '/.', '/a/..', '/a\u0001', '/a\u009f', '/😀', undefined, 5]) {
      expect(() => assertPath(bad)).toThrow(expect.objectContaining({ code: 'INVALID_NAME' }));
    }
    expect([childPath('/', 'a'), childPath('/a', 'b')]).toEqual(['/a', '/a/b']);
    expect([parentPath('/'), parentPath('/a'), parentPath('/a/b')]).toEqual([undefined, '/', '/a']);
  });
});

describe('frames', () => {
  const framed = (body: Uint8Array): Buffer => {
    const frame = Buffer.alloc(4 + body.length);
    frame.writeInt32BE(body.length);
    frame.set(body, 4);
    return frame;
  };

  it('come out as they went in, however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 40 })),
        fc.array(fc.integer({ min: 1, max: 30 })),
        (bodies, cuts) => {
          const stream = Buffer.concat(bodies.map(framed));
          const reader = new FrameReader();
          const seen: Buffer[] = [];
          let at = 0;
          for (let index = 0; at < stream.length; index += 1) {
            const size = cuts[index % Math.max(cuts.length, 1)] ?? 7;
            reader.push(stream.subarray(at, at + size), (frame) => {
              seen.push(Buffer.from(frame));
              return true;
            });
            at += size;
          }
          expect(Buffer.concat(seen).equals(stream)).toBe(true);
          expect(seen).toHaveLength(bodies.length);
        },
      ),
    );
  });

  it('that can’t be are an error, and nothing after the end is read', () => {
    const reader = new FrameReader();
    expect(() => reader.push(Buffer.from('ffffffff', 'hex'), () => true)).toThrow(/frame of -1 bytes/);
    expect(() => new FrameReader().push(Buffer.from('7fffffff', 'hex'), () => true)).toThrow(/bytes/);
    let count = 0;
    new FrameReader().push(Buffer.concat([framed(Buffer.from('a')), framed(Buffer.from('b'))]), () => {
      count += 1;
      return false;
    });
    expect(count).toBe(1);
  });
});

describe('discovered addresses', () => {
  it('are taken apart from the right', () => {
    expect(parseAsabHost('x.y.z.instance_id.asab')).toEqual({ key: 'instance_id', value: 'x.y.z' });
    expect(parseAsabHost('my_app_1.service_id.asab')).toEqual({ key: 'service_id', value: 'my_app_1' });
    for (const bad of ['asab', 'x.asab', '.x.asab', 'a..asab']) {
      expect(() => parseAsabHost(bad)).toThrow(
        expect.objectContaining({ code: 'INVALID_NAME', name: 'NotDiscoveredError' }),
      );
    }
  });

  it('are those whose last label is asab', () => {
    for (const host of ['a.b.asab', 'asab', 'A.B.ASAB', 'a.b.asab.']) expect(isAsabHost(host)).toBe(true);
    for (const host of ['asabine', 'a.asab.org', 'xasab', 'my.xasab', '', 'localhost'])
      expect(isAsabHost(host)).toBe(false);
  });
});

describe('who we are', () => {
  const identityOf = (options = {}, environment = {}): AsabIdentity =>
    new AsabIdentity(resolveAsabOptions({ manifest: false, ...options }, environment), silentLogger, 'zk');
  const registration = createRegistration({ service: 'orders', host: '10.0.0.1', port: 80 });

  it('ids: options before the environment, the service’s name as a last resort, no instance id that nobody chose', () => {
    expect(identityOf().idsFor(registration)).toEqual({ service_id: 'orders' });
    expect(
      identityOf({}, { NODE_ID: 'n', SERVICE_ID: 's', INSTANCE_ID: 'i', SITE_ID: '' }).idsFor(registration),
    ).toEqual({
      instance_id: 'i',
      node_id: 'n',
      service_id: 's',
    });
    expect(identityOf({ serviceId: 'o' }, { SERVICE_ID: 's' }).idsFor(registration)).toEqual({ service_id: 'o' });
    const chosen = createRegistration({ service: 'orders', instanceId: 'orders-7', host: '10.0.0.1', port: 80 });
    expect(identityOf().idsFor(chosen)).toMatchObject({ instance_id: 'orders-7' });
  });

  it('own address: by instance id, else by service id, else the host', () => {
    expect(identityOf({ instanceId: 'i', serviceId: 's' }).ownUrl(undefined)).toBe('http://i.instance_id.asab');
    expect(identityOf({ serviceId: 's' }).ownUrl(undefined)).toBe('http://s.service_id.asab');
    expect(identityOf({ host: 'h' }).ownUrl(undefined)).toBe('http://h');
    expect(identityOf({ host: 'h' }).ownUrl(registration)).toBe('http://orders.service_id.asab');
  });

  it('warns of a service id that ASAB would warn of', () => {
    const warnings: string[] = [];
    const logger = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
    const identity = new AsabIdentity(resolveAsabOptions({ serviceId: 'My App', manifest: false }, {}), logger, 'zk');
    expect(identity.idsFor(registration).service_id).toBe('My App');
    expect(warnings).toHaveLength(1);
  });

  it('launch time has microseconds, and sorts as time does', () => {
    expect(launchTime(1_701_428_012_656.397)).toMatch(/^2023-12-01T10:53:32\.65639\dZ$/);
    expect(launchTime(1000.5) < launchTime(1001)).toBe(true);
  });

  it('a manifest that was named must be there and be JSON; one that wasn’t may be missing', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'nsd-manifest-'));
    const file = join(folder, 'MANIFEST.json');
    const refused = { code: 'INVALID_OPTION', field: 'layout.manifest' };
    expect(() => readManifest(file)).toThrow(expect.objectContaining(refused));
    await writeFile(file, '[');
    expect(() => readManifest(file)).toThrow(expect.objectContaining(refused));
    await writeFile(file, '{"version":"v1","__proto__":{"x":1}}');
    expect(readManifest(file)).toEqual({ version: 'v1' });
    expect(readManifest(false)).toEqual({});
    await rm(folder, { recursive: true });
  });
});

describe('inParallel', () => {
  it('keeps to its limit, does everything, and ends what began before it throws', async () => {
    let running = 0;
    let most = 0;
    const done: number[] = [];
    await inParallel([1, 2, 3, 4, 5, 6, 7], 3, async (item) => {
      running += 1;
      most = Math.max(most, running);
      await Promise.resolve();
      done.push(item);
      running -= 1;
    });
    expect([most, done.length]).toEqual([3, 7]);
    const begun: number[] = [];
    let ended = 0;
    const failing = inParallel([1, 2, 3, 4, 5], 2, async (item) => {
      begun.push(item);
      if (item === 1) throw new Error('first');
      await new Promise((resolve) => setImmediate(resolve));
      ended += 1;
    });
    await expect(failing).rejects.toThrow('first');
    expect([begun, ended]).toEqual([[1, 2], 1]);
  });
});
