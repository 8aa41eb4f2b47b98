/** Whether this run is against the newest servers that can be had: `npm run matrix -- --servers`. */
const isNewest = process.env['NSD_SERVERS'] === 'newest';

/**
 * Every version that `test/servers` installs, in one place. A change here gives a new folder in the cache, so nothing
 * stale is ever reused. The newest ones are written down too: what fails with them then failed because of us, not because
 * somebody released overnight. docs/servers.md says why Nacos and Consul have none.
 */
export const versions = {
  nats: {
    /** From Debian 12; elsewhere the same release is built with Go. */
    debian: { upstream: '2.9.10', goModule: 'v2.9.10' },
    /** Built with Go. 2.11 brought per-key TTL and delete markers. */
    current: isNewest ? 'v2.15.3' : 'v2.14.5',
  },
  /** Each brings an undici of its own, which its `fetch` is: 6, 6, 7 and 8. */
  node: { 20: '20.20.2', 22: '22.23.3', 24: '24.21.0', 26: '26.10.0' },
  go: {
    /** What the programs below are built with where the machine's own Go is older than `oldest`, or missing. */
    toolchain: '1.25.5',
    /** NATS asks for it. */
    oldest: [1, 25],
    /** Debian 12's Go, too old to build with, but able to fetch the toolchain. */
    debianPackage: 'golang-1.19-go',
    debianFolder: 'usr/lib/go-1.19',
  },
  zookeeper: {
    /** From Debian 12; elsewhere the same release comes from Maven Central, and the newest from there only. */
    debian: isNewest ? undefined : '3.8.0',
    maven: isNewest ? '3.9.5' : '3.8.0',
  },
  /** Built with Go from the module's own sources. */
  consul: 'v1.20.5',
  eureka: {
    springBoot: isNewest ? '4.0.9' : '3.5.7',
    springCloud: isNewest ? '2025.1.4' : '2025.0.0',
  },
  /**
   * Spring's side where a test has one: applications at Eureka and ZooKeeper, the config server, the reader of YAML,
   * Spring Boot Admin. Apart from the server's, for Spring Boot Admin asks for a Boot of its own generation.
   */
  springPeers: {
    springBoot: '3.5.7',
    springCloud: '2025.0.0',
  },
  /**
   * The Nacos server is not published by its makers as a library. These are rebuilds by others, with the original
   * packages, good for tests and nothing else; docs/servers.md says which ones exist.
   */
  nacos2: {
    group: 'group.springframework.nacos',
    version: '2.3.2-OEM',
    springBoot: '2.7.18',
  },
  nacos3: {
    group: 'io.github.pig-mesh.nacos',
    version: '3.1.0-bugfix',
    springBoot: '3.5.7',
  },
} as const;
