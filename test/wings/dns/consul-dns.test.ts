import { afterEach, expect, it, vi } from 'vitest';
import type { DnsOptions } from '../../../lib/backends/dns/index.js';
import { withServer } from '../../servers/for-tests.js';
import { fresh } from '../consul/support/wait.js';
import { open, put, watching } from './support.js';

// An agent of this suite's own: one that somebody else started has its DNS who knows where.
withServer('consul', { variant: 'dev', private: true }, (server) => {
  const closing: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  const app = async (options: DnsOptions = {}) => {
    const opened = await open({
      servers: [`127.0.0.1:${server.ports['dns']}`],
      pattern: '{service}.service.consul',
      ...options,
    });
    closing.push(() => opened.backend.close());
    return opened;
  };
  /** An instance at this agent; the name of an id is `<service>-<port>`. */
  const register = (Name: string, Port: number, more: object = {}) =>
    put(server.url, '/agent/service/register', { Name, Port, ID: `${Name}-${Port}`, Address: '127.0.0.1', ...more });
  const deregister = (service: string, port: number) => put(server.url, `/agent/service/deregister/${service}-${port}`);
  /** Many instances of other nodes. */
  const registerMany = async (Service: string, addresses: readonly string[]) => {
    const queue = addresses.entries();
    const work = async (): Promise<void> => {
      for (const [index, Address] of queue) {
        const node = { Node: `${Service}-${index}`, Address };
        await put(server.url, '/catalog/register', { ...node, Service: { Service, Address, Port: 8080 } });
      }
    };
    await Promise.all(Array.from({ length: 16 }, work));
  };

  it('instances come, change and go', async () => {
    const service = fresh('orders');
    const seen = watching(await app(), service);
    await expect.poll(seen.urls).toEqual([]);
    await register(service, 8001);
    await expect.poll(seen.urls).toEqual(['http://127.0.0.1:8001']);
    await register(service, 8002, { Weights: { Passing: 7, Warning: 1 } });
    await expect.poll(seen.urls).toEqual(['http://127.0.0.1:8001', 'http://127.0.0.1:8002']);
    const [first, second] = seen.last()?.instances ?? [];
    expect([first?.weight, second?.weight]).toEqual([1, 7]);
    expect(second).toMatchObject({
      service,
      backend: 'dns',
      status: 'UP',
      metadata: { target: expect.stringMatching(/consul$/) },
    });
    await deregister(service, 8001);
    await expect.poll(seen.urls).toEqual(['http://127.0.0.1:8002']);
    // What stayed is the same object.
    expect(seen.last()?.instances?.[0]).toBe(second);
    await deregister(service, 8002);
    await expect.poll(seen.urls).toEqual([]);
    expect(seen.reports.every(({ error }) => error === undefined)).toBe(true);
  });

  it('tells what is read again and again only when it is news', async () => {
    const service = fresh('quiet');
    await Promise.all([8001, 8002, 8003].map((port) => register(service, port)));
    const opened = await app();
    const asked = vi.spyOn(opened.discovery as unknown as { targetsAt(): unknown }, 'targetsAt');
    const seen = watching(opened, service);
    await expect.poll(() => seen.urls()?.length).toBe(3);
    const before = asked.mock.calls.length;
    await expect.poll(() => asked.mock.calls.length).toBeGreaterThan(before + 5);
    expect(seen.reports).toHaveLength(1);
  });

  it('unhealthy ones are out', async () => {
    const service = fresh('ill');
    const check = { CheckID: `${service}-check`, TTL: '60s', Status: 'passing' };
    await register(service, 8001);
    await register(service, 8002, { Check: check });
    const seen = watching(await app(), service);
    await expect.poll(() => seen.urls()?.length).toBe(2);
    await put(server.url, `/agent/check/fail/${check.CheckID}`);
    await expect.poll(seen.urls).toEqual(['http://127.0.0.1:8001']);
    await put(server.url, `/agent/check/pass/${check.CheckID}`);
    await expect.poll(() => seen.urls()?.length).toBe(2);
  });

  it('the names of RFC 2782, and addresses with a port that is given', async () => {
    const service = fresh('named');
    await register(service, 8001, { Tags: ['http'] });
    await register(service, 8002, { Address: '::1' });
    const rfc = watching(await app({ pattern: '_{service}._http.service.consul' }), service);
    await expect.poll(rfc.urls).toEqual(['http://127.0.0.1:8001']);
    const both = watching(await app({ scheme: 'https' }), service);
    await expect.poll(both.urls).toEqual(['https://127.0.0.1:8001', 'https://[::1]:8002']);
    const v4 = watching(await app({ record: 'A', port: 9000 }), service);
    await expect.poll(v4.urls).toEqual(['http://127.0.0.1:9000']);
    const v6 = watching(await app({ record: 'AAAA', port: 9000 }), service);
    await expect.poll(v6.urls).toEqual(['http://[::1]:9000']);
  });

  it('the next server answers when the first does not', async () => {
    const service = fresh('second');
    await register(service, 8001);
    const opened = await app({ servers: ['127.0.0.1:1', `127.0.0.1:${server.ports['dns']}`] });
    await expect.poll(watching(opened, service).urls).toEqual(['http://127.0.0.1:8001']);
    expect(opened.backend.state.current.phase).toBe('ready');
  });

  it('thousands of addresses, which no datagram holds', async () => {
    const service = fresh('many');
    const addresses = Array.from({ length: 3000 }, (_, index) => `10.7.${index >> 8}.${index & 255}`);
    await registerMany(service, addresses);
    const seen = watching(await app({ record: 'A', port: 80, timeoutMs: 20_000 }), service);
    await expect.poll(() => seen.urls()?.length, { timeout: 30_000 }).toBe(3000);
    expect(seen.urls()).toEqual(addresses.map((address) => `http://${address}:80`).sort());
  }, 120_000);

  it('hundreds of SRV records, each with a target of its own', async () => {
    const service = fresh('srv');
    const addresses = Array.from({ length: 600 }, (_, index) => `10.8.${index >> 8}.${index & 255}`);
    await registerMany(service, addresses);
    const seen = watching(await app({ timeoutMs: 20_000 }), service);
    await expect.poll(() => seen.urls()?.length, { timeout: 30_000 }).toBe(600);
    expect(seen.urls()).toEqual(addresses.map((address) => `http://${address}:8080`).sort());
  }, 120_000);

  it('no server of that zone is an error, and so is a name that DNS can not have', async () => {
    const refused = await app({ pattern: '{service}.example.org' });
    const seen = watching(refused, 'orders');
    await expect.poll(() => seen.last()?.error?.code).toBe('BACKEND_UNAVAILABLE');
    expect(seen.reports.every(({ instances }) => instances === undefined)).toBe(true);
    expect(() => watching(refused, 'or ders')).toThrow(expect.objectContaining({ code: 'INVALID_NAME' }));
    await expect(refused.discovery.listServices()).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });

  // The last: an agent in dev mode forgets all.
  it('killed: the list is kept, the backend degraded; and when it is back, so is what it says', async () => {
    const service = fresh('killed');
    await register(service, 8001);
    const opened = await app();
    const seen = watching(opened, service);
    await expect.poll(seen.urls).toEqual(['http://127.0.0.1:8001']);
    expect(opened.backend.state.current.phase).toBe('ready');
    await server.stop();
    await expect.poll(() => seen.last()?.error?.code).toBe('BACKEND_UNAVAILABLE');
    await expect.poll(() => opened.backend.state.current.phase).toBe('degraded');
    expect(seen.reports.flatMap(({ instances }) => (instances === undefined ? [] : [instances.length]))).toEqual([1]);
    await server.restart();
    await register(service, 8002);
    await expect.poll(seen.urls).toEqual(['http://127.0.0.1:8002']);
    await expect.poll(() => opened.backend.state.current.phase).toBe('ready');
  });

  it('frozen: the time is up', async () => {
    const service = fresh('frozen');
    await register(service, 8001);
    const opened = await app({ timeoutMs: 300 });
    const seen = watching(opened, service);
    await expect.poll(seen.urls).toEqual(['http://127.0.0.1:8001']);
    server.pause();
    await expect.poll(() => seen.last()?.error?.code).toBe('BACKEND_UNAVAILABLE');
    await expect(seen.watch.refresh()).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    server.resume();
    await expect.poll(seen.urls).toEqual(['http://127.0.0.1:8001']);
    await expect.poll(() => opened.backend.state.current.phase).toBe('ready');
  });
});
