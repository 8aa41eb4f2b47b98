/** The house's floors, and which of them each may import. DESIGN says it; the tests in this folder hold to it. */
export const FLOORS: Readonly<Record<string, readonly string[]>> = {
  model: [],
  backend: ['model'],
  observability: ['model', 'backend'],
  balancing: ['model', 'backend', 'observability'],
  discovery: ['model', 'backend', 'observability', 'balancing'],
  registration: ['model', 'backend', 'observability', 'balancing', 'discovery'],
  config: ['model', 'backend', 'observability', 'balancing', 'discovery'],
  http: ['model', 'backend', 'observability', 'balancing', 'discovery'],
  nest: ['model', 'backend', 'observability', 'balancing', 'discovery', 'registration', 'config', 'http'],
};

/** One folder in `lib/backends` for each product. */
export const WINGS = ['local', 'eureka', 'zookeeper', 'consul', 'nacos', 'nats'] as const;

/** What a wing may import of the floors, and what its `nest/` room may besides. */
export const WING_MAY = ['model', 'backend'] as const;
export const NEST_ROOM_MAY = ['model', 'backend', 'nest'] as const;

/** The one file of a wing that the Nest floor and the package's front door may import. */
export const DEFAULT_BACKEND = 'lib/backends/local/index.ts';
