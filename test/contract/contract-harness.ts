import * as vitest from 'vitest';
import { contractSuites } from '../../lib/testing/contract/index.js';

export * from '../../lib/testing/contract/contract.js';

/** The suites that the package exports for others' backends. */
export const { describeConfigContract, describeDiscoveryContract, describeRegistryContract } = contractSuites(vitest);
