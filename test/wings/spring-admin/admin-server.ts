import { fileURLToPath } from 'node:url';
import { httpGet } from '../../servers/wait.js';
import { provideSpringProgram, startSpringProgram, type SpringPeer, type SpringProgram } from '../spring-peer.js';

const project = fileURLToPath(new URL('server/', import.meta.url));

/** The stock Spring Boot Admin server; or why it can't be had. */
export function provideAdminServer(): Promise<SpringProgram | { reason: string }> {
  return provideSpringProgram('spring-boot-admin', project);
}

/** Starts it beside a Eureka server, in which it finds what it shows. */
export function startAdminServer(program: SpringProgram, eurekaUrl: string): Promise<SpringPeer> {
  return startSpringProgram(program, {
    settings: () => ({
      'spring.application.name': 'spring-boot-admin',
      'eureka.client.service-url.defaultZone': `${eurekaUrl}/`,
      'eureka.client.register-with-eureka': 'false',
      'eureka.client.registry-fetch-interval-seconds': '1',
      // Else an app that is down isn't shown as down: it isn't shown.
      'eureka.client.filter-only-up-instances': 'false',
      // With less than that it leaves an app no time to answer in.
      'spring.boot.admin.monitor.status-interval': '3s',
      'spring.boot.admin.monitor.status-lifetime': '1s',
      'spring.boot.admin.monitor.info-interval': '3s',
    }),
    what: 'Spring Boot Admin answers',
    ready: async (port) => {
      const { status } = await httpGet(`http://127.0.0.1:${port}/instances`, {
        headers: { accept: 'application/json' },
      });
      return status === 200;
    },
  });
}
