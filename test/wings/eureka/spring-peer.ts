import { fileURLToPath } from 'node:url';
import { httpGet } from '../../servers/wait.js';
import { provideSpringProgram, startSpringProgram, type SpringPeer, type SpringProgram } from '../spring-peer.js';

const project = fileURLToPath(new URL('spring-peer/', import.meta.url));

/** The stock Spring Cloud client of Eureka; or why it can't be had. */
export function provideSpringPeer(): Promise<SpringProgram | { reason: string }> {
  return provideSpringProgram('spring-peer', project);
}

/** Starts it under the name, at the Eureka server; `tls` makes it speak https only. */
export function startSpringPeer(
  program: SpringProgram,
  name: string,
  eurekaUrl: string,
  options: {
    readonly tls?: { readonly certFile: string; readonly keyFile: string };
    /** A key store with the authorities that it trusts, and its password. */
    readonly trust?: { readonly file: string; readonly password: string };
  } = {},
): Promise<SpringPeer> {
  const { tls, trust } = options;
  return startSpringProgram(program, {
    settings: (port) => ({
      'spring.application.name': name,
      'eureka.client.service-url.defaultZone': `${eurekaUrl}/`,
      'eureka.client.registry-fetch-interval-seconds': '1',
      'eureka.instance.hostname': '127.0.0.1',
      'eureka.instance.lease-renewal-interval-in-seconds': '1',
      'eureka.instance.lease-expiration-duration-in-seconds': '5',
      'spring.cloud.loadbalancer.cache.enabled': 'false',
      ...(tls === undefined
        ? {}
        : {
            'server.ssl.certificate': `file:${tls.certFile}`,
            'server.ssl.certificate-private-key': `file:${tls.keyFile}`,
            'eureka.instance.secure-port-enabled': 'true',
            'eureka.instance.secure-port': String(port),
            'eureka.instance.non-secure-port-enabled': 'false',
          }),
    }),
    jvm:
      trust === undefined
        ? []
        : [`-Djavax.net.ssl.trustStore=${trust.file}`, `-Djavax.net.ssl.trustStorePassword=${trust.password}`],
    what: `${name} is registered`,
    ready: async () => {
      const apps = await httpGet(`${eurekaUrl}/apps/${name.toUpperCase()}`, {
        headers: { accept: 'application/json' },
      });
      return apps.status === 200 && apps.text.includes('"UP"');
    },
  });
}
