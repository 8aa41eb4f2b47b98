/** What an app on a backend has: the lines of code, the package and the variable. */
export interface BackendChoice {
  /** The factory's entry and name. */
  readonly entry: string;
  readonly factory: string;
  /** How the backend is made. */
  readonly create: string;
  /** Whether it has configuration too; else the app's own folder is used for that. */
  readonly hasConfig: boolean;
  /** An optional peer of this package that it needs. */
  readonly peer?: string;
  /** A variable that the backend reads, and what it means by default. */
  readonly variable?: readonly [name: string, value: string];
}

export const BACKENDS: Readonly<Record<string, BackendChoice>> = {
  local: { entry: 'local', factory: 'local', create: 'local()', hasConfig: true },
  consul: {
    entry: 'consul',
    factory: 'consul',
    create: 'consul()',
    hasConfig: true,
    variable: ['CONSUL_HTTP_ADDR', 'localhost:8500'],
  },
  eureka: {
    entry: 'eureka',
    factory: 'eureka',
    create: 'eureka()',
    hasConfig: false,
    variable: ['EUREKA_CLIENT_SERVICEURL_DEFAULTZONE', 'http://localhost:8761/eureka'],
  },
  nacos: {
    entry: 'nacos',
    factory: 'nacos',
    create: 'nacos()',
    hasConfig: true,
    peer: '@grpc/grpc-js',
    variable: ['NACOS_SERVER_ADDR', 'localhost:8848'],
  },
  nats: {
    entry: 'nats',
    factory: 'nats',
    create: 'nats()',
    hasConfig: true,
    peer: 'nats',
    variable: ['NATS_URL', 'nats://localhost:4222'],
  },
  zookeeper: {
    entry: 'zookeeper',
    factory: 'curator, zookeeper',
    create: 'zookeeper({ layout: curator() })',
    hasConfig: true,
    peer: 'node-zookeeper-client',
    variable: ['ZOOKEEPER_SERVERS', 'localhost:2181'],
  },
};
