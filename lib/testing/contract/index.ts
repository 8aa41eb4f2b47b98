import { describeConfigContract } from './config-contract.js';
import type { ContractHarness, ContractTiming } from './contract.js';
import { describeDiscoveryContract } from './discovery-contract.js';
import { describeRegistryContract } from './registry-contract.js';
import type { ContractRunner } from './runner.js';

export type { BackendDefinition } from '../../backend/index.js';
export type { ConfigHarness, ContractHarness, ContractTiming } from './contract.js';
export type { ContractRunner, Expectation } from './runner.js';

/**
 * Defines one suite.
 *
 * @param createHarness brings up one real server, or what stands for it; called once, before the first test
 */
export type DescribeContract = (
  name: string,
  createHarness: () => Promise<ContractHarness>,
  timing?: ContractTiming,
) => void;

/** The suites that every backend of this package passes, one for each driver. */
export interface ContractSuites {
  readonly describeRegistryContract: DescribeContract;
  readonly describeDiscoveryContract: DescribeContract;
  readonly describeConfigContract: DescribeContract;
}

/**
 * The contract suites, for backends that others write: run them against the real server.
 *
 * ```ts
 * const { describeRegistryContract, describeDiscoveryContract } = contractSuites(vitest); // the whole module
 * describeRegistryContract('etcd', createHarness);
 * describeDiscoveryContract('etcd', createHarness);
 * ```
 */
export function contractSuites(runner: ContractRunner): ContractSuites {
  return {
    describeRegistryContract: (...suite) => describeRegistryContract(runner, ...suite),
    describeDiscoveryContract: (...suite) => describeDiscoveryContract(runner, ...suite),
    describeConfigContract: (...suite) => describeConfigContract(runner, ...suite),
  };
}
