import { nats } from 'nestjs-service-discovery/nats';

/** One definition for registry and configuration: one connection, two key-value buckets. */
export const backend = nats({
  servers: process.env['NATS_URL'] ?? 'nats://127.0.0.1:4222',
  presence: { bucket: `${process.env['NATS_SAMPLE'] ?? 'sample'}-presence` },
  config: { bucket: `${process.env['NATS_SAMPLE'] ?? 'sample'}-config` },
});
