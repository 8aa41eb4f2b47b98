import type { ServiceInstance } from '../../model/index.js';

/**
 * The port that an instance serves a protocol on: what its metadata says, or its own port.
 *
 * @param names of the metadata; the first that the instance has counts
 * @returns undefined for metadata that is no port
 */
export function portOf(instance: ServiceInstance, names: readonly string[]): number | undefined {
  const { metadata } = instance;
  const name = names.find((one) => metadata[one] !== undefined);
  if (name === undefined) return instance.port;
  const text = metadata[name] ?? '';
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65_535 ? port : undefined;
}

/** Whether an instance's metadata says where it serves a protocol. */
export function namesPort({ metadata }: ServiceInstance, names: readonly string[]): boolean {
  return names.some((name) => metadata[name] !== undefined);
}
