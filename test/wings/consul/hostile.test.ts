import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { consul, ConsulClient, type ConsulOptions } from '../../../lib/backends/consul/index.js';
import type { Backend, ConfigReport, DiscoveryReport } from '../../../lib/backend/index.js';
import type { DiscoveryEvent } from '../../../lib/model/index.js';
import { createContext, portsOf } from '../../contract/contract-harness.js';
import { health, HostileServer, type Answer } from './support/hostile-server.js';
import { until } from './support/wait.js';

describe('consul: a server that answers badly', () => {
  const open: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of open.splice(0)) await close();
  });

  const watched = async (answer: Answer, options: ConsulOptions = {}) => {
    const server = await HostileServer.open(answer);
    const events: DiscoveryEvent[] = [];
    const backend: Backend = consul({
      address: server.url,
      watch: { waitMs: 200, minIntervalMs: 20, maxBackoffMs: 50 },
      requestTimeoutMs: 500,
      ...options,
    }).create(createContext(events));
    await backend.open();
    const reports: DiscoveryReport[] = [];
    const watch = backend.discovery?.watch('x', (report) => reports.push(report));
    open.push(async () => {
      await backend.close();
      await server.close();
    });
    return { server, backend, events, reports, watch };
  };
  const ports = (reports: readonly DiscoveryReport[]) =>
    reports.map((report) => (report.error === undefined ? portsOf(report.instances).join() : 'error'));

  it('an index that goes back: the next question is a full one, and the list that came with it counts', async () => {
    let round = 0;
    const indexes = [50, 60, 20, 21];
    const { server, reports } = await watched((_, response, url) => {
      const at = Math.min(round, indexes.length - 1);
      round += 1;
      if (round > indexes.length + 1) return;
      health(response, url.searchParams.has('index') || round === 1 ? indexes[at] : 20, [8000 + at]);
    });
    await until(() => round > 4, 'it asks on');
    const asked = server.requests.map(({ url }) => url.searchParams.get('index'));
    expect(asked.slice(0, 5)).toEqual([null, '50', '60', null, '20']);
    expect(ports(reports).slice(0, 3)).toEqual(['8000', '8001', '8002']);
  });

  it('index 0, and none at all, count as 1', async () => {
    for (const index of [0, undefined, 'nonsense']) {
      const { server } = await watched((_, response) => health(response, index, [8000]));
      await until(() => server.requests.length > 3, 'it asks on');
      expect(server.requests.slice(1).every(({ url }) => url.searchParams.get('index') === '1')).toBe(true);
    }
  });

  it('an index that stayed, or changed with equal content, is no news', async () => {
    let index = 10;
    const { server, reports } = await watched((_, response) => health(response, (index += 0.5) | 0, [8000, 8001]));
    await until(() => server.requests.length > 12, 'it asks on');
    expect(ports(reports)).toEqual(['8000,8001']);
  });

  it('a thousand instant answers: a burst, then at a rate', async () => {
    let index = 1;
    const { server, watch } = await watched((_, response) => health(response, (index += 1), [8000]), {
      watch: { minIntervalMs: 200, burst: 2 },
    });
    await sleep(1500);
    await watch?.close();
    expect(server.requests.length).toBeGreaterThanOrEqual(4);
    expect(server.requests.length).toBeLessThanOrEqual(2 + Math.ceil(1500 / 200) + 1);
  });

  it('400, 403, 404, 429, 500, 503, nonsense, a redirect, a cut body, a reset: the watch lives, the list stays', async () => {
    const bad: Answer[] = [
      ...[400, 403, 404, 429, 500, 503].map((status): Answer => (_, response) => {
        response.writeHead(status).end(`status ${status}`);
      }),
      (_, response) => response.end('this is no JSON'),
      (_, response) => response.end('{"an": "object"}'),
      (_, response) => response.end('"text"'),
      (_, response) => response.end(''),
      (_, response) => response.writeHead(301, { Location: '/v1/elsewhere' }).end(),
      (_, response) => {
        response.writeHead(200, { 'Content-Length': '1000', 'X-Consul-Index': '99' });
        response.write('[{"Node":');
        setImmediate(() => response.destroy());
      },
      (request) => request.socket.resetAndDestroy(),
      (request) => void request.socket.end('HTTP/1.1 lots of nonsense\r\n\r\n'),
      () => {}, // never
    ];
    let round = 0;
    const { reports, events, backend } = await watched(
      (request, response, url) => {
        round += 1;
        // A good list first, then each bad answer once, then a good list again.
        const answer = bad[round - 2];
        if (round === 1 || answer === undefined) health(response, 100 + round, round === 1 ? [8000] : [8000, 8001]);
        else answer(request, response, url);
      },
      { requestTimeoutMs: 200 },
    );
    await until(() => ports(reports).at(-1) === '8000,8001', 'the good list comes', 20_000);
    expect(round).toBeGreaterThan(bad.length);
    expect(ports(reports)[0]).toBe('8000');
    expect(
      ports(reports)
        .slice(1, -1)
        .every((one) => one === 'error'),
    ).toBe(true);
    for (const report of reports.slice(1, -1))
      expect(['BACKEND_REFUSED', 'BACKEND_UNAVAILABLE']).toContain(report.error?.code);
    await until(() => backend.state.current.phase === 'ready', 'the backend is ready again');
    expect(events.filter((event) => event.type === 'listener.failed')).toEqual([]);
  });

  it.each<readonly [string, Answer]>([
    ['504', (_, response) => void response.writeHead(504).end('<html>Gateway Time-out</html>')],
    ['524', (_, response) => void response.writeHead(524).end()],
    ['a reset', (request) => void request.socket.resetAndDestroy()],
    ['an end without an answer', (request) => void request.socket.end()],
    [
      'a cut body',
      (_, response) => {
        response.writeHead(200, { 'Content-Length': '1000', 'X-Consul-Index': '99' });
        response.write('[{"Node":');
        setImmediate(() => response.destroy());
      },
    ],
  ])('a proxy that cuts what waits, by %s: nobody hears of it, and changes are seen', async (_, cut) => {
    let ports = [8000];
    const { server, backend, reports, events } = await watched((request, response, url) => {
      if (url.searchParams.has('index')) setTimeout(() => cut(request, response, url), 30);
      else health(response, 10 + ports.length, ports);
    });
    await until(() => server.requests.length > 8, 'it asks on');
    ports = [8000, 8001];
    await until(() => reports.length > 1, 'the change is seen');
    expect(reports.map((report) => portsOf(report.instances ?? []).join())).toEqual(['8000', '8000,8001']);
    expect(backend.state.current.phase).toBe('ready');
    expect(events.flatMap((event) => (event.type === 'backend.state' ? event.state.phase : []))).toEqual(['ready']);
  });

  it('one id at several agents: it depends on the record alone, and the order is no news', async () => {
    const at = (node: string, address: string): unknown => ({
      Node: { ID: node, Node: node, Address: address, Datacenter: 'dc1' },
      Service: { ID: 'x', Service: 'x', Tags: ['blue', node], Address: '', Port: 8000, Meta: {} },
      Checks: [],
    });
    const [first, second] = [at('n1', '10.0.0.1'), at('n2', '10.0.0.2')];
    let entries = [first, second];
    let index = 1;
    const { reports, server } = await watched((_, response) => {
      if (index % 2 === 0 && entries.length > 1) entries = [...entries].reverse();
      response.setHeader('X-Consul-Index', String((index += 1)));
      response.end(JSON.stringify(entries));
    });
    await until(() => server.requests.length > 6, 'it asks on');
    expect(reports).toHaveLength(1);
    expect(reports[0]?.instances?.map(({ id, tags }) => [id, tags])).toEqual([
      ['x', ['blue', 'n1']],
      ['x', ['blue', 'n2']],
    ]);
    entries = [second];
    await until(() => reports.length > 1, 'n1 left');
    expect(reports[1]?.instances).toHaveLength(1);
    const kept = reports[0]?.instances?.find(({ host }) => host === '10.0.0.2');
    expect(reports[1]?.instances?.[0]).toBe(kept);
  });

  it('records that are no instances are left out, each told once', async () => {
    const node = { ID: 'n', Node: 'node', Address: '10.0.0.1', Datacenter: 'dc1' };
    const service = { ID: 'good', Service: 'x', Address: '10.0.0.2', Port: 8000, Meta: {} };
    const entries = [
      { Node: node, Service: service, Checks: [] },
      { Node: node, Service: { ...service, ID: 'no-port', Port: 0 }, Checks: [] },
      { Node: node, Service: { ...service, ID: 'bad-port', Port: 'ssh' }, Checks: [] },
      { Node: node, Service: { ...service, ID: 'bad-host', Address: 'a b/c' }, Checks: [] },
      { Node: node, Service: { ...service, ID: 'bad-meta', Meta: { a: { b: 1 } } }, Checks: [] },
      { Node: node, Service: { ...service, ID: 'bad-scheme', Meta: { 'nsd-scheme': 'java script' } }, Checks: [] },
      { Node: node, Service: { ...service, ID: 'bad-checks' }, Checks: [{ CheckID: 5 }] },
      { Node: node, Service: null },
      null,
      'text',
      {
        Node: node,
        Service: { ...service, ID: 'proto', Port: 8001, Meta: JSON.parse('{"__proto__":"x","a":"b"}') },
        Checks: [],
      },
      {
        Node: node,
        Service: { ...service, ID: 'odd-status', Port: 8002 },
        Checks: [{ CheckID: 'c', Status: 'fine', Notes: '', Output: '' }],
      },
    ];
    let index = 1;
    const { reports, events, server } = await watched((_, response) => {
      response.setHeader('X-Consul-Index', String((index += 1)));
      response.end(JSON.stringify(entries));
    });
    await until(() => server.requests.length > 5, 'it asks on');
    expect(ports(reports)).toEqual(['8000,8001']);
    const proto = reports[0]?.instances?.find((instance) => instance.port === 8001);
    expect(Object.keys(proto?.metadata ?? {})).toEqual(['a']);
    const skipped = events.filter((event) => event.type === 'record.skipped');
    expect(skipped).toHaveLength(8);
  });

  it('an answer that is endless is cut off', async () => {
    const { reports } = await watched(
      (_, response) => {
        response.setHeader('X-Consul-Index', '5');
        const timer = setInterval(() => response.write('[' + ' '.repeat(10_000)), 1);
        response.once('close', () => clearInterval(timer));
      },
      { maxResponseBytes: 100_000, requestTimeoutMs: 5000 },
    );
    await until(() => reports.length > 0, 'it is reported');
    expect(reports[0]?.error?.message).toContain('longer than 100000 bytes');
  });

  it('a list that a token may not read is no empty list', async () => {
    let readable = true;
    const { reports } = await watched((_, response) => {
      if (readable) return health(response, 10, [8000]);
      response.setHeader('X-Consul-Results-Filtered-By-ACLs', 'true');
      health(response, 11, []);
    });
    await until(() => reports.length === 1, 'the list');
    readable = false;
    await until(() => reports.at(-1)?.error?.code === 'BACKEND_REFUSED', 'the refusal');
    expect(ports(reports)).toEqual(['8000', 'error']);
  });

  it('configuration: what is no entry changes nothing', async () => {
    let bad = false;
    const server = await HostileServer.open((_, response) => {
      response.setHeader('X-Consul-Index', bad ? '11' : '10');
      const entry = {
        Key: 'config/application/a',
        Value: 'eA==',
        Flags: 0,
        CreateIndex: 1,
        ModifyIndex: 5,
        LockIndex: 0,
      };
      response.end(JSON.stringify(bad ? [{ ...entry, Value: 7 }, { nothing: true }, null] : [entry]));
    });
    const backend = consul({ address: server.url, watch: { waitMs: 100, minIntervalMs: 20, maxBackoffMs: 50 } }).create(
      createContext([]),
    );
    await backend.open();
    const reports: ConfigReport[] = [];
    backend.config?.watch({ kind: 'application', application: 'app', profiles: [] }, (report) => reports.push(report));
    await until(() => reports.length === 1, 'the documents');
    bad = true;
    await until(() => reports.at(-1)?.error !== undefined, 'the error');
    expect(reports[0]?.documents).toBeDefined();
    await backend.close();
    await server.close();
  });

  it('the client is told what came back', async () => {
    const server = await HostileServer.open((_, response) => response.end('[1,2'));
    const client = new ConsulClient(server.url);
    await expect(client.catalog.nodes()).rejects.toMatchObject({ name: 'ConsulError', kind: 'protocol' });
    await expect(client.kv.set('a', 'b')).rejects.toMatchObject({ name: 'ConsulError', kind: 'protocol' });
    await client.close();
    await server.close();
  });
});
