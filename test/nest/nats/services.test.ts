import {
  BadRequestException,
  Controller,
  createParamDecorator,
  Inject,
  Injectable,
  Module,
  NotFoundException,
  ParseIntPipe,
  Scope,
  UseFilters,
  UseGuards,
  UseInterceptors,
  type CallHandler,
  type CanActivate,
  type ExceptionFilter,
  type ExecutionContext,
  type NestInterceptor,
  type PipeTransform,
} from '@nestjs/common';
import { APP_GUARD, REQUEST } from '@nestjs/core';
import { of, throwError, type Observable } from 'rxjs';
import { map } from 'rxjs/operators';
import { afterEach, describe, expect, it } from 'vitest';
import { NatsClient, type NatsServiceClient } from '../../../lib/backends/nats/index.js';
import {
  createResponse,
  InjectNatsService,
  NatsEndpoint,
  NatsGroup,
  NatsHeaders,
  NatsMessage,
  NatsPayload,
  NatsService,
  NatsServicesHost,
  NatsServicesModule,
  ServiceRequest,
} from '../../../lib/backends/nats/nest/index.js';
import { codeOf } from '../../../lib/model/index.js';
import { withServer } from '../../servers/for-tests.js';
import { init, LogCollector } from '../support.js';

let number = 0;
/** A name that no other app of this server has. */
const fresh = (name: string): string => `${name}-${process.pid}-${(number += 1)}`;

withServer('nats', {}, (server) => {
  const clients: NatsClient[] = [];
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()));
  });
  const caller = async (service: string): Promise<NatsServiceClient> => {
    const client = new NatsClient({ servers: server.url });
    clients.push(client);
    await client.connect();
    return client.serviceClient(service, { timeoutMs: 2000, retries: 0 });
  };
  const services = (providers: unknown[], controllers: unknown[] = []): unknown => {
    @Module({
      imports: [NatsServicesModule.forRootAsync({ useFactory: () => ({ connection: { servers: server.url } }) })],
      providers: providers as never,
      controllers: controllers as never,
    })
    class AppModule {}
    return AppModule;
  };

  describe('endpoints', () => {
    it('answer what the method returns, promises and Observables too', async () => {
      const name = fresh('answers');
      @NatsGroup(name)
      @NatsService({ name, version: '1.0.0' })
      class Answers {
        @NatsEndpoint() object() {
          return { a: 1 };
        }
        @NatsEndpoint() text() {
          return 'text';
        }
        @NatsEndpoint() promise() {
          return Promise.resolve([1, 2]);
        }
        @NatsEndpoint() observable(): Observable<number> {
          return of(1, 2, 3);
        }
        @NatsEndpoint() nothing(): void {}
        @NatsEndpoint({ payload: 'bytes' }) bytes(payload: Uint8Array): Uint8Array {
          return payload.slice().reverse();
        }
        @NatsEndpoint() withHeaders() {
          return createResponse({ ok: true }, { headers: { 'X-Extra': 'yes' } });
        }
      }
      await init(services([Answers]));
      const client = await caller(name);
      expect(await client.call('object')).toEqual({ a: 1 });
      expect(await client.call('text')).toBe('text');
      expect(await client.call('promise')).toEqual([1, 2]);
      expect(await client.call('observable')).toBe(3);
      expect(await client.call('nothing')).toBeUndefined();
      expect([...(await client.request('bytes', Uint8Array.from([1, 2, 3]))).data]).toEqual([3, 2, 1]);
      const answer = await client.request('withHeaders');
      expect(answer.headers.get('X-Extra')).toEqual(['yes']);
      expect(answer.json()).toEqual({ ok: true });
    });

    it('get what their parameters ask for', async () => {
      const name = fresh('params');
      const Own = createParamDecorator((data: unknown, context: ExecutionContext) => [
        data,
        context.getType<string>(),
        context.getArgs<[unknown, ServiceRequest]>()[1].subject,
      ]);
      class Double implements PipeTransform<number, number> {
        transform(value: number): number {
          return value * 2;
        }
      }
      @NatsGroup(name)
      @NatsService({ name, version: '1.0.0' })
      class Params {
        @NatsEndpoint() plain(payload: unknown, request: ServiceRequest) {
          return [payload, request instanceof ServiceRequest];
        }
        @NatsEndpoint() all(
          @NatsPayload() payload: unknown,
          @NatsPayload('n', Double) n: number,
          @NatsHeaders('x-a') header: string,
          @NatsHeaders() headers: Record<string, string>,
          @NatsMessage() request: ServiceRequest,
          @Own('data') own: unknown,
        ) {
          return { payload, n, header, headers, subject: request.subject, own };
        }
      }
      await init(services([Params]));
      const client = await caller(name);
      expect(await client.call('plain', { a: 1 })).toEqual([{ a: 1 }, true]);
      expect(await client.call('all', { n: 21 }, { headers: { 'x-a': 'b' } })).toEqual({
        payload: { n: 21 },
        n: 42,
        header: 'b',
        headers: { 'x-a': 'b' },
        subject: `${name}.all`,
        own: ['data', 'nats', `${name}.all`],
      });
    });

    it('lie in groups, of their class and their own, with queue groups inherited', async () => {
      const name = fresh('groups');
      @NatsGroup(`${name}.outer`, { queue: 'workers' })
      @NatsGroup('inner')
      @NatsService({ name, version: '1.0.0', description: 'grouped', metadata: { team: 'a' } })
      class Grouped {
        @NatsEndpoint({ metadata: { kind: 'read' } }) get() {
          return 1;
        }
        @NatsGroup('deep', { queue: false })
        @NatsEndpoint({ name: 'all', subject: 'every.one' })
        each() {
          return 2;
        }
      }
      @NatsGroup(`${name}.other`, { service: name })
      @Controller()
      class Elsewhere {
        @NatsEndpoint('more') more() {
          return 3;
        }
      }
      const app = await init(services([Grouped], [Elsewhere]));
      const info = app.get(NatsServicesHost).service(name)?.info();
      expect(info).toMatchObject({ name, version: '1.0.0', description: 'grouped', metadata: { team: 'a' } });
      expect(info?.endpoints).toEqual([
        { name: 'get', subject: `${name}.outer.inner.get`, queue_group: 'workers', metadata: { kind: 'read' } },
        { name: 'all', subject: `${name}.outer.inner.deep.every.one`, queue_group: '', metadata: {} },
        { name: 'more', subject: `${name}.other.more`, queue_group: 'q', metadata: {} },
      ]);
      const client = await caller(name);
      expect(await client.call('more')).toBe(3);
      expect(await client.call('all')).toBe(2);
    });

    it('pass through guards, pipes, interceptors and filters', async () => {
      const name = fresh('enhanced');
      const order: string[] = [];
      @Injectable()
      class Guard implements CanActivate {
        canActivate(context: ExecutionContext): boolean {
          order.push(`guard ${context.getType<string>()} ${context.getHandler().name} ${context.getClass().name}`);
          return context.getArgByIndex<ServiceRequest>(1).header('x-role') === 'admin';
        }
      }
      class Interceptor implements NestInterceptor {
        intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
          order.push('before');
          return next.handle().pipe(map((value: unknown) => ({ wrapped: value })));
        }
      }
      class Odd extends Error {}
      class Filter implements ExceptionFilter {
        catch(error: unknown): unknown {
          if (error instanceof Odd) return { filtered: error.message };
          return throwError(() => error);
        }
      }
      class Positive implements PipeTransform<number, number> {
        transform(value: number): number {
          order.push('pipe');
          if (!(value > 0)) throw new BadRequestException('not positive');
          return value;
        }
      }
      @UseGuards(Guard)
      @UseInterceptors(Interceptor)
      @UseFilters(Filter)
      @NatsGroup(name)
      @NatsService({ name, version: '1.0.0' })
      class Enhanced {
        @NatsEndpoint() run(@NatsPayload('n', Positive) n: number) {
          order.push('method');
          if (n === 13) throw new Odd('thirteen');
          if (n === 404) throw new NotFoundException({ message: 'no such thing', id: 404 });
          if (n === 500) throw new Error('password=secret');
          return n;
        }
      }
      const app = await init(services([Enhanced]));
      const client = await caller(name);
      const headers = { 'x-role': 'admin' };
      expect(await client.call('run', { n: 1 }, { headers })).toEqual({ wrapped: 1 });
      expect(order).toEqual(['guard nats run Enhanced', 'before', 'pipe', 'method']);
      await expect(client.call('run', { n: 1 })).rejects.toMatchObject({ status: 403, code: 'BACKEND_REFUSED' });
      await expect(client.call('run', { n: -1 }, { headers })).rejects.toMatchObject({
        status: 400,
        description: 'not positive',
      });
      expect(await client.call('run', { n: 13 }, { headers })).toEqual({ filtered: 'thirteen' });
      const missing = await client.call('run', { n: 404 }, { headers }).catch((error: unknown) => error);
      expect(missing).toMatchObject({ status: 404, description: 'no such thing' });
      expect(JSON.parse(new TextDecoder().decode((missing as { data: Uint8Array }).data))).toEqual({
        message: 'no such thing',
        id: 404,
      });
      const broken = await client.call('run', { n: 500 }, { headers }).catch((error: unknown) => error);
      expect(broken).toMatchObject({ status: 500, description: 'Internal Server Error' });
      expect(JSON.stringify(broken)).not.toContain('secret');
      const [stats] = app.get(NatsServicesHost).service(name)?.stats().endpoints ?? [];
      expect(stats).toMatchObject({ num_requests: 6, num_errors: 4 });
      expect(stats?.last_error).toContain('password=secret');
    });

    it.for([
      'provider',
      'controller',
      'request-scoped provider',
      'request-scoped controller',
      'class of another token',
    ] as const)(
      'of a %s: none of the enhancers of its class, its method, its parameters and the app is left out',
      async (kind) => {
        const name = fresh('kinds');
        const order: string[] = [];
        const guard = (where: string) => {
          @Injectable()
          class Guard implements CanActivate {
            canActivate(context: ExecutionContext): boolean {
              if (context.getType<string>() === 'nats') order.push(`guard of the ${where}`);
              return context.getArgByIndex<ServiceRequest>(1).header('refuse') !== where;
            }
          }
          return Guard;
        };
        @Injectable()
        class Interceptor implements NestInterceptor {
          intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
            order.push('interceptor');
            return next.handle();
          }
        }
        @Injectable()
        class Filter implements ExceptionFilter {
          catch(error: Error): unknown {
            return throwError(() => new NotFoundException(`filtered ${error.message}`));
          }
        }
        const scope = kind.startsWith('request') ? Scope.REQUEST : Scope.DEFAULT;
        const Kind = kind.endsWith('controller') ? Controller({ scope }) : Injectable({ scope });
        @NatsGroup(name)
        @NatsService({ name, version: '1.0.0' })
        @UseGuards(guard('class'))
        @UseInterceptors(Interceptor)
        @Kind
        class Handlers {
          @UseGuards(guard('method'))
          @UseFilters(Filter)
          @NatsEndpoint()
          run(@NatsPayload('n', ParseIntPipe) n: number) {
            order.push('method');
            if (n === 13) throw new Error('thirteen');
            return n + 1;
          }
        }
        const app: unknown[] = [{ provide: APP_GUARD, useClass: guard('app') }];
        const other = kind === 'class of another token' ? [{ provide: 'HANDLERS', useClass: Handlers }] : [Handlers];
        await init(kind.endsWith('controller') ? services(app, [Handlers]) : services([...app, ...other]));
        const client = await caller(name);
        expect(await client.call('run', { n: '41' })).toBe(42);
        expect(order).toEqual([
          'guard of the app',
          'guard of the class',
          'guard of the method',
          'interceptor',
          'method',
        ]);
        for (const refuse of ['app', 'class', 'method']) {
          await expect(client.call('run', { n: 1 }, { headers: { refuse } }), refuse).rejects.toMatchObject({
            description: 'filtered Forbidden resource',
          });
        }
        await expect(client.call('run', { n: 'x' })).rejects.toMatchObject({ status: 404 });
        await expect(client.call('run', { n: 13 })).rejects.toMatchObject({ description: 'filtered thirteen' });
      },
    );

    it('refuse a payload that is not what they say, and go on', async () => {
      const name = fresh('payloads');
      @NatsGroup(name)
      @NatsService({ name, version: '1.0.0' })
      class Payloads {
        @NatsEndpoint() json(payload: unknown) {
          return payload ?? 'none';
        }
        @NatsEndpoint({ payload: 'text' }) text(payload: string) {
          return payload.length;
        }
      }
      await init(services([Payloads]));
      const client = await caller(name);
      await expect(client.request('json', '{"half":')).rejects.toMatchObject({ status: 400 });
      await expect(client.request('text', Uint8Array.from([0xff, 0xfe]))).rejects.toMatchObject({ status: 400 });
      expect(await client.call('json')).toBe('none');
      expect((await client.request('text', 'four')).json()).toBe(4);
    });

    it('of request-scoped classes get an instance for each request', async () => {
      const name = fresh('scoped');
      let made = 0;
      @Injectable({ scope: Scope.REQUEST })
      class PerRequest {
        readonly number = (made += 1);
        constructor(@Inject(REQUEST) readonly request: ServiceRequest) {}
      }
      @NatsGroup(name)
      @NatsService({ name, version: '1.0.0' })
      @Injectable()
      class Scoped {
        constructor(@Inject(PerRequest) private readonly inner: PerRequest) {}
        @NatsEndpoint() which(payload: unknown) {
          return { payload, number: this.inner.number, subject: this.inner.request.subject };
        }
      }
      await init(services([Scoped, PerRequest]));
      const client = await caller(name);
      expect(await client.call('which', 'a')).toMatchObject({ payload: 'a', subject: `${name}.which` });
      const [one, other] = [
        await client.call<{ number: number }>('which'),
        await client.call<{ number: number }>('which'),
      ];
      expect(other.number).toBe(one.number + 1);
    });
  });

  describe('calling', () => {
    it('injects clients into any module, and passes tracing headers on', async () => {
      const [front, back] = [fresh('front'), fresh('back')];
      @NatsService({ name: back, version: '1.0.0' })
      class Back {
        @NatsEndpoint({ subject: `${back}.headers` }) headers(@NatsHeaders() headers: Record<string, string>) {
          return headers;
        }
      }
      @NatsService({ name: front, version: '1.0.0' })
      class Front {
        constructor(@InjectNatsService(back) private readonly back: NatsServiceClient) {}
        @NatsEndpoint({ subject: `${front}.forward` }) async forward() {
          await new Promise((resolve) => setImmediate(resolve));
          return this.back.call('headers', undefined, { headers: { own: '1' } });
        }
      }
      @Module({ providers: [Front] })
      class FrontModule {}
      @Module({
        imports: [
          FrontModule,
          NatsServicesModule.forRootAsync({ useFactory: () => ({ connection: { servers: server.url } }) }),
        ],
        providers: [Back],
      })
      class AppModule {}
      await init(AppModule);
      const client = await caller(front);
      const headers = { traceparent: '00-1-2-01', 'x-request-id': 'r1', secret: 'stays' };
      expect(await client.call('forward', undefined, { headers })).toEqual({
        traceparent: '00-1-2-01',
        'x-request-id': 'r1',
        own: '1',
      });
    });
  });

  describe('life', () => {
    it('starts when the app is ready and stops first, finishing what is under way', async () => {
      const name = fresh('life');
      const events: string[] = [];
      let release = (): void => {};
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      @Injectable()
      class Database {
        onModuleDestroy(): void {
          events.push('database closed');
        }
      }
      @Module({ providers: [Database], exports: [Database] })
      class DatabaseModule {}
      @NatsGroup(name)
      @NatsService({ name, version: '1.0.0' })
      class Slow {
        @NatsEndpoint() async slow() {
          events.push('begun');
          await held;
          events.push('answered');
          return 'done';
        }
      }
      @Module({ providers: [Slow] })
      class SlowModule {}
      @Module({
        imports: [
          DatabaseModule,
          SlowModule,
          NatsServicesModule.forRootAsync({ useFactory: () => ({ connection: { servers: server.url } }) }),
        ],
      })
      class AppModule {}
      const app = await init(AppModule);
      const client = await caller(name);
      const answer = client.call('slow');
      await expect.poll(() => events).toEqual(['begun']);
      const closing = app.close();
      // One that arrives before the server knows is taken and finished, too.
      const late = (): Promise<unknown> =>
        client.call('slow', undefined, { timeoutMs: 200 }).catch((error: unknown) => (error as { code: string }).code);
      await expect.poll(late, { timeout: 5000 }).toBe('NO_INSTANCE');
      release();
      expect(await answer).toBe('done');
      await closing;
      expect(events.at(-1)).toBe('database closed');
      const count = (what: string): number => events.filter((event) => event === what).length;
      expect(count('answered')).toBe(count('begun'));
    });

    it('an app without NATS starts, and offers its services when NATS is there', async () => {
      const name = fresh('late');
      const proxy = await server.proxy();
      await proxy.drop();
      @NatsGroup(name)
      @NatsService({ name, version: '1.0.0' })
      class Late {
        @NatsEndpoint() here() {
          return true;
        }
      }
      const connection = { servers: proxy.url, reconnectWaitMs: 50 };
      @Module({ imports: [NatsServicesModule.forRoot({ connection })], providers: [Late] })
      class AppModule {}
      const app = await init(AppModule);
      expect(app.get(NatsServicesHost).services).toEqual([]);
      const client = await caller(name);
      await proxy.heal();
      // Whoever calls it from the first moment on finds nobody, or everything: never a service without its endpoints.
      const answer = async (): Promise<unknown> =>
        client.call('here').catch((error: unknown) => {
          if (codeOf(error) === 'NO_INSTANCE') return 'nobody';
          throw error;
        });
      await expect.poll(answer, { interval: 1, timeout: 10_000 }).toBe(true);
      await expect.poll(() => app.get(NatsServicesHost).services.length).toBe(1);
    });

    it('or fails fast, when told to', async () => {
      const connection = { servers: '127.0.0.1:1', firstConnect: 'fail' } as const;
      @Module({ imports: [NatsServicesModule.forRoot({ connection })] })
      class AppModule {}
      await expect(init(AppModule)).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    });
  });

  describe('mistakes are one clear error', () => {
    it('no connection, endpoints of no service, two descriptions of one', async () => {
      @Module({ imports: [NatsServicesModule.forRoot()] })
      class Without {}
      await expect(init(Without)).rejects.toMatchObject({ code: 'INVALID_OPTION', field: 'connection' });
      class Homeless {
        @NatsEndpoint() here(): void {}
      }
      await expect(init(services([Homeless]))).rejects.toMatchObject({ code: 'INVALID_OPTION', field: 'service' });
      @NatsService({ name: 'twice', version: '1.0.0' })
      class One {}
      @NatsService({ name: 'twice', version: '2.0.0' })
      class Two {}
      await expect(init(services([One, Two]))).rejects.toMatchObject({ code: 'INVALID_OPTION', service: 'twice' });
    });

    it('bad names, versions and subjects when the class is defined', () => {
      expect(() => NatsService({ name: 'no dots.please', version: '1.0.0' })).toThrow(/letters, digits/);
      expect(() => NatsService({ name: 'ok', version: '1.0' })).toThrow(/semantic version/);
      expect(() => NatsGroup('a b')).toThrow(expect.objectContaining({ code: 'INVALID_NAME' }));
      expect(() => InjectNatsService('a.b')).toThrow(expect.objectContaining({ code: 'INVALID_NAME' }));
      const bad = { subject: 'a b' };
      expect(() => {
        class Bad {
          @NatsEndpoint(bad) method(): void {}
        }
        return Bad;
      }).toThrow(expect.objectContaining({ code: 'INVALID_NAME', field: 'subject' }));
    });
  });

  it('logs through Nest', async () => {
    const name = fresh('logs');
    @NatsGroup(name)
    @NatsService({ name, version: '1.0.0' })
    class Logs {
      @NatsEndpoint() here(): void {}
    }
    const logger = new LogCollector();
    await init(services([Logs]), logger);
    expect(logger.lines.join('\n')).toContain(`the NATS service ${name} 1.0.0 answers on 1 endpoints`);
  });
});
