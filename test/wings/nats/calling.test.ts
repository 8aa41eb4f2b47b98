import { describe, expect, it } from 'vitest';
import { DiscoveryError, NatsServiceError } from '../../../lib/backends/nats/index.js';
import { withServer } from '../../servers/for-tests.js';
import { fresh, Opened } from './support.js';

for (const variant of ['current', '2.9'] as const) {
  withServer('nats', { variant }, (server) => {
    const opened = new Opened();

    describe('NatsServiceClient', () => {
      it('tells no instance, no answer, an abort and a closed connection apart', async () => {
        const connection = await opened.connection(server.url);
        const client = await opened.client(server.url);
        const service = await opened.service(connection);
        await service.addGroup(service.name).addEndpoint('silent', () => new Promise(() => {}));
        const caller = client.serviceClient(service.name, { retries: 0 });
        const fails = (call: Promise<unknown>): Promise<unknown> => call.catch((error: unknown) => error);
        const nobody = await fails(client.serviceClient(fresh('nobody'), { retries: 0 }).call('x'));
        expect(nobody).toBeInstanceOf(DiscoveryError);
        expect(nobody).toMatchObject({ code: 'NO_INSTANCE' });
        const late = await fails(caller.call('silent', 1, { timeoutMs: 100 }));
        expect(late).toBeInstanceOf(DiscoveryError);
        expect(late).toMatchObject({ code: 'TIMEOUT', service: service.name });
        const aborted = await fails(caller.call('silent', 1, { timeoutMs: 600_000, signal: AbortSignal.timeout(50) }));
        expect(aborted).toMatchObject({ code: 'ABORTED' });
        await expect(caller.call('silent', 1, { signal: AbortSignal.abort() })).rejects.toMatchObject({
          code: 'ABORTED',
        });
        await expect(caller.call('unknown')).rejects.toMatchObject({ code: 'INVALID_NAME', field: 'endpoint' });
        await client.close();
        await expect(caller.call('silent')).rejects.toMatchObject({ code: 'BACKEND_CLOSED' });
      });

      it('follows an endpoint to another subject, and asks which of several', async () => {
        const connection = await opened.connection(server.url);
        const client = await opened.client(server.url);
        const name = fresh('moving');
        const first = await opened.service(connection, { name });
        await first.addGroup(`${name}.v1`).addEndpoint('get', (request) => request.respond('1'));
        const caller = client.serviceClient(name);
        expect(await caller.call('get')).toBe(1);
        await first.stop();
        const second = await opened.service(connection, { name });
        await second.addGroup(`${name}.v2`).addEndpoint('get', (request) => request.respond('2'));
        // The remembered subject has no listeners any more: looked up anew, and tried again.
        expect(await caller.call('get')).toBe(2);
        await second.addGroup(`${name}.v3`).addEndpoint('get', (request) => request.respond('3'));
        const other = client.serviceClient(name);
        await expect(other.call('get')).rejects.toMatchObject({ code: 'INVALID_NAME' });
        expect(await other.call(`subject:${name}.v3.get`)).toBe(3);
      });

      it('calls what fits a pattern, and says so when it is called by its name', async () => {
        const connection = await opened.connection(server.url);
        const client = await opened.client(server.url);
        const name = fresh('wild');
        const service = await opened.service(connection, { name });
        await service.addEndpoint('one', (request) => request.respond(JSON.stringify(request.subject)), {
          subject: `${name}.*.get`,
        });
        const caller = client.serviceClient(name);
        for (const endpoint of ['one', `subject:${name}.*.get`]) {
          await expect(caller.call(endpoint)).rejects.toMatchObject({
            code: 'INVALID_NAME',
            message: expect.stringContaining(`${name}.*.get`) as string,
          });
        }
        expect(await caller.call(`subject:${name}.7.get`)).toBe(`${name}.7.get`);
      });

      it('an answer of another service, or of another instance, is none', async () => {
        const connection = await opened.connection(server.url);
        const client = await opened.client(server.url);
        const service = await opened.service(connection);
        const identity = { id: 'LIAR', name: 'liar', version: '1.0.0', metadata: {} };
        const liar = connection.subscribe(`$SRV.PING.${service.name}.>`, {
          callback: (_error, message) => {
            message.respond(JSON.stringify({ ...identity, type: 'io.nats.micro.v1.ping_response' }));
          },
        });
        const everybody = connection.subscribe(`$SRV.PING.${service.name}`, {
          callback: (_error, message) => {
            message.respond(JSON.stringify({ ...identity, type: 'io.nats.micro.v1.ping_response' }));
          },
        });
        await connection.flush();
        const answers = await client.queries().ping({ name: service.name });
        expect(answers.map(({ name }) => name)).toEqual([service.name]);
        await expect(client.queries().instance(service.name, 'nobody').ping()).rejects.toMatchObject({
          code: 'INVALID_INSTANCE',
        });
        liar.unsubscribe();
        everybody.unsubscribe();
      });

      it('tries again only what nobody has seen, unless it may be dealt with twice', async () => {
        const connection = await opened.connection(server.url);
        const client = await opened.client(server.url);
        const service = await opened.service(connection);
        let seen = 0;
        const group = service.addGroup(service.name);
        await group.addEndpoint('flaky', (request) => {
          seen += 1;
          if (seen < 3) request.respondError(503, 'busy');
          else request.respond('ok');
        });
        await group.addEndpoint('lossy', (request) => {
          seen += 1;
          if (seen < 2) return new Promise(() => {});
          request.respond('"ok"');
        });
        const caller = client.serviceClient(service.name);
        await expect(caller.call('flaky')).rejects.toMatchObject({ status: 503 });
        expect(seen).toBe(1);
        expect((await caller.request('flaky', 0, { idempotent: true })).text()).toBe('ok');
        expect(seen).toBe(3);
        seen = 0;
        await expect(caller.call('lossy', 1, { timeoutMs: 200 })).rejects.toMatchObject({ code: 'TIMEOUT' });
        expect(seen).toBe(1);
        seen = 0;
        expect(await caller.call('lossy', 1, { timeoutMs: 1000, idempotent: true })).toBe('ok');
      });

      it('waits for an instance that is just being started', async () => {
        const connection = await opened.connection(server.url);
        const client = await opened.client(server.url);
        const name = fresh('starting');
        const call = client.serviceClient(name, { retries: 20 }).call('now', 1, { timeoutMs: 5000 });
        const service = await opened.service(connection, { name });
        await service.addGroup(name).addEndpoint('now', (request) => request.respond('true'));
        expect(
          await call.catch(async (error: unknown) => {
            // Found between the service's start and its endpoint's.
            expect(error).toMatchObject({ code: 'INVALID_NAME' });
            return client.serviceClient(name).call('now');
          }),
        ).toBe(true);
      });

      it('sends headers, refuses those that can not be sent, and reads error answers of any kind', async () => {
        const connection = await opened.connection(server.url);
        const client = await opened.client(server.url);
        const service = await opened.service(connection);
        const group = service.addGroup(service.name);
        await group.addEndpoint('echo', (request) => request.respond([...request.headers]));
        await group.addEndpoint('codeless', (request) => {
          request.respond('x', { headers: { 'Nats-Service-Error': 'only text' } });
        });
        await group.addEndpoint('garbled', (request) => {
          request.respond('x', { headers: { 'Nats-Service-Error-Code': 'many' } });
        });
        await group.addEndpoint('text', (request) => request.respond('not json'));
        const caller = client.serviceClient(service.name);
        expect(await caller.call('echo', 1, { headers: { a: '1', b: ['2', '3'] } })).toEqual([
          ['a', ['1']],
          ['b', ['2', '3']],
        ]);
        for (const headers of [{ 'a:b': 'x' }, { a: 'x\r\nInjected: y' }, { '': 'x' }, { a: 5 as never }]) {
          await expect(caller.call('echo', 1, { headers })).rejects.toMatchObject({
            code: 'INVALID_OPTION',
            field: 'headers',
          });
        }
        await expect(caller.call('codeless')).rejects.toMatchObject({ status: 500, description: 'only text' });
        const garbled = await caller.call('garbled').catch((error: unknown) => error);
        expect(garbled).toBeInstanceOf(NatsServiceError);
        expect(garbled).toMatchObject({ status: 500 });
        await expect(caller.call('text')).rejects.toMatchObject({ code: 'BACKEND_REFUSED' });
        expect((await caller.request('text')).text()).toBe('not json');
      });
    });

    describe('ServiceQueries', () => {
      it('stream answers and end by stall, not by the longest wait; nobody is known at once', async () => {
        const connection = await opened.connection(server.url);
        const name = fresh('asked');
        for (let count = 0; count < 3; count += 1) await opened.service(connection, { name });
        const client = await opened.client(server.url);
        const queries = client.queries();
        // Each of the longest waits would take longer than the test may.
        expect(await queries.ping({ name, maxWaitMs: 600_000, stallMs: 100 })).toHaveLength(3);
        for await (const identity of queries.pingEach({ name, maxWaitMs: 600_000, stallMs: 600_000 })) {
          expect(identity.name).toBe(name);
          break;
        }
        expect(await queries.info({ name, maxCount: 2, maxWaitMs: 600_000, stallMs: 600_000 })).toHaveLength(2);
        expect(await queries.stats({ name: fresh('nobody'), maxWaitMs: 600_000 })).toEqual([]);
        await expect(queries.ping({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' });
        await expect(queries.instance(name, 'missing').ping()).rejects.toMatchObject({ code: 'NO_INSTANCE' });
        expect(() => queries.instance('a.b', 'c')).toThrow(expect.objectContaining({ code: 'INVALID_NAME' }));
      });

      it('leave out what is no answer, and tell of it', async () => {
        const connection = await opened.connection(server.url);
        const name = fresh('liar');
        const lies = ['{', '[]', '{"type":"io.nats.micro.v1.info_response"}', '{"type":"other"}', ''];
        connection.subscribe(`$SRV.PING.${name}`, {
          callback: (_error, message) => {
            for (const lie of lies) connection.publish(message.reply ?? '', lie);
          },
        });
        const service = await opened.service(connection, { name });
        const client = await opened.client(server.url);
        const skipped: unknown[] = [];
        const queries = client.queries({ onSkipped: (error) => void skipped.push(error) });
        expect((await queries.ping({ name, stallMs: 200 })).map(({ id }) => id)).toEqual([service.id]);
        expect(skipped).toHaveLength(lies.length);
        for (const error of skipped) expect(error).toMatchObject({ code: 'INVALID_INSTANCE' });
      });
    });
  });
}
