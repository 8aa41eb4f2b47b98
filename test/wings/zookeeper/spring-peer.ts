import { fileURLToPath } from 'node:url';
import { httpGet } from '../../servers/wait.js';
import { provideSpringProgram, startSpringProgram, type SpringPeer, type SpringProgram } from '../spring-peer.js';

const project = fileURLToPath(new URL('spring-peer/', import.meta.url));

/** The stock Spring Cloud Zookeeper application; or why it can't be had. */
export function provideSpringPeer(): Promise<SpringProgram | { reason: string }> {
  return provideSpringProgram('spring-zookeeper-peer', project);
}

/** Starts it under the name, at the ZooKeeper server, with services and configuration in nodes of the test's own. */
export function startSpringPeer(
  program: SpringProgram,
  name: string,
  connectString: string,
  nodes: { readonly services: string; readonly config: string },
): Promise<SpringPeer> {
  return startSpringProgram(program, {
    settings: () => ({
      'spring.application.name': name,
      'spring.config.import': 'zookeeper:',
      'spring.cloud.zookeeper.connect-string': connectString,
      'spring.cloud.zookeeper.discovery.root': nodes.services,
      'spring.cloud.zookeeper.discovery.instance-host': '127.0.0.1',
      'spring.cloud.zookeeper.discovery.uri-spec': '{scheme}://{address}:{port}/base',
      'spring.cloud.zookeeper.discovery.metadata.flavour': 'spring',
      'spring.cloud.zookeeper.config.root': nodes.config,
      'spring.cloud.loadbalancer.cache.enabled': 'false',
    }),
    what: `${name} is registered`,
    ready: async (port) => {
      const seen = await httpGet(`http://127.0.0.1:${port}/instances?service=${name}`);
      return seen.status === 200 && seen.text.includes(String(port));
    },
  });
}
