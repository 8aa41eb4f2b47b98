import { availableParallelism } from 'node:os';
import { getHeapStatistics } from 'node:v8';
import type { Unsubscribe } from '../../../backend/index.js';
import type { DiscoveryTelemetry } from '../../../nest/index.js';
import {
  CALL_DURATION,
  DURATION_METRICS,
  ERROR_LABEL,
  GATEWAY_DURATION,
  READ_METRICS,
  SERVICE_LABEL,
  type Metric,
} from '../../../observability/index.js';

/** One value of a metric, by Micrometer's kinds of values. */
interface Measured {
  readonly tags: Readonly<Record<string, string>>;
  readonly values: Readonly<Partial<Record<Statistic, number>>>;
}

type Statistic = 'VALUE' | 'COUNT' | 'TOTAL_TIME' | 'MAX';

/** What is known of a metric besides its values. */
interface Described {
  readonly description: string;
  readonly baseUnit: string | null;
  /** Of several values the greatest counts, not their sum. */
  readonly greatest?: boolean;
}

/** A metric as Spring's endpoint shows it. */
export interface ActuatorMetric {
  readonly name: string;
  readonly description: string;
  readonly baseUnit: string | null;
  readonly measurements: readonly { readonly statistic: Statistic; readonly value: number }[];
  readonly availableTags: readonly { readonly tag: string; readonly values: readonly string[] }[];
}

/** Services that are told apart; all others are added up as `other`. */
const MAX_SERVICES = 200;

/** Values of a tag that are named. */
const MAX_VALUES = 500;

const SECONDS = 'seconds';

/**
 * Metrics in Micrometer's shape: those of discovery, and those of the process that Spring Boot Admin draws, under the names it looks
 * for. V8's heap is `jvm.memory.*` there.
 */
export class ActuatorMetrics {
  private readonly durations = new Map<object, Timed>();
  private readonly routed = new Map<object, Timed>();
  private readonly meter: ReturnType<DiscoveryTelemetry['meter']>;
  private cpu = { at: process.hrtime.bigint(), usage: process.cpuUsage() };

  /** Begins to count calls. */
  constructor(telemetry: DiscoveryTelemetry) {
    this.meter = telemetry.meter({
      maxServices: MAX_SERVICES,
      onEnd: (labels, seconds) => {
        const { service, outcome, errorType = 'none' } = labels;
        time(this.durations, labels, seconds, () => ({
          [SERVICE_LABEL]: service,
          outcome,
          [ERROR_LABEL]: errorType,
        }));
      },
      onRouted: (labels, seconds) => {
        const { route, service, status } = labels;
        time(this.routed, labels, seconds, () => ({ route, [SERVICE_LABEL]: service, status }));
      },
    });
  }

  /** Counts no more. */
  readonly stop: Unsubscribe = () => this.meter.stop();

  /** The names of all metrics, sorted. */
  get names(): readonly string[] {
    return [...DESCRIBED.keys()].sort();
  }

  /**
   * A metric, of those of its values that have all `tags`; undefined when there is none.
   * @param tags each as `name:value`
   */
  read(name: string, tags: readonly string[]): ActuatorMetric | undefined {
    const described = DESCRIBED.get(name);
    if (described === undefined) return undefined;
    const wanted = tags.map((tag) => [tag.slice(0, tag.indexOf(':')), tag.slice(tag.indexOf(':') + 1)] as const);
    const found = this.measured(name).filter((one) => wanted.every(([tag, value]) => one.tags[tag] === value));
    if (found.length === 0 && wanted.length > 0) return undefined;
    const sums = new Map<Statistic, number>(found.length === 0 ? [['VALUE', 0]] : []);
    for (const { values } of found) {
      for (const [statistic, value] of Object.entries(values) as [Statistic, number][]) {
        const before = sums.get(statistic);
        const isGreatest = statistic === 'MAX' || described.greatest === true;
        sums.set(statistic, before === undefined ? value : isGreatest ? Math.max(before, value) : before + value);
      }
    }
    const { description, baseUnit } = described;
    return {
      name,
      description,
      baseUnit,
      measurements: [...sums].map(([statistic, value]) => ({ statistic, value })),
      availableTags: tagsOf(found, new Set(wanted.map(([tag]) => tag))),
    };
  }

  private measured(name: string): readonly Measured[] {
    const own = (value: number, tags: Measured['tags'] = {}): Measured => ({ tags, values: { VALUE: value } });
    const heap = getHeapStatistics();
    const { external } = process.memoryUsage();
    switch (name) {
      case 'process.uptime':
        return [own(process.uptime())];
      case 'process.start.time':
        return [own(Date.now() / 1000 - process.uptime())];
      case 'process.cpu.usage':
        return [own(this.cpuUsage())];
      case 'system.cpu.count':
        return [own(availableParallelism())];
      case 'jvm.memory.used':
        return [own(heap.used_heap_size, HEAP), own(external, NONHEAP)];
      case 'jvm.memory.committed':
        return [own(heap.total_heap_size, HEAP), own(external, NONHEAP)];
      case 'jvm.memory.max':
        return [own(heap.heap_size_limit, HEAP), own(-1, NONHEAP)];
      case CALL_DURATION.name:
        // What has ended is told first.
        this.meter.read();
        return timings(this.durations);
      case GATEWAY_DURATION.name:
        return timings(this.routed);
      default:
        return this.meter
          .read()
          .filter(({ metric }) => metric.name === name)
          .map(({ metric, labels, value }) => ({
            tags: labels,
            values: metric.kind === 'counter' ? { COUNT: value } : { VALUE: value },
          }));
    }
  }

  /** The share of all processors since it was asked last. */
  private cpuUsage(): number {
    const at = process.hrtime.bigint();
    const usage = process.cpuUsage(this.cpu.usage);
    const tookUs = Number(at - this.cpu.at) / 1000;
    this.cpu = { at, usage: process.cpuUsage() };
    return tookUs === 0 ? 0 : Math.min(1, (usage.user + usage.system) / tookUs / availableParallelism());
  }
}

/** How often something took how long. */
interface Timed {
  count: number;
  total: number;
  max: number;
  readonly tags: Measured['tags'];
}

function time(all: Map<object, Timed>, labels: object, seconds: number, tags: () => Measured['tags']): void {
  let sum = all.get(labels);
  if (sum === undefined) all.set(labels, (sum = { count: 0, total: 0, max: 0, tags: tags() }));
  sum.count += 1;
  sum.total += seconds;
  sum.max = Math.max(sum.max, seconds);
}

function timings(all: ReadonlyMap<object, Timed>): readonly Measured[] {
  return [...all.values()].map(({ tags, count, total, max }) => ({
    tags,
    values: { COUNT: count, TOTAL_TIME: total, MAX: max },
  }));
}

const HEAP = { area: 'heap' };
const NONHEAP = { area: 'nonheap' };

const DESCRIBED: ReadonlyMap<string, Described> = new Map<string, Described>([
  ['process.uptime', { description: 'How long the process runs.', baseUnit: SECONDS }],
  ['process.start.time', { description: 'When the process started, since the epoch.', baseUnit: SECONDS }],
  ['process.cpu.usage', { description: 'The share of all processors since it was asked last.', baseUnit: null }],
  ['system.cpu.count', { description: 'Processors of this process.', baseUnit: null }],
  ['jvm.memory.used', { description: "V8's heap, and what it holds outside.", baseUnit: 'bytes' }],
  ['jvm.memory.committed', { description: "V8's heap, with what is free in it.", baseUnit: 'bytes' }],
  ['jvm.memory.max', { description: "What V8's heap may grow to.", baseUnit: 'bytes' }],
  ...[...DURATION_METRICS, ...READ_METRICS].map((metric): [string, Described] => [metric.name, describedOf(metric)]),
]);

function describedOf({ description, unit, kind }: Metric): Described {
  // Ages aren't added up.
  return { description, baseUnit: unit === 's' ? SECONDS : null, greatest: kind === 'gauge' && unit === 's' };
}

function tagsOf(found: readonly Measured[], wanted: ReadonlySet<string>): ActuatorMetric['availableTags'] {
  const values = new Map<string, Set<string>>();
  for (const { tags } of found) {
    for (const [tag, value] of Object.entries(tags)) {
      if (wanted.has(tag)) continue;
      let all = values.get(tag);
      if (all === undefined) values.set(tag, (all = new Set()));
      if (all.size < MAX_VALUES) all.add(value);
    }
  }
  return [...values].map(([tag, all]) => ({ tag, values: [...all] }));
}
