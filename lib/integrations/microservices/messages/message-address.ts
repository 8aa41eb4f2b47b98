import type { ServiceInstance } from '../../../model/index.js';

/** Where an instance takes messages. */
export interface MessageAddress {
  readonly host: string;
  readonly port: number;
  readonly instance: ServiceInstance;
}
