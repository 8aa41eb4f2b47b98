import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, expect, it } from 'vitest';
import {
  doService,
  ERROR_DISCOVER,
  ERROR_REGISTER,
  ERROR_STATUS_UPDATE,
  EurekaClient,
  getEurekaClient,
  HttpStatusError,
  initEureka,
  stopEureka,
  walkNodes,
  WalkNodesError,
  type EurekaClientOptions,
  type EurekaHttpClient,
} from '../../../lib/backends/eureka/index.js';
import { freshName, freshPort } from '../../contract/contract-harness.js';
import { withServer } from '../../servers/for-tests.js';
import { override, rawRecord, startMeddlingProxy, startService, until, type Service } from './support.js';

withServer('eureka', {}, (server) => {
  const ending: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const end of ending.splice(0).reverse()) await end();
  });

  const FAST: Partial<EurekaClientOptions> = {
    fetchIntervalMs: 100,
    heartbeatMs: 300,
    leaseMs: 5000,
    changeIntervalMs: 50,
    logLevel: 'silent',
  };

  async function started(options: Partial<EurekaClientOptions> = {}): Promise<EurekaClient> {
    const client = new EurekaClient({
      serviceUrls: server.url,
      ...FAST,
      ...(options.shouldRegister === false ? {} : { appName: freshName('App'), instancePort: freshPort() }),
      ...options,
    });
    ending.push(() => client.stop());
    await client.start();
    return client;
  }

  const caller = (options: Partial<EurekaClientOptions> = {}): Promise<EurekaClient> =>
    started({ shouldRegister: false, ...options });

  const service = async (handler: Parameters<typeof startService>[0]): Promise<Service> => {
    const made = await startService(handler);
    ending.push(() => made.close());
    return made;
  };

  /** Registers services under one name, each at its port. */
  async function serve(name: string, services: readonly Service[], zones: readonly string[] = []): Promise<void> {
    await Promise.all(
      services.map(({ port }, index) =>
        started({
          appName: name,
          instancePort: port,
          instanceHost: '127.0.0.1',
          instanceIp: '127.0.0.1',
          shouldDiscover: false,
          ...(zones[index] === undefined ? {} : { zone: zones[index] }),
        }),
      ),
    );
  }

  it('registers every field as Spring’s own clients do, sends heartbeats, and is gone after stop', async () => {
    const client = await started({
      appName: 'Full-Fields-7',
      instancePort: 8081,
      instanceHost: 'service.example',
      instanceIp: '10.1.2.3',
      zone: 'zone-1',
      metadata: { version: '1.0' },
      instance: { securePort: 8443, securePortEnabled: true, secureHealthCheckUrl: 'https://service.example/health' },
    });
    const id = '10.1.2.3:full-fields-7:8081';
    expect(client.isRegistered).toBe(true);
    expect(client.zone).toBe('zone-1');
    const first = await rawRecord(server.url, 'FULL-FIELDS-7', id);
    expect(first).toMatchObject({
      instanceId: id,
      app: 'FULL-FIELDS-7',
      hostName: 'service.example',
      ipAddr: '10.1.2.3',
      status: 'UP',
      overriddenStatus: 'UNKNOWN',
      port: { $: 8081, '@enabled': 'true' },
      securePort: { $: 8443, '@enabled': 'true' },
      dataCenterInfo: { '@class': 'com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo', name: 'MyOwn' },
      leaseInfo: { renewalIntervalInSecs: 1, durationInSecs: 5 },
      metadata: { 'management.port': '8081', zone: 'zone-1', version: '1.0' },
      homePageUrl: 'http://service.example:8081/',
      statusPageUrl: 'http://service.example:8081/info',
      healthCheckUrl: 'http://service.example:8081/health',
      secureHealthCheckUrl: 'https://service.example/health',
      vipAddress: 'full-fields-7',
      secureVipAddress: 'full-fields-7',
    });
    const renewed = async (): Promise<number> => {
      const record = (await rawRecord(server.url, 'FULL-FIELDS-7', id)) ?? {};
      return (record['leaseInfo'] as { lastRenewalTimestamp: number }).lastRenewalTimestamp;
    };
    const before = await renewed();
    await until(async () => (await renewed()) > before, 'a heartbeat arrives');
    await client.stop();
    expect(await rawRecord(server.url, 'FULL-FIELDS-7', id)).toBeUndefined();
    await client.stop();
    await expect(client.start()).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
  });

  it('begins STARTING and is UP when told so; changes metadata; a status that flaps is few requests', async () => {
    const proxy = await startMeddlingProxy(server.url);
    ending.push(() => proxy.close());
    const client = await started({ serviceUrls: proxy.url, initialStatus: 'STARTING', changeIntervalMs: 60_000 });
    const { service: app, instanceId } = client.registration ?? { service: '', instanceId: '' };
    const status = async (): Promise<unknown> => (await rawRecord(server.url, app, instanceId))?.['status'];
    expect(await status()).toBe('STARTING');
    await client.setStatus('UP');
    expect(await status()).toBe('UP');
    const before = proxy.requests.filter((one) => one.startsWith('POST')).length;
    const changes: Promise<void>[] = [];
    for (let flap = 0; flap < 100; flap += 1) changes.push(client.setStatus(flap % 2 === 0 ? 'DOWN' : 'UP'));
    changes.push(client.setStatus('DOWN'));
    await Promise.all(changes);
    expect(await status()).toBe('DOWN');
    expect(proxy.requests.filter((one) => one.startsWith('POST')).length - before).toBeLessThanOrEqual(2);
  });

  it('replaces metadata', async () => {
    const client = await started({ metadata: { a: '1', b: '2' } });
    await client.setMetadata({ a: '3' });
    const { service: app, instanceId } = client.registration ?? { service: '', instanceId: '' };
    const record = await rawRecord(server.url, app, instanceId);
    expect(record?.['metadata']).toMatchObject({ a: '3' });
    expect(record?.['metadata']).not.toHaveProperty('b');
  });

  it('knows the registry: applications, zones, an application that is not there', async () => {
    const name = freshName('Zoned');
    const services = await Promise.all([1, 2, 3].map(() => service((_, response) => response.end('x'))));
    await serve(name, services, ['east', 'west', 'west']);
    const client = await caller({ zone: 'east' });
    const application = client.applications.getApplication(name.toLowerCase());
    expect(application.upInstances).toHaveLength(3);
    expect(application.upInstancesInZone(client.zone).map((one) => one.port)).toEqual([services[0]?.port]);
    expect(application.upInstancesNotInZone(client.zone)).toHaveLength(2);
    const [one] = application.upInstances;
    expect(one).toMatchObject({ hostName: '127.0.0.1', ipAddr: '127.0.0.1', portEnabled: true });
    expect(client.applications.getApplication('nobody').upInstances).toEqual([]);
  });

  it('calls a service by name: text, JSON, response; method, headers, data', async () => {
    const name = freshName('Echo');
    const echo = await service((request, response, body) => {
      response.setHeader('content-type', 'application/json');
      const { method, url, headers } = request;
      response.end(JSON.stringify({ method, url, type: headers['content-type'], own: headers['x-own'], body }));
    });
    await serve(name, [echo]);
    const client = await caller();
    expect(await client.doService(name, 'a?b=c')).toBe('{"method":"GET","url":"/a?b=c","body":""}');
    const sent = await client.doService<Record<string, unknown>>(name.toUpperCase(), '/a', {
      method: 'POST',
      headers: { 'X-Own': 'yes' },
      data: { größe: 1 },
      returnType: 'json',
    });
    expect(sent).toEqual({ method: 'POST', url: '/a', type: 'application/json', own: 'yes', body: '{"größe":1}' });
    const plain = await client.doService<{ body: string }>(name, '/a', {
      data: 'text',
      method: 'PUT',
      returnType: 'json',
    });
    expect(plain.body).toBe('text');
    const raw = await client.doService<Response>(name, '/', { returnType: 'response' });
    expect(raw.status).toBe(200);
    expect(await raw.json()).toMatchObject({ method: 'GET' });
  });

  it('goes on to the next node after a refused connection, a time-out and an HTTP error', async () => {
    const name = freshName('Failing');
    const broken = await service((_, response) => response.writeHead(500).end('broken'));
    const silent = await service(() => {});
    const gone = await startService(() => {});
    await serve(name, [broken, silent, gone]);
    await gone.close();
    const client = await caller();
    const failed: unknown = await client.doService(name, '/x', { timeout: 200 }).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(WalkNodesError);
    const { failures } = failed as WalkNodesError;
    expect(failures).toHaveLength(3);
    const codes = failures.map(({ error }) =>
      error instanceof HttpStatusError ? error.status : (error as { code: string }).code,
    );
    expect(codes.map(String).toSorted()).toEqual(['500', 'ECONNREFUSED', 'TIMEOUT']);
    const good = await service((_, response) => response.end('good'));
    await serve(name, [good]);
    await client.refresh();
    for (let call = 0; call < 5; call += 1) expect(await client.doService(name, '/x', { timeout: 200 })).toBe('good');
  });

  it('when told so leaves HTTP errors to the caller', async () => {
    const name = freshName('Strict');
    const broken = await service((_, response) => response.writeHead(404).end('no such thing'));
    await serve(name, [broken]);
    const client = await caller({ nextNodeOnHttpError: false });
    await expect(client.doService(name, '/x')).rejects.toMatchObject({ status: 404, body: 'no such thing' });
    await expect(client.doService(name, '/x', { nextNodeOnHttpError: true })).rejects.toMatchObject({
      code: 'NO_INSTANCE',
    });
  });

  it('walks nodes with a walker of the user’s, and says when there is none', async () => {
    const name = freshName('Walk');
    const nodes = await Promise.all([1, 2].map(() => service((_, response) => response.end('x'))));
    await serve(name, nodes);
    const client = await caller({ haStrategy: 'other' });
    const seen: string[] = [];
    const answer = await client.walkNodes(name, '/p', (url, instance) => {
      seen.push(`${url} ${instance.instanceId}`);
      if (seen.length === 1) throw Object.assign(new Error('down'), { code: 'ECONNREFUSED' });
      return { any: 'value' };
    });
    expect(answer).toEqual({ any: 'value' });
    expect(new Set(seen).size).toBe(2);
    await expect(client.walkNodes('nobody', '/p', () => 1)).rejects.toMatchObject({
      code: 'NO_INSTANCE',
      failures: [],
    });
  });

  it('subscribers hear only about services that changed', async () => {
    const [one, other] = [freshName('One'), freshName('Other')];
    const client = await caller();
    const heard: string[] = [];
    client.subscribe(one, (application) => heard.push(`one ${application.upInstances.length}`));
    client.subscribe(other, () => heard.push('other'));
    client.subscribe(one, () => {
      throw new Error('from a subscriber');
    });
    const first = await started({ appName: one });
    await until(() => heard.length === 1, 'the arrival is heard');
    await first.stop();
    await until(() => heard.length === 2, 'the departure is heard');
    expect(heard).toEqual(['one 1', 'one 0']);
  });

  it('an operator’s OUT_OF_SERVICE survives heartbeats, changes and a lost registration', async () => {
    const client = await started({ shouldDiscover: false });
    const { service: app, instanceId } = client.registration ?? { service: '', instanceId: '' };
    const status = async (): Promise<unknown> => (await rawRecord(server.url, app, instanceId))?.['status'];
    await override(server.url, app, instanceId, 'OUT_OF_SERVICE');
    await until(() => client.overriddenStatus === 'OUT_OF_SERVICE', 'the client knows of it');
    await client.setMetadata({ changed: 'yes' });
    expect(await status()).toBe('OUT_OF_SERVICE');
    await client.setStatus('DOWN');
    await client.setStatus('UP');
    expect(await status()).toBe('OUT_OF_SERVICE');
    // The server forgets overrides together with the lease.
    await client.api.cancel(app, instanceId);
    // A server shows a new record for a moment before it has applied the override that came with it.
    await until(async () => (await status()) === 'OUT_OF_SERVICE', 'it registered again, with the operator’s word');
    await override(server.url, app, instanceId);
    await until(async () => (await status()) === 'UP', 'its own status is in force again');
    await client.api.cancel(app, instanceId);
    await until(async () => (await status()) === 'UP', 'and stays so');
  });

  it('OUT_OF_SERVICE of the app itself is taken back by the app itself', async () => {
    const client = await started();
    const { service: app, instanceId } = client.registration ?? { service: '', instanceId: '' };
    for (const status of ['OUT_OF_SERVICE', 'UP', 'DOWN', 'OUT_OF_SERVICE', 'DOWN', 'UP'] as const) {
      await client.setStatus(status);
      expect(await rawRecord(server.url, app, instanceId)).toMatchObject({ status, overriddenStatus: 'UNKNOWN' });
    }
  });

  it('a restarted app is UP also when its former self left OUT_OF_SERVICE, and when that one’s clock was ahead', async () => {
    const options = { appName: freshName('Again'), instancePort: freshPort() };
    const first = await started(options);
    const { service: app, instanceId } = first.registration ?? { service: '', instanceId: '' };
    await first.setStatus('OUT_OF_SERVICE');
    const outgoing = {
      ...(await first.api.getAppInstance(app, instanceId)),
      lastDirtyTimestamp: Date.now() + 3_600_000,
      metadata: { from: 'the future' },
    } as Parameters<typeof first.api.register>[0];
    await first.api.register(outgoing);
    const second = await started({ ...options, metadata: { from: 'now' } });
    expect(second.isRegistered).toBe(true);
    const record = await rawRecord(server.url, app, instanceId);
    expect(record).toMatchObject({ status: 'UP', metadata: { from: 'now' } });
  });

  it('statusUpdate and deleteStatusOverride are operations of their own', async () => {
    const errors: string[] = [];
    const client = await started({ onError: (type) => errors.push(type) });
    const { service: app, instanceId } = client.registration ?? { service: '', instanceId: '' };
    await client.statusUpdate('OUT_OF_SERVICE');
    expect(await rawRecord(server.url, app, instanceId)).toMatchObject({
      status: 'OUT_OF_SERVICE',
      overriddenStatus: 'OUT_OF_SERVICE',
    });
    await client.deleteStatusOverride();
    expect(await rawRecord(server.url, app, instanceId)).toMatchObject({ status: 'UP' });
    expect(errors).toEqual([]);
  });

  it('tells onError what failed, after every server was tried, and may be stopped from there', async () => {
    const dead = [freshPort(), freshPort(), freshPort(), freshPort()].map((port) => `http://127.0.0.1:${port}/eureka`);
    const heard: { type: string; attempts: number; code: string }[] = [];
    const client: EurekaClient = new EurekaClient({
      serviceUrls: dead,
      appName: 'A',
      instancePort: 1,
      ...FAST,
      onError: async (type, error) => {
        heard.push({ type, attempts: error.attempts?.length ?? 0, code: error.code });
        if (new Set(heard.map((one) => one.type)).size === 2) await client.stop();
      },
    });
    await client.start();
    await until(() => heard.length >= 2, 'both failures are told');
    await client.stop();
    expect(new Set(heard.map((one) => one.type))).toEqual(new Set([ERROR_REGISTER, ERROR_DISCOVER]));
    expect(heard.filter((one) => one.attempts !== dead.length)).toEqual([]);
    const count = heard.length;
    await expect(client.doService('A', '/')).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
    expect(heard).toHaveLength(count);
  });

  it('tells a failed status update too', async () => {
    const proxy = await server.proxy();
    const types: string[] = [];
    const client = await started({
      serviceUrls: proxy.url,
      heartbeatMs: 4000,
      shouldDiscover: false,
      onError: (type) => types.push(type),
    });
    await proxy.drop();
    await expect(client.statusUpdate('DOWN')).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    expect(types).toEqual([ERROR_STATUS_UPDATE]);
    const change = client.setStatus('DOWN');
    await until(() => types.length >= 2, 'the lease’s change is told');
    expect(new Set(types)).toEqual(new Set([ERROR_STATUS_UPDATE]));
    await proxy.heal();
    await change;
  });

  it('says NO_SNAPSHOT while nobody could say which instances there are', async () => {
    const client = await caller({ serviceUrls: `http://127.0.0.1:${freshPort()}` });
    await expect(client.doService('A', '/')).rejects.toMatchObject({ code: 'NO_SNAPSHOT', service: 'A' });
  });

  it('does all its requests through the HTTP client that it is given, whose response it hands out', async () => {
    const name = freshName('Own');
    const node = await service((_, response) => response.end('"hi"'));
    await serve(name, [node]);
    const urls: string[] = [];
    const own: EurekaHttpClient = {
      async request({ url, method, headers }, data, timeoutMs, signal) {
        urls.push(url);
        if (url.endsWith('/refused')) throw new HttpStatusError(403, 'no', url);
        const signals = [signal, timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs)];
        const response = await fetch(url, {
          method,
          headers,
          ...(data === undefined ? {} : { body: data }),
          signal: AbortSignal.any(signals.filter((one) => one !== undefined)),
        });
        return { status: response.status, rawResponse: { mine: response.status }, bodyText: await response.text() };
      },
    };
    const client = await started({ httpClient: own });
    expect(client.isRegistered).toBe(true);
    expect(await client.doService(name, '/x', { returnType: 'json' })).toBe('hi');
    expect(await client.doService(name, '/x', { returnType: 'response' })).toEqual({ mine: 200 });
    await expect(client.doService(name, '/refused')).rejects.toMatchObject({ failures: [{ error: { status: 403 } }] });
    expect(urls.some((url) => url.startsWith(server.url))).toBe(true);
    expect(urls).toContain(`http://127.0.0.1:${node.port}/x`);
  });

  it('has every operation of the protocol', async () => {
    const client = await started({ metadata: { a: '1' } });
    const { service: app, instanceId } = client.registration ?? { service: '', instanceId: '' };
    const { api } = client;
    const key = app.toUpperCase();
    // The server answers these out of a cache, which may be a second behind.
    const names = async (answer: ReturnType<typeof api.getApplications>): Promise<readonly string[]> =>
      (await answer).applications.map((one) => one.name);
    await expect.poll(() => names(api.getApplications())).toContain(key);
    expect((await api.getDelta())?.hashcode).toBeDefined();
    await expect.poll(() => names(api.getVip(app.toLowerCase()))).toEqual([key]);
    await expect.poll(() => names(api.getSecureVip(app.toLowerCase()))).toEqual([key]);
    expect((await api.getVip('no-such-vip')).applications).toEqual([]);
    await expect.poll(async () => (await api.getApplication(app))?.[0]?.instanceId).toBe(instanceId);
    expect(await api.getApplication('no-such-app')).toBeUndefined();
    expect((await api.getInstance(instanceId))?.app).toBe(key);
    expect(await api.getInstance('no-such-id')).toBeUndefined();
    expect(await api.updateMetadata(app, instanceId, { zone: 'z é&=' })).toBe(true);
    expect((await api.getAppInstance(app, instanceId))?.metadata).toMatchObject({ a: '1', zone: 'z é&=' });
    expect(await api.heartbeat(app, 'no-such-id', 'UP', 1)).toBe(false);
    expect(await api.cancel(app, 'no-such-id')).toBe(false);
    expect(await api.statusUpdate(app, 'no-such-id', 'DOWN')).toBe(false);
  });

  it('reads one virtual name only, when told so', async () => {
    const [name, vip] = [freshName('Vip'), freshName('virtual')];
    await started({ appName: name, instance: { vipAddress: `${vip},second-${vip}` } });
    const client = await caller({ vipAddress: `second-${vip}` });
    await until(() => client.applications.size === 1, 'the vip is there');
    expect(client.applications.names).toEqual([name.toUpperCase()]);
  });

  it('serves a process through functions: a second init stops the first', async () => {
    const name = freshName('Facade');
    const node = await service((_, response) => response.end('hello'));
    const options = {
      ...FAST,
      serviceUrls: server.url,
      appName: name,
      instancePort: node.port,
      instanceHost: '127.0.0.1',
      instanceIp: '127.0.0.1',
    };
    await expect(doService(name, '/')).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
    const first = await initEureka(options);
    const second = await initEureka(options);
    ending.push(() => stopEureka());
    expect(getEurekaClient()).toBe(second);
    await expect(first.refresh()).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
    await until(async () => {
      await second.refresh();
      return second.applications.getApplication(name).upInstances.length > 0;
    }, 'it finds itself');
    expect(await doService(name, '/')).toBe('hello');
    expect(await walkNodes(name, '/', (url) => url)).toBe(`http://127.0.0.1:${node.port}/`);
    await stopEureka();
    expect(getEurekaClient()).toBeUndefined();
  });

  it('writes to the outputs that it is given, from its level on, never within the call', async () => {
    const lines: string[] = [];
    const output = (name: string) => {
      const write = (message: string): void => void lines.push(`${name}: ${message}`);
      return { error: write, warn: write, log: write, debug: write };
    };
    const client = await started({ logger: output('a'), logLevel: 'warn' });
    client.logger.log('unheard');
    client.logger.warn('one');
    expect(lines.filter((line) => line.includes('one'))).toEqual([]);
    client.logger.flush();
    expect(lines.at(-1)).toBe('a: one');
    const added = output('b');
    client.logger.addOutput(added);
    client.logger.setLevel('debug');
    client.logger.debug('two');
    client.logger.removeOutput(added);
    client.logger.debug('three');
    client.logger.setOutput(output('c'));
    client.logger.error('four');
    client.logger.flush();
    expect(lines.filter((line) => /two|three|four/.test(line))).toEqual(['a: two', 'b: two', 'a: three', 'c: four']);
  });

  it('a process that stops its client ends by itself', async () => {
    const script = `
      import { EurekaClient } from './lib/backends/eureka/index.ts';
      const client = new EurekaClient({ serviceUrls: '${server.url}', appName: 'exits', instancePort: 1, logLevel: 'silent' });
      await client.start();
      await client.refresh();
      if (!client.isRegistered) throw new Error('not registered');
      await client.stop();
      process.stdout.write('stopped');
    `;
    const root = fileURLToPath(new URL('../../..', import.meta.url));
    const args = ['--import', 'tsx', '--input-type=module', '-e', script];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root, timeout: 30_000 });
    expect(stdout).toBe('stopped');
  });
});
