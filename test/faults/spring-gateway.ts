import { fileURLToPath } from 'node:url';
import { httpGet } from '../servers/wait.js';
import { provideSpringProgram, startSpringProgram, type SpringPeer } from '../wings/spring-peer.js';
import type { BackendSpec } from './backends.js';

const project = fileURLToPath(new URL('spring-gateway/', import.meta.url));

/** Spring's properties. */
type Settings = Readonly<Record<string, string>>;

/** Where a stock gateway finds its services: nothing is set but the place. */
export function springRegistry({ product, options }: BackendSpec): Settings {
  if (product === 'eureka') {
    return {
      'spring.cloud.consul.enabled': 'false',
      'eureka.client.service-url.defaultZone': (options.serviceUrls as string[]).join(','),
      'eureka.client.register-with-eureka': 'false',
    };
  }
  if (product === 'consul') {
    const { hostname, port } = new URL(String(options.address));
    return {
      'eureka.client.enabled': 'false',
      'spring.cloud.consul.host': hostname,
      'spring.cloud.consul.port': port,
      'spring.cloud.consul.discovery.register': 'false',
    };
  }
  throw new Error(`no Spring Cloud Gateway reads from ${product} here`);
}

/** No registry: the one instance that a service has, as Spring's own list of instances. */
export function springInstance(service: string, port: number): Settings {
  return {
    'eureka.client.enabled': 'false',
    'spring.cloud.consul.enabled': 'false',
    [`spring.cloud.discovery.client.simple.instances.${service}[0].uri`]: `http://127.0.0.1:${port}`,
  };
}

/**
 * A stock Spring Cloud Gateway with one route, `/stock/**` to the service without the prefix, once it forwards.
 *
 * @param registry where it finds its services: {@link springRegistry}, {@link springInstance}
 * @param service its name
 * @param probe a path of the service that answers with 200
 */
export async function startSpringGateway(registry: Settings, service: string, probe: string): Promise<SpringPeer> {
  const program = await provideSpringProgram('spring-gateway', project);
  if ('reason' in program) throw new Error(program.reason);
  const route = 'spring.cloud.gateway.server.webflux.routes[0]';
  return startSpringProgram(program, {
    settings: () => ({
      'spring.application.name': 'spring-gateway',
      [`${route}.id`]: 'stock',
      [`${route}.uri`]: `lb://${service}`,
      [`${route}.predicates[0]`]: 'Path=/stock/**',
      [`${route}.filters[0]`]: 'StripPrefix=1',
      ...registry,
    }),
    what: 'the gateway forwards',
    ready: async (port) => (await httpGet(`http://127.0.0.1:${port}/stock${probe}`)).status === 200,
  });
}
