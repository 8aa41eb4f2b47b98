import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** The files that wait longest for their servers. Begun last, each would be waited for alone. */
const LONGEST = [
  'contract/nacos-grpc',
  'wings/outage-lines',
  'contract/consul',
  'contract/nacos-http',
  'contract/eureka',
  'e2e/packaging',
  'e2e/faults',
  'contract/nats',
  'wings/nacos/security',
  'contract/zookeeper',
  'wings/nacos/failures',
  'wings/eureka/failures',
  'wings/consul/cluster',
  'e2e/samples',
];

/** Begins with the files that take longest, then goes on as vitest does. */
export default class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isIn = (name: string) => (file: TestSpecification) => file.moduleId.endsWith(`/test/${name}.test.ts`);
    const first = LONGEST.flatMap((name) => sorted.filter(isIn(name)));
    return [...first, ...sorted.filter((file) => !first.includes(file))];
  }
}
