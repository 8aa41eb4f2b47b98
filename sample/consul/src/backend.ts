import { consul } from 'nestjs-service-discovery/consul';

/**
 * The agent that both apps talk to: `eval "$(npm run -s servers -- env)"` names one after
 * `npm run servers -- up consul`.
 */
export const CONSUL_URL = process.env['CONSUL_URL'] ?? 'http://localhost:8500';

/** Registry and configuration. A shorter TTL than the default, so that a reader sees something. */
export const backend = consul({ address: CONSUL_URL, check: { type: 'ttl', ttlMs: 6000 } });
