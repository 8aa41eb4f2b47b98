import type { DiscoveryModuleOptions } from 'nestjs-service-discovery';
import { eureka } from 'nestjs-service-discovery/eureka';
import { nacos } from 'nestjs-service-discovery/nacos';

/** Both servers; `eval "$(npm run -s servers -- env)"` names them after `npm run servers -- up eureka nacos`. */
export const EUREKA_URL = process.env['EUREKA_URL'] ?? 'http://localhost:8761/eureka';
const nacosUrl = new URL(process.env['NACOS_URL'] ?? 'http://localhost:8848/nacos');

/** Where we come from. A shorter pause between its reads than the default, so that nobody has to wait. */
const old = eureka({ serviceUrls: EUREKA_URL, fetchIntervalMs: 1000 });

/** Where we go. */
const next = nacos({
  serverAddresses: nacosUrl.host,
  ...(nacosUrl.username === ''
    ? {}
    : { username: decodeURIComponent(nacosUrl.username), password: decodeURIComponent(nacosUrl.password) }),
});

/** The steps of docs/several-registries.md, and what they are called in the output. */
export const STEPS = ['only Eureka', 'Eureka, then Nacos', 'Nacos, then Eureka', 'Nacos; Eureka unread', 'only Nacos'];
const registries: NonNullable<DiscoveryModuleOptions['registry']>[] = [
  old,
  [old, next],
  [next, old],
  [next, { backend: old, discover: false }],
  next,
];

/** The service that moves. */
export const SERVICE = 'MOVING-STOCK';

/** What all apps have in common at the step that this process is started for. */
export const common = {
  registry: registries[Number(process.env['STEP'] ?? 0)] ?? next,
  configOptions: { layers: false },
  // Long enough for callers to hear of it: Eureka's server and its readers each take a second here.
  shutdown: { propagationDelayMs: 2500 },
} satisfies DiscoveryModuleOptions;
