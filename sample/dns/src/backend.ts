import { consul } from 'nestjs-service-discovery/consul';
import { dns } from 'nestjs-service-discovery/dns';

/** The agent that stock registers at, such as one of `consul agent -dev`, and the DNS of that agent. */
export const CONSUL_URL = process.env['CONSUL_URL'] ?? 'http://localhost:8500';
export const CONSUL_DNS = process.env['CONSUL_DNS'] ?? '127.0.0.1:8600';

/** DNS is only read: stock registers at Consul itself. */
export const writer = consul({ address: CONSUL_URL, check: { type: 'ttl', ttlMs: 6000 } });

/** What the gateway knows of: in Kubernetes this is `dns({ pattern: '_http._tcp.{service}.default.svc.cluster.local' })`. */
export const reader = {
  backend: dns({ servers: [CONSUL_DNS], pattern: '{service}.service.consul', refreshMs: 1000 }),
  register: false,
};
