import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { format } from 'prettier';
import { DURATION_METRICS, prometheusMetricName, READ_METRICS, type Metric } from '../../../lib/observability/index.js';

/** The dashboard that users import into Grafana. */
export const DASHBOARD = fileURLToPath(new URL('../../../docs/grafana-dashboard.json', import.meta.url));

const byName = new Map(
  [...DURATION_METRICS, ...READ_METRICS].map((metric) => [metric.name.replace('service_discovery.', ''), metric]),
);

function nameOf(metric: string): string {
  const known = byName.get(metric);
  if (known === undefined) throw new Error(`there is no metric ${metric}`);
  return prometheusMetricName(known);
}

const SERVICE = 'service_peer_name=~"$service"';

/** Title, query and legend of each panel, in rows of two. */
const PANELS: readonly (readonly [
  title: string,
  unit: string,
  ...queries: (readonly [query: string, legend: string])[],
])[] = [
  [
    'Calls a second, by outcome',
    'reqps',
    [
      `sum by (service_peer_name, outcome) (rate(${nameOf('client.call.duration')}_count{${SERVICE}}[$__rate_interval]))`,
      '{{service_peer_name}} {{outcome}}',
    ],
  ],
  [
    'Duration of calls',
    's',
    ...[0.5, 0.95, 0.99].map(
      (share) =>
        [
          `histogram_quantile(${share}, sum by (service_peer_name, le) (rate(${nameOf('client.call.duration')}_bucket{${SERVICE}}[$__rate_interval])))`,
          `{{service_peer_name}} p${share * 100}`,
        ] as const,
    ),
  ],
  [
    'What failed calls failed by, a second',
    'reqps',
    [
      `sum by (service_peer_name, error_type) (rate(${nameOf('client.call.duration')}_count{${SERVICE}, outcome!="success"}[$__rate_interval]))`,
      '{{service_peer_name}} {{error_type}}',
    ],
  ],
  [
    'Retries and hedges, as a share of the calls',
    'percentunit',
    [
      `sum by (service_peer_name) (rate(${nameOf('client.call.attempts')}{${SERVICE}, reason!="first"}[$__rate_interval])) / sum by (service_peer_name) (rate(${nameOf('client.call.attempts')}{${SERVICE}, reason="first"}[$__rate_interval]))`,
      '{{service_peer_name}}',
    ],
  ],
  [
    'Calls under way',
    'short',
    [`sum by (service_peer_name) (${nameOf('client.active_calls')}{${SERVICE}})`, '{{service_peer_name}}'],
  ],
  [
    'Retries that the budget forbade, a second',
    'reqps',
    [
      `sum by (service_peer_name) (rate(${nameOf('client.retry_budget.exhausted')}{${SERVICE}}[$__rate_interval]))`,
      '{{service_peer_name}}',
    ],
  ],
  [
    'Instances, as the worst off of the apps sees them',
    'short',
    [
      `min by (service_peer_name, status) (${nameOf('instances')}{${SERVICE}, status="routable"})`,
      '{{service_peer_name}} routable',
    ],
    [
      `max by (service_peer_name, status) (${nameOf('instances')}{${SERVICE}, status!="routable"})`,
      '{{service_peer_name}} {{status}}',
    ],
  ],
  [
    'Age of the lists of instances',
    's',
    [`max by (service_peer_name, state) (${nameOf('snapshot.age')}{${SERVICE}})`, '{{service_peer_name}} {{state}}'],
  ],
  [
    'Backends that answer, as a share of the apps',
    'percentunit',
    [`avg by (backend) (${nameOf('backend.ready')})`, '{{backend}}'],
  ],
  [
    'Age of the oldest registration',
    's',
    [`max by (backend, state) (${nameOf('registration.age')})`, '{{backend}} {{state}}'],
  ],
  [
    'Registrations, in five minutes',
    'short',
    [`sum by (backend, event) (increase(${nameOf('registrations')}[5m]))`, '{{backend}} {{event}}'],
  ],
  [
    'Configuration and records, in five minutes',
    'short',
    [`sum by (backend) (increase(${nameOf('config.changes')}[5m]))`, '{{backend}} changes'],
    [`sum by (backend) (increase(${nameOf('config.rejections')}[5m]))`, '{{backend}} rejections'],
    [`sum by (backend) (increase(${nameOf('records.skipped')}[5m]))`, '{{backend}} records left out'],
  ],
  [
    'Requests through the gateway a second, by route',
    'reqps',
    [
      `sum by (route, status) (rate(${nameOf('gateway.request.duration')}_count{${SERVICE}}[$__rate_interval]))`,
      '{{route}} {{status}}',
    ],
  ],
  [
    'Duration of requests through the gateway, by route',
    's',
    ...[0.5, 0.99].map(
      (share) =>
        [
          `histogram_quantile(${share}, sum by (route, le) (rate(${nameOf('gateway.request.duration')}_bucket{${SERVICE}}[$__rate_interval])))`,
          `{{route}} p${share * 100}`,
        ] as const,
    ),
  ],
  [
    "Gateways whose route doesn't reach all of its service, by route",
    'short',
    [`sum by (route, state) (${nameOf('gateway.circuit')}{${SERVICE}, state!="closed"})`, '{{route}} {{state}}'],
  ],
];

/** The dashboard's text. */
export function dashboard(): Promise<string> {
  const datasource = { type: 'prometheus', uid: '${datasource}' };
  const panels = PANELS.map(([title, unit, ...queries], index) => ({
    id: index + 1,
    type: 'timeseries',
    title,
    datasource,
    gridPos: { x: (index % 2) * 12, y: Math.floor(index / 2) * 8, w: 12, h: 8 },
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    targets: queries.map(([expr, legendFormat], at) => ({ refId: 'ABCDEF'[at], datasource, expr, legendFormat })),
  }));
  const service = `label_values(${nameOf('instances')}, service_peer_name)`;
  const all = {
    title: 'Service discovery',
    uid: 'nestjs-service-discovery',
    schemaVersion: 39,
    tags: ['nestjs', 'service-discovery'],
    time: { from: 'now-1h', to: 'now' },
    refresh: '30s',
    templating: {
      list: [
        { name: 'datasource', type: 'datasource', query: 'prometheus' },
        {
          name: 'service',
          type: 'query',
          datasource,
          query: service,
          multi: true,
          includeAll: true,
          refresh: 2,
          allValue: '.*',
          current: { text: 'All', value: '$__all' },
        },
      ],
    },
    panels,
  };
  return format(JSON.stringify(all), { parser: 'json', printWidth: 120 });
}

/** Every query of the dashboard, with Grafana's variables filled in. */
export function queries(): readonly string[] {
  return PANELS.flatMap(([, , ...of]) =>
    of.map(([query]) => query.replaceAll('$service', '.*').replaceAll('$__rate_interval', '1m')),
  );
}

/** The metrics that no panel shows. */
export function missing(): readonly Metric[] {
  const text = readFileSync(DASHBOARD, 'utf8');
  return [...byName.values()].filter((metric) => !text.includes(prometheusMetricName(metric)));
}

// `npx tsx test/unit/observability/dashboard.ts` writes the file; the test only compares.
if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) writeFileSync(DASHBOARD, await dashboard());
