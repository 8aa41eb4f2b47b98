import fc from 'fast-check';
import {
  createServiceInstance,
  DiscoveryError,
  INSTANCE_STATUSES,
  type ServiceInstance,
  type ServiceInstanceInput,
} from '../../../lib/model/index.js';

/** The error that `action` throws; it must be one of ours. */
export function discoveryErrorOf(action: () => unknown): DiscoveryError {
  try {
    action();
  } catch (error) {
    if (error instanceof DiscoveryError) return error;
    throw new Error(`expected a DiscoveryError, got ${String(error)}`, { cause: error });
  }
  throw new Error('expected a DiscoveryError, nothing was thrown');
}

export function instance(over: Partial<ServiceInstanceInput> = {}): ServiceInstance {
  return createServiceInstance({ service: 'ORDERS', host: '10.0.0.1', port: 8080, backend: 'a', ...over });
}

/** Instances of one service on few addresses, so that they meet. */
export const anyInstance: fc.Arbitrary<ServiceInstance> = fc
  .record({
    last: fc.integer({ min: 1, max: 6 }),
    id: fc.constantFrom('x', 'y'),
    status: fc.constantFrom(...INSTANCE_STATUSES),
    weight: fc.constantFrom(0, 1, 2),
    version: fc.constantFrom('1', '2'),
  })
  .map(({ last, id, status, weight, version }) =>
    instance({ host: `10.0.0.${last}`, id, status, weight, metadata: { version } }),
  );

/** Lists without two instances at one address. */
export const anyUniqueList = fc.uniqueArray(anyInstance, { selector: (one) => one.url, maxLength: 6 });

/** Lists as a registry may really give them: several records at one address. */
export const anyList = fc.array(anyInstance, { maxLength: 8 });
