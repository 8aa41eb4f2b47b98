import 'reflect-metadata';
import { Injectable, Module, type INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eureka } from '../../../lib/backends/eureka/index.js';
import { AppRegistration, DiscoveryModule, HealthCheckOf } from '../../../lib/index.js';
import { basicAuth, DiscoveryOperatorModule } from '../../../lib/integrations/operator/index.js';
import { standIn, withServer } from '../../servers/for-tests.js';
import { httpGet } from '../../servers/wait.js';
import type { SpringPeer } from '../spring-peer.js';
import { provideAdminServer, startAdminServer } from './admin-server.js';

/** What Spring Boot Admin knows of an app. */
interface AdminInstance {
  readonly id: string;
  readonly registration: { readonly name: string; readonly managementUrl: string; readonly healthUrl: string };
  readonly statusInfo: { readonly status: string; readonly details?: Readonly<Record<string, unknown>> };
  readonly endpoints: readonly { readonly id: string; readonly url: string }[];
  readonly buildVersion: string | null;
}

const LOGIN = { username: 'admin', password: 'let-me-in' };
const ORDERS = 'ADMIN-ORDERS';

let isWell = true;

@Injectable()
class Database {
  @HealthCheckOf('database')
  check(): boolean {
    if (!isWell) throw new Error('the database is gone');
    return true;
  }
}

const provided = await provideAdminServer();

if ('reason' in provided) standIn('Spring Boot Admin', provided.reason);
else {
  withServer('eureka', { variant: 'single' }, (server) => {
    let admin: SpringPeer | undefined;
    let app: INestApplication | undefined;

    beforeAll(async () => {
      admin = await startAdminServer(provided, server.url);
      @Module({
        providers: [Database],
        imports: [
          DiscoveryOperatorModule.register({ actuator: true, guard: basicAuth(LOGIN) }),
          DiscoveryModule.forRoot({
            service: {
              name: ORDERS,
              host: '127.0.0.1',
              health: { intervalMs: 200 },
              // What Spring Boot Admin logs in with.
              metadata: { version: '1.4.0', 'user.name': LOGIN.username, 'user.password': LOGIN.password },
            },
            registry: eureka({ serviceUrls: [server.url] }),
          }),
        ],
      })
      class AppModule {}
      app = await NestFactory.create(AppModule, { logger: false, abortOnError: false });
      app.setGlobalPrefix('api');
      await app.listen(0, '127.0.0.1');
    });

    afterAll(async () => {
      await app?.close();
      await admin?.close();
    });

    const shown = async (): Promise<AdminInstance | undefined> => {
      const { text } = await httpGet(`http://127.0.0.1:${admin?.port}/instances`, {
        headers: { accept: 'application/json' },
      });
      return (JSON.parse(text) as AdminInstance[]).find(
        ({ registration }) => registration.name.toUpperCase() === ORDERS,
      );
    };
    const status = async (): Promise<string | undefined> => (await shown())?.statusInfo.status;
    /** What Spring Boot Admin passes on of the app's endpoints. */
    const through = async (path: string): Promise<Record<string, unknown>> => {
      const id = (await shown())?.id;
      const answer = await httpGet(`http://127.0.0.1:${admin?.port}/instances/${id}/actuator/${path}`, {
        headers: { accept: 'application/json' },
      });
      return { code: answer.status, ...(JSON.parse(answer.text) as object) };
    };

    it('Spring Boot Admin shows the app UP, with its endpoints and its version', async () => {
      await expect.poll(status, { timeout: 40_000 }).toBe('UP');
      await expect.poll(async () => (await shown())?.buildVersion, { timeout: 30_000 }).toBe('1.4.0');
      const instance = await shown();
      expect(instance?.registration.managementUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/api\/actuator$/);
      // It asks for the endpoints once it has seen that the app is up.
      await expect
        .poll(async () => (await shown())?.endpoints.map(({ id }) => id), { timeout: 40_000 })
        .toEqual(expect.arrayContaining(['health', 'info', 'metrics', 'env', 'serviceregistry', 'refresh']));
      expect(await through('metrics/process.uptime')).toMatchObject({ code: 200, baseUnit: 'seconds' });
      expect(await through('env')).toMatchObject({ code: 200, propertySources: expect.any(Array) as unknown[] });
    });

    it('then DOWN with the reason, and UP again', async () => {
      isWell = false;
      await expect.poll(status, { timeout: 40_000 }).toBe('DOWN');
      expect(JSON.stringify((await shown())?.statusInfo.details)).toContain('the database is gone');
      isWell = true;
      await expect.poll(status, { timeout: 40_000 }).toBe('UP');
    });

    it('out of service while it is paused', async () => {
      await app?.get(AppRegistration).pause('disk is full');
      await expect.poll(status, { timeout: 40_000 }).toBe('OUT_OF_SERVICE');
      await app?.get(AppRegistration).resume();
      await expect.poll(status, { timeout: 40_000 }).toBe('UP');
    });
  });
}
