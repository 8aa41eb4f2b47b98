import {
  authority,
  createServiceInstance,
  defined,
  DiscoveryError,
  type InstanceStatus,
  type Registration,
  type ServiceInstance,
} from '../../model/index.js';
import type { CheckDefinition, HealthCheck, ServiceDefinition, ServiceEntry } from './client/types.js';
import { decodeKey, decodeMetadata, encodeMetadata } from './consul.metadata.js';
import { DEFAULT_TTL_MS, type ConsulCheckOptions, type ConsulDiscoveryOptions } from './consul.options.js';

/** Begins the reason of a maintenance that was switched on by this library, and not by an operator. */
const REASON = 'nestjs-service-discovery: ';

/** Keys of metadata that carry what Consul has no field for; never shown. */
const OWN = { scheme: 'nsd-scheme', weight: 'nsd-weight' } as const;

/** What of the options decides how an instance is registered. */
export interface EncodeOptions {
  readonly check: ConsulCheckOptions;
  readonly deregisterAfterMs: number | undefined;
  readonly enableTagOverride: boolean;
}

/** Id of the one check of an instance. */
export function checkIdOf(instanceId: string): string {
  return `service:${instanceId}`;
}

/** Id of the check with which Consul keeps an instance in maintenance. */
export function maintenanceIdOf(instanceId: string): string {
  return `_service_maintenance:${instanceId}`;
}

/** The reason of a maintenance that stands for a status. */
export function reasonOf(status: InstanceStatus): string {
  return `${REASON}${status}`;
}

/** The status that a maintenance's reason stands for, or undefined when an operator switched it on. */
export function statusOfReason(reason: string): InstanceStatus | undefined {
  if (!reason.startsWith(REASON)) return undefined;
  const status = reason.slice(REASON.length);
  return isStatus(status) ? status : undefined;
}

/** Whether a status is shown by maintenance rather than by the check. */
export function needsMaintenance(status: InstanceStatus, check: ConsulCheckOptions): boolean {
  return status === 'OUT_OF_SERVICE' || (status !== 'UP' && check.type !== 'ttl');
}

/**
 * A registration as the agent takes it. Metadata with keys that Consul doesn't know is encoded; `zone`, and `secure` for
 * https, lie in the metadata where Spring's clients look for them.
 *
 * @throws DiscoveryError `INVALID_OPTION` for metadata beyond Consul's limits, naming the field
 */
export function encodeService(registration: Registration, options: EncodeOptions): ServiceDefinition {
  const { service, instanceId, host, ip, port, scheme, metadata, tags, weight, zone } = registration;
  const passing = Math.min(65_535, Math.max(1, Math.round(weight)));
  const meta: Record<string, string> = {
    ...defined({ zone }),
    ...(scheme === 'https' ? { secure: 'true' } : {}),
    ...encodeMetadata(metadata),
    // The last, so that no metadata can stand in their place.
    ...(scheme === 'http' || scheme === 'https' ? {} : { [OWN.scheme]: scheme }),
    ...(passing === weight ? {} : { [OWN.weight]: String(weight) }),
  };
  assertFits(meta);
  const check = encodeCheck(registration, options);
  return {
    ID: instanceId,
    Name: service,
    Address: host,
    Port: port,
    ...(ip === host ? {} : { TaggedAddresses: { lan: { Address: ip, Port: port } } }),
    Tags: tags,
    Meta: meta,
    Weights: { Passing: passing, Warning: passing },
    EnableTagOverride: options.enableTagOverride,
    ...defined({ Check: check }),
  };
}

/** What the TTL check of an instance says. */
export function ttlStatusOf(status: InstanceStatus): {
  readonly status: 'passing' | 'critical';
  readonly note: string;
} {
  // In maintenance it goes on passing: it is alive, and must not be deregistered for being critical.
  return { status: status === 'UP' || status === 'OUT_OF_SERVICE' ? 'passing' : 'critical', note: status };
}

/**
 * What the notes of the check say of a status that a check has no state for. Not its output: agents tell the catalogue of
 * an output only when they have time.
 */
export function notesOf(status: InstanceStatus): string {
  return status === 'STARTING' || status === 'UNKNOWN' ? status : '';
}

function encodeCheck(registration: Registration, options: EncodeOptions): CheckDefinition | undefined {
  const { check, deregisterAfterMs } = options;
  const { host, port, scheme, instanceId, service, status, healthPath } = registration;
  const common = {
    CheckID: checkIdOf(instanceId),
    Name: `${service} ${check.type}`,
    // The app registers when it can serve: it needn't wait for the agent's first look.
    Status: ttlStatusOf(status).status,
    Notes: notesOf(status),
    ...defined({ DeregisterCriticalServiceAfter: deregisterAfterMs }),
  };
  if (check.type === 'none') return undefined;
  if (check.type === 'ttl') return { ...common, TTL: check.ttlMs ?? DEFAULT_TTL_MS };
  const probe = { ...common, Interval: check.intervalMs ?? 10_000, Timeout: check.timeoutMs ?? 5000 };
  const at = authority(host, check.port ?? port);
  switch (check.type) {
    case 'http': {
      const path = check.path ?? healthPath ?? '/health';
      return {
        ...probe,
        HTTP: `${scheme === 'https' ? 'https' : 'http'}://${at}${path.startsWith('/') ? '' : '/'}${path}`,
        ...defined({ Method: check.method }),
        ...(check.headers === undefined
          ? {}
          : { Header: Object.fromEntries(Object.entries(check.headers).map(([name, value]) => [name, [value]])) }),
        ...defined({ TLSSkipVerify: check.tlsSkipVerify }),
      };
    }
    case 'tcp':
      return { ...probe, TCP: at };
    case 'grpc':
      return {
        ...probe,
        GRPC: check.service === undefined ? at : `${at}/${check.service}`,
        GRPCUseTLS: check.useTls ?? false,
        ...defined({ TLSSkipVerify: check.tlsSkipVerify }),
      };
  }
}

/** Consul's limits of a service's metadata. */
function assertFits(meta: Readonly<Record<string, string>>): void {
  const entries = Object.entries(meta);
  const refuse = (field: string, problem: string): DiscoveryError =>
    new DiscoveryError('INVALID_OPTION', `${field}: ${problem}`, { field });
  if (entries.length > 64) throw refuse('metadata', `Consul takes 64 entries at most, and these are ${entries.length}`);
  for (const [key, value] of entries) {
    const field = `metadata.${decodeKey(key)}`;
    if (key.length > 128) throw refuse(field, 'Consul takes keys of 128 characters at most, encoded');
    if (Buffer.byteLength(value) > 512) throw refuse(field, 'Consul takes values of 512 bytes at most');
  }
}

/** What of the options decides how an entry is read. */
export interface DecodeOptions extends Pick<ConsulDiscoveryOptions, 'passingOnly' | 'acceptWarning'> {
  readonly backend: string;
  /** Take the datacentre for the zone of an instance that names none. */
  readonly zoneFromDatacenter: boolean;
}

/**
 * An entry of the health endpoint as an instance.
 *
 * @returns undefined for one that isn't to be seen
 * @throws DiscoveryError `INVALID_INSTANCE` or `INVALID_NAME` for what can't be an instance
 */
export function decodeEntry(entry: unknown, service: string, options: DecodeOptions): ServiceInstance | undefined {
  const { Node, Service, Checks } = shapeOf(entry);
  const health = healthOf(Checks, options.acceptWarning ?? false);
  if ((options.passingOnly ?? true) && health.status !== 'UP' && health.status !== 'OUT_OF_SERVICE') return undefined;
  const meta = Service.Meta ?? {};
  const metadata = decodeMetadata(meta, Object.values(OWN));
  const zone = metadata['zone'] ?? (options.zoneFromDatacenter ? Node.Datacenter : undefined);
  const exact = Number(meta[OWN.weight] ?? 'NaN');
  const weights = Service.Weights ?? { Passing: 1, Warning: 1 };
  return createServiceInstance({
    service,
    id: Service.ID,
    host: Service.Address === '' ? Node.Address : Service.Address,
    port: Service.Port,
    scheme: meta[OWN.scheme] ?? (metadata['secure'] === 'true' ? 'https' : 'http'),
    status: health.status,
    metadata,
    tags: Service.Tags ?? [],
    weight: health.warning ? weights.Warning : Number.isFinite(exact) && exact >= 0 ? exact : weights.Passing,
    ...defined({ zone }),
    backend: options.backend,
  });
}

/** The id of an entry, for messages. */
export function describeEntry(entry: unknown): string {
  try {
    const { Node, Service } = shapeOf(entry);
    return `${Service.ID}@${Node.Node}`;
  } catch {
    return 'an entry without service and node';
  }
}

/** The status that the checks of an instance and of its node add up to. */
function healthOf(
  checks: readonly HealthCheck[],
  acceptWarning: boolean,
): { readonly status: InstanceStatus; readonly warning: boolean } {
  let status: InstanceStatus = 'UP';
  let warning = false;
  for (const check of checks) {
    if (check.CheckID === '_node_maintenance') return { status: 'OUT_OF_SERVICE', warning: false };
    if (check.CheckID.startsWith('_service_maintenance:')) {
      return { status: statusOfReason(check.Notes) ?? 'OUT_OF_SERVICE', warning: false };
    }
    if (check.Status === 'warning') warning = true;
    // What can't be read as a state is no sign of health.
    else if (check.Status !== 'passing') status = criticalStatus(check);
  }
  if (status === 'UP' && warning && !acceptWarning) status = 'DOWN';
  return { status, warning: status === 'UP' && warning };
}

/** An app of ours that isn't up says in the notes of its TTL check what it is instead. */
function criticalStatus({ Type, Notes }: HealthCheck): InstanceStatus {
  return Type === 'ttl' && (Notes === 'STARTING' || Notes === 'UNKNOWN') ? Notes : 'DOWN';
}

function isStatus(value: string): value is InstanceStatus {
  return ['STARTING', 'UP', 'DOWN', 'OUT_OF_SERVICE', 'UNKNOWN'].includes(value);
}

/** Checks as much of an entry as is used below. */
function shapeOf(entry: unknown): ServiceEntry & { readonly Checks: readonly HealthCheck[] } {
  const { Node, Service, Checks } = record(entry, 'entry');
  const node = record(Node, 'Node');
  const service = record(Service, 'Service');
  for (const [fields, name] of [
    [node, 'Node'],
    [node, 'Address'],
    [service, 'ID'],
    [service, 'Address'],
  ] as const) {
    if (typeof fields[name] !== 'string') throw invalid(name, 'must be a text');
  }
  const meta = service['Meta'] ?? {};
  for (const value of Object.values(record(meta, 'Meta'))) {
    if (typeof value !== 'string') throw invalid('Meta', 'must hold texts');
  }
  if (!Array.isArray(service['Tags'] ?? [])) throw invalid('Tags', 'must be a list');
  const weights = service['Weights'] ?? undefined;
  if (weights !== undefined) record(weights, 'Weights');
  const checks = Checks ?? [];
  if (!Array.isArray(checks)) throw invalid('Checks', 'must be a list');
  for (const check of checks) {
    const fields = record(check, 'Checks');
    for (const name of ['CheckID', 'Status', 'Notes', 'Output']) {
      if (typeof fields[name] !== 'string') throw invalid(`Checks.${name}`, 'must be a text');
    }
  }
  return { ...(entry as ServiceEntry), Checks: checks as readonly HealthCheck[] };
}

function record(value: unknown, field: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(field, 'must be an object');
  return value as Record<string, unknown>;
}

function invalid(field: string, problem: string): DiscoveryError {
  return new DiscoveryError('INVALID_INSTANCE', `${field} ${problem}`, { field });
}
