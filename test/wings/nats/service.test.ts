import { connect as connectV3 } from '@nats-io/transport-node';
import { headers as natsHeaders } from 'nats';
import { describe, expect, it } from 'vitest';
import {
  addService,
  createResponse,
  DEFAULT_API_PREFIX,
  DEFAULT_QUEUE_GROUP,
  NatsAnswerError,
  NatsServiceError,
  type ServiceStats,
} from '../../../lib/backends/nats/index.js';
import { withServer } from '../../servers/for-tests.js';
import { bytes, fresh, Opened, text } from './support.js';

for (const variant of ['current', '2.9'] as const) {
  withServer('nats', { variant }, (server) => {
    const opened = new Opened();

    describe('ADR-32 on the wire', () => {
      it('PING, INFO and STATS answer on three subjects each, with their schemas', async () => {
        const connection = await opened.connection(server.url);
        const service = await opened.service(connection, {
          description: 'computes',
          metadata: { team: 'a' },
          now: () => new Date('2026-11-21T09:47:53.494Z'),
          statsData: ({ name }) => ({ about: name }),
        });
        const { name, id } = service;
        await service
          .addGroup('math')
          .addEndpoint('add', (request) => request.respond('3'), { metadata: { unit: 'one' } });
        const identity = { name, id, version: '1.2.3', metadata: { team: 'a' } };
        const endpoint = { name: 'add', subject: 'math.add', queue_group: 'q' };
        const expected = {
          PING: { type: 'io.nats.micro.v1.ping_response', ...identity },
          INFO: {
            type: 'io.nats.micro.v1.info_response',
            ...identity,
            description: 'computes',
            endpoints: [{ ...endpoint, metadata: { unit: 'one' } }],
          },
          STATS: {
            type: 'io.nats.micro.v1.stats_response',
            ...identity,
            started: '2026-11-21T09:47:53.494Z',
            endpoints: [
              {
                ...endpoint,
                num_requests: 0,
                num_errors: 0,
                last_error: '',
                processing_time: 0,
                average_processing_time: 0,
                data: { about: 'add' },
              },
            ],
          },
        };
        for (const [verb, answer] of Object.entries(expected)) {
          for (const subject of [`$SRV.${verb}.${name}`, `$SRV.${verb}.${name}.${id}`]) {
            expect(JSON.parse(text((await connection.request(subject)).data))).toEqual(answer);
          }
          const inbox = `_INBOX.${fresh('all')}`;
          const all: unknown[] = [];
          connection.subscribe(inbox, { callback: (_error, message) => all.push(JSON.parse(text(message.data))) });
          connection.publish(`$SRV.${verb}`, new Uint8Array(), { reply: inbox });
          await expect.poll(() => all).toContainEqual(answer);
        }
        expect(DEFAULT_API_PREFIX).toBe('$SRV');
        expect(DEFAULT_QUEUE_GROUP).toBe('q');
      });

      it('control subjects have no queue group: every instance answers', async () => {
        const connection = await opened.connection(server.url);
        const name = fresh('many');
        await opened.service(connection, { name });
        await opened.service(connection, { name });
        const client = await opened.client(server.url);
        const found = await client.queries().ping({ name });
        expect(new Set(found.map(({ id }) => id)).size).toBe(2);
      });

      it('a prefix, a clock and an id of its own', async () => {
        const connection = await opened.connection(server.url);
        const apiPrefix = fresh('CTRL');
        let made = 0;
        const service = await opened.service(connection, { apiPrefix, idGenerator: () => `id-${(made += 1)}` });
        expect(service.id).toBe('id-1');
        expect(made).toBe(1);
        expect((await connection.request(`${apiPrefix}.PING.${service.name}.id-1`)).data.length).toBeGreaterThan(0);
        await expect(connection.request(`$SRV.PING.${service.name}`)).rejects.toMatchObject({ code: '503' });
      });

      it('names are matched exactly', async () => {
        const connection = await opened.connection(server.url);
        const service = await opened.service(connection, { name: fresh('calc') });
        await expect(connection.request(`$SRV.PING.${service.name.toUpperCase()}`)).rejects.toMatchObject({
          code: '503',
        });
      });
    });

    describe("the nats library's own", () => {
      it('service client reads our PING, INFO and STATS', async () => {
        const connection = await opened.connection(server.url);
        const service = await opened.service(connection, { metadata: { a: 'b' } });
        await service.addEndpoint(fresh('echo'), (request) => request.respond(request.data));
        const { name, id } = service;
        const client = connection.services.client();
        for (const args of [[name], [name, id]] as const) {
          const collect = async <T>(found: Promise<AsyncIterable<T>>): Promise<T[]> => {
            const all: T[] = [];
            for await (const one of await found) all.push(one);
            return all;
          };
          expect(await collect(client.ping(...args))).toMatchObject([
            { name, id, version: '1.2.3', metadata: { a: 'b' } },
          ]);
          expect(await collect(client.info(...args))).toMatchObject([{ name, id, endpoints: [{ queue_group: 'q' }] }]);
          expect(await collect(client.stats(...args))).toMatchObject([{ name, id, endpoints: [{ num_requests: 0 }] }]);
        }
      });

      it('services are read and called by ours', async () => {
        const connection = await opened.connection(server.url);
        const name = fresh('theirs');
        const theirs = await connection.services.add({
          name,
          version: '2.0.0',
          description: 'theirs',
          metadata: { k: 'v' },
        });
        const group = theirs.addGroup(name);
        group.addEndpoint('ok', (_error, message) => void message.respond('"fine"'));
        group.addEndpoint('bad', (_error, message) => void message.respondError(422, 'nope', bytes('body')));
        const client = await opened.client(server.url);
        const queries = client.queries();
        expect(await queries.ping({ name })).toMatchObject([{ name, version: '2.0.0', metadata: { k: 'v' } }]);
        const [info] = await queries.info({ name });
        expect(info).toMatchObject({ description: 'theirs', endpoints: [{ subject: `${name}.ok` }, { name: 'bad' }] });
        const caller = client.serviceClient(name);
        expect(await caller.call('ok')).toBe('fine');
        const failure = await caller.call('bad').catch((error: unknown) => error);
        expect(failure).toBeInstanceOf(NatsServiceError);
        expect(failure).toMatchObject({
          status: 422,
          description: 'nope',
          subject: `${name}.bad`,
          code: 'BACKEND_REFUSED',
        });
        expect(text((failure as NatsServiceError).data)).toBe('body');
        expect(await queries.instance(name, info?.id ?? '').stats()).toMatchObject({
          endpoints: [{ num_requests: 1 }, {}],
        });
        await theirs.stop();
      });

      it('successor makes connections that serve too', async () => {
        const connection = await connectV3({ servers: server.url });
        opened.closing(() => connection.close());
        const service = addService(connection, { name: fresh('v3'), version: '1.0.0' });
        opened.closing(() => service.stop());
        await service.start();
        await service.addGroup(service.name).addEndpoint('double', (request) => {
          request.respond(request.json<number>() * 2, { headers: { kind: 'number' } });
        });
        await service.addGroup(service.name).addEndpoint('fails', () => Promise.reject(new Error('secret')));
        const client = await opened.client(server.url, { library: '@nats-io/transport-node' });
        const caller = client.serviceClient(service.name);
        const answer = await caller.request('double', 21);
        expect([answer.json(), answer.headers.get('kind')]).toEqual([42, ['number']]);
        await expect(caller.call('fails')).rejects.toMatchObject({ status: 500, description: 'Internal Server Error' });
        await service.stop();
        await expect(caller.call('double', 1, { retries: 0 })).rejects.toMatchObject({ code: 'NO_INSTANCE' });
      });
    });

    describe('endpoints', () => {
      it('may be added while it runs, and show at once in INFO and STATS, in order', async () => {
        const connection = await opened.connection(server.url);
        const service = await opened.service(connection);
        const group = service.addGroup(service.name);
        const first = await group.addEndpoint('first', (request) => request.respond('1'));
        await group.addEndpoint('second', (request) => request.respond('2'), { subject: 'deep.er' });
        expect(first.config).toMatchObject({ name: 'first', subject: `${service.name}.first`, queue: 'q' });
        expect(first.info).toEqual(service.info().endpoints[0]);
        const stats = JSON.parse(text((await connection.request(`$SRV.STATS.${service.name}`)).data)) as ServiceStats;
        expect(stats.endpoints.map(({ name }) => name)).toEqual(['first', 'second']);
        expect(text((await connection.request(`${service.name}.deep.er`)).data)).toBe('2');
        expect(first.stats.num_requests).toBe(0);
        await connection.request(`${service.name}.first`);
        expect(first.stats.num_requests).toBe(1);
        const copy = service.stats();
        await connection.request(`${service.name}.first`);
        expect(copy.endpoints[0]?.num_requests).toBe(1);
        expect(service.info().endpoints).not.toBe(service.info().endpoints);
      });

      it('before start and after stop are a typed error', async () => {
        const connection = await opened.connection(server.url);
        const service = addService(connection, { name: fresh('state'), version: '1.0.0' });
        await expect(service.addEndpoint('early', () => {})).rejects.toMatchObject({
          code: 'UNSUPPORTED',
          name: 'DiscoveryError',
        });
        await service.start();
        await service.stop();
        await expect(service.addEndpoint('late', () => {})).rejects.toMatchObject({
          code: 'BACKEND_CLOSED',
        });
        await expect(service.addEndpoint('late', () => {})).rejects.toThrow('Cannot add endpoint to a stopped service');
        await expect(service.start()).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
      });

      it('inherit queue groups from service to group to endpoint; false switches them off', async () => {
        const connection = await opened.connection(server.url);
        const service = await opened.service(connection, { queue: 'top' });
        const handler = (): void => {};
        const nested = service.addGroup('a', { queue: '' }).addGroup('b', { queue: 'mid' });
        const off = service.addGroup('c', { queue: false });
        await service.addEndpoint('one', handler);
        await service.addGroup('a').addEndpoint('two', handler, { queue: '' });
        await nested.addEndpoint('three', handler);
        await nested.addEndpoint('four', handler, { queue: 'own' });
        await off.addEndpoint('five', handler);
        await off.addEndpoint('six', handler, { queue: 'again' });
        expect(service.info().endpoints.map(({ subject, queue_group }) => [subject, queue_group])).toEqual([
          ['one', 'top'],
          ['a.two', 'top'],
          ['a.b.three', 'mid'],
          ['a.b.four', 'own'],
          ['c.five', ''],
          ['c.six', 'again'],
        ]);
      });

      it('share the requests of their queue group; without one every instance gets each', async () => {
        const connection = await opened.connection(server.url);
        const name = fresh('shared');
        const services = [await opened.service(connection, { name }), await opened.service(connection, { name })];
        let everyone = 0;
        for (const service of services) {
          const group = service.addGroup(name);
          await group.addEndpoint('one', (request) => request.respond(service.id));
          await group.addEndpoint('all', () => void (everyone += 1), { queue: false });
        }
        await Promise.all(Array.from({ length: 100 }, () => connection.request(`${name}.one`)));
        const counts = services.map((service) => service.stats().endpoints[0]?.num_requests ?? 0);
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(100);
        expect(Math.min(...counts)).toBeGreaterThan(0);
        connection.publish(`${name}.all`);
        await expect.poll(() => everyone).toBe(2);
      });

      it('answer with headers, and with errors', async () => {
        const connection = await opened.connection(server.url);
        const service = await opened.service(connection);
        const group = service.addGroup(service.name);
        await group.addEndpoint('ok', (request) => {
          request.respond({ got: request.header('X-In') }, { headers: { 'X-Out': ['a', 'b'] } });
        });
        await group.addEndpoint('bad', (request) => {
          request.respondError(422, 'not\r\nthis way', { data: 'why', headers: { more: 'x' } });
        });
        const sent = natsHeaders();
        sent.set('X-In', 'in');
        const ok = await connection.request(`${service.name}.ok`, '', { timeout: 1000, headers: sent });
        expect([text(ok.data), ok.headers?.values('X-Out')]).toEqual(['{"got":"in"}', ['a', 'b']]);
        const bad = await connection.request(`${service.name}.bad`);
        expect(bad.headers?.get('Nats-Service-Error-Code')).toBe('422');
        expect(bad.headers?.get('Nats-Service-Error')).toBe('not this way');
        expect([text(bad.data), bad.headers?.get('more')]).toEqual(['why', 'x']);
        expect(service.stats().endpoints[1]).toMatchObject({ num_errors: 1, last_error: '422:not this way' });
      });

      it('count error answers only when told to', async () => {
        const connection = await opened.connection(server.url);
        const service = await opened.service(connection, { countErrorAnswers: false });
        await service.addGroup(service.name).addEndpoint('bad', (request) => request.respondError(400, 'no'));
        await connection.request(`${service.name}.bad`);
        expect(service.stats().endpoints[0]).toMatchObject({ num_requests: 1, num_errors: 0, last_error: '' });
      });

      it('run their middlewares in order, the first outermost', async () => {
        const connection = await opened.connection(server.url);
        const service = await opened.service(connection);
        const order: string[] = [];
        const group = service.addGroup(service.name);
        await group.addEndpoint(
          'wrapped',
          (request) => {
            order.push(`handler ${request.text()} ${request.header('who')}`);
            request.respond('inner');
          },
          {
            middlewares: [
              async (request, next) => {
                order.push('a');
                const response = await next(request.with({ data: bytes('changed'), headers: { who: 'me' } }));
                order.push('/a');
                return createResponse(`<${text(response.data)}>`, { headers: { 'X-A': '1' } });
              },
              async (_request, next) => {
                order.push('b');
                const response = await next();
                order.push('/b');
                return response;
              },
            ],
          },
        );
        await group.addEndpoint('silent', () => {}, { middlewares: [(_request, next) => next()] });
        await group.addEndpoint('refused', () => {}, {
          middlewares: [() => Promise.reject(new NatsServiceError(401, 'who are you'))],
        });
        const answer = await connection.request(`${service.name}.wrapped`, 'original');
        expect([text(answer.data), answer.headers?.get('X-A')]).toEqual(['<inner>', '1']);
        expect(order).toEqual(['a', 'b', 'handler changed me', '/b', '/a']);
        expect((await connection.request(`${service.name}.silent`)).headers?.get('Nats-Service-Error-Code')).toBe(
          '500',
        );
        expect((await connection.request(`${service.name}.refused`)).headers?.get('Nats-Service-Error-Code')).toBe(
          '401',
        );
      });
    });

    describe('what goes wrong is counted and answered, and the service stays up', () => {
      it('handlers that throw, reject, answer twice or never', async () => {
        const connection = await opened.connection(server.url);
        const errors: unknown[] = [];
        const service = await opened.service(connection, { onError: (error) => void errors.push(error) });
        const group = service.addGroup(service.name);
        await group.addEndpoint('throws', () => {
          throw new TypeError('secret one');
        });
        await group.addEndpoint('rejects', () => Promise.reject(new Error('secret two')));
        await group.addEndpoint('odd', () => Promise.reject(undefined));
        await group.addEndpoint('twice', (request) => {
          request.respond('first');
          request.respond('second');
        });
        await group.addEndpoint('never', () => {});
        await group.addEndpoint('cyclic', (request) => {
          const cycle: { self?: unknown } = {};
          cycle.self = cycle;
          request.respond(cycle);
        });
        for (const name of ['throws', 'rejects', 'odd', 'never', 'cyclic']) {
          const answer = await connection.request(`${service.name}.${name}`);
          expect(answer.headers?.get('Nats-Service-Error-Code'), name).toBe('500');
          expect(answer.headers?.get('Nats-Service-Error')).toBe('Internal Server Error');
          expect(answer.data.length).toBe(0);
        }
        expect(text((await connection.request(`${service.name}.twice`)).data)).toBe('first');
        const stats = service.stats().endpoints;
        for (const one of stats) expect(one).toMatchObject({ num_requests: 1, num_errors: 1 });
        expect(stats[0]?.last_error).toBe('TypeError: secret one');
        expect(stats[3]?.last_error).toContain('was answered already');
        expect(stats[4]?.last_error).toContain('ended without an answer');
        expect(errors).toHaveLength(6);
        const problems = errors.flatMap((error) => (error instanceof NatsAnswerError ? [error.problem] : []));
        expect(problems.sort()).toEqual(['answered-twice', 'never-answered']);
        expect(text((await connection.request(`${service.name}.twice`)).data)).toBe('first');
      });

      it('an event that nobody waits for needs no answer', async () => {
        const connection = await opened.connection(server.url);
        const service = await opened.service(connection);
        const endpoint = await service.addGroup(service.name).addEndpoint('event', () => {});
        connection.publish(`${service.name}.event`, 'x');
        await expect.poll(() => endpoint.stats.num_requests).toBe(1);
        expect(endpoint.stats.num_errors).toBe(0);
      });

      it('handlers that take too long', async () => {
        const connection = await opened.connection(server.url);
        const service = await opened.service(connection, { handlerTimeoutMs: 50 });
        let late: unknown;
        const endpoint = await service.addGroup(service.name).addEndpoint('slow', async (request) => {
          await new Promise((resolve) => setTimeout(resolve, 200));
          try {
            request.respond('late');
          } catch (error) {
            late = error;
          }
        });
        const answer = await connection.request(`${service.name}.slow`);
        expect(answer.headers?.get('Nats-Service-Error-Code')).toBe('504');
        await expect.poll(() => late).toMatchObject({ problem: 'answered-twice' });
        expect(endpoint.stats).toMatchObject({ num_errors: 1 });
        expect(endpoint.pending).toBe(0);
      });

      it('more requests than may be pending, and more bytes', async () => {
        const connection = await opened.connection(server.url);
        const service = await opened.service(connection, { pendingMessages: 100 });
        let release = (): void => {};
        const held = new Promise<void>((resolve) => (release = resolve));
        const group = service.addGroup(service.name, { pendingMessages: 2 });
        const hold = async (request: { respond(data: string): void }): Promise<void> => {
          await held;
          request.respond('ok');
        };
        const few = await group.addEndpoint('few', hold);
        const small = await group.addEndpoint('small', hold, { pendingMessages: 0, pendingBytes: 10 });
        expect([few.config.pendingMessages, small.config.pendingMessages]).toEqual([2, 2]);
        const taken = [1, 2].map(() => connection.request(`${service.name}.few`, '', { timeout: 5000 }));
        const big = connection.request(`${service.name}.small`, 'x'.repeat(8), { timeout: 5000 });
        await expect.poll(() => few.pending + small.pending).toBe(3);
        for (const [name, payload] of [
          ['few', ''],
          ['small', 'xxx'],
        ] as const) {
          const refused = await connection.request(`${service.name}.${name}`, payload);
          expect(refused.headers?.get('Nats-Service-Error-Code')).toBe('503');
        }
        expect(few.stats).toMatchObject({ num_requests: 3, num_errors: 1 });
        expect(few.stats.last_error).toContain('too many');
        release();
        for (const answer of await Promise.all([...taken, big])) expect(text(answer.data)).toBe('ok');
        expect(text((await connection.request(`${service.name}.few`)).data)).toBe('ok');
      });

      it('an answer longer than the server takes', async () => {
        const connection = await opened.connection(server.url);
        const service = await opened.service(connection);
        await service.addGroup(service.name).addEndpoint('big', (request) => request.respond('x'.repeat(2_000_000)));
        const answer = await connection.request(`${service.name}.big`);
        expect(answer.headers?.get('Nats-Service-Error-Code')).toBe('500');
        expect(service.stats().endpoints[0]).toMatchObject({ num_errors: 1 });
      });
    });

    describe('statistics', () => {
      it('measure in nanoseconds, failures included, and start anew with reset', async () => {
        const connection = await opened.connection(server.url);
        let now = 0;
        const service = await opened.service(connection, { now: () => new Date((now += 1000)) });
        const group = service.addGroup(service.name);
        const slow = await group.addEndpoint('slow', async (request) => {
          await new Promise((resolve) => setTimeout(resolve, 20));
          request.respond();
        });
        const other = await group.addEndpoint('other', () => {
          throw new Error('x');
        });
        await connection.request(`${service.name}.slow`);
        await connection.request(`${service.name}.slow`);
        await connection.request(`${service.name}.other`);
        const { processing_time: total, average_processing_time: average } = slow.stats;
        expect(total).toBeGreaterThan(30e6);
        expect(total).toBeLessThan(10e9);
        expect(average).toBe(Math.floor(total / 2));
        expect(other.stats.processing_time).toBeGreaterThan(0);
        expect(service.stats().started).toBe('1970-01-01T00:00:01.000Z');
        slow.reset();
        expect(slow.stats).toMatchObject({ num_requests: 0, processing_time: 0 });
        expect(other.stats.num_requests).toBe(1);
        service.reset();
        expect(service.stats().started).toBe('1970-01-01T00:00:02.000Z');
        expect(service.stats().endpoints).toMatchObject([
          { name: 'slow', num_requests: 0, num_errors: 0, last_error: '' },
          { name: 'other', num_requests: 0, num_errors: 0, last_error: '' },
        ]);
        await connection.request(`${service.name}.slow`);
        const asked = JSON.parse(text((await connection.request(`$SRV.STATS.${service.name}`)).data)) as ServiceStats;
        expect(asked.endpoints[0]?.num_requests).toBe(1);
      });
    });

    describe('stopping', () => {
      it('finishes what was taken, is idempotent, and resolves `stopped`', async () => {
        const connection = await opened.connection(server.url);
        const caller = await opened.connection(server.url);
        const service = await opened.service(connection);
        let release = (): void => {};
        const held = new Promise<void>((resolve) => (release = resolve));
        const endpoint = await service.addGroup(service.name).addEndpoint('slow', async (request) => {
          await held;
          request.respond('done');
        });
        const answers = Array.from({ length: 10 }, () => caller.request(`${service.name}.slow`, '', { timeout: 5000 }));
        await expect.poll(() => endpoint.pending).toBe(10);
        expect(service.isStopped).toBe(false);
        const stopping = service.stop();
        expect(service.stop()).toBe(stopping);
        expect(service.isStopped).toBe(true);
        release();
        await stopping;
        for (const answer of await Promise.all(answers)) expect(text(answer.data)).toBe('done');
        expect(await service.stopped).toBeUndefined();
        await expect(caller.request(`$SRV.PING.${service.name}`)).rejects.toMatchObject({ code: '503' });
        await expect(caller.request(`${service.name}.slow`)).rejects.toMatchObject({ code: '503' });
      });

      it('does not wait for ever', async () => {
        const connection = await opened.connection(server.url);
        const service = await opened.service(connection, { drainTimeoutMs: 100 });
        const endpoint = await service.addGroup(service.name).addEndpoint('hangs', () => new Promise(() => {}));
        connection.publish(`${service.name}.hangs`, '', { reply: 'nowhere' });
        await expect.poll(() => endpoint.pending).toBe(1);
        await service.stop();
        await expect(connection.request(`$SRV.PING.${service.name}`)).rejects.toMatchObject({ code: '503' });
      });

      it('happens by itself when the connection is closed', async () => {
        const connection = await opened.connection(server.url);
        const service = await opened.service(connection, { drainTimeoutMs: 500 });
        await connection.close();
        expect(await service.stopped).toMatchObject({ code: 'BACKEND_UNAVAILABLE', service: service.name });
        expect(service.isStopped).toBe(true);
      });

      it('and at the end of a block', async () => {
        const connection = await opened.connection(server.url);
        const service = await opened.service(connection);
        await service[Symbol.asyncDispose]();
        expect(service.isStopped).toBe(true);
      });
    });

    describe('bad input is refused with the rule that it breaks', () => {
      it.for([
        [{ name: 'a.b' }, 'INVALID_NAME', 'service name'],
        [{ name: '' }, 'INVALID_NAME', 'service name'],
        [{ version: '1.0' }, 'INVALID_OPTION', 'version'],
        [{ version: 'v1.0.0' }, 'INVALID_OPTION', 'version'],
        [{ version: '01.0.0' }, 'INVALID_OPTION', 'version'],
        [{ version: '1.0.0-rc+meta xyz' }, 'INVALID_OPTION', 'version'],
        [{ queue: 'a b' }, 'INVALID_NAME', 'queue'],
        [{ queue: '>' }, 'INVALID_NAME', 'queue'],
        [{ metadata: { a: 1 } }, 'INVALID_OPTION', 'metadata.a'],
        [{ metadata: [] }, 'INVALID_OPTION', 'metadata'],
        [{ description: 5 }, 'INVALID_OPTION', 'description'],
        [{ apiPrefix: 'a b' }, 'INVALID_NAME', 'apiPrefix'],
        [{ idGenerator: () => 'not an id' }, 'INVALID_NAME', 'service id'],
        [{ pendingMessages: -1 }, 'INVALID_OPTION', 'pendingMessages'],
        [{ unknown: 1 }, 'INVALID_OPTION', 'unknown'],
      ] as const)('%j', async ([fields, code, field]) => {
        const connection = await opened.connection(server.url);
        const config = { name: 'ok', version: '1.0.0', ...fields };
        expect(() => addService(connection, config as never)).toThrow(expect.objectContaining({ code, field }));
      });

      it('endpoints and groups', async () => {
        const connection = await opened.connection(server.url);
        const service = await opened.service(connection);
        const refused = (code: string, field: string): object => expect.objectContaining({ code, field }) as object;
        const add = (name: string, options: object = {}): Promise<unknown> =>
          service.addEndpoint(name, () => {}, options);
        await expect(add('a b')).rejects.toEqual(refused('INVALID_NAME', 'endpoint name'));
        for (const subject of ['a b', 'a.', '.a', 'a..b', '>.a', 'a>', 'a*b', '\u0000']) {
          await expect(add('ok', { subject }), subject).rejects.toEqual(refused('INVALID_NAME', 'subject'));
        }
        await expect(add('ok', { middlewares: [1] })).rejects.toEqual(refused('INVALID_OPTION', 'middlewares[0]'));
        await expect(service.addEndpoint('ok', 'no' as never)).rejects.toEqual(refused('INVALID_OPTION', 'handler'));
        expect(() => service.addGroup('a b')).toThrow(refused('INVALID_NAME', 'group name'));
        expect(() => service.addGroup('a.>')).toThrow(refused('INVALID_NAME', 'group name'));
        expect(service.addGroup('').addGroup('a.b').prefix).toBe('a.b');
        await add('wild', { subject: `${service.name}.*.>` });
        expect(service.info().endpoints).toHaveLength(1);
      });
    });
  });
}
